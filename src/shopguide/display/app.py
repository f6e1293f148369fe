"""The ASGI app, its errors as JSON lines, its headers, and the server that ends streams before it waits for them."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Message, Receive, Scope, Send

from shopguide.display.answers import answer
from shopguide.display.body import Asked
from shopguide.display.line import Line
from shopguide.display.origins import Origins
from shopguide.display.routes import Api
from shopguide.display.vitals import method_of, route_of
from shopguide.errors import RefusedError, SettingError, ShopguideError, TokenError
from shopguide.settings import Settings

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]
RawHeaders = list[tuple[bytes, bytes]]

DEFAULTS = Headers(
    {
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cache-control": "no-cache",
    }
).raw


def create_app(line: Line, settings: Settings) -> Doorman:
    """The app over a running line. ``streams.close()`` ends its open streams, ``group.close()`` has what came in
    written."""
    return Doorman(Api(line, settings), Origins(settings.http.origins))


class Server(uvicorn.Server):
    """uvicorn for the app: one process, in the loop that runs it, no access log (addresses hold tokens).

    Listens from the start, so ``port`` is the real one. Raises SettingError where the address cannot be had.
    """

    def __init__(self, app: Doorman, settings: Settings) -> None:
        self._streams, self._group = app.streams, app.group
        self._socket = _listen(settings.http.host, settings.http.port)
        self.port: int = self._socket.getsockname()[1]
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=5,
            )
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until ``should_exit`` is set or a signal comes."""
        await super().serve(sockets or [self._socket])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then wait for the requests under way, and for the rows of those that were given up."""
        self._streams.close()
        await super().shutdown(sockets)
        await self._group.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as e:
        raise SettingError(f"http = {host}:{port}: cannot listen there: {e.strerror}") from None


class Doorman:
    """The outermost of the app: adds the default headers to every response and counts it; below /v1/ turns pages of
    sites that are not on the list away and tells the others (CORS); answers OPTIONS. What comes so often that
    Starlette's layers and routes would be most of its cost goes to its handler from here."""

    def __init__(self, api: Api, origins: Origins) -> None:
        self.streams, self.group = api.streams, api.collecting.group
        self.routes = api.routes()
        self._starlette = Starlette(routes=self.routes, exception_handlers={**SAID, Exception: _broken})
        self._origins = origins
        self._direct = {("POST", "/v1/events"): api.collecting.events}
        self._answered = api.vitals.answered
        self._paths = frozenset(route.path for route in self.routes if isinstance(route, Route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._starlette(scope, receive, send)
            return
        request = Asked(scope, receive)
        public = scope["path"].startswith("/v1/")
        told = self._origins.told(request.headers) if public else {}
        if public and self._origins.refuses(request.headers):
            response = answer({"error": "this site's pages may not call: http.origins does not name it"}, 403)
        elif scope["method"] == "OPTIONS" and (allowed := self._allowed(scope)):
            response = Response(status_code=204, headers={"allow": ", ".join(sorted(allowed))})
        elif handler := self._direct.get((scope["method"], scope["path"])):
            response = await _answered(handler, request)
        else:

            async def send_with_headers(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = self._noted(scope, message["status"], message["headers"], told)
                await send(message)

            await self._starlette(scope, receive, send_with_headers)
            return
        response.raw_headers = self._noted(scope, response.status_code, response.raw_headers, told)
        await response(scope, receive, send)

    def _noted(self, scope: Scope, status: int, headers: RawHeaders, told: dict[str, str]) -> RawHeaders:
        """A response is counted; its headers with those that all have."""
        self._answered[method_of(scope["method"]), route_of(scope["path"], self._paths), status] += 1
        given = [name for name, _ in headers]
        headers = [*headers, *[pair for pair in DEFAULTS if pair[0] not in given]]
        if told:
            MutableHeaders(raw=headers).update(told)
        return headers

    def _allowed(self, scope: Scope) -> set[str]:
        for route in self.routes:
            if route.matches(scope)[0] is not Match.NONE:
                return {"OPTIONS", *(getattr(route, "methods", None) or ("GET", "HEAD"))}
        return set()


async def _unauthorized(request: Request, error: Exception) -> Response:
    return answer({"error": str(error)}, 401, {"www-authenticate": "Bearer"})


async def _refused(request: Request, error: Exception) -> Response:
    return answer({"error": str(error)}, 409)


async def _unavailable(request: Request, error: Exception) -> Response:
    return answer({"error": str(error)}, 503)


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer({"error": error.detail}, error.status_code, dict(error.headers or {}))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _broken(request: Request, error: Exception) -> Response:
    return answer({"error": "internal error"}, 500)


SAID: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    TokenError: _unauthorized,
    RefusedError: _refused,
    ShopguideError: _unavailable,
    HTTPException: _failed,
    ClientDisconnect: _gone,
}


async def _answered(handler: Handler, request: Request) -> Response:
    """What the handler answers, or what its error says."""
    try:
        return await handler(request)
    except tuple(SAID) as error:
        say = next(SAID[cls] for cls in type(error).__mro__ if cls in SAID)
        return await say(request, error)
    except Exception as error:
        logger.exception("a request failed")
        return await _broken(request, error)
