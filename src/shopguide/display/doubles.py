"""Which events have come before. A page that is left in the middle of a request sends its events again."""

from __future__ import annotations

from itertools import chain
from typing import Any

from shopguide.keys import event_key

REMEMBERED = 1 << 16  # newest events


class Doubles:
    """The newest events of visitors that named their event. Older doubles are logged, and dropped by featurize."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: dict[int, None] = {}

    def without(self, batches: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        """The batches but for rows that came before, there too."""
        here: set[int] = set()

        def is_new(row: dict[str, Any]) -> bool:
            key = _key(row)
            came = key in self._seen or key in here
            here.add(key)
            return not key or not came

        return [list(filter(is_new, rows)) if _of_a_visitor(rows) else rows for rows in batches]

    def remember(self, batches: list[list[dict[str, Any]]]) -> None:
        """These are in the log."""
        rows = chain.from_iterable(rows for rows in batches if _of_a_visitor(rows))
        self._seen.update(dict.fromkeys(key for row in rows if (key := _key(row))))
        while len(self._seen) > self._remembered:
            del self._seen[next(iter(self._seen))]


def _of_a_visitor(rows: list[dict[str, Any]]) -> bool:
    """Of a request all rows are, or none: then they are the shop's own systems'."""
    return bool(rows) and "user_key" in rows[0]


def _key(row: dict[str, Any]) -> int:
    """0 for an event without an id."""
    name = row.get("event", row.get("id"))
    return row["user_key"] ^ event_key(name) if isinstance(name, str) and name else 0
