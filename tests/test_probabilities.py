"""Measures of probabilities, by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.evaluate.metrics import Bootstrap
from shopguide.probabilities import Bin, auc, calibration_error, losses, reliability

ROWS = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans(), st.integers(0, 3)), min_size=1)


@given(ROWS)
def test_the_area_is_the_chance_to_rank_a_pair_right(rows: list[tuple[float, bool, int]]) -> None:
    """Weights say how often a row is there."""
    said, true, times = (np.array(column) for column in zip(*rows, strict=True))
    drawn = [(s, t) for s, t, n in rows for _ in range(n)]
    pairs = [(s > z) + (s == z) / 2 for s, yes in drawn if yes for z, other in drawn if not other]
    expected = sum(pairs) / len(pairs) if pairs else 0.5
    assert auc(said, true, times.astype(np.float64)) == pytest.approx(expected)
    assert auc(np.repeat(said, times), np.repeat(true, times)) == pytest.approx(expected)


def test_losses_are_of_what_happened_and_finite() -> None:
    found = losses(np.array([0.25, 0.25, 1.0, 0.0]), np.array([True, False, False, True]))
    assert found[:2] == pytest.approx(-np.log([0.25, 0.75]))
    assert np.isfinite(found).all() and (found[2:] > 10).all()


def test_bins_say_how_often_it_came_true() -> None:
    said = np.repeat([0.2, 0.6], 50)
    true = np.tile([True, False], 50)
    assert reliability(said, true) == [Bin(50, pytest.approx(0.2), 0.5), Bin(50, pytest.approx(0.6), 0.5)]
    assert calibration_error(said, true) == pytest.approx(0.3 / 2 + 0.1 / 2)
    even = np.random.default_rng(1).random(100_000)
    assert calibration_error(even, np.random.default_rng(2).random(100_000) < even) < 0.01
    assert [b.rows for b in reliability(even, even > 0.5)] == pytest.approx([10_000] * 10, abs=1)


def test_the_interval_of_a_measure_is_over_sessions() -> None:
    said, true = np.tile([0.1, 0.9], 200), np.tile([False, True], 200)
    true[::7] = ~true[::7]
    together = Bootstrap(np.repeat(np.arange(8), 50).tolist()).interval_of(lambda w: auc(said, true, w))
    assert together[0] < auc(said, true) < together[1]
    mean = Bootstrap(list(range(400))).interval_of(lambda w: float((w * said).sum() / w.sum()))
    assert mean == pytest.approx(Bootstrap(list(range(400))).interval(said))
