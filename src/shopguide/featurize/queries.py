"""What was searched for. A search is kept among its user's events, with the key of its words in place of an item; the
words themselves stand here once, and leave with the last search for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.keys import query_key
from shopguide.records import Events, Kind

LONGEST = 200  # characters of a query that are kept


class Queries:
    """Of the shoppers of a partition."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}

    def keyed(self, events: Events) -> Events:
        """The same rows, the item of a search being the key of what it is for (0: nothing)."""
        rows = [row for row, kind in enumerate(events.kind.tobytes()) if kind == Kind.SEARCH]
        item = events.item.copy()
        item[rows] = self.note(str(events.details(row).get("query", "")) for row in rows)
        return Events.of({**events.columns(), "item": item})

    def note(self, texts: Iterable[str]) -> list[int]:
        """Keep some texts; their keys."""
        cut = [text.strip()[:LONGEST] for text in texts]
        keys = [query_key(text) for text in cut]
        self._texts |= {key: text for key, text in zip(keys, cut, strict=True) if text}
        return keys

    def text(self, key: int) -> str:
        """The words behind a key; empty where there are none."""
        return self._texts.get(key, "")

    def among(self, events: dict[str, NDArray[Any]]) -> list[str]:
        """The texts of the searches among some events, each once."""
        keys = np.unique(events["item"][events["kind"] == Kind.SEARCH]).tolist()
        return [self._texts[key] for key in keys if key in self._texts]

    def dump(self, events: dict[str, NDArray[Any]]) -> list[str]:
        """What the searches among all kept events are for; what no kept search is for leaves."""
        texts = self.among(events)
        self._texts = {query_key(text): text for text in texts}
        return texts
