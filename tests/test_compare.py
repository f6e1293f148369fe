"""compare: intervals and p-values of two arms keep what they promise."""

from __future__ import annotations

import numpy as np

from shopguide.compare import Ratios

RATIOS = Ratios(("impressions", "clicks"), {"ctr": ("clicks", "impressions")})


def drawn(random: np.random.Generator, shoppers: int, ctr: float) -> np.ndarray:  # type: ignore[type-arg]
    """Totals of shoppers with so many clicks a list, each with a liking of their own."""
    lists = random.integers(1, 30, shoppers)
    clicks = random.binomial(lists, random.beta(10 * ctr, 10 * (1 - ctr), shoppers))
    return np.stack([lists, clicks], axis=1).astype(np.float64)


def test_intervals_and_p_values_keep_what_they_promise() -> None:
    random = np.random.default_rng(1)
    null = [RATIOS.compare(drawn(random, 80, 0.2), drawn(random, 60, 0.2), 1, rounds=200)["ctr"] for _ in range(200)]
    assert 0.04 < np.mean([d.p < 0.1 for d in null]) < 0.17
    assert 0.88 < np.mean([d.low <= 0 <= d.high for d in null]) < 0.99
    real = [RATIOS.compare(drawn(random, 80, 0.2), drawn(random, 60, 0.4), 1, rounds=200)["ctr"] for _ in range(20)]
    assert np.mean([d.p < 0.01 for d in real]) > 0.8 and np.mean([d.low <= 0.2 <= d.high for d in real]) > 0.7
    same = drawn(random, 50, 0.3)
    d = RATIOS.compare(same, same, 1)["ctr"]
    assert d.difference == 0 and d.p == 1.0
    assert RATIOS.compare(same, same, 1) == RATIOS.compare(same, same, 1)
    assert RATIOS.of(np.zeros(2), "ctr") == 0.0
