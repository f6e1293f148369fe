"""Access logs of which each line is a JSON object: nginx (``escape=json``), Caddy, Traefik, or what ``[collect]`` names
the fields of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import orjson

from shopguide.collect.access_log import REQUEST, AccessLog, Record, logged_time
from shopguide.collect.values import Cache, epoch

NO_OBJECT = "no JSON object"
NO_REQUEST = "no request and status in it"


class JsonLog(AccessLog):
    """A field's name says the way to it: ``request.headers.User-Agent``. Of a list the first is taken."""

    @classmethod
    def sniff(cls, first: str) -> bool:
        return first.startswith("{") and isinstance(cls(first).record(first.encode("utf-8", "replace")), Record)

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._times = Cache(_text_time, limit=1 << 12)
        self._ways = {
            name.removeprefix("json_"): [way.split(".") for way in ways]
            for name, ways in self.settings.model_dump().items()
            if name.startswith("json_")
        }

    def record(self, line: bytes) -> Record | str | None:
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            return NO_OBJECT
        if not isinstance(found, dict):
            return NO_OBJECT
        method, target = self._text(found, "method"), self._text(found, "target")
        if not (method and target):
            asked = REQUEST.fullmatch(self._text(found, "request"))
            method, target = (asked[1], asked[2]) if asked else ("", "")
        status = self._text(found, "status")
        if not (method and status):
            return NO_REQUEST
        host, name, agent = (self._text(found, field) for field in ("host", "user", "agent"))
        return Record(host, name, self._first(found, "time"), method, target, status, agent)

    def time(self, moment: Any) -> float:
        if isinstance(moment, (int, float)) and not isinstance(moment, bool):
            return epoch(repr(moment))
        return self._times[moment] if isinstance(moment, str) else math.nan

    def _text(self, found: dict[str, Any], field: str) -> str:
        value = self._first(found, field)
        return value if isinstance(value, str) else str(value) if type(value) is int else ""

    def _first(self, found: dict[str, Any], field: str) -> Any:
        """The first of a field's ways that leads to a value; None: none does."""
        values = (_at(found, way) for way in self._ways[field])
        return next((value for value in values if value not in (None, "")), None)


def _at(found: Any, way: Sequence[str]) -> Any:
    for step in way:
        found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, list):
        return found[0] if found else None
    return None if isinstance(found, dict) else found


def _text_time(moment: str | None) -> float:
    logged = logged_time(moment) if moment and moment.count("/") == 2 else math.nan
    return epoch(moment) if math.isnan(logged) else logged
