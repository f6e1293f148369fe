"""Two arms compared: differences of ratios, with intervals and p-values over shoppers.

A shopper's visits hang together, so shoppers are what is drawn, not visits or lists. Intervals: percentile bootstrap
(Efron and Tibshirani 1993, ch. 13). P-values: permutation of the arms over shoppers, two-sided, counting what was
seen as one of the permutations (Phipson and Smyth 2010).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDS = 2000  # resamples of each kind
COUNTS = ("visits", "impressions", "shown", "clicks", "bought", "purchases", "revenue")
METRICS = {  # a name, and the two counts whose ratio it is
    "ctr": ("clicks", "impressions"),
    "ctr_item": ("clicks", "shown"),
    "cvr": ("bought", "clicks"),
    "revenue_per_visit": ("revenue", "visits"),
}

Totals = NDArray[np.float64]  # a row each shopper, a column each of COUNTS


@dataclass(frozen=True)
class Difference:
    """Of a metric, second arm minus first; ``low`` and ``high`` bound 95 %."""

    difference: float
    low: float
    high: float
    p: float


def ratio(totals: Totals, metric: str) -> NDArray[np.float64]:
    """A metric of sums of counts (the last axis); 0 where nothing is to be divided by."""
    above, below = (totals[..., COUNTS.index(name)] for name in METRICS[metric])
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def compare(first: Totals, second: Totals, seed: int, rounds: int = ROUNDS) -> dict[str, Difference]:
    """The difference in each metric. Both arms need a shopper. The same seed gives the same answer."""
    random = np.random.default_rng(seed)
    drawn = [_resampled(random, totals, rounds) for totals in (first, second)]
    swapped = _permuted(random, first, second, rounds)
    found: dict[str, Difference] = {}
    for metric in METRICS:
        seen = float(ratio(second.sum(axis=0), metric) - ratio(first.sum(axis=0), metric))
        low, high = np.quantile(ratio(drawn[1], metric) - ratio(drawn[0], metric), (0.025, 0.975))
        by_chance = np.abs(ratio(swapped[1], metric) - ratio(swapped[0], metric)) >= abs(seen) * (1 - 1e-9)
        found[metric] = Difference(seen, float(low), float(high), float((1 + by_chance.sum()) / (1 + rounds)))
    return found


def _resampled(random: np.random.Generator, totals: Totals, rounds: int) -> Totals:
    """Sums over as many shoppers, drawn with replacement, a row each round."""
    shoppers = len(totals)
    times = random.multinomial(shoppers, np.full(shoppers, 1 / shoppers), size=rounds)
    return times.astype(np.float64) @ totals


def _permuted(random: np.random.Generator, first: Totals, second: Totals, rounds: int) -> tuple[Totals, Totals]:
    """Sums over arms of the same sizes, each shopper's arm drawn anew, a row each round."""
    everybody = np.concatenate([first, second])
    in_second = np.tile(np.arange(len(everybody)) >= len(first), (rounds, 1))
    one = random.permuted(in_second, axis=1).astype(np.float64) @ everybody
    return everybody.sum(axis=0) - one, one
