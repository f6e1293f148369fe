"""Formulas against plain definitions of another kind: matrices, worked examples. Each fails for one known mistake."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from shopguide._core import Items, Next, Sessions

UNITS, ITEMS = 40, 15


@pytest.fixture(scope="module")
def events() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Units that come back to their items often."""
    random = np.random.default_rng(3)
    return random.integers(0, UNITS, 600), np.minimum(random.zipf(1.3, 600), ITEMS) - 1, np.arange(600.0)


def incidence(units: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float64]:
    """One row a unit, 1 where it has the item, however often."""
    matrix = np.zeros((UNITS, ITEMS))
    matrix[units, items] = 1
    return matrix


def scores_of(model: Items) -> NDArray[np.float64]:
    scores = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        others, values = model.similar(item, ITEMS)
        scores[item, others.astype(int)] = values
    return scores


def test_the_cosine_is_that_of_the_items_columns(
    events: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
) -> None:
    """A missing root, a norm of one item only, or a repeat that counts twice: each gives other numbers."""
    units, items, times = events
    model = Items(history=UNITS)
    model.observe_many(units, items, times)
    columns = incidence(units, items)
    norms = np.linalg.norm(columns, axis=0)
    expected = columns.T @ columns / np.outer(norms, norms)
    np.fill_diagonal(expected, 0)
    assert scores_of(model) == pytest.approx(expected, abs=1e-6)
    assert scores_of(model) == pytest.approx(scores_of(model).T, abs=1e-6)
    assert scores_of(model).max() <= 1

    without_root, own_norm_only = columns.T @ columns / np.outer(norms, norms) ** 2, columns.T @ columns / norms
    raw = np.zeros((UNITS, ITEMS))
    np.add.at(raw, (units, items), 1)
    counted_twice = raw.T @ raw / np.outer(np.linalg.norm(raw, axis=0), np.linalg.norm(raw, axis=0))
    for mistake in (without_root, own_norm_only, counted_twice):
        np.fill_diagonal(mistake, 0)
        assert np.abs(mistake - expected).max() > 0.05


def test_a_decayed_event_weighs_half_after_a_half_life() -> None:
    model = Items(half_life=100.0)
    model.observe_many([1, 1, 2, 2], [10, 11, 10, 12], [0.0, 0.0, 100.0, 100.0])
    scores = dict(zip(*(a.tolist() for a in model.similar(10)), strict=True))
    assert scores[11] == pytest.approx(1 / math.sqrt((1 + 2) * 1))
    assert scores[12] == pytest.approx(2 / math.sqrt((1 + 2) * 2))


def test_the_similarity_of_sessions_is_a_weighted_overlap(
    events: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
) -> None:
    """V-SKNN with quadratic weights over a prefix of 14 items: none is negative, all are in, each counts once."""
    units, items, times = events
    model = Sessions(history=UNITS)
    model.observe_many(units, items, times)
    query = np.arange(14)
    weights = ((14 - query) / 14) ** 2
    expected = incidence(units, items)[:, query] @ (np.floor(weights * 65536 + 0.5) / 65536)
    found, similarities = model.nearest(query, weights, m=UNITS, k=UNITS)
    assert similarities.tolist() == sorted(similarities.tolist(), reverse=True)
    assert dict(zip(found.tolist(), similarities.tolist(), strict=True)) == {
        unit: pytest.approx(s, abs=1e-12) for unit, s in enumerate(expected) if s > 0
    }


def test_an_items_score_is_the_sum_over_its_neighbours_with_inverse_frequency() -> None:
    """Worked by hand: sessions 1 = {a b}, 2 = {a c}, 3 = {b c d}; the query is b (1.0), a (0.25)."""
    a, b, c, d = 1, 2, 3, 4
    model = Sessions()
    model.observe_many([1, 1, 2, 2, 3, 3, 3], [a, b, a, c, b, c, d], range(7))
    items, scores = model.recommend([b, a], [1.0, 0.25], [1.0, 0.5], idf=2.0)
    similar = {1: 1.25, 2: 0.25 * 0.5, 3: 1.0}  # times the decay of the newest shared item
    twice, once = 1 + 2 * math.log(3 / 2), 1 + 2 * math.log(3 / 1)
    assert dict(zip(items.tolist(), scores.tolist(), strict=True)) == {
        a: pytest.approx((similar[1] + similar[2]) * twice),
        b: pytest.approx((similar[1] + similar[3]) * twice),
        c: pytest.approx((similar[2] + similar[3]) * twice),
        d: pytest.approx(similar[3] * once),
    }


def test_a_transition_weighs_one_over_its_distance() -> None:
    model = Next(steps=3)
    model.observe_many([1] * 5, [10, 11, 12, 13, 14], range(5))
    found = dict(zip(*(a.tolist() for a in model.following(10)), strict=True))
    assert found == {11: 1.0, 12: 0.5, 13: pytest.approx(1 / 3)}
    items, scores = model.two_hops([10], [1.0])
    by_hand = {12: (1 * 1) / (11 / 6) / (11 / 6), 13: (1 * 0.5 / (11 / 6) + 0.5 * 1 / 1.5) / (11 / 6)}
    reached = dict(zip(items.tolist(), scores.tolist(), strict=True))
    assert {i: reached[i] for i in by_hand} == {i: pytest.approx(s) for i, s in by_hand.items()}
