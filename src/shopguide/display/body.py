"""Reading requests: bodies within a limit, JSON or one clear line, tokens, query parameters."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope

from shopguide.context import FIELDS, canonical
from shopguide.errors import TokenError
from shopguide.settings import RankSettings

MAX_N = 100
MAX_ID = 512  # characters of an item id or a category
SLOT = re.compile(r"[a-z0-9_-]{1,32}")


class Asked(Request):
    """A request that is read fast: most headers are looked for in vain, most addresses ask nothing. ``headers``: by
    name in lower case; the first where one comes twice."""

    headers: dict[str, str] = {}  # type: ignore[assignment]
    query_params: Mapping[str, str] = {}  # type: ignore[assignment]

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        if scope["query_string"]:
            self.query_params = QueryParams(scope["query_string"])


async def read_json(request: Request, limit: int, empty: Any = None) -> Any:
    """The body as JSON, gzip undone; ``empty`` where there is none and that is allowed.

    Raises HTTPException: 413 above ``limit`` bytes (packed or not), 415 for another encoding, 400 for what is no JSON.
    """
    body = await _read(request, limit)
    if not body and empty is not None:
        return empty
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "gzip":
        body = _gunzip(body, limit)
    elif encoding != "identity":
        raise HTTPException(415, f"content-encoding {encoding!r}: allowed are gzip and identity")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise HTTPException(400, f"malformed JSON: {e}") from None


async def _read(request: Request, limit: int) -> bytes | bytearray:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    body, goes_on = bytearray(), True
    while goes_on:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        goes_on = message.get("more_body", False)
        if len(body) > limit:
            raise _too_large(limit)
    return body


def _gunzip(body: bytes | bytearray, limit: int) -> bytes:
    """One gzip member; stops at ``limit``, so that a small bomb costs no memory."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise HTTPException(400, "malformed gzip") from None
    if len(plain) > limit:
        raise _too_large(limit)
    if not unpacker.eof or unpacker.unused_data:
        raise HTTPException(400, "malformed gzip: not one whole member")
    return plain


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {limit} bytes")


def token_of(request: Request, body: Any = None) -> str | None:
    """The request's token: ``Authorization: Bearer``, else ``?token=``, else the body's ``token``."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if "token" in request.query_params:
        return request.query_params["token"]
    token = body.get("token") if isinstance(body, dict) else None
    if token is not None and not isinstance(token, str):
        raise TokenError("the token is no string")
    return token


def need_token(request: Request, body: Any = None) -> str:
    """As token_of; raises TokenError where there is none."""
    token = token_of(request, body)
    if not token:
        raise TokenError("no token: send it as 'Authorization: Bearer …' or ?token=…")
    return token


def count_of(request: Request) -> int:
    """``?n=``, 1..100; the list length of the settings' default where it is not given."""
    given = request.query_params.get("n")
    if given is None:
        return int(RankSettings.model_fields["n"].default)
    if not (given.isascii() and given.isdecimal() and len(given) <= 3 and 1 <= int(given) <= MAX_N):
        raise HTTPException(400, f"n = {given[:32]!r}: should be a whole number from 1 to {MAX_N}")
    return int(given)


def slot_of(request: Request) -> str:
    """``?slot=``, "home" where it is not given."""
    slot = request.query_params.get("slot", "home")
    if not SLOT.fullmatch(slot):
        raise HTTPException(400, f"slot = {slot[:64]!r}: should be 1 to 32 of a-z, 0-9, _ and -")
    return slot


def context_of(request: Request) -> dict[str, str]:
    """What a request says of the visit that it is part of: ``?device=&region=&referrer=&campaign=``."""
    said = {name: canonical(name, request.query_params[name]) for name in FIELDS if name in request.query_params}
    for name, word in said.items():
        if word is None:
            raise HTTPException(400, f"{name} makes no sense: should be printable, and short")
    return {name: word for name, word in said.items() if word}


def id_of(value: Any, name: str) -> str:
    """An id that has to be there: a string of 1..512 characters."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID:
        raise HTTPException(400, f"{name} is missing: should be a string of 1 to {MAX_ID} characters")
    return value
