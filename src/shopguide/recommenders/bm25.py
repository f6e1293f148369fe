"""BM25 over items that are described by terms, exact after each change.

    score(query, i) = sum of idf(t) over terms t of both * (k1 + 1) / (1 + k1 (1 - b + b |i| / mean |i|))
    idf(t) = ln(1 + (N - n + 1/2) / (n + 1/2))       n of N items have t; |i|: how many terms i has

(Robertson, Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and Trends in Information
Retrieval 3(4), 2009, with a term's frequency in an item as 0 or 1, for a title hardly repeats a word.) All that moves
when another item comes or goes are counts, which are exact: equal items give equal bits, whatever way they came.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Tally
from shopguide.errors import CoreError

K1, B = 1.2, 0.75

T = TypeVar("T", float, NDArray[np.float64])
Found = tuple[NDArray[np.uint64], NDArray[np.float64]]


class Bm25:
    """Items have a place in arrays, terms the places of the items that have them. ``version`` changes with any."""

    def __init__(self) -> None:
        self.version = 0
        self._terms: dict[int, tuple[str, ...]] = {}
        self._places: dict[int, int] = {}
        self._free: list[int] = []
        self._postings: dict[str, array[int]] = {}
        self._total = 0  # terms of all items
        self._keys, self._lengths = np.zeros(0, np.uint64), np.zeros(0, np.uint32)
        self._longest = 0
        self._factors, self._weighed = np.zeros(0), -1  # by length; of which version
        self._tally = Tally()

    def __len__(self) -> int:
        return len(self._places)

    def terms(self, item: int) -> tuple[str, ...]:
        """What describes an item; nothing where it is not here."""
        return self._terms.get(item, ())

    def put(self, item: int, terms: tuple[str, ...]) -> None:
        """These distinct terms describe the item from now on; none: it leaves."""
        before = self._terms.get(item, ())
        if terms == before:
            return
        self.version += 1
        place = self._place(item)
        for term in set(before).difference(terms):
            self._leave(term, place)
        for term in set(terms).difference(before):
            places = self._postings.get(term)
            if places is None:
                places = self._postings[term] = array("I")
            places.append(place)
        self._lengths[place] = len(terms)
        self._longest = max(self._longest, len(terms))
        self._total += len(terms) - len(before)
        self._terms[item] = terms
        if not terms:
            del self._terms[item], self._places[item]
            self._free.append(place)

    def best(self, terms: Collection[str], n: int, reach: int) -> Found:
        """The n items that score highest: uint64[<=n], float64[<=n], by (score down, key up). Of the terms the rarest
        count (of equally rare ones the first by name), as many as have at most ``reach`` places together."""
        counting = self._counting(terms, reach)
        return self._best(counting, self._idfs(counting), n)

    def like(self, item: int, terms: Collection[str], n: int, reach: int) -> Found:
        """The n others that score highest for an item's distinct terms, and their scores as shares of its own. The item
        need not be here."""
        counting = self._counting(terms, reach)
        if not counting:
            return self._best([], [], n)
        idfs, own = self._idfs(counting), 0.0
        items, scores = self._best(counting, idfs, n, item)
        for idf in idfs:
            own += idf
        lone = sum(term not in self._postings for term in terms)
        return items, scores / ((own + lone * self._idf(0)) * self._factor(len(terms)))

    def check(self) -> None:
        """Raises CoreError where places, terms and counts do not fit together."""
        had = sorted((term, place) for term, places in self._postings.items() for place in places)
        has = sorted((term, self._places[item]) for item, terms in self._terms.items() for term in terms)
        if had != has or self._terms.keys() != self._places.keys():
            raise CoreError("bm25: postings are not those of the items")
        if self._total != len(has) or any(self._keys[place] != item for item, place in self._places.items()):
            raise CoreError("bm25: lengths or keys are not those of the items")

    def _idfs(self, counting: list[array[int]]) -> list[float]:
        return [self._idf(len(places)) for places in counting]

    def _idf(self, n: int) -> float:
        return math.log(1 + (len(self._places) - n + 0.5) / (n + 0.5))

    def _factor(self, lengths: T) -> T:
        """What a sum counts, by the item's length."""
        return (K1 + 1) / (1 + K1 * (1 - B + B * lengths / (self._total / len(self))))

    def _weights(self) -> NDArray[np.float64]:
        """The same of all lengths."""
        if self._weighed != self.version:
            self._factors = self._factor(np.arange(self._longest + 1, dtype=np.float64))
            self._weighed = self.version
        return self._factors

    def _counting(self, terms: Collection[str], reach: int) -> list[array[int]]:
        """The places of each term that counts, the rarest first."""
        counting, room = [], reach
        for count, term in sorted((len(self._postings[t]), t) for t in set(terms) if t in self._postings):
            room -= count
            if room < 0:
                break
            counting.append(self._postings[term])
        return counting

    def _best(self, counting: list[array[int]], idfs: list[float], n: int, skipped: int | None = None) -> Found:
        factors = self._weights() if counting else self._factors
        return self._tally.best(counting, idfs, self._lengths, factors, self._keys, n, skipped)

    def _place(self, item: int) -> int:
        place = self._places.get(item)
        if place is not None:
            return place
        place = self._free.pop() if self._free else len(self._places)
        if place == len(self._keys):
            self._grow(max(64, 2 * place))
        self._places[item], self._keys[place] = place, item
        return place

    def _leave(self, term: str, place: int) -> None:
        places = self._postings[term]
        at = int(np.flatnonzero(np.frombuffer(places, np.uint32) == place)[0])
        last = places.pop()
        if at < len(places):
            places[at] = last
        if not places:
            del self._postings[term]

    def _grow(self, room: int) -> None:
        more = room - len(self._keys)
        self._keys = np.append(self._keys, np.zeros(more, np.uint64))
        self._lengths = np.append(self._lengths, np.zeros(more, np.uint32))
