"""Where the push server listens: what is allowed, and two neighbouring ports where any will do."""

from __future__ import annotations

from ipaddress import ip_address

import zmq

from shopguide.errors import SettingError
from shopguide.wire import gap_endpoint

TRIES = 32  # pairs of free ports looked for


def bind_pair(xpub: zmq.Socket[bytes], router: zmq.Socket[bytes], endpoint: str) -> tuple[str, str]:
    """Bind both; their real endpoints. Port ``*`` or 0: any free one that has a free one above.

    Raises SettingError where the endpoint is malformed, in use, or not of this host's loopback.
    """
    host, any_port = _allowed(endpoint)
    if not any_port:
        pair = endpoint, gap_endpoint(endpoint)
        try:
            xpub.bind(pair[0])
            router.bind(pair[1])
        except zmq.ZMQError as e:
            raise SettingError(f"push.endpoint = {endpoint!r}: cannot bind it and {pair[1]}: {e}") from None
        return pair
    for _ in range(TRIES):
        xpub.bind(f"tcp://{host}:*")
        bound = real_endpoint(xpub)
        try:
            gap = gap_endpoint(bound)
            router.bind(gap)
            return bound, gap
        except (zmq.ZMQError, SettingError):
            xpub.unbind(bound)
    raise SettingError(f"push.endpoint = {endpoint!r}: no two neighbouring ports are free")


def real_endpoint(bound: zmq.Socket[bytes]) -> str:
    """Where a socket was bound last."""
    return str(bound.get_string(zmq.LAST_ENDPOINT)).rstrip("\0")


def _allowed(endpoint: str) -> tuple[str, bool]:
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
    if not _loopback(host):
        raise SettingError(
            f"push.endpoint = {endpoint!r}: without CURVE messages travel in the clear; should be 127.0.0.1 or ipc://"
        )
    return host, any_port


def _loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
