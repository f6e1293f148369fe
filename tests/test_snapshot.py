"""Snapshot files: what was written comes back, what was damaged is refused with the reason, and a thread can write."""

from __future__ import annotations

import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shopguide import snapshot
from shopguide._core import Audience, Items, Next, Recent, Sessions, Users
from shopguide.errors import StateError

COLUMN = st.sampled_from(sorted(snapshot.DTYPES)).flatmap(lambda dtype: arrays.arrays(dtype, st.integers(0, 40)))


@given(columns=st.dictionaries(st.text(max_size=5), COLUMN, max_size=4), kind=st.text(max_size=5))
def test_columns_come_back(columns: snapshot.Columns, kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("snapshot") / "file"
    snapshot.write(path, kind, columns)
    found = snapshot.read(path, kind)
    assert list(found) == list(columns)
    for name, column in columns.items():
        assert found[name].dtype == column.dtype and found[name].tobytes() == column.tobytes()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    snapshot.write(path, "score", {"a": np.arange(5, dtype=np.uint64), "b": np.ones(3), "c": np.zeros(0, np.uint32)})
    return path


def test_every_flipped_bit_and_every_cut_is_refused(small: Path) -> None:
    data = small.read_bytes()
    assert len(data) < 400
    for at in range(len(data)):
        for bit in range(8):
            small.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            for wanted in (None, ("c",)):
                with pytest.raises(StateError, match="no whole snapshot of score"):
                    snapshot.read(small, "score", wanted)
        small.write_bytes(data[:at])
        with pytest.raises(StateError, match="no whole snapshot of score"):
            snapshot.read(small, "score")
    for longer in (data + b"\0", data + data):
        small.write_bytes(longer)
        with pytest.raises(StateError, match="does not end where it should"):
            snapshot.read(small, "score")
    small.write_bytes(data)
    assert snapshot.read(small, "score")["a"].tolist() == [0, 1, 2, 3, 4]
    assert {name: one.tolist() for name, one in snapshot.read(small, "score", ("b", "z")).items()} == {"b": [1, 1, 1]}


@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("snapshot") / "file"
    for head in (b"", snapshot.MAGIC, snapshot.MAGIC + b"\1\0\0\0"):
        path.write_bytes(head + data)
        with pytest.raises(StateError, match="no whole snapshot of score"):
            snapshot.read(path, "score")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff{}",
        b"[" * 60_000,
        b"[]",
        b'{"kind": "score"}',
        b'{"kind": "score", "columns": [["a", "<u8"]]}',
        b'{"kind": "score", "columns": [["a", "O", 0]]}',
        b'{"kind": "score", "columns": [["a", ["<u8"], 0]]}',
        b'{"kind": "score", "columns": [["a", "<u8", -1]]}',
        b'{"kind": "score", "columns": [["a", "<u8", 1.5]]}',
        b'{"kind": "score", "columns": [[7, "<u8", 0]]}',
    ],
)
def test_a_header_that_describes_no_columns_is_refused_whatever_its_checksum(header: bytes, tmp_path: Path) -> None:
    path, head = tmp_path / "file", snapshot.MAGIC + struct.pack("<II", snapshot.VERSION, len(header)) + header
    path.write_bytes(head + xxhash.xxh3_64(head, seed=0).digest() + snapshot.END)
    with pytest.raises(StateError, match="its header describes no columns"):
        snapshot.read(path, "score")


def test_slices_that_changed_places_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    snapshot.write(path, "x", {"a": np.repeat(np.arange(2, dtype=np.uint8), snapshot.SLICE)})
    data = path.read_bytes()
    piece = snapshot.SLICE + 8
    begin = len(data) - 2 * piece - len(snapshot.END)
    first, second = data[begin : begin + piece], data[begin + piece : begin + 2 * piece]
    path.write_bytes(data[:begin] + second + first + data[begin + 2 * piece :])
    with pytest.raises(StateError, match="slice 1, of column a, does not match"):
        snapshot.read(path, "x")


def test_another_kind_or_version_is_refused_by_name(small: Path) -> None:
    with pytest.raises(StateError, match="it is one of score"):
        snapshot.read(small, "rank")
    data = bytearray(small.read_bytes())
    data[8] = 9
    small.write_bytes(data)
    with pytest.raises(StateError, match="version 9, this program reads 1"):
        snapshot.read(small, "score")


def test_what_was_there_stays_until_the_new_one_is_whole(small: Path) -> None:
    for bad in (np.zeros((2, 2)), np.array(["x"]), np.zeros(3, ">f8")):
        with pytest.raises(ValueError, match="column z is"):
            snapshot.write(small, "score", {"z": bad})
    assert len(snapshot.read(small, "score")) == 3
    assert [p.name for p in small.parent.iterdir()] == ["small"]


