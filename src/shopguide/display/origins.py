"""Where a request comes from: which sites' pages may call (the allow-list, and what browsers are told of it, CORS), and
who came through a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request

FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip", "via")  # by a proxy
TOLD = {
    "access-control-allow-headers": "authorization, content-type, content-encoding, last-event-id",
    "access-control-allow-methods": "GET, HEAD, POST, OPTIONS",
    "access-control-expose-headers": "retry-after",
    "access-control-max-age": "86400",
}


class Origins:
    """``allowed``: origins as browsers send them; "*": all of them."""

    def __init__(self, allowed: list[str]) -> None:
        self._allowed = frozenset(allowed)

    def refuses(self, headers: Mapping[str, str]) -> bool:
        """Whether this comes from a page of a site that is not on the list."""
        return elsewhere(headers) and not self._knows(headers["origin"])

    def told(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What the browser has to hear, so that its page of another site may read the answer."""
        if not elsewhere(headers):
            return {"vary": "Origin"} if self._allowed else {}
        if not self._knows(headers["origin"]):
            return {"vary": "Origin"}
        return {**TOLD, "access-control-allow-origin": headers["origin"], "vary": "Origin"}

    def _knows(self, origin: str) -> bool:
        return "*" in self._allowed or origin.lower() in self._allowed


def elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a page of another site sends this. Programs, and navigation, name no origin."""
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("host")
    except ValueError:
        return True


def direct(request: Request) -> bool:
    """Whether it came through no proxy."""
    return not any(name in request.headers for name in FORWARDED)


def local(request: Request) -> bool:
    """Whether who sends it is on this machine, and no proxy."""
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback and direct(request)
    except ValueError:
        return False
