"""What goes back: JSON that no cache keeps, a picture of one pixel, files that other sites' pages may use."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
ANYWHERE = {"cross-origin-resource-policy": "cross-origin", "access-control-allow-origin": "*"}


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A person's JSON: no cache keeps it."""
    headers = {"cache-control": "no-store", **(headers or {})}
    return Response(orjson.dumps(content), status, headers, "application/json")


def pixel(why: str = "") -> Response:
    """A transparent pixel; ``why`` what it stands for was refused."""
    refused = {"shopguide-refused": why} if why else {}
    return Response(GIF, headers={"cache-control": "no-store", **ANYWHERE, **refused}, media_type="image/gif")


def found(content: dict[str, Any] | None, missing: str) -> Response:
    """The content; 404 where there is none."""
    if content is None:
        raise HTTPException(404, missing)
    return answer(content)
