"""Chance: what a hash draws is what is named, evenly, and the same again whoever else is drawn for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.chance import betas, number, seed_of

KEYS = np.arange(1, 20_001, dtype=np.uint64)
FARTHEST = 1.95 / math.sqrt(len(KEYS))  # of Kolmogorov and Smirnov, at p = .001


def counts(of: int, n: int = len(KEYS)) -> np.ndarray:
    return np.full(n, of, np.uint32)


def farthest(drawn: np.ndarray, probably: np.ndarray) -> float:
    """The largest distance of what was drawn from a distribution function at it; both in order."""
    steps = np.arange(len(drawn) + 1) / len(drawn)
    return float(max((steps[1:] - probably).max(), (probably - steps[:-1]).max()))


def below(x: np.ndarray, k: int, m: int) -> np.ndarray:
    """The probability that Beta(k, m - k + 1) is below x: that k of m numbers are."""
    return sum(math.comb(m, j) * x**j * (1 - x) ** (m - j) for j in range(k, m + 1))


@pytest.mark.parametrize("hits, misses", [(0, 1), (0, 20), (1, 20), (5, 3), (12, 40)])
def test_a_draw_is_of_the_beta_distribution(hits: int, misses: int) -> None:
    drawn = np.sort(betas(7, KEYS, counts(hits), counts(misses)))
    assert farthest(drawn, below(drawn, hits + 1, hits + misses)) < FARTHEST


def test_numbers_are_even_over_users_times_and_places() -> None:
    for drawn in (
        [number(seed_of(user, 1.5e9), 0) for user in range(1, 20_001)],
        [number(seed_of(7, 1.5e9 + at), 0) for at in range(20_000)],
        [number(7, which) for which in range(20_000)],
    ):
        ordered = np.sort(drawn)
        assert ordered[0] >= 0 and ordered[-1] < 1 and farthest(ordered, ordered) < FARTHEST


COUNTED = st.tuples(st.integers(1, 2**64 - 1), st.integers(0, 30), st.integers(1, 60))


@given(st.integers(0, 2**64 - 1), st.lists(COUNTED, min_size=1, max_size=20, unique_by=lambda one: one[0]))
def test_what_an_item_draws_depends_on_itself_alone(seed: int, items: list[tuple[int, int, int]]) -> None:
    def drawn(some: list[tuple[int, int, int]]) -> dict[int, float]:
        keys, hits, misses = zip(*some, strict=True)
        found = betas(seed, np.array(keys, np.uint64), np.array(hits, np.uint32), np.array(misses, np.uint32))
        return dict(zip(keys, found.tolist(), strict=True))

    together = drawn(items)
    assert {key: draw for one in items for key, draw in drawn([one]).items()} == together
    assert drawn(items[::-1]) == together


def test_another_seed_draws_another_number() -> None:
    one, other = (betas(seed, KEYS, counts(0), counts(1)) for seed in (1, 2))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03 and seed_of(1, 2.0) != seed_of(2, 1.0)
