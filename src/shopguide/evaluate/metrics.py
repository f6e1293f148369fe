"""Measures of lists, each prediction having one right item; and intervals by bootstrap over sessions.

``rank`` of a prediction is the place of the right item in the list, from 1; between items of equal score the expected
one; infinity where the list of k does not have it. With one right item, precision is HR / k, recall is HR, and MAP is
MRR (Shani, Gunawardana, "Evaluating recommendation systems", 2011).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000  # resamples of a bootstrap
SEED = 20101

F64 = NDArray[np.float64]


@dataclass
class Ranks:
    """What became of each prediction of one recommender, in order: its rank, and the session that it belongs to; how
    often each item was recommended; seconds a list took."""

    k: int
    rank: list[float] = field(default_factory=list)
    session: list[int] = field(default_factory=list)
    shown: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def add(self, session: int, rank: float, shown: NDArray[np.uint64], seconds: float) -> None:
        self.rank.append(rank)
        self.session.append(session)
        self.shown.update(shown.tolist())
        self.seconds.append(seconds)

    def hits(self) -> F64:
        """1 where the list has the right item."""
        return (np.array(self.rank) <= self.k).astype(np.float64)

    def reciprocal(self) -> F64:
        """1 / rank, 0 for a miss."""
        return np.where(self.hits() > 0, 1 / np.array(self.rank), 0.0)

    def gain(self) -> F64:
        """1 / log2(1 + rank), 0 for a miss: the discounted gain, whose ideal is 1."""
        return np.where(self.hits() > 0, 1 / np.log2(1 + np.array(self.rank)), 0.0)


def rank_of(target: int, items: NDArray[np.uint64], scores: F64, k: int) -> float:
    """Of a list that is longer than k where there are candidates enough; a rank above k is infinity."""
    at = np.flatnonzero(items == target)
    if not len(at):
        return np.inf
    better, equal = np.count_nonzero(scores > scores[at[0]]), np.count_nonzero(scores == scores[at[0]])
    rank = 1 + better + (equal - 1) / 2
    return float(rank) if rank <= k else np.inf


def measures(ranks: Ranks) -> dict[str, float]:
    """hr, mrr, precision, recall, f1, ndcg, map, each at k."""
    hr, mrr, ndcg = (float(m.mean()) if len(m) else 0.0 for m in (ranks.hits(), ranks.reciprocal(), ranks.gain()))
    precision = hr / ranks.k
    f1 = 2 * precision * hr / (precision + hr) if hr else 0.0
    return {"hr": hr, "mrr": mrr, "precision": precision, "recall": hr, "f1": f1, "ndcg": ndcg, "map": mrr}


def beyond(ranks: Ranks, counts: dict[int, int]) -> dict[str, float]:
    """What hits do not say, of all that was recommended; ``counts``: kept events of each item of the catalogue.

    coverage: share of the items that were recommended at all. popularity: mean count of a recommended item, as a part
    of the largest. novelty: mean self-information -log2(count / all counts), in bits, of an item without events as of
    one with one (Castells, Hurley, Vargas, "Novelty and diversity in recommender systems", 2015).
    """
    total, largest = sum(counts.values()), max(counts.values(), default=0)
    shown = ranks.shown.total()
    if not shown or not total:
        return {"coverage": 0.0, "popularity": 0.0, "novelty": 0.0}
    popularity = sum(n * counts.get(item, 0) / largest for item, n in ranks.shown.items()) / shown
    bits = sum(-n * np.log2(max(counts.get(item, 0), 1) / total) for item, n in ranks.shown.items()) / shown
    covered = sum(item in counts for item in ranks.shown)
    return {"coverage": covered / len(counts), "popularity": float(popularity), "novelty": float(bits)}


@dataclass(frozen=True)
class Difference:
    """Of two means over the same predictions, with its interval; p: of none, two-sided."""

    difference: float
    ci95: list[float]
    p: float


class Bootstrap:
    """Resamples of sessions with replacement; the same for all that is compared."""

    def __init__(self, sessions: list[int] | NDArray[np.uint64]) -> None:
        names, self._of = np.unique(np.array(sessions, np.uint64), return_inverse=True)
        random = np.random.default_rng(SEED)
        n = len(names)
        draws = [np.bincount(random.integers(0, n, n), minlength=n) for _ in range(DRAWS)]
        self._times: F64 = np.stack(draws).astype(np.float64)

    def ratios(self, part: NDArray[Any], whole: NDArray[Any]) -> F64:
        """The sum of one over that of the other, row by row of the sessions given, in each resample: float64[DRAWS];
        0 where there is nothing to divide by."""
        above, below = (self._times @ np.bincount(self._of, rows, self._times.shape[1]) for rows in (part, whole))
        return np.divide(above, below, out=np.zeros(DRAWS), where=below > 0)

    def interval_of(self, measure: Callable[[F64], float]) -> list[float]:
        """The 95 % percentile interval of a measure that is told how often each row was drawn."""
        low, high = np.percentile([measure(times[self._of]) for times in self._times], (2.5, 97.5))
        return [float(low), float(high)]

    def interval(self, part: NDArray[Any], whole: NDArray[Any] | None = None) -> list[float]:
        """The 95 % percentile interval of the ratio (Efron, Tibshirani, 1993); whole None: of the mean."""
        low, high = np.percentile(self.ratios(part, np.ones(len(part)) if whole is None else whole), (2.5, 97.5))
        return [float(low), float(high)]

    def compare(self, one: F64, other: F64) -> Difference:
        """The mean of one less the other, its interval, and the share of resamples, doubled, on the other side of 0."""
        draws = self.ratios(one - other, np.ones(len(one)))
        p = 2 * min((draws <= 0).mean(), (draws >= 0).mean())
        return Difference(float((one - other).mean()), self.interval(one - other), min(float(p), 1.0))
