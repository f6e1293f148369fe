"""The HTTP interface. docs/protocol.md describes it from the client's side."""

from __future__ import annotations

import hashlib
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from shopguide.display.body import count_of, id_of, need_token, read_json, slot_of, token_of
from shopguide.display.line import Line
from shopguide.display.stream import Streams
from shopguide.errors import TokenError
from shopguide.records import Kind
from shopguide.settings import Settings

STATIC = Path(__file__).with_name("static")
PULL_TIMEOUT = 2.0  # seconds that a pull waits for a list
SHOPPER_KINDS = frozenset(k.name.lower() for k in Kind if Kind.VIEW <= k <= Kind.DISMISS)
VISITOR_FIELDS = ("kind", "item", "query", "value", "event", "consent")
GUEST_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A person's JSON: no cache keeps it."""
    headers = {"cache-control": "no-store", **(headers or {})}
    return Response(orjson.dumps(content), status, headers, "application/json")


class Api:
    """Handlers over one line."""

    def __init__(self, line: Line, settings: Settings) -> None:
        self.line = line
        self.settings = settings
        self.streams = Streams()

    def routes(self) -> list[BaseRoute]:
        """All routes of the app."""
        return [
            Route("/", self.page),
            Route("/healthz", self.health),
            Route("/favicon.ico", self.favicon),
            Route("/v1/events", self.events, methods=["POST"]),
            Route("/v1/visitor", self.visitor, methods=["POST"]),
            Route("/v1/dismiss", self.dismiss, methods=["POST"]),
            Route("/v1/forget", self.forget, methods=["POST"]),
            Route("/v1/stream", self.stream),
            Route("/v1/recommend", self.recommend),
            Route("/v1/why", self.why),
            Route("/v1/similar", self.similar),
            Route("/v1/trending", self.trending),
            Route("/v1/products", self.products),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ]

    async def events(self, request: Request) -> Response:
        """Collect one event, an array, or {"token", "events"} from a browser; answers once they are durable."""
        body = await read_json(request, self.settings.http.max_body)
        enveloped = isinstance(body, dict) and "events" in body
        rows = body["events"] if enveloped else body
        if isinstance(rows, dict):
            rows = [rows]
        if not isinstance(rows, list):
            raise HTTPException(400, "the body should be an event (object) or an array of events")
        if enveloped or token_of(request) is not None:
            user_key = self.line.verify(need_token(request, body))
            return await self._collect([_of_visitor(row, user_key) for row in rows])
        _refuse_other_sites(request)
        return await self._collect([_of_shop(row) for row in rows])

    async def _collect(self, rows: list[dict[str, Any] | None]) -> Response:
        kept = [row for row in rows if row is not None]
        receipt = self.line.collect(kept)
        await self.line.durable()
        refused = receipt.refused + len(rows) - len(kept)
        return answer({"accepted": receipt.accepted, "refused": refused}, 202)

    async def visitor(self, request: Request) -> Response:
        """A token for a new anonymous visitor; or, given a live {"user", "token"}, a fresh one for that visitor."""
        body = await read_json(request, self.settings.http.max_body, empty={})
        if not isinstance(body, dict):
            raise HTTPException(400, 'the body should be nothing, or {"user", "token"}')
        renews = "user" in body
        user = id_of(body["user"], "user") if renews else _new_guest()
        token = self.line.mint(user)
        if renews and self.line.verify(need_token(request, body)) != self.line.verify(token):
            raise TokenError("the token is another user's")
        return answer({"user": user, "token": token, "expires": time.time() + self.settings.push.token_ttl})

    async def dismiss(self, request: Request) -> Response:
        """ "Not this": the user wants no more of the item."""
        body = await read_json(request, self.settings.http.max_body)
        user_key = self.line.verify(need_token(request, body))
        item = id_of(body.get("item") if isinstance(body, dict) else None, "item")
        return await self._collect([_of_visitor({"kind": "dismiss", "item": item}, user_key)])

    async def forget(self, request: Request) -> Response:
        """ "Forget me": all that is held of the user goes; the signed receipt. Their tokens are void from then on."""
        body = await read_json(request, self.settings.http.max_body, empty={})
        return answer(await self.line.forget(need_token(request, body)))

    async def stream(self, request: Request) -> Response:
        """The user's lists as server-sent events."""
        token = need_token(request)
        self.line.verify(token)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        if request.method == "HEAD":
            return Response(headers=headers, media_type="text/event-stream")
        frames = self.streams.frames(
            self.line.subscribe(token), request.headers.get("last-event-id"), self.settings.push.heartbeat
        )
        return StreamingResponse(frames, headers=headers, media_type="text/event-stream")

    async def recommend(self, request: Request) -> Response:
        """The user's newest list, pulled."""
        token = need_token(request)
        self.line.verify(token)
        found = await self.line.recommend(token, count_of(request), slot_of(request), PULL_TIMEOUT)
        if found is None:
            raise HTTPException(503, f"no list within {PULL_TIMEOUT:g} s", {"retry-after": "1"})
        return answer(found)

    async def why(self, request: Request) -> Response:
        """The whole sum behind one suggestion."""
        token = need_token(request)
        self.line.verify(token)
        return _found(self.line.why(token, _item(request)), "the item is not in your newest list")

    async def similar(self, request: Request) -> Response:
        """Items near one item; needs no user."""
        return _found(await self.line.similar(_item(request), count_of(request)), "the item is not known")

    async def trending(self, request: Request) -> Response:
        """What is popular now, everywhere or in a category."""
        category = request.query_params.get("category")
        if category is not None:
            category = id_of(category, "category")
        return _found(await self.line.trending(category, count_of(request)), "the category is not known")

    async def products(self, request: Request) -> Response:
        """The demo shop's catalogue."""
        body = orjson.dumps(self.line.products())
        etag = f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
        headers = {"etag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="application/json")

    async def page(self, request: Request) -> Response:
        """The demo shop; a small index where the line has none."""
        return FileResponse(STATIC / ("shop.html" if self.line.products() else "index.html"))

    async def favicon(self, request: Request) -> Response:
        """The icon at the address where browsers look by themselves."""
        return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")

    async def health(self, request: Request) -> Response:
        """Alive, and the running totals."""
        return answer({"status": "ok", "streams": len(self.streams), **self.line.counts()})


def _new_guest() -> str:
    """An id that nobody guesses and two visitors do not share (59 bits)."""
    return "guest-" + "".join(secrets.choice(GUEST_ALPHABET) for _ in range(12))


def _of_visitor(row: Any, user_key: int) -> dict[str, Any] | None:
    """A row as the token's user may send it; None where its kind is not a shopper's.

    A visitor says what they did, not what an item is called or costs; who and when is ours to say.
    """
    if not isinstance(row, dict):
        row = {}
    kind = row.get("kind", "view")
    if not isinstance(kind, str) or kind not in SHOPPER_KINDS:
        return None
    said = {field: row[field] for field in VISITOR_FIELDS if field in row}
    return {**said, "user_key": user_key, "time": time.time()}


def _of_shop(row: Any) -> dict[str, Any]:
    """A row as the shop's own systems send it: they name users, never keys."""
    return {k: v for k, v in row.items() if k != "user_key"} if isinstance(row, dict) else {}


def _refuse_other_sites(request: Request) -> None:
    """Events without a token are the shop's own systems'; a page of another site must not send them through the
    browser of someone who can reach us."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "a browser of another site needs a token")


def _item(request: Request) -> str:
    return id_of(request.query_params.get("item"), "item")


def _found(content: dict[str, Any] | None, missing: str) -> Response:
    if content is None:
        raise HTTPException(404, missing)
    return answer(content)
