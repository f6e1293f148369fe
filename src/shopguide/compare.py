"""Two arms compared: differences of ratios, with intervals and p-values over shoppers.

A shopper's visits hang together, so shoppers are what is drawn, not visits or lists. Intervals: percentile bootstrap
(Efron and Tibshirani 1993, ch. 13). P-values: permutation of the arms over shoppers, two-sided, counting what was
seen as one of the permutations (Phipson and Smyth 2010).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDS = 2000  # resamples of each kind

Totals = NDArray[np.float64]  # a row each shopper, or some of them together; a column each of what is counted


@dataclass(frozen=True)
class Difference:
    """Of a metric, second arm minus first; ``low`` and ``high`` bound 95 %."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Ratios:
    """``counts`` name the columns of totals; ``metrics``: a name, and the two counts whose ratio it is."""

    counts: tuple[str, ...]
    metrics: Mapping[str, tuple[str, str]]

    def of(self, totals: Totals, metric: str) -> NDArray[np.float64]:
        """A metric of sums of counts (the last axis); 0 where nothing is to be divided by."""
        above, below = (totals[..., self.counts.index(name)] for name in self.metrics[metric])
        return np.divide(above, below, out=np.zeros_like(above), where=below > 0)

    def compare(self, first: Totals, second: Totals, seed: int, rounds: int = ROUNDS) -> dict[str, Difference]:
        """The difference in each metric. Both arms need a row. The same seed gives the same answer.

        Memory: rounds times rows, some times over.
        """
        random = np.random.default_rng(seed)
        drawn = [_resampled(random, totals, rounds) for totals in (first, second)]
        swapped = _permuted(random, first, second, rounds)
        found: dict[str, Difference] = {}
        for metric in self.metrics:
            seen = float(self.of(second.sum(axis=0), metric) - self.of(first.sum(axis=0), metric))
            low, high = np.quantile(self.of(drawn[1], metric) - self.of(drawn[0], metric), (0.025, 0.975))
            by_chance = np.abs(self.of(swapped[1], metric) - self.of(swapped[0], metric)) >= abs(seen) * (1 - 1e-9)
            found[metric] = Difference(seen, float(low), float(high), float((1 + by_chance.sum()) / (1 + rounds)))
        return found


def _resampled(random: np.random.Generator, totals: Totals, rounds: int) -> Totals:
    """Sums over as many rows, drawn with replacement, for each round."""
    rows = len(totals)
    times = random.multinomial(rows, np.full(rows, 1 / rows), size=rounds)
    return times.astype(np.float64) @ totals


def _permuted(random: np.random.Generator, first: Totals, second: Totals, rounds: int) -> tuple[Totals, Totals]:
    """Sums over arms of the same sizes, each row's arm drawn anew, for each round."""
    everybody = np.concatenate([first, second])
    in_second = np.tile(np.arange(len(everybody)) >= len(first), (rounds, 1))
    one = random.permuted(in_second, axis=1).astype(np.float64) @ everybody
    return everybody.sum(axis=0) - one, one
