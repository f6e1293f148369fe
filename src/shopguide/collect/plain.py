"""Messages that name their own fields, as ``POST /v1/events`` has them: an event, or an array of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from shopguide.collect.chunk import Column, columns_of
from shopguide.collect.foreign import NO_VALUE, SEVERAL, TOO_MANY, Told
from shopguide.collect.formats import NOT_JSON
from shopguide.collect.values import is_blank


class Plain:
    """The mapping of who needs none."""

    def rows(self, value: bytes | None, key: str | None, time: float) -> list[Told]:
        """The rows of a message."""
        if value is None:
            return [Told({}, NO_VALUE)]
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError:
            return [Told({}, NOT_JSON)]
        several = found if isinstance(found, list) else [found]
        if len(several) > SEVERAL:
            return [Told({}, TOO_MANY)]
        return [Told(one) if isinstance(one, dict) else Told({}, NOT_JSON) for one in several]

    def columns(self, rows: list[dict[str, Any]], own: Sequence[tuple[str | None, float]]) -> dict[str, Column]:
        """The canonical columns of rows. One without a user is of its message's key; one without a time of its
        timestamp (``own``: both, of each row)."""
        columns = columns_of(rows)
        columns.pop("user_key", None)
        for at, name in enumerate(("user", "time")):
            given = columns.get(name, [None] * len(own))
            columns[name] = [said[at] if is_blank(value) else value for value, said in zip(given, own, strict=True)]
        return columns
