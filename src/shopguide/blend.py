"""The blend: signals of one look become scored items, with the amounts that make each score.

Linear: each signal divided by its largest for this look, weighed, and added up. A signal that has faded counts so much
less; in its amounts that would be lost, divided by their largest. Trees, where the weights have any,
re-rank the DEPTH best of the linear blend, seeing each candidate's signals, its score and rank there, and what is the
same for all of the list: their score is the sum of the leaves less the least that it can be, so it is never negative.
What each signal did to it are Shapley values (csrc/sg_trees.h): its own, and of what score and rank did its part in the
linear score; they are shared out among the signal's rows by their amounts. The rest is what every item begins with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Blend, Collected, Trees
from shopguide.columns import Ragged
from shopguide.errors import SettingError
from shopguide.records import BASE, SIGNALS
from shopguide.trees import Arrays, least
from shopguide.weights import BLENDED, Weights

DEPTH = 100  # of the linear blend, that trees rank again
FEATURES = tuple(f"{name} {of}" for of in ("share", "total") for name in BLENDED)
TELLING = ("items", "rule", "next", "hops", "sessions", "repeats", "popular")  # the largest ones of a look
SIGHT = (*FEATURES, "linear score", "linear rank", "visit items", *(f"largest {name}" for name in TELLING), "intent")

_PLACE = {name: at for at, name in enumerate(SIGNALS)}
_BLENDED = np.array([_PLACE[name] for name in BLENDED])
_TELLING = np.array([BLENDED.index(name) for name in TELLING])

UNFADED: Mapping[str, float] = MappingProxyType({})

F64 = NDArray[np.float64]


class Scored(NamedTuple):
    """Items, best first by (score down, key up). Those of item x at starts[x]:starts[x + 1] are its amounts: their
    signal (an index into SIGNALS), the user's item that each comes from (0: none); they add up to its score."""

    item: NDArray[np.uint64]
    score: F64
    starts: NDArray[np.uint32]
    signal: NDArray[np.uint8]
    because: NDArray[np.uint64]
    amount: F64


@dataclass
class _Asked:
    """What is asked now; see :meth:`Blender.begin`."""

    trained: bool = True
    faded: Mapping[str, float] = field(default_factory=lambda: UNFADED)
    intent: float = 0.0


