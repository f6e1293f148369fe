"""Parts: what of a candidate's score is told, against its definition over plain lists."""

from __future__ import annotations

import re
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


class Card(NamedTuple):
    before: bytes
    after: bytes


CARD = Card(b'{"score":', b',"price":1')
OPENINGS = (b',"reasons":[', b',"reasons":["before"')
CAUSES = {because: (b"<", b"cause%d" % because) for because in range(1, 4)}
NAMED = ((b"{", 1, b" by ", -1, b"/"), (0, b"{", 1, b"/"), (b"{no/",), (-1, b"{", 1, 1, b"/"))
NOT_NAMED = (b"{0/", b"{1/", b"{2/", b"{3/")


def texts(signal: int, because: int, shared: int) -> bytes:
    """A reason, up to its share."""
    if not because:
        return b"{%d/" % signal
    cause = b"cause%d" % because
    return (b"{%b by %d/" % (cause, shared), b"<{%b/" % cause, b"{no/", b"%d{%b%b/" % (shared, cause, cause))[signal]


def written(candidate: list[Part], most: int, least: float, tag: int) -> bytes:
    """The item whose candidate this is, as JSON would have it."""
    reasons = [b'"before"'] if tag else []
    for signal, because, shared, share in told(candidate, most - tag, least, not tag):
        reasons.append(texts(signal, because, shared) + str(share + 0.0).encode() + b"}")
    return b'{"score":7,"price":1,"reasons":[' + b",".join(reasons) + b"]}"


def items(made: Parts, rows: list[int], tags: bytes, most: int, least: float) -> list[bytes]:
    return made.items(
        [CARD] * len(rows), [b"7"] * len(rows), rows, tags, CAUSES, NAMED, NOT_NAMED, OPENINGS, most, least
    )


@given(CANDIDATES, st.integers(1, 4), st.sampled_from([-9.0, 0.05, 0.5]), st.data())
def test_the_heaviest_are_told(candidates: list[list[Part]], most: int, least: float, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(-1, len(candidates) - 1), max_size=6))
    tags = bytes(data.draw(st.lists(st.integers(0, 1), min_size=len(rows), max_size=len(rows))))
    found = [candidates[row] if row >= 0 else [] for row in rows]
    assert items(parts(candidates), rows, tags, most, least) == [
        written(candidate, most, least, tag) for candidate, tag in zip(found, tags, strict=True)
    ]


@given(CANDIDATES, st.sampled_from([1.0, 0.5, 1.5]), st.data())
def test_candidates_are_packed_as_columns(candidates: list[list[Part]], factor: float, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(-1, len(candidates) - 1), max_size=6))
    factors = [factor * at for at in range(len(rows))]
    found = [in_order(candidates[row]) if row >= 0 else [] for row in rows]
    counts, *columns = parts(candidates).packed(rows, factors)
    assert np.frombuffer(counts, "<u4").tolist() == list(map(len, found))
    plain = zip(columns, ("<u1", "<u8", "<f8", "<u4"), strict=True)
    assert list(zip(*(np.frombuffer(column, dtype).tolist() for column, dtype in plain), strict=True)) == [
        (p.signal, p.because, p.amount * by, p.shared) for of, by in zip(found, factors, strict=True) for p in of
    ]


@given(CANDIDATES)
def test_causes_are_those_that_may_be_named(candidates: list[list[Part]]) -> None:
    made, n = parts(candidates), len(candidates)
    for first in range(n + 1):
        rows = [part for candidate in candidates[first:] for part in in_order(candidate)]
        assert made.causes(first, n) == sorted({part.because for part in rows} - {0})


@given(st.one_of(st.floats(0, 1), st.integers(0, 20_000).map(lambda n: n / 20_000), st.floats(0.0, 1e-4)))
def test_shares_are_rounded_and_written_as_python_does(share: float) -> None:
    made = parts([[Part(1, 1, share, 9), Part(3, 2, 1 - share, 9)]])
    (found,) = items(made, [0], b"\0", 2, 0.0)
    shares = sorted(float(text) for text in re.findall(rb"/([^}]*)}", found))
    assert shares == sorted(round(amount / (share + (1 - share)), 4) for amount in (share, 1 - share))
    assert all(b"/%b}" % repr(one).encode() in found for one in shares)


@pytest.mark.parametrize("amount", [-0.5, -3e9, 0.0])
def test_a_share_that_is_none(amount: float) -> None:
    made = parts([[Part(1, 1, amount, 9)], [Part(1, 1, amount, 9), Part(3, 1, 1e-7, 9)]])
    (nothing, against) = items(made, [0, 1], bytes(2), 3, 0.05)
    assert nothing.endswith(b"/0.0}]}")
    assert float(re.findall(rb"/([^}]*)}", against)[0]) == round((amount + 1e-7) / 1e-7, 4)


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
    for call in (
        lambda: items(made, [1], b"\0", 1, 0.0),
        lambda: items(made, [0], b"\2", 1, 0.0),
        lambda: made.packed([1], [1.0]),
        lambda: made.causes(0, 2),
    ):
        with pytest.raises(IndexError):
            call()
    with pytest.raises(ValueError, match="length"):
        made.packed([0], [])
    with pytest.raises(ValueError, match="length"):
        items(made, [0, 0], b"\0", 1, 0.0)
    with pytest.raises(KeyError):
        made.items([CARD], [b"7"], [0], b"\0", {}, NAMED, NOT_NAMED, OPENINGS, 1, 0.0)
