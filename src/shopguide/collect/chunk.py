"""Raw rows as columns: what every source gives and the encoder takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide._core import gather
from shopguide.context import FIELDS

Column = Sequence[Any] | NDArray[np.float64]

ATTRIBUTES = ("title", "category", "brand", "price", "image", "url", "stock", "until")

# What producers call our columns, ours first: where two are there, the earlier one counts.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "user": ("user", "user_id", "userid", "visitor", "visitor_id", "visitorid", "customer_id", "customerid"),
    "session": ("session", "session_id", "sessionid", "user_session"),
    "item": ("item", "item_id", "itemid", "product", "product_id", "productid", "sku"),
    "time": ("time", "timestamp", "ts", "event_time", "datetime"),
    "kind": ("kind", "type", "event_type", "behavior", "behaviour", "action"),
    "value": ("value", "amount", "revenue"),
    "event": ("event", "id", "event_id"),
    "query": ("query", "search_query"),
    "list": ("list",),
    **{name: (name,) for name in FIELDS},
    "account": ("account", "account_id"),
    "target": ("target",),
    "consent": ("consent",),
    "op": ("op",),
    "user_key": ("user_key",),
    **{name: (name,) for name in ATTRIBUTES},
}
CANONICAL = {name: column for column, names in SYNONYMS.items() for name in names}


@dataclass
class Chunk:
    """Rows of one source, column by column.

    ``columns`` holds canonical columns (the keys of SYNONYMS; "profile": what a row of that kind says), each with one
    value a row: text, number, None, or whatever a producer put there. ``raw`` gives the original bytes of a row,
    ``problems`` what keeps a row from being read. Row r has the number ``first + r`` in its source, or ``numbers[r]``
    where these are given (they rise); ``first`` -1: the rows are of no file. ``known`` is the encoder's memory of the
    item attributes that the source's rows brought: one dict for all chunks of a reading, so that reading a source again
    gives the same rows again. ``arrived`` (epoch s, a row each) is when the source had the rows; None: now.
    """

    rows: int
    columns: dict[str, Column]
    raw: Callable[[int], bytes]
    problems: dict[int, str] = field(default_factory=dict)
    source: int = 0
    first: int = -1
    known: dict[Any, tuple[Any, ...]] = field(default_factory=dict)
    arrived: NDArray[np.float64] | None = None
    numbers: NDArray[np.int64] | None = None

    def rows_numbered(self) -> NDArray[np.int64]:
        """Each row's number; -1 where the rows are of no file."""
        if self.first < 0:
            return np.full(self.rows, -1)
        return np.arange(self.first, self.first + self.rows) if self.numbers is None else self.numbers

    def slice(self, start: int, stop: int) -> Chunk:
        """Rows start..stop-1."""
        stop = min(stop, self.rows)
        return replace(
            self,
            rows=stop - start,
            columns={name: column[start:stop] for name, column in self.columns.items()},
            raw=lambda row: self.raw(start + row),
            problems={row - start: why for row, why in self.problems.items() if start <= row < stop},
            first=self.first + start,
            arrived=None if self.arrived is None else self.arrived[start:stop],
            numbers=None if self.numbers is None else self.numbers[start:stop],
        )


def canonical(names: Iterable[str]) -> dict[str, list[str]]:
    """Our columns to the producer's names for them, in order of preference."""
    found: dict[str, list[str]] = {}
    for name in names:
        column = CANONICAL.get(name.strip().lower())
        if column is not None:
            found.setdefault(column, []).append(name)
    for column, theirs in found.items():
        theirs.sort(key=lambda name: SYNONYMS[column].index(name.strip().lower()))
    return found


@lru_cache(1 << 10)
def _usual(names: tuple[str, ...]) -> dict[str, list[str]]:
    """The same of names that are some of ours and of their synonyms, as they stand there."""
    return canonical(sorted(names))


def columns_of(rows: list[dict[str, Any]]) -> dict[str, Column]:
    """The canonical columns of rows that name their own fields; None where a row lacks one."""
    given, others = gather(rows, CANONICAL)
    columns: dict[str, Column] = {}
    unusual = [name for name in others if isinstance(name, str)]
    for column, theirs in (canonical(sorted([*given, *unusual])) if unusual else _usual(tuple(given))).items():
        values, *later = (given.get(name) or [row.get(name) for row in rows] for name in theirs)
        for others_say in later:
            values = [said if v is None else v for v, said in zip(values, others_say, strict=True)]
        columns[column] = values
    return columns


def is_full(column: NDArray[Any]) -> bool:
    """Whether no value is 0: what ``all`` says, in a fifth of its time where there are few."""
    return bool(np.count_nonzero(column) == len(column))


def rows_of(mask: NDArray[np.bool_]) -> list[int]:
    """Where it is true; most often nowhere."""
    return np.flatnonzero(mask).tolist() if np.count_nonzero(mask) else []
