"""Parts: what of a candidate's score is told, against its definition over plain lists."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide._core import Card, Parts, Telling, rows_of
from shopguide.columns import Ragged

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


NAMED = ((b"{", 2, b" by ", -1, b"/"), (0, b"{", 1, b"/"), (b"{no/",), (-1, b"{", 3, 1, b"/"))
NOT_NAMED = (b"{0/", b"{1/", b"{2/", b"{3/")
OPENINGS = (b',"reasons":[', b',"reasons":["before"')
DID = tuple((b"did%d " % kind, b" so", b"it%d" % kind) for kind in range(256))
CARDS = {key: Card(key, f"i{key}", {}, b"i%d" % key, b"T%d" % key, b"") for key in range(1, 4)}
LISTED = Card(9, "nine", {}, b"nine", b"Nine", b',"price":1')
Place = tuple[Card, int, float, int]


def telling(most: int, least: float, words: tuple[tuple[bytes | int, ...], ...] = NAMED) -> Telling:
    given = {"may_be_unnamed": UNNAMED, "same_words": WORDS, "most": most, "least": least, "fewest": FEWEST}
    return Telling(words, NOT_NAMED, OPENINGS, DID, **given)


def parts(candidates: list[list[Part]], how: Telling | None = None) -> Parts:
    starts = np.cumsum([0, *map(len, candidates)])
    rows = [part for candidate in candidates for part in candidate]
    columns = [np.array(column) for column in zip(*rows, strict=True)] if rows else [[]] * 4
    return Parts(starts, *columns, how or telling(3, 0.05))


def listed(
    made: Parts,
    rows: range | tuple[int, int],
    places: list[Place],
    did: dict[int, int] | None = None,
    others: dict[int, bytes] | None = None,
) -> dict[str, Any]:
    return made.listed(*rows[:2], places, orjson.dumps([7] * len(places)), did or {}, CARDS, others or {})


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


def cause_of(because: int, did: dict[int, int], others: dict[int, bytes]) -> tuple[bytes, bytes, bytes, bytes]:
    """Its id, its title, and what was done with it."""
    if because in others:
        name, title, kind = b"", others[because], 1
    else:
        name, title, kind = b"i%d" % because, b"T%d" % because, did.get(because, 1)
    return name, title, b"did%d %b so" % (kind, title), b"it%d" % kind


def texts(signal: int, cause: tuple[bytes, bytes, bytes, bytes] | None, shared: int) -> bytes:
    """A reason, up to its share."""
    if cause is None:
        return b"{%d/" % signal
    name, title, did, did_it = cause
    return (
        b"{%b by %d/" % (did, shared),
        b"%b{%b/" % (name, title),
        b"{no/",
        b"%d{%b%b/" % (shared, did_it, title),
    )[signal]


DIDS = st.dictionaries(st.integers(1, 3), st.integers(0, 255))
OTHERS = st.dictionaries(st.integers(1, 3), st.just(b"in words"), max_size=1)


@given(CANDIDATES, st.integers(1, 4), st.sampled_from([-9.0, 0.05, 0.5]), DIDS, OTHERS, st.data())
def test_the_heaviest_are_told(
    candidates: list[list[Part]],
    most: int,
    least: float,
    did: dict[int, int],
    others: dict[int, bytes],
    data: st.DataObject,
) -> None:
    rows = data.draw(st.lists(st.integers(-1, len(candidates) - 1), max_size=6))
    tags = data.draw(st.lists(st.integers(0, 1), min_size=len(rows), max_size=len(rows)))
    places = [(LISTED, row, 1.0, tag) for row, tag in zip(rows, tags, strict=True)]
    made = parts(candidates, telling(most, least))
    found = listed(made, (0, len(candidates)), places, did, others)
    assert found["items"] == ["nine"] * len(rows)
    for text, row, tag in zip(found["json"], rows, tags, strict=True):
        reasons = [b'"before"'] if tag else []
        for signal, because, shared, share in told(candidates[row] if row >= 0 else [], most - tag, least, not tag):
            cause = cause_of(because, did, others) if because else None
            reasons.append(texts(signal, cause, shared) + str(share + 0.0).encode() + b"}")
        begin = b'{"item":"nine","title":"Nine","score":7,"price":1'
        assert text == begin + b',"reasons":[' + b",".join(reasons) + b"]}"


@given(CANDIDATES, st.sampled_from([1.0, 0.5, 1.5]), st.data())
def test_candidates_are_packed_as_columns(candidates: list[list[Part]], factor: float, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(-1, len(candidates) - 1), max_size=6))
    factors, tags = [factor * at for at in range(len(rows))], [at % 2 for at in range(len(rows))]
    found = [in_order(candidates[row]) if row >= 0 else [] for row in rows]
    places = [(LISTED, *place) for place in zip(rows, factors, tags, strict=True)]
    first, counts, *columns = listed(parts(candidates), (0, len(candidates)), places)["why"]
    assert first == bytes(tags)
    assert np.frombuffer(counts, "<u4").tolist() == list(map(len, found))
    plain = zip(columns, ("<u1", "<u8", "<f8", "<u4"), strict=True)
    assert list(zip(*(np.frombuffer(column, dtype).tolist() for column, dtype in plain), strict=True)) == [
        (p.signal, p.because, p.amount * by, p.shared) for of, by in zip(found, factors, strict=True) for p in of
    ]


@given(CANDIDATES, DIDS, OTHERS)
def test_causes_are_those_that_may_be_named(
    candidates: list[list[Part]], did: dict[int, int], others: dict[int, bytes]
) -> None:
    made, n = parts(candidates), len(candidates)
    for first in range(n + 1):
        keys = sorted({part.because for candidate in candidates[first:] for part in in_order(candidate)} - {0})
        assert orjson.loads(listed(made, (first, n), [], did, others)["causes"]) == [
            [key, "", "in words", 1] if key in others else [key, f"i{key}", f"T{key}", did.get(key, 1)] for key in keys
        ]


@given(st.one_of(st.floats(0, 1), st.integers(0, 20_000).map(lambda n: n / 20_000), st.floats(0.0, 1e-4)))
def test_shares_are_rounded_and_written_as_python_does(share: float) -> None:
    made = parts([[Part(1, 1, share, 9), Part(3, 2, 1 - share, 9)]], telling(2, 0.0))
    (found,) = listed(made, (0, 1), [(LISTED, 0, 1.0, 0)])["json"]
    shares = sorted(float(text) for text in re.findall(rb"/([^}]*)}", found))
    assert shares == sorted(round(amount / (share + (1 - share)), 4) for amount in (share, 1 - share))
    assert all(b"/%b}" % repr(one).encode() in found for one in shares)


@pytest.mark.parametrize("amount", [-0.5, -3e9, 0.0])
def test_a_share_that_is_none(amount: float) -> None:
    made = parts([[Part(1, 1, amount, 9)], [Part(1, 1, amount, 9), Part(3, 1, 1e-7, 9)]])
    (nothing, against) = listed(made, (0, 2), [(LISTED, row, 1.0, 0) for row in (0, 1)])["json"]
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
    listed(
        Parts(np.array([0, 2], np.uint32), *columns, telling(1, 0.0)),
        (0, 1),
        [(LISTED, 0, 1.0, 0)],
        {},
        {5: b"", 6: b""},
    )
    assert all(np.array_equal(one, other) for one, other in zip(columns, before, strict=True))


def test_what_does_not_fit_together_is_refused() -> None:
    how = telling(1, 0.0)
    with pytest.raises(ValueError, match="length"):
        Parts([0, 1], [1], [1], [1.0, 2.0], [1], how)
    with pytest.raises(ValueError, match="length"):
        Parts([0, 2], [1], [1], [1.0], [1], how)
    with pytest.raises(ValueError, match="signal 4"):
        Parts([0, 1], [4], [1], [1.0], [1], how)
    with pytest.raises(ValueError, match="length"):
        telling(1, 0.0, NAMED[:3])
    made = parts([[Part(1, 1, 1.0, 1)]])
    for row, last, tag in ((1, 1, 0), (0, 0, 0), (0, 1, 2), (0, 2, 0)):
        with pytest.raises(IndexError):
            listed(made, (0, last), [(LISTED, row, 1.0, tag)])
    for scores, n in ((b"[]", 1), (b"[1]", 0), (b"[1,2]", 1), (b"[1]", 2), (b"[", 1)):
        with pytest.raises(ValueError, match=f"scores than {n} items"):
            made.listed(0, 1, [(LISTED, 0, 1.0, 0)] * n, scores, {}, CARDS, {})
    with pytest.raises(KeyError):
        made.listed(0, 1, [(LISTED, 0, 1.0, 0)], b"[7]", {}, {}, {})
    assert listed(made, (0, 1), [(LISTED, 0, 1.0, 0)])["items"] == ["nine"], "it goes on after that"


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 255)), st.lists(st.floats(0, 1)))))
def test_rows_are_what_columns_hold(rows: list[tuple[int, list[int], list[float]]]) -> None:
    numbers = np.array([row[0] for row in rows], np.uint64)
    columns = numbers, Ragged.of([row[1] for row in rows], "u1"), Ragged.of([row[2] for row in rows], "<f8")
    assert rows_of(columns, list) == [[number, bytes(small), values] for number, small, values in rows]
    if rows:
        with pytest.raises(ValueError, match="shorter"):
            rows_of((numbers, columns[1], numbers[1:]), list)
