"""The item-feature library: of each item its terms and price, and what shoppers made of it up to the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import xxhash
from numpy.typing import NDArray

from shopguide.recommenders.bm25 import K1, B
from shopguide.recommenders.content import terms
from shopguide.records import F64, I64, U64, Kind, Lessons

PRIOR = 20  # visits of average success that every item has beside its own
LEAN = 0.25  # power of an item's popularity: of two that fit as well, the more popular one

I32 = NDArray[np.int32]
Columns = dict[str, NDArray[Any]]
_COUNTED = {"views": (Kind.VIEW, Kind.CLICK), "carts": (Kind.CART,), "purchases": (Kind.PURCHASE,)}


def term_key(term: str) -> int:
    """The key of a term, where it stands as a cause; never 0."""
    return xxhash.xxh3_64_intdigest(term.encode("utf-8", "surrogatepass"), seed=5) or 1


@dataclass(frozen=True)
class Library:
    """Columns by item, ascending by key; the terms of item x are ``terms[i] for i in ids[starts[x]:starts[x + 1]]``.

    ``popularity``: events, each as 2^((time - landmark) / half-life); ``visits``: units with a sign of interest in the
    item; ``conversion``: the share of them that bought it, as (buyers + PRIOR * mean) / (visits + PRIOR). ``price``: 0
    where it is not known.
    """

    items: U64
    price: F64
    popularity: F64
    views: I64
    carts: I64
    purchases: I64
    visits: I64
    conversion: F64
    starts: I64
    ids: I32
    terms: tuple[str, ...]

    @classmethod
    def of(cls, described: Mapping[int, Mapping[str, Any]], lessons: Lessons, decayed: F64) -> Library:
        """``described``: what the catalogue says of items, by key; ``decayed``: what each lesson counts, but for its
        kind."""
        items = np.union1d(np.fromiter(described, np.uint64, len(described)), lessons.item)
        said = [terms(dict(described.get(item, {}))) for item in items.tolist()]
        words = sorted({term for one in said for term in one})
        number = {term: at for at, term in enumerate(words)}
        starts = np.concatenate(([0], np.cumsum([len(one) for one in said], dtype=np.int64)))
        ids = np.fromiter((number[term] for one in said for term in one), np.int32, int(starts[-1]))
        price = [float(described.get(item, {}).get("price", 0) or 0) for item in items.tolist()]
        row, n = np.searchsorted(items, lessons.item), len(items)
        counts = {name: np.bincount(row[np.isin(lessons.kind, kinds)], minlength=n) for name, kinds in _COUNTED.items()}
        visits = _units(row, lessons.unit, n)
        bought = lessons.kind == Kind.PURCHASE
        buyers = _units(row[bought], lessons.unit[bought], n)
        mean = buyers.sum() / max(visits.sum(), 1)
        return cls(
            items=items,
            price=np.array(price),
            popularity=np.bincount(row, decayed, n).astype(np.float64),
            **counts,
            visits=visits,
            conversion=(buyers + PRIOR * mean) / (visits + PRIOR),
            starts=starts,
            ids=ids,
            terms=tuple(words),
        )

    def columns(self) -> Columns:
        """What :meth:`load` takes."""
        return {**vars_of(self), "terms": np.frombuffer(orjson.dumps(self.terms), np.uint8)}

    @classmethod
    def load(cls, columns: Mapping[str, NDArray[Any]]) -> Library:
        """Raises KeyError, ValueError or TypeError for what is no library."""
        found: dict[str, Any] = {name: columns[name] for name in cls.__dataclass_fields__}
        library = cls(**{**found, "terms": tuple(orjson.loads(found["terms"].tobytes()))})
        if len(library.starts) != len(library.items) + 1 or library.starts[-1] != len(library.ids):
            raise ValueError("terms are not those of its items")
        if len(library.ids) and not 0 <= library.ids.min() <= library.ids.max() < len(library.terms):
            raise ValueError("it has no such term")
        return library

    def rows(self, items: U64) -> I64:
        """Their places here; -1 for an item that is not here."""
        if not len(self.items):
            return np.full(len(items), -1)
        at = np.minimum(np.searchsorted(self.items, items), len(self.items) - 1)
        return np.where(self.items[at] == items, at, -1)

    def terms_of(self, rows: I64) -> tuple[I32, I64]:
        """Term ids of these items, one item's after another's, and how many each has."""
        at, sizes = spread(self.starts, rows)
        return self.ids[at], sizes

    @cached_property
    def idf(self) -> F64:
        """Of each term, as :mod:`shopguide.recommenders.bm25` has it."""
        has = np.bincount(self.ids, minlength=len(self.terms))
        return np.log1p((len(self.items) - has + 0.5) / (has + 0.5))

    @cached_property
    def weight(self) -> F64:
        """Of each item, what a term of it counts: in BM25 by how many it has, and by the item's popularity."""
        lengths = np.diff(self.starts)
        mean = lengths[lengths > 0].mean() if (lengths > 0).any() else 1.0
        return (K1 + 1) / (1 + K1 * (1 - B + B * lengths / mean)) * (1 + self.popularity) ** LEAN

    @cached_property
    def postings(self) -> tuple[I64, I64]:
        """The places of items by term: those of term t at starts[t]:starts[t + 1] of the second array."""
        order = np.argsort(self.ids, kind="stable")
        owner = np.repeat(np.arange(len(self.items)), np.diff(self.starts))
        return np.searchsorted(self.ids[order], np.arange(len(self.terms) + 1)), owner[order]

    @cached_property
    def buyers(self) -> I64:
        """Of each item, the visits that bought it: what ``conversion`` was made of, solved for them."""
        weighed: F64 = self.conversion * (self.visits + PRIOR)
        mean = float(weighed.sum()) / max(int(self.visits.sum()) + len(self.items) * PRIOR, 1)
        buyers: I64 = np.rint(weighed - PRIOR * mean).astype(np.int64)
        return buyers

    @cached_property
    def keys(self) -> U64:
        """The keys of the terms."""
        return np.fromiter(map(term_key, self.terms), np.uint64, len(self.terms))


def spread(starts: I64, rows: NDArray[np.integer[Any]]) -> tuple[I64, I64]:
    """Where the values of some rows of a ragged column stand, one row's after another's, and how many each has."""
    begins = starts[rows]
    sizes = starts[rows + 1] - begins
    ends = np.cumsum(sizes)
    return np.repeat(begins - ends + sizes, sizes) + np.arange(ends[-1] if len(ends) else 0), sizes


def vars_of(record: Any) -> Columns:
    """A dataclass's fields."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _units(row: I64, unit: U64, n: int) -> I64:
    """Distinct units of each of n items."""
    if not len(row):
        return np.zeros(n, np.int64)
    order = np.lexsort((unit, row))
    row, unit = row[order], unit[order]
    first = np.append(True, (row[1:] != row[:-1]) | (unit[1:] != unit[:-1]))
    return np.bincount(row[first], minlength=n)
