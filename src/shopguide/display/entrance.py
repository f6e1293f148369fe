"""Who may bring events, and how fast. Consent is settled here, before anything is kept; addresses are counted in
memory and stored nowhere."""

from __future__ import annotations

import hmac
import ipaddress
import math
from collections import Counter
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from shopguide.agents import is_crawler
from shopguide.display.limits import Limit
from shopguide.display.line import Line
from shopguide.display.origins import direct, elsewhere, local
from shopguide.settings import HttpSettings

NO_CONSENT = "no consent"
BOT = "bot"
PAUSE = 2  # seconds until a line that is behind is asked again


class Entrance:
    """``refused`` counts what was turned away: events by reason, requests that came too fast or while there was no
    room."""

    def __init__(self, line: Line, settings: HttpSettings) -> None:
        self._line = line
        self._settings = settings
        self._keys = [key.encode() for key in settings.write_keys]
        self._by_key, self._by_address = Limit(settings.key_rate), Limit(settings.address_rate)
        self.refused: Counter[str] = Counter()

    def need_room(self) -> None:
        """Raises HTTPException 429 while the line cannot keep up or the disk is nearly full."""
        busy = self._line.busy()
        if busy is not None:
            self.refused["busy"] += 1
            raise HTTPException(429, busy, {"retry-after": str(PAUSE)})

    def key_of(self, request: Request, needed: bool) -> str:
        """The write key of a request, empty where there is none. Raises HTTPException 403 for one that is not on the
        list, and for none where the list has any and one is needed."""
        key = request.query_params.get("key", "")
        if self._keys and (key or needed) and not self._knows(key):
            self.refused["wrong key"] += 1
            raise HTTPException(403, "the write key is missing or unknown: send a site's as ?key=…")
        return key

    def _knows(self, key: str) -> bool:
        return any([hmac.compare_digest(key.encode(errors="replace"), one) for one in self._keys])  # all, in one time

    def need_shop(self, request: Request) -> None:
        """Raises HTTPException 403 for who is not one of the shop's own systems, which are believed without a token."""
        who = self._settings.shop
        if elsewhere(request.headers) or not (who == "all" or (direct if who == "direct" else local)(request)):
            self.refused["not the shop"] += 1
            raise HTTPException(403, f'events without a token are the shop\'s own, and http.shop is "{who}": bring one')

    def slow_down(self, request: Request, key: str, n: int) -> None:
        """Count ``n`` events (at least one) against the address and the key. Raises HTTPException 429 where that is too
        fast for either."""
        wait = self._by_address.take(address_of(request), max(n, 1))
        if not wait and key:
            wait = self._by_key.take(key, max(n, 1))
        if wait:
            self.refused["too fast"] += 1
            raise HTTPException(429, "too many events: slow down", {"retry-after": str(math.ceil(wait))})

    def unwelcome(self, request: Request, envelope: Any = None) -> str:
        """Why nothing of this request is kept; empty where it may be."""
        said = envelope if isinstance(envelope, dict) else {}
        if request.headers.get("sec-gpc", "").strip() == "1" or said.get("consent", True) is not True:
            return NO_CONSENT
        if self._settings.bots == "refuse":
            agent = request.headers.get("user-agent", "")
            if said.get("webdriver") is True or is_crawler(agent):
                return BOT
        return ""


def address_of(request: Request) -> str:
    """The address that a request is counted under: of IPv6 the network, since a customer has all of it."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host
