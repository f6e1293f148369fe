"""Where events come in: batches, pixels, visitors and what they ask of us. docs/protocol.md has the client's side."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from shopguide.display.answers import answer, pixel
from shopguide.display.body import id_of, need_token, read_json, token_of
from shopguide.display.entrance import NO_CONSENT, Entrance
from shopguide.display.group_commit import PATIENCE, GroupCommit
from shopguide.display.line import Line
from shopguide.display.said import of_pixel, of_shop, of_visitor
from shopguide.errors import TokenError
from shopguide.settings import Settings

GUEST = "guest-"
GUEST_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
NOT_A_VISITORS = "kind is not a visitor's"


class Collecting:
    """Handlers over one line."""

    def __init__(self, line: Line, settings: Settings) -> None:
        self.line = line
        self.settings = settings
        self.entrance = Entrance(line, settings.http)
        self.group = GroupCommit(line)

    def routes(self) -> list[BaseRoute]:
        """Those that bring something in."""
        return [
            Route("/v1/events", self.events, methods=["POST"]),
            Route("/v1/pixel.gif", self.pixel),
            Route("/v1/visitor", self.visitor, methods=["POST"]),
            Route("/v1/identify", self.identify, methods=["POST"]),
            Route("/v1/dismiss", self.dismiss, methods=["POST"]),
            Route("/v1/forget", self.forget, methods=["POST"]),
        ]

    async def events(self, request: Request) -> Response:
        """Collect one event, an array, or {"token", "events"} from a browser; answers once they are durable."""
        self.entrance.need_room()
        key = self.entrance.key_of(request, needed=False)
        body = await read_json(request, self.settings.http.max_body)
        enveloped = isinstance(body, dict) and "events" in body
        rows = body["events"] if enveloped else body
        if isinstance(rows, dict):
            rows = [rows]
        if not isinstance(rows, list):
            raise HTTPException(400, "the body should be an event (object) or an array of events")
        if not enveloped and token_of(request) is None:
            self.entrance.need_shop(request)
            return answer(await self._collect(of_shop(rows)), 202)
        user_key = self.line.verify(need_token(request, body))
        self.entrance.slow_down(request, key, len(rows))
        why = self.entrance.unwelcome(request, body)
        if why:
            return answer(self._refused(why, len(rows)), 202)
        now, max_age = time.time(), self.settings.http.max_age
        return answer(await self._collect([of_visitor(row, user_key, now, max_age) for row in rows]), 202)

    async def pixel(self, request: Request) -> Response:
        """One event in an address, for pages without scripts and mail: of the token's user, else of somebody new."""
        if request.method == "HEAD":
            return pixel()
        self.entrance.need_room()
        key = self.entrance.key_of(request, needed=True)
        token = token_of(request)
        user_key = self.line.verify(token or self.line.mint(_new_guest()))
        self.entrance.slow_down(request, key, 1)
        why = self.entrance.unwelcome(request)
        if why:
            self._refused(why, 1)
            return pixel(why)
        receipt = await self._collect([of_pixel(request.query_params, user_key, time.time())])
        return pixel(next(iter(receipt.get("reasons", ())), ""))

    async def visitor(self, request: Request) -> Response:
        """A token for a new anonymous visitor; or, given a live {"user", "token"}, a fresh one for that visitor."""
        body = await read_json(request, self.settings.http.max_body, empty={})
        if not isinstance(body, dict):
            raise HTTPException(400, 'the body should be nothing, or {"user", "token"}')
        renews = "user" in body
        key = self.entrance.key_of(request, needed=not renews)
        self.entrance.slow_down(request, key, 1)
        user = id_of(body["user"], "user") if renews else _new_guest()
        ttl = self.settings.http.visitor_ttl if user.startswith(GUEST) else self.settings.push.token_ttl
        token = self.line.mint(user, ttl)
        if renews and self.line.verify(need_token(request, body)) != self.line.verify(token):
            raise TokenError("the token is another user's")
        return answer({"user": user, "token": token, "expires": time.time() + ttl})

    async def identify(self, request: Request) -> Response:
        """A visitor has logged in: {"token", "account"}, a token of each. What they did, and do, is the account's."""
        self.entrance.need_room()
        body = await read_json(request, self.settings.http.max_body)
        visitor = self.line.verify(need_token(request, body))
        account = body.get("account") if isinstance(body, dict) else None
        if not isinstance(account, str):
            raise HTTPException(400, "account is missing: should be a token of the account")
        account_key = self.line.verify(account)
        self.entrance.slow_down(request, "", 1)
        if account_key != visitor:
            async with _patience():
                await self.group.collect([])  # the visitor's rows that came before are before it in the log
                await self.line.identify(visitor, account_key)
        return answer({"accepted": 1, "refused": 0}, 202)

    async def dismiss(self, request: Request) -> Response:
        """ "Not this": the user wants no more of the item."""
        self.entrance.need_room()
        body = await read_json(request, self.settings.http.max_body)
        user_key = self.line.verify(need_token(request, body))
        item = id_of(body.get("item") if isinstance(body, dict) else None, "item")
        self.entrance.slow_down(request, "", 1)
        return answer(
            await self._collect([of_visitor({"kind": "dismiss", "item": item}, user_key, time.time(), 0)]), 202
        )

    async def forget(self, request: Request) -> Response:
        """ "Forget me": all that is held of the user goes; the signed receipt. Their tokens are void from then on."""
        body = await read_json(request, self.settings.http.max_body, empty={})
        token = need_token(request, body)
        self.line.verify(token)
        async with _patience():
            await self.group.collect([])  # no row that came before is left behind
        return answer(await self.line.forget(token))

    async def _collect(self, rows: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
        """Have them written. A row that is None is of a kind that is not its sender's to send."""
        given = [row for row in rows if row is not None]
        try:
            receipt = await self.group.collect(given)
        except TimeoutError:
            raise _too_slow() from None
        reasons = {NO_CONSENT: receipt.refused, NOT_A_VISITORS: len(rows) - len(given)}
        return self._said(receipt.accepted, {why: n for why, n in reasons.items() if n})

    def _refused(self, why: str, n: int) -> dict[str, Any]:
        return self._said(0, {why: n} if n else {})

    def _said(self, accepted: int, reasons: dict[str, int]) -> dict[str, Any]:
        if not reasons:
            return {"accepted": accepted, "refused": 0}
        self.entrance.refused.update(reasons)
        return {"accepted": accepted, "refused": sum(reasons.values()), "reasons": reasons}


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError:
        raise _too_slow() from None


def _too_slow() -> HTTPException:
    return HTTPException(503, f"the log takes more than {PATIENCE:g} s", {"retry-after": "5"})


def _new_guest() -> str:
    """An id that nobody guesses and two visitors do not share (59 bits)."""
    return GUEST + "".join(secrets.choice(GUEST_ALPHABET) for _ in range(12))