class Blender:
    """``begin``, rows into ``rows``, then ``best``. Not for two threads at once. Raises SettingError for trees that are
    none."""

    def __init__(self, weights: Weights, rows: Blend | None = None, asked: _Asked | None = None) -> None:
        self.rows, self._asked = rows or Blend(len(SIGNALS)), asked or _Asked()
        self.weights, self._linear = weights, weights.by_signal
        self._trees: Trees | None = None
        if weights.trees is not None:
            try:
                arrays = Arrays(**weights.trees)
                self._trees = Trees(*arrays)
                self._least = least(arrays)
                if self._trees.features != len(SIGHT):
                    raise ValueError(f"they were grown on {arrays.features} features, and there are {len(SIGHT)} now")
            except (ValueError, TypeError, IndexError) as e:
                raise SettingError(f"the trees of the weights {weights.version} are none: {e}") from None

    def under(self, weights: Weights) -> Blender:
        """The same rows of the same looks under other weights: what one of them begins, all answer."""
        return Blender(weights, self.rows, self._asked)

    def weighs(self, signals: Iterable[str]) -> bool:
        """Whether any of these signals can make a difference: trees see all."""
        return self._trees is not None or any(self._linear[_PLACE[name]] for name in signals)

    def begin(self, trained: bool = True, faded: Mapping[str, float] = UNFADED, intent: float = 0.0) -> None:
        """``trained``: the look is of the kind that trees were trained on; others stay in the order of the blend.
        ``faded``: what signals count of what they would (0..1), for a signal's own amounts say nothing of that.
        ``intent``: how probably the visit buys."""
        self.rows.begin()
        self._asked.trained, self._asked.faded, self._asked.intent = trained, faded, intent

    def order(self, n: int) -> tuple[NDArray[np.uint64], F64]:
        """Items and scores of the n best."""
        if self._trees is None or not self._asked.trained:
            return self.rows.best(self._left(self._linear), n)
        return self._ranked(self._trees, n)[:2]

    def best(self, n: int, found: Collected) -> None:
        """Put the n best, and why, behind the lists that were found before."""
        if self._trees is None or not self._asked.trained:
            found.add(self.rows, self._left(self._linear), n)
        else:
            found.put(*self._explained(self._trees, n))

    def features(self, n: int) -> tuple[NDArray[np.uint64], F64]:
        """The n best by the linear weights, and their FEATURES: float64[<=n, len(FEATURES)]."""
        items, _ = self.rows.best(self._left(self._linear), n)
        totals, largest = self.rows.totals()
        totals = totals[:, _BLENDED] * self._left(np.ones(len(SIGNALS)))[_BLENDED]
        return items, np.hstack([totals / np.where(largest > 0, largest, 1)[_BLENDED], totals])

    def _left(self, weights: F64) -> F64:
        """What is left of signals' weights."""
        if self._asked.faded:
            weights = weights.copy()
            for signal, share in self._asked.faded.items():
                weights[_PLACE[signal]] *= share
        return weights

    def _ranked(self, trees: Trees, n: int) -> tuple[NDArray[np.uint64], F64, F64, NDArray[np.int64]]:
        """The n best of the trees: items, scores, features, and their places in the order of the linear blend."""
        items, features = self.features(DEPTH)
        if not len(items):
            return items, np.zeros(0), np.zeros((0, len(SIGHT))), np.zeros(0, np.int64)
        features = sight(features, features[:, : len(BLENDED)] @ self._linear[_BLENDED], self._asked.intent)
        scores = trees.predict(features) - self._least
        best = np.lexsort((items, -scores))[:n]
        return items[best], scores[best], features[best], best

    def _explained(self, trees: Trees, n: int) -> Scored:
        items, scores, features, places = self._ranked(trees, n)
        if not len(items):
            return Scored(items, scores, *self.rows.parts())
        values, m = trees.explain(features), len(BLENDED)
        signal, because, amount = self._parts()
        parts = np.abs(features[:, :m] * self._linear[_BLENDED])
        parts /= np.maximum(parts.sum(axis=1, keepdims=True), 1e-300)
        own = values[:, :m] + values[:, m : 2 * m] + parts * values[:, 2 * m : 2 * m + 2].sum(axis=1, keepdims=True)
        amounts = np.zeros((len(items), len(SIGNALS)))
        amounts[:, _BLENDED] = own
        amounts[:, _PLACE[BASE]] = values.sum(axis=1) - own.sum(axis=1) - self._least
        rows = _shared_out(amounts, signal.take(places), because.take(places), amount.take(places))
        return Scored(items, scores, *rows)

    def _parts(self) -> tuple[Ragged[np.uint8], Ragged[np.uint64], Ragged[np.float64]]:
        """Signals, causes, and amounts by the largest of their signal, of the candidates that trees see."""
        starts, signal, because, amount = self.rows.parts(np.ones(len(SIGNALS)))
        return Ragged(starts, signal), Ragged(starts, because), Ragged(starts, amount)


def sight(features: F64, linear: F64, intent: float) -> F64:
    """What trees see of a list's candidates: float64[n, len(SIGHT)], of their features, float64[n, len(FEATURES)], and
    scores in the linear blend, float64[n]; n is at least 1. ``intent``: how probably the visit buys."""
    m = len(BLENDED)
    rank = np.empty(len(linear))
    rank[np.argsort(-linear, kind="stable")] = np.arange(len(linear))
    visit = np.count_nonzero(features[:, BLENDED.index("steps")])
    largest = features[:, m:].max(axis=0)[_TELLING]
    same = np.concatenate(([visit], largest, [intent]))
    return np.hstack([features, np.c_[linear, rank], np.tile(same, (len(linear), 1))])


def _shared_out(
    amounts: F64, signal: Ragged[np.uint8], because: Ragged[np.uint64], amount: Ragged[np.float64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint64], F64]:
    """Each item's amount of each signal, float64[items, signals], given to the rows of that item and signal; what has
    no row gets one, without a cause. Columns of Scored."""
    owner = np.repeat(np.arange(len(amounts)), np.diff(signal.starts))
    totals = np.zeros_like(amounts)
    np.add.at(totals, (owner, signal.values), amount.values)
    live = (amount.values > 0) & (amounts[owner, signal.values] != 0)
    owner, kind = owner[live], signal.values[live]
    lone, of = np.nonzero((totals == 0) & (amounts != 0))
    owners = np.concatenate((owner, lone))
    shared = amounts[owner, kind] * amount.values[live] / totals[owner, kind]
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(len(amounts) + 1)).astype(np.uint32)
    columns = (
        np.concatenate((kind, of.astype(np.uint8))),
        np.concatenate((because.values[live], np.zeros(len(of), np.uint64))),
        np.concatenate((shared, amounts[lone, of])),
    )
    return starts, columns[0][order], columns[1][order], columns[2][order]