def events(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(0, n // 5, n), random.integers(0, 300, n), np.sort(random.uniform(0, 1e6, n))


@pytest.mark.parametrize("model", [Items, lambda: Items(half_life=1e5), Sessions, Next])
def test_models_come_back_from_a_file_and_live_on(model: type[Items], tmp_path: Path) -> None:
    one, path = model(), tmp_path / "model"
    one.observe_many(*events(20_000, 1))
    one.retract_many(*(column[::3] for column in events(20_000, 1)))
    snapshot.write(path, "model", one.dump())
    two = model()
    two.load(snapshot.read(path, "model"))
    two.check()
    assert two.checksum() == one.checksum()
    for each in (one, two):
        each.observe_many(*events(5_000, 2))
        each.expire(2e5)
    two.check()
    assert two.checksum() == one.checksum()
    with pytest.raises(ValueError, match="the model is not empty"):
        two.load(snapshot.read(path, "model"))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("lengths", [2, 2], "add up"),
        ("lengths", [1], "length"),
        ("items", [0, 1, 2], "item 2 of 2"),
        ("unit_keys", [7, 7], "twice"),
        ("item_keys", [5, 5], "twice"),
        ("times", [1.0, 2.0], "length"),
        ("times", [1.0, np.nan, 2.0], "finite"),
    ],
)
@pytest.mark.parametrize("model", [Items, Sessions, Next])
def test_columns_that_do_not_fit_together_are_refused(
    model: type[Items], column: str, value: list[float], message: str
) -> None:
    one, two = model(), model()
    one.observe_many([7, 7, 8], [5, 6, 5], [1.0, 2.0, 3.0])
    columns = one.dump()
    columns[column] = np.array(value, columns[column].dtype)
    with pytest.raises(ValueError, match=message):
        two.load(columns)
    two.check()
    assert two.stats()["events"] == 0


@pytest.mark.parametrize("model", [Items, Sessions, Next])
def test_columns_of_another_type_are_refused(model: type[Items]) -> None:
    one, two = model(), model()
    one.observe_many([7, 7, 8], [5, 6, 5], [1.0, 2.0, 3.0])
    columns = one.dump()
    for name, column in columns.items():
        for dtype in snapshot.DTYPES - {column.dtype.str}:
            with pytest.raises(ValueError, match=name):
                two.load({**columns, name: column.astype(dtype)})
    assert two.stats()["events"] == 0


def test_starts_whose_differences_wrap_around_are_refused() -> None:
    users = Users(1800.0)
    users.observe([1, 2, 3], [1, 2, 3], [1.0, 2.0, 3.0], [0, 0, 0], [1, 1, 1], [0, 1, 2], [0, 0, 0])
    state = users.dump()
    state["starts"] = np.array([0, 5 * 10**18, 139 * 10**17, 3], np.uint64)
    assert (np.diff(state["starts"].astype(np.int64)) > 0).all()
    with pytest.raises(ValueError, match="starts do not cut its events"):
        Users(1800.0).load(state)


def test_a_doubled_pair_is_refused_even_if_its_count_overflows() -> None:
    for counts in ([1, 1], [2**32 - 1, 1]):
        with pytest.raises(ValueError, match="a pair of item and user twice"):
            Audience().load([5, 5], [7, 7], counts)


def test_shoppers_structures_come_back_from_a_file(tmp_path: Path) -> None:
    users, items, times = events(2000, 3)
    recent, again = Recent(3600.0), Recent(3600.0)
    recent.observe(items, times, np.ones(2000))
    audience, audience_again = Audience(), Audience()
    audience.add(items, users)
    people, people_again = Users(1800.0), Users(1800.0)
    people.observe(users, items, times, np.zeros(2000), np.ones(2000), np.arange(2000), np.zeros(2000))
    snapshot.write(tmp_path / "recent", "recent", recent.dump())
    again.load(snapshot.read(tmp_path / "recent", "recent"))
    assert again.top(20, 0, 1e6)[0].tolist() == recent.top(20, 0, 1e6)[0].tolist()
    names = ("items", "users", "counts")
    snapshot.write(tmp_path / "audience", "audience", dict(zip(names, audience.dump(), strict=True)))
    found = snapshot.read(tmp_path / "audience", "audience")
    audience_again.load(*(found[name] for name in names))
    assert audience_again.count(np.arange(300)).tolist() == audience.count(np.arange(300)).tolist()
    snapshot.write(tmp_path / "users", "users", people.dump())
    people_again.load(snapshot.read(tmp_path / "users", "users"))
    for structure in (again, audience_again, people_again):
        structure.check()
    assert all(np.array_equal(a, people.dump()[name]) for name, a in people_again.dump().items())


def test_a_thread_writes_while_events_go_on(tmp_path: Path) -> None:
    model = Items()
    model.observe_many(*events(200_000, 4))
    then, columns, path = model.checksum(), model.dump(), tmp_path / "model"
    writer = threading.Thread(target=snapshot.write, args=(path, "model", columns))
    writer.start()
    learned = 0
    while writer.is_alive() or learned == 0:
        model.observe_many(*events(1000, 5 + learned))
        learned += 1
    writer.join()
    found = Items()
    found.load(snapshot.read(path, "model"))
    assert found.checksum() == then != model.checksum()
