"""Rows and ids of Python values against what plain Python makes of them, and keys against the library xxhash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from shopguide._core import Table, ValueRows, bytes_of, columns_of, doubles_of, gather, is_text, judge, keys_of, look_up
from shopguide.keys import own_event_key

NAMES = st.sampled_from(["user", "item", "kind", "odd", "more"])
IDS = st.one_of(
    st.none(),
    st.text(max_size=6),
    st.text(st.characters(max_codepoint=127), max_size=200),
    st.text("ab \t\x1c\x7f", max_size=4),
)


@given(st.lists(st.dictionaries(NAMES, st.one_of(st.none(), st.integers(), st.text(max_size=2)))))
def test_gather_is_a_get_for_each_name(rows: list[dict[str, Any]]) -> None:
    wanted = {"user": 1, "item": 2, "kind": 3}
    columns, others = gather(rows, wanted)
    names = set().union(*rows)
    assert (columns.keys(), others) == (names & wanted.keys(), names - wanted.keys())
    for name, column in columns.items():
        assert column == [row.get(name) for row in rows]


def test_what_is_no_dict_is_no_row() -> None:
    for wrong in ([1], [{}, None], [[("user", "u")]]):
        with pytest.raises(TypeError):
            gather(wrong, {})


def test_a_text_is_a_str_and_nothing_like_it() -> None:
    assert is_text([]) and is_text(["a", None, ""])
    assert not any(is_text(["a", wrong]) for wrong in (1, b"b", True, [], type("Sub", (str,), {})("a")))


def test_a_memory_is_asked_for_what_it_lacks() -> None:
    class Lengths(dict):
        def __missing__(self, text: str | None) -> int:
            self[text] = len(text or "")
            return self[text]

    memory = Lengths({"known": 2**64 - 1})
    assert look_up(["known", "new", None, "new"], memory).tolist() == [2**64 - 1, 3, 0, 3]
    assert memory == {"known": 2**64 - 1, "new": 3, None: 0}
    with pytest.raises(KeyError):
        look_up(["unknown"], {})
    for wrong in (-1, 2**64):
        with pytest.raises(OverflowError):
            look_up(["a"], {"a": wrong})


@pytest.mark.parametrize("seed", [0, 2, 2**64 - 1])
def test_keys_are_those_of_the_library_at_every_length(seed: int) -> None:
    def refuse(value: str | None) -> int:
        raise AssertionError(value)

    for length in range(1, 129):
        letters = np.random.default_rng([length, seed]).integers(33, 127, (20, length), np.uint8)
        ids = [row.tobytes().decode() for row in letters]
        assert keys_of(ids, seed, refuse).tolist() == [xxhash.xxh3_64_intdigest(text.encode(), seed) for text in ids]
        assert bytes_of(ids, refuse) == [row.tobytes() for row in letters]


@given(st.lists(IDS))
def test_what_is_no_plain_id_is_left_to_the_other(ids: list[str | None]) -> None:
    def plain(text: str | None) -> bool:
        return bool(text) and text.isascii() and len(text) <= 128 and text[0] > " " and text[-1] > " "

    found = keys_of(ids, 2, lambda _: 7).tolist()
    assert found == [xxhash.xxh3_64_intdigest(text.encode(), 2) if plain(text) else 7 for text in ids]
    assert bytes_of(ids, lambda _: b"?") == [text.encode() if plain(text) else b"?" for text in ids]


NUMBERS = st.sampled_from([0.0, 5.0, 9.0, 10.0, 11.0, 14.0, 15.0, -3.0, float("inf"), float("-inf"), float("nan")])
ROWS = st.lists(
    st.tuples(*[st.integers(0, 7), *[st.integers(0, 1)] * 2, *[NUMBERS] * 3, st.integers(0, 2)]), max_size=8
)


@given(ROWS, st.lists(st.integers(0, 15), min_size=8, max_size=8))
def test_rows_are_judged_as_they_are_one_by_one(rows: list[tuple[Any, ...]], asks: list[int]) -> None:
    asked = np.array([*asks, *[0] * 248], np.uint8)
    kind, item, user, time, value, arrived, size = zip(*rows, strict=True) if rows else [()] * 7
    types = (np.uint8, np.uint64, np.uint64, float, float, float)
    columns = [np.array(c, t) for c, t in zip((kind, item, user, time, value, arrived), types, strict=True)]
    starts = np.concatenate([[0], np.cumsum(size)]).astype(np.uint32)

    def is_fine(kind: int, item: int, user: int, time: float, value: float, arrived: float, size: int) -> bool:
        known, needs_item, needs_user = (asks[kind] >> bit & 1 for bit in range(3))
        in_time = np.isfinite(time) and 10 <= time <= arrived + 4
        return bool(known and in_time and np.isfinite(value) and item >= needs_item and user >= needs_user)

    fine, looked_into = judge(asked, *columns, starts, 10.0, 4.0)
    assert fine == all(is_fine(*row) for row in rows)
    assert looked_into == [at for at, row in enumerate(rows) if asks[row[0]] & 8 or row[-1]]


def test_columns_of_other_lengths_are_not_judged() -> None:
    none = [np.empty(0, dtype) for dtype in ("u1", "u8", "u8", "f8", "f8", "f8")]
    assert judge(np.zeros(256, np.uint8), *none, np.zeros(1, np.uint32), 0.0, 0.0) == (True, [])
    for wrong in (np.zeros(255, np.uint8), np.zeros(257, np.uint8)):
        with pytest.raises(ValueError, match="length"):
            judge(wrong, *none, np.zeros(1, np.uint32), 0.0, 0.0)
    with pytest.raises(ValueError, match="length"):
        judge(np.zeros(256, np.uint8), *none, np.zeros(2, np.uint32), 0.0, 0.0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.sampled_from([1, 19])), max_size=30), st.data())
def test_doubles_are_those_whose_id_a_set_has_met(rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    older, newest, met = Table(), Table(), set()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=2)))
    begin = 0
    for end in (*cuts, len(rows)):
        events, users, kinds = (np.array([row[at] for row in rows[begin:end]], t) for at, t in enumerate("QQB"))
        keys = np.where(kinds == 19, events, own_event_key(events, users)).tolist()
        expected = []
        for at, (event, key) in enumerate(zip(events.tolist(), keys, strict=True)):
            expected += [at] if event and key in met else []
            met |= {key} if event else set()
        assert doubles_of([older, newest], events, users, kinds, 19) == expected
        begin = end
    assert set(newest.keys().tolist()) == met and not len(older)
    again = np.array(sorted(met), np.uint64)
    bare = np.full(len(again), 19, np.uint8)
    assert doubles_of([newest, older], again, again, bare, 19) == list(range(len(again))) and not len(older)


def test_columns_of_rows_take_what_fits_and_nothing_else() -> None:
    types = {"n": (np.dtype(np.uint8), False), "of": (np.dtype(np.uint64), True)}
    column, ragged = columns_of([{"n": 7}, {"of": np.array([5], np.uint64)}], types, {}, lambda *of: of).values()
    assert column.tolist() == [7, 0] and [part.tolist() for part in ragged] == [[0, 0, 1], [5]]
    assert columns_of([{"n": 7}], types, {"n": 1, "of": 2}, tuple) == {"n": 1, "of": 2}
    for wrong in (256, -1, "x"):
        with pytest.raises((OverflowError, ValueError)):
            columns_of([{"n": wrong}], types, {}, lambda *of: of)


@given(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=4), max_size=5), st.sampled_from(["u1", "<u4", "<f8"]))
def test_rows_of_values_are_slices(rows: list[list[int]], dtype: str) -> None:
    arrays = [np.array(row).astype(dtype) for row in rows]
    starts = np.cumsum([0, *map(len, rows)]).astype(np.uint32)
    unaligned = np.frombuffer(b"." + starts.tobytes(), np.uint32, offset=1)
    for given_starts in (starts, unaligned):
        column = ValueRows(given_starts, np.concatenate([np.empty(0, dtype), *arrays]).astype(dtype))
        assert len(column) == len(rows) and column.as_bytes() == [array.tobytes() for array in arrays]
        for row, array in enumerate(arrays):
            assert column[row].dtype == array.dtype and column[row].tolist() == array.tolist()
        for wrong in (-1, len(rows)):
            with pytest.raises(IndexError):
                column[wrong]


@pytest.mark.parametrize("starts", [[0, 3], [0, 2, 1], [0, 2**32 - 1]])
def test_starts_that_do_not_fit_the_values_give_no_bytes(starts: list[int]) -> None:
    with pytest.raises(ValueError, match="of 2 values"):
        ValueRows(np.array(starts, np.uint32), np.zeros(2, np.uint8)).as_bytes()
