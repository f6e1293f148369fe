"""Records: what is packed comes back; what is no record is one clear error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.columns import pack_table, unpack_table
from shopguide.errors import PackingError
from shopguide.records import (
    Batch,
    Candidates,
    Events,
    Kind,
    Lessons,
    Looks,
    Names,
    Ragged,
    Record,
    Slate,
    Table,
    Update,
    pack,
    unpack,
)

ROWS = st.integers(0, 6)


@st.composite
def tables(draw: st.DrawFn, cls: type[Table]) -> Table:
    rows = draw(ROWS)
    columns = {}
    for name, dtype in cls.schema.items():
        values = st.integers(0, 100).map(lambda v, d=dtype: np.dtype(d.removesuffix("[]")).type(v))
        if dtype.endswith("[]"):
            column = draw(st.lists(st.lists(values, max_size=4), min_size=rows, max_size=rows))
            columns[name] = Ragged.of(column, dtype[:-2])
        else:
            columns[name] = np.array(draw(st.lists(values, min_size=rows, max_size=rows)), dtype)
    return cls(**columns)


@given(st.data(), st.integers(0, 4))
def test_a_table_of_rows_has_their_values_and_nothing_where_they_have_none(data: st.DataObject, n: int) -> None:
    table = data.draw(tables(Looks).filter(lambda made: len(made) >= n)).view(0, n) if n else Looks()
    rows = []
    for row in range(n):
        said = {name: column[row] for name, column in table.columns().items()}
        rows.append({**said, "slot": table.slot.bytes_at(row)})
        for left_out in data.draw(st.sets(st.sampled_from(["n", "recent", "query"]))):
            del rows[row][left_out]
    found = Looks.of_rows(rows)
    assert len(found) == n and unpack_table(Looks, pack_table(found)) == found
    for row, said in enumerate(rows):
        for name, column in found.columns().items():
            assert np.array_equal(column[row], table.columns()[name][row] if name in said else column[row] * 0)
            assert name in said or not np.any(column[row])


def test_a_view_of_all_is_the_table_itself_and_events_name_their_kinds() -> None:
    events = Events(kind=[Kind.VIEW, Kind.CART, Kind.VIEW], item=[1, 2, 3])
    assert events.view(0, 3) is events and events.view(1, 3).item.tolist() == [2, 3]
    assert events.kinds == {Kind.VIEW, Kind.CART} and Events().kinds == set()


RANGE = {"partition": st.integers(0, 9), "first": st.integers(0, 2**40), "last": st.integers(0, 2**40)}
RECORDS = st.one_of(
    st.builds(Batch, **RANGE, events=tables(Events), names=tables(Names)),
    st.builds(
        Update,
        **RANGE,
        held=st.integers(0, 9),
        relayed=st.integers(-1, 9),
        lessons=tables(Lessons),
        relay=tables(Events),
        looks=tables(Looks),
    ),
    st.builds(Slate, **RANGE, looks=tables(Looks), candidates=tables(Candidates), scored=st.floats(0, 1e10)),
)


@given(RECORDS)
def test_round_trip(record: Record) -> None:
    assert unpack(pack(record)) == record


@given(RECORDS, st.data())
def test_truncated_or_changed_bytes_are_one_clear_error(record: Record, data: st.DataObject) -> None:
    packed = pack(record)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(PackingError):
        unpack(packed[:cut])
    at, by = data.draw(st.integers(0, len(packed) - 1)), data.draw(st.integers(1, 255))
    changed = bytearray(packed)
    changed[at] ^= by
    with pytest.raises(PackingError):
        unpack(bytes(changed))


@given(st.binary(max_size=200))
def test_any_other_bytes_are_one_clear_error(data: bytes) -> None:
    with pytest.raises(PackingError):
        unpack(data)


def test_errors_say_what_is_wrong() -> None:
    packed = pack(Batch(0, 0, 0, Events(kind=[1]), Names()))
    with pytest.raises(PackingError, match="version 9"):
        unpack(packed.replace(b"\xc4\x02SG\x01", b"\xc4\x02SG\x09"))
    with pytest.raises(PackingError, match="checksum"):
        unpack(packed[:-1] + bytes([packed[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"Events\.kind has 1 rows instead of 2"):
        Events(user=[1, 2], kind=[1])
    with pytest.raises(TypeError, match="no column colour"):
        Events(user=[1], colour=[2])


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6), st.data())
def test_ragged_is_a_list_of_rows(rows: list[list[int]], data: st.DataObject) -> None:
    ragged = Ragged.of(rows, "<u8")
    assert [r.tolist() for r in ragged] == rows
    if rows:
        chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
        assert [r.tolist() for r in ragged.take(np.array(chosen, np.int64))] == [rows[i] for i in chosen]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), bool)
    assert [r.tolist() for r in ragged.take(mask)] == [r for r, m in zip(rows, mask, strict=True) if m]
    assert [r.tolist() for r in ragged.join(ragged, Ragged.empty(1, "<u8"))] == [*rows, *rows, []]


@given(st.lists(tables(Events), max_size=4))
def test_join_then_slice_gives_the_parts_back(parts: list[Events]) -> None:
    joined = Events.join(parts)
    start = 0
    for part in parts:
        assert joined.slice(start, start + len(part)) == part
        assert joined.view(start, start + len(part)) == part
        start += len(part)
    assert len(joined) == start


def test_details_are_a_map_or_an_error() -> None:
    events = Events(kind=[Kind.SEARCH] * 4, data=Ragged.of_bytes([b"\x81\xa5query\xa3tea", b"", b"\xc1", b"\x01"]))
    assert events.details(0) == {"query": "tea"} and events.details(1) == {}
    for row in (2, 3):
        with pytest.raises(PackingError, match="data of offset 0"):
            events.details(row)
