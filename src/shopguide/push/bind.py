"""Where the push server listens: what is allowed, and two neighbouring ports where any will do."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import zmq

from shopguide.errors import SettingError
from shopguide.wire import gap_endpoint

TRIES = 32  # pairs of free ports looked for


def encrypt(server: zmq.Socket[bytes], secret_key: bytes | None) -> None:
    """Make it a CURVE server with this key (Z85), before it is bound; None: it stays as it is."""
    if secret_key is not None:
        server.set(zmq.CURVE_SERVER, 1)
        server.set(zmq.CURVE_SECRETKEY, secret_key)


def bind_pair(
    xpub: zmq.Socket[bytes], router: zmq.Socket[bytes], endpoint: str, secret_key: bytes | None
) -> tuple[str, str]:
    """Bind both; their real endpoints. Port ``*`` or 0: any free one that has a free one above.

    Raises SettingError where the endpoint is malformed, in use, or open to other hosts and not encrypted.
    """
    host, any_port = _allowed(endpoint, secret_key is not None)
    for public in (xpub, router):
        encrypt(public, secret_key)
        public.set(zmq.IPV6, int(host.startswith("[")))
    tries = TRIES if any_port else 1
    while True:
        tries -= 1
        try:
            xpub.bind(f"tcp://{host}:*" if any_port else endpoint)
            bound = _real_endpoint(xpub)
            router.bind(gap_endpoint(bound))
            return bound, gap_endpoint(bound)
        except (zmq.ZMQError, SettingError) as e:
            if not tries:
                raise SettingError(f"push.endpoint = {endpoint!r}: cannot bind it and the port above: {e}") from None
            with suppress(zmq.ZMQError):
                xpub.unbind(_real_endpoint(xpub))


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


def _allowed(endpoint: str, encrypted: bool) -> tuple[str, bool]:
    """(host, whether any port will do)."""
    transport, _, address = endpoint.partition("://")
    if transport == "ipc" and address:
        return "", False
    host, _, port = address.rpartition(":")
    any_port = port in ("*", "0")
    if transport != "tcp" or not host:
        raise SettingError(f"push.endpoint = {endpoint!r}: should be tcp://HOST:PORT or ipc://PATH")
    if not any_port:
        gap_endpoint(endpoint)
    if not encrypted and not _loopback(host):
        raise SettingError(
            f"push.endpoint = {endpoint!r}: without CURVE messages travel in the clear; should be 127.0.0.1 or ipc://, "
            "or set push.curve = true"
        )
    return host, any_port


def _loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
