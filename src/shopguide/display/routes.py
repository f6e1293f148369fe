"""The HTTP interface: what is asked of us, and all routes. docs/protocol.md describes it from the client's side."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from shopguide.display.answers import ANYWHERE, answer, found
from shopguide.display.body import context_of, count_of, id_of, need_token, slot_of
from shopguide.display.collecting import Collecting
from shopguide.display.desk import DeskApi
from shopguide.display.line import Line
from shopguide.display.stream import Streams
from shopguide.display.vitals import Vitals
from shopguide.settings import Settings

STATIC = Path(__file__).with_name("static")
PULL_TIMEOUT = 2.0  # seconds that a pull waits for a list
SCRIPTS = ("sg.js", "sg-widget.js", "sg-zh.js")  # for other sites' pages
KEPT = 3600  # seconds that browsers keep them
T = TypeVar("T")


class Api:
    """Handlers over one line."""

    def __init__(self, line: Line, settings: Settings) -> None:
        self.line = line
        self.settings = settings
        self.streams = Streams()
        self.collecting = Collecting(line, settings)
        self.vitals = Vitals(line, settings.http, self._door)

    def routes(self) -> list[BaseRoute]:
        """All routes of the app, those with the most to do first."""
        return [
            *self.collecting.routes(),
            Route("/", self.page),
            *self.vitals.routes(),
            Route("/favicon.ico", self.favicon),
            *(Route(f"/{name}", self.script) for name in SCRIPTS),
            *DeskApi(self.line).routes(),
            Route("/v1/stream", self.stream),
            Route("/v1/recommend", self.recommend),
            Route("/v1/why", self.why),
            Route("/v1/similar", self.similar),
            Route("/v1/trending", self.trending),
            Route("/v1/products", self.products),
            Route("/v1/openapi.json", self.openapi),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ]

    async def stream(self, request: Request) -> Response:
        """The user's lists as server-sent events; for ``?slot=`` from then on, where it is given."""
        token = need_token(request)
        self.line.verify(token)
        slot = slot_of(request) if "slot" in request.query_params else None
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        if request.method == "HEAD":
            return Response(headers=headers, media_type="text/event-stream")
        frames = self.streams.frames(
            self.line.subscribe(token, slot, context_of(request)),
            request.headers.get("last-event-id"),
            self.settings.push.heartbeat,
        )
        return StreamingResponse(frames, headers=headers, media_type="text/event-stream")

    async def recommend(self, request: Request) -> Response:
        """The user's newest list, pulled."""
        token = need_token(request)
        self.line.verify(token)
        asked = count_of(request), slot_of(request), PULL_TIMEOUT, context_of(request)
        newest = await self.line.recommend(token, *asked)
        if newest is None:
            raise HTTPException(503, f"no list within {PULL_TIMEOUT:g} s", {"retry-after": "1"})
        return answer(newest)

    async def why(self, request: Request) -> Response:
        """The whole sum behind one suggestion."""
        token = need_token(request)
        self.line.verify(token)
        return found(await self.line.why(token, _item(request)), "the item is not in your newest list")

    async def similar(self, request: Request) -> Response:
        """Items near one item; needs no user."""
        return found(await _in_time(self.line.similar(_item(request), count_of(request))), "the item is not known")

    async def trending(self, request: Request) -> Response:
        """What is popular now, everywhere or in a category."""
        category = request.query_params.get("category")
        if category is not None:
            category = id_of(category, "category")
        return answer(await _in_time(self.line.trending(category, count_of(request))))

    async def products(self, request: Request) -> Response:
        """The demo shop's catalogue."""
        body = orjson.dumps(self.line.products())
        etag = f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
        headers = {"etag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="application/json")

    async def page(self, request: Request) -> Response:
        """The demo, in the words of its scene; a small index where the line has none."""
        if not self.line.scene:
            return FileResponse(STATIC / "index.html")
        return HTMLResponse(
            (STATIC / "shop.html").read_text().replace('data-scene="shop"', f'data-scene="{self.line.scene}"')
        )

    async def script(self, request: Request) -> Response:
        """What shops' pages name, and what that fetches; kept for an hour, so that they have it while we are away."""
        headers = {"cache-control": f"public, max-age={KEPT}", **ANYWHERE}
        return FileResponse(STATIC / request.url.path.lstrip("/"), headers=headers)

    async def openapi(self, request: Request) -> Response:
        """This interface, for programs."""
        return FileResponse(STATIC / "openapi.json", media_type="application/json")

    async def favicon(self, request: Request) -> Response:
        """The icon at the address where browsers look by themselves."""
        return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")

    def _door(self) -> dict[str, Any]:
        return {"streams": len(self.streams), "refused": dict(self.collecting.entrance.refused)}


async def _in_time(asked: Awaitable[T]) -> T:
    """The answer of a line. Raises HTTPException 503 where none comes in time."""
    try:
        return await asked
    except TimeoutError:
        raise HTTPException(503, "no answer in time", {"retry-after": "1"}) from None


def _item(request: Request) -> str:
    return id_of(request.query_params.get("item"), "item")
