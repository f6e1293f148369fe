"""What a chunk's rows say of their items: titles, categories, prices, stock, when they end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from operator import ne
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.collect.chunk import ATTRIBUTES, Chunk, Column
from shopguide.collect.values import NO_ID, Cache, epoch, floats, is_blank, texts, times
from shopguide.records import F64

Bools = NDArray[np.bool_]

NUMBERS = ("price", "stock", "until")


class Attributes:
    """Reads the attribute columns of one chunk. ``categories`` gathers the names that were given out."""

    def __init__(self, chunk: Chunk, amounts: Cache[float]) -> None:
        self.categories: set[str] = set()
        self._known = chunk.known
        self._rows = chunk.rows
        self._columns: dict[str, Column] = {}
        self._numbers: dict[str, F64] = {}
        for name in ATTRIBUTES:
            column = chunk.columns.get(name)
            if column is None:
                continue
            if name == "until":
                self._numbers[name] = times(column, Cache(_moment))
            elif name in NUMBERS:
                self._numbers[name] = floats(column, amounts)
            self._columns[name] = column if name in NUMBERS else texts(column)

    def __bool__(self) -> bool:
        """Whether the chunk has any."""
        return bool(self._columns)

    def unread(self) -> Iterator[tuple[Bools, str]]:
        """Which rows have an attribute that cannot be read, and what is wrong with it."""
        for name, column in self._columns.items():
            if name in NUMBERS:
                what = "no time" if name == "until" else "not a finite number"
                yield ~np.isfinite(self._numbers[name]), f"{name} is {what}"
            elif NO_ID in column:
                yield np.array([text == NO_ID for text in column], bool), f"{name} is no text"

    def of(self, row: int) -> dict[str, Any]:
        """The attributes that a row gives."""
        said: dict[str, Any] = {}
        for name, column in self._columns.items():
            given = column[row]
            if given is None or given == "":
                continue
            if name in NUMBERS:
                said[name] = float(self._numbers[name][row])
            elif text := given.strip():
                said[name] = text
        if "category" in said:
            self.categories.add(said["category"])
        return said

    def news(self, ids: Sequence[str | None], good: Bools) -> list[int]:
        """The good rows with something new about their item, in order; from now on it is known."""
        columns = (self._columns.get(name) for name in ATTRIBUTES)
        said = list(zip(*(repeat(None, self._rows) if c is None else c for c in columns), strict=False))
        other = np.fromiter(map(ne, map(self._known.get, ids), said), bool, self._rows) & good
        changing = {ids[row] for row in np.flatnonzero(other).tolist()}
        if not changing:
            return []
        looked_at = np.fromiter(map(changing.__contains__, ids), bool, self._rows) & good
        return [row for row in np.flatnonzero(looked_at).tolist() if self._is_news(ids[row], said[row])]

    def _is_news(self, item: str | None, said: tuple[Any, ...]) -> bool:
        before = self._known.get(item)
        if before is not None and (None in said or "" in said):
            said = tuple(map(_newer, said, before))
        if said == before:
            return False
        self._known[item] = said
        return said.count(None) + said.count("") < len(said)


def _moment(text: str | None) -> float:
    """Epoch seconds; 0 where nothing is said."""
    return 0.0 if is_blank(text) else epoch(text)


def _newer(said: Any, before: Any) -> Any:
    return before if said is None or said == "" else said
