"""Where the push server listens: what is allowed, and two neighbouring ports where any will do."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_address
from typing import NamedTuple

import zmq

from shopguide.errors import SettingError
from shopguide.wire import gap_endpoint

TRIES = 32  # pairs of free ports looked for


class Bound(NamedTuple):
    """The real endpoints, and the sockets that listen there, if that is TCP: the caller's to close."""

    endpoint: str
    gap_endpoint: str
    listening: list[socket.socket]


def encrypt(server: zmq.Socket[bytes], secret_key: bytes | None) -> None:
    """Make it a CURVE server with this key (Z85), before it is bound; None: it stays as it is."""
    if secret_key is not None:
        server.set(zmq.CURVE_SERVER, 1)
        server.set(zmq.CURVE_SECRETKEY, secret_key)


def bind_pair(
    xpubs: Sequence[zmq.Socket[bytes]], router: zmq.Socket[bytes], endpoint: str, secret_key: bytes | None, backlog: int
) -> Bound:
    """Bind them; between the XPUBs the kernel shares out who comes (SO_REUSEPORT; ipc: there is one). Port ``*`` or 0:
    any free one that has a free one above. ``backlog``: how many may wait to be let in, for each of the two endpoints.

    Raises SettingError where the endpoint is malformed, in use, or open to other hosts and not encrypted.
    """
    host, port = _allowed(endpoint, secret_key is not None)
    public = [*xpubs, router]
    for one in public:
        encrypt(one, secret_key)
        one.set(zmq.IPV6, int(host.startswith("[")))
        one.set(zmq.BACKLOG, backlog)
    try:
        listening = _listening(host, port, len(xpubs), backlog) if host else []
        for one, own in zip(public, listening, strict=False):
            one.set(zmq.USE_FD, own.dup().detach())
        bound = f"tcp://{host}:{listening[0].getsockname()[1]}" if listening else endpoint
        for xpub in xpubs:
            xpub.bind(bound)
        router.bind(gap_endpoint(bound))
    except (OSError, zmq.ZMQError) as e:
        raise SettingError(f"push.endpoint = {endpoint!r}: cannot bind it and the port above: {e.strerror}") from None
    return Bound(_real_endpoint(xpubs[0]), gap_endpoint(_real_endpoint(xpubs[0])), listening)


def _listening(host: str, port: int, sharing: int, backlog: int) -> list[socket.socket]:
    """So many that share the port, and one at the port above. Port 0: any. Raises OSError where one is in use."""
    tries = 1 if port else TRIES
    while True:
        tries -= 1
        try:
            return _listening_at(host, port, sharing, backlog)
        except (OSError, OverflowError):
            if not tries:
                raise


def _listening_at(host: str, port: int, sharing: int, backlog: int) -> list[socket.socket]:
    name, six = host.strip("[]").replace("*", ""), host.startswith("[")
    family = socket.AF_INET6 if six else socket.AF_INET
    listen = partial(socket.create_server, family=family, dualstack_ipv6=six and socket.has_dualstack_ipv6())
    with ExitStack() as opened:
        with listen((name, port)) as alone:  # nobody else is there
            port = alone.getsockname()[1]
        above = opened.enter_context(listen((name, port + 1), backlog=backlog))  # nobody else will be: it is not shared
        each = max(backlog // sharing - 1, 1)  # the kernel takes one more
        shared = [listen((name, port), backlog=each, reuse_port=True) for _ in range(sharing)]
        opened.pop_all()
    for one in (*shared, above):
        one.setblocking(False)
    return [*shared, above]


def bind_intake(pull: zmq.Socket[bytes], endpoint: str, secret_key: bytes | None) -> str:
    """Bind the socket that recommendations come to; its real endpoint. Raises SettingError where that cannot be."""
    encrypt(pull, secret_key)
    try:
        pull.bind(endpoint)
    except zmq.ZMQError as e:
        raise SettingError(f"cannot bind the push server's intake {endpoint!r}: {e}") from None
    return _real_endpoint(pull)


def _real_endpoint(bound: zmq.Socket[bytes]) -> str:
    """Where a socket was bound last."""
    return str(bound.get_string(zmq.LAST_ENDPOINT)).rstrip("\0")


def _allowed(endpoint: str, encrypted: bool) -> tuple[str, int]:
    """(host, port), 0: any will do; an ipc endpoint has none."""
    transport, _, address = endpoint.partition("://")
    if transport == "ipc" and address:
        return "", 0
    host, _, port = address.rpartition(":")
    if transport != "tcp" or not host:
        raise SettingError(f"push.endpoint = {endpoint!r}: should be tcp://HOST:PORT or ipc://PATH")
    any_port = port in ("*", "0")
    if not any_port:
        gap_endpoint(endpoint)
    if not encrypted and not _loopback(host):
        raise SettingError(
            f"push.endpoint = {endpoint!r}: without CURVE messages travel in the clear; should be 127.0.0.1 or ipc://, "
            "or set push.curve = true"
        )
    return host, 0 if any_port else int(port)


def _loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
