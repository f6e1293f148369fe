"""What goes back: JSON that no cache keeps, a picture of one pixel, files that other sites' pages may use."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
OF_JSON = ((b"cache-control", b"no-store"), (b"content-type", b"application/json"))
ANYWHERE = {"cross-origin-resource-policy": "cross-origin", "access-control-allow-origin": "*"}


class Json(Response):
    """Content that no cache keeps."""

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        given = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
        self.raw_headers = [*OF_JSON, (b"content-length", b"%d" % len(self.body)), *given]


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A person's JSON."""
    return Json(content, status, headers)


def pixel(why: str = "") -> Response:
    """A transparent pixel; ``why`` what it stands for was refused."""
    refused = {"shopguide-refused": why} if why else {}
    return Response(GIF, headers={"cache-control": "no-store", **ANYWHERE, **refused}, media_type="image/gif")


def found(content: dict[str, Any] | None, missing: str) -> Response:
    """The content; 404 where there is none."""
    if content is None:
        raise HTTPException(404, missing)
    return answer(content)
