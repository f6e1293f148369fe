"""Parts: what of a candidate's score is told, against its definition over plain lists."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide._core import Parts

UNNAMED = [True, False, True, False]  # of four signals, and which of them say the same without a cause
WORDS = [0, 1, 0, 3]
FEWEST = 3


class Part(NamedTuple):
    signal: int
    because: int
    amount: float
    shared: int


PART = st.builds(
    Part,
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([-1.0, 0.0, 0.00005, 0.25, 0.5, 1.0, 3.0]),  # few, and exact: sums are the same in any order
    st.integers(0, 5),
)
CANDIDATES = st.lists(st.lists(PART, max_size=12), max_size=4)


def parts(candidates: list[list[Part]]) -> Parts:
    starts = np.cumsum([0, *map(len, candidates)])
    rows = [part for candidate in candidates for part in candidate]
    columns = [np.array(column) for column in zip(*rows, strict=True)] if rows else [[]] * 4
    return Parts(starts, *columns, FEWEST, UNNAMED, WORDS)


def in_order(candidate: list[Part]) -> list[Part]:
    """Largest first, without the causes that too few are behind."""
    named = [p._replace(because=0) if UNNAMED[p.signal] and p.shared < FEWEST else p for p in candidate]
    return sorted(named, key=lambda part: -part.amount)


def told(candidate: list[Part], most: int, least: float, first: bool) -> list[tuple[int, int, int, float]]:
    reasons: dict[tuple[int, int], list[Part]] = {}
    for part in in_order(candidate):
        reasons.setdefault((part.because, -1 if part.because else WORDS[part.signal]), []).append(part)
    for_it = sum(max(part.amount, 0) for part in candidate)
    said = [
        (of[0].signal, of[0].because, of[0].shared, sum(p.amount for p in of) / for_it if for_it else 0.0)
        for of in sorted(reasons.values(), key=lambda of: -sum(p.amount for p in of))
    ]
    kept = [one for at, one in enumerate(said) if one[3] >= least or (first and not at)]
    return [(*one[:3], round(one[3], 4)) for one in kept[:most]]


@given(CANDIDATES, st.integers(0, 4), st.sampled_from([-9.0, 0.05, 0.5]), st.booleans())
def test_the_heaviest_are_told(candidates: list[list[Part]], most: int, least: float, first: bool) -> None:
    made = parts(candidates)
    for row, candidate in enumerate(candidates):
        assert made.heaviest(row, most, least, first) == told(candidate, most, least, first)


@given(CANDIDATES, st.sampled_from([1.0, 0.5, 1.5]))
def test_a_candidate_is_packed_as_columns(candidates: list[list[Part]], factor: float) -> None:
    made = parts(candidates)
    for row, candidate in enumerate(candidates):
        columns = zip(made.packed(row, factor), ("<u1", "<u8", "<f8", "<u4"), strict=True)
        rows = zip(*(np.frombuffer(column, dtype).tolist() for column, dtype in columns), strict=True)
        assert list(rows) == [(p.signal, p.because, p.amount * factor, p.shared) for p in in_order(candidate)]


@given(CANDIDATES)
def test_causes_are_those_that_may_be_named(candidates: list[list[Part]]) -> None:
    made, n = parts(candidates), len(candidates)
    for first in range(n + 1):
        rows = [part for candidate in candidates[first:] for part in in_order(candidate)]
        assert made.causes(first, n) == sorted({part.because for part in rows} - {0})


@given(st.one_of(st.floats(0, 1), st.integers(0, 20_000).map(lambda n: n / 20_000), st.floats(0.0, 1e-4)))
def test_shares_are_rounded_as_python_rounds(share: float) -> None:
    made = parts([[Part(1, 1, share, 9), Part(3, 2, 1 - share, 9)]])
    given_ = [part[3] for part in made.heaviest(0, 2, 0.0, True)]
    assert sorted(given_) == sorted(round(amount / (share + (1 - share)), 4) for amount in (share, 1 - share))


def test_what_was_given_stays_as_it_was() -> None:
    columns = [
        np.array([1, 0], np.uint8),
        np.array([5, 6], np.uint64),
        np.array([0.1, 0.9]),
        np.array([0, 0], np.uint32),
    ]
    before = [column.copy() for column in columns]
    Parts(np.array([0, 2], np.uint32), *columns, FEWEST, UNNAMED, WORDS)
    assert all(np.array_equal(one, other) for one, other in zip(columns, before, strict=True))


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        Parts([0, 1], [1], [1], [1.0, 2.0], [1], FEWEST, UNNAMED, WORDS)
    with pytest.raises(ValueError, match="length"):
        Parts([0, 2], [1], [1], [1.0], [1], FEWEST, UNNAMED, WORDS)
    with pytest.raises(ValueError, match="signal 4"):
        Parts([0, 1], [4], [1], [1.0], [1], FEWEST, UNNAMED, WORDS)
    made = parts([[Part(1, 1, 1.0, 1)]])
    for call in (lambda: made.heaviest(1, 1, 0.0, True), lambda: made.packed(1, 1.0), lambda: made.causes(0, 2)):
        with pytest.raises(IndexError):
            call()
