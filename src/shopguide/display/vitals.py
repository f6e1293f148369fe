"""What those who run it look at: ``/healthz`` (does the process work), ``/readyz`` (can it take events and answer), and
``/metrics`` for Prometheus, which is not for the public."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from shopguide.display.answers import answer
from shopguide.display.line import Line
from shopguide.display.origins import local
from shopguide.metrics import Sample
from shopguide.metrics.exposition import Exposition
from shopguide.settings import HttpSettings

METHODS = frozenset(("GET", "HEAD", "POST", "OPTIONS"))
STATIC = "/static"

Answered = Counter[tuple[str, str, int]]  # by method, route and status


class Vitals:
    """Handlers over one line. ``door`` gives what the web server knows of itself: ``streams`` that are open, and what
    was ``refused`` at the door, by reason."""

    def __init__(self, line: Line, settings: HttpSettings, door: Callable[[], dict[str, Any]]) -> None:
        self._line, self._settings, self._door = line, settings, door
        self._exposition = Exposition()
        self.answered: Answered = Counter()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/healthz", self.health),
            Route("/readyz", self.ready),
            Route("/metrics", self.metrics),
        ]

    async def health(self, request: Request) -> Response:
        """Whether this process works, and the running totals."""
        checks = self._line.alive()
        fine = all(check["ok"] for check in checks.values())
        counts = self._line.counts() if fine else {}
        said = {"status": "ok" if fine else "failing", "checks": checks, **self._door(), **counts}
        return answer(said, 200 if fine else 503)

    async def ready(self, request: Request) -> Response:
        """Whether it can take events and answer."""
        checks = self._line.ready()
        fine = all(check["ok"] for check in checks.values())
        return answer({"status": "ok" if fine else "failing", "checks": checks}, 200 if fine else 503)

    async def metrics(self, request: Request) -> Response:
        """All numbers, as Prometheus reads them."""
        if not allowed(request, self._settings.metrics):
            raise HTTPException(404, "not found")
        samples = [*await self._line.samples(), *self._samples()]
        text = await asyncio.to_thread(self._exposition.text, samples)
        return Response(text, headers={"cache-control": "no-store", "content-type": self._exposition.content_type})

    def _samples(self) -> Iterator[Sample]:
        door = self._door()
        yield Sample("shopguide_http_streams", [], door["streams"])
        for reason, n in door["refused"].items():
            yield Sample("shopguide_http_refused_total", [reason], n)
        for (method, route, status), n in list(self.answered.items()):
            yield Sample("shopguide_http_requests_total", [method, route, str(status)], n)


def allowed(request: Request, who: str) -> bool:
    """Whether this client may read the numbers."""
    return who == "all" or (who == "local" and local(request))


def route_of(path: str, known: frozenset[str]) -> str:
    """A request's route as a label: a path that there is, whatever clients ask for."""
    if path in known:
        return path
    return STATIC if path.startswith(f"{STATIC}/") else "other"


def method_of(method: str) -> str:
    return method if method in METHODS else "other"
