"""Which events have come before. A page that is left in the middle of a request sends its events again."""

from __future__ import annotations

from typing import Any

from shopguide.keys import event_key

REMEMBERED = 1 << 16  # newest events


class Doubles:
    """The newest events of visitors that named their event. Older doubles are logged, and dropped by featurize."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: dict[int, None] = {}

    def without(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows but for those that came before."""
        here: set[int] = set()
        new = []
        for row in rows:
            key = _key(row)
            if not key or not (key in self._seen or key in here):
                new.append(row)
            here.add(key)
        return new

    def remember(self, rows: list[dict[str, Any]]) -> None:
        """These are in the log."""
        self._seen.update(dict.fromkeys(key for key in map(_key, rows) if key))
        while len(self._seen) > self._remembered:
            del self._seen[next(iter(self._seen))]


def _key(row: dict[str, Any]) -> int:
    """0 for an event without an id, or of the shop's own systems."""
    name, user = row.get("event", row.get("id")), row.get("user_key", 0)
    return user ^ event_key(name) if user and isinstance(name, str) and name else 0
