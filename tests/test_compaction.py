"""Compaction against a plain list of rows: what goes is gone byte by byte, what stays stays where it is."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import content, full_disk, read

from shopguide import compaction
from shopguide.catalogue import Catalogue, categories
from shopguide.clean import clean
from shopguide.compaction import erase, find, retain
from shopguide.errors import StateError
from shopguide.keys import own_event_key
from shopguide.log import Log
from shopguide.records import EARLIEST, Events, Kind, Names, Ragged

NOW = 1_700_000_000.0
PARTITIONS = 2
IDS = ["u17850", 'é"7/', "raw"]  # who is forgotten
KEYS = [0x1122334455667788, 0xFFEEDDCCBBAA0099, 0x0102030405060708]
OTHERS = [0x7777777777777777, 0x8888888888888888]
ITEMS = [11, 12]

Row = dict[str, Any]


def own(row: Row) -> int:
    """What the event of a row is known by."""
    return int(own_event_key(np.array([row["event"]], np.uint64), np.array([row.get("user", 0)], np.uint64))[0])


def retained(log: Log, bounds: dict[int, int], done: dict[int, int]) -> dict[int, int]:
    """Retention from these offsets on; no visitor is heard of any more."""
    return retain(log, {p: compaction.Kept(bound, np.empty(0, np.uint64)) for p, bound in bounds.items()}, done)


def table(rows: list[Row]) -> Events:
    """Rows as the log gives them back."""
    data = [msgpack.packb(row["data"]) if row.get("data") is not None else b"" for row in rows]
    columns = {
        name: np.array([row.get(name, 0) for row in rows], np.uint64) for name in ("user", "item", "event", "session")
    }
    return Events(
        **columns,
        offset=[row.get("offset", 0) for row in rows],
        kind=[row["kind"] for row in rows],
        time=[row.get("time", NOW) for row in rows],
        arrived=[NOW] * len(rows),
        data=Ragged.of_bytes(data),
    )


def named(items: list[tuple[int, str]]) -> Names:
    return Names(key=[key for key, _ in items], text=Ragged.of_bytes([text.encode() for _, text in items]))


class Kept:
    """A log, and what was appended to it as a plain list."""

    def __init__(self, path: Path, segment_bytes: int) -> None:
        self.path, self.segment_bytes = path, segment_bytes
        self.log = Log(path, PARTITIONS, segment_bytes)
        self.rows: dict[int, list[Row]] = {p: [] for p in range(PARTITIONS)}
        self.names: dict[int, str] = {}
        self.sources: dict[tuple[int, int], int] = {}

    def append(self, partition: int, rows: list[Row], names: list[tuple[int, str]], source: int) -> None:
        offset = len(self.rows[partition])
        self.rows[partition] += [{**row, "offset": offset + at} for at, row in enumerate(rows)]
        for key, name in names:
            self.names.setdefault(key, name)
        if source:
            self.sources[source, partition] = self.sources.get((source, partition), 0) + len(rows)
        self.log.append(partition, table(rows), named(names), source, self.sources.get((source, partition), -1))

    def reopen(self) -> None:
        self.log.close()
        self.log = Log(self.path, PARTITIONS, self.segment_bytes)

    def holds(self, partition: int, rows: list[Row]) -> None:
        """The log holds these rows and all names, at the same offsets as ever, for every reader."""
        reader = Log(self.path, PARTITIONS, readonly=True)
        for log in (self.log, reader):
            found, names = read(log, partition, 5)
            assert found == table_or_blank(rows)
            assert log.end(partition) == len(self.rows[partition])
            assert set(names.items()) <= set(self.names.items())
        reader.close()
        for (source, at), row in self.sources.items():
            assert self.log.last_row(source, at) == row


def table_or_blank(rows: list[Row]) -> Events:
    found = table(rows)
    blank = found.kind == Kind.ERASED
    found.time[blank] = found.arrived[blank] = EARLIEST
    return found


def escaped(word: str) -> str:
    return "".join(rf"\u{ord(c):04X}" for c in word)


PAD = st.text("x, ", max_size=60)


@st.composite
def malformed(draw: Any) -> Row:
    """A row that could not be read; ``says`` are its words."""
    words = draw(
        st.lists(st.sampled_from([*IDS, "u1785", "xu17850", "u17850-1", "u17850_", "y"]), min_size=1, max_size=3)
    )
    form = draw(st.sampled_from(["csv", "quoted", "json", "utf8", "escaped"]))
    if form == "csv":
        raw = ",".join(words)
    elif form == "quoted":
        raw = ",".join('"' + word.replace('"', '""') + '"' for word in words)
    elif form == "escaped":
        raw = '{"a": "' + "\\n".join(escaped(word) if word in IDS else word for word in words) + '"}'
    else:
        raw = json.dumps({"a": "\n".join(words)}, ensure_ascii=form == "json")
    raw += " " + draw(PAD)
    data = {"reason": "no raw", "raw": raw.encode()}
    return {"kind": Kind.MALFORMED, "data": data, "says": words, "event": draw(EVENT)}


EVENT = st.sampled_from([0, 91, 92])
WHO = st.sampled_from([*KEYS, *OTHERS])
USERS_ROW = st.one_of(
    st.fixed_dictionaries({"kind": st.just(Kind.VIEW), "user": WHO, "item": st.sampled_from(ITEMS), "event": EVENT}),
    st.fixed_dictionaries({"kind": st.just(Kind.FORGET), "user": WHO}),
    st.fixed_dictionaries(
        {"kind": st.just(Kind.ALIAS), "user": WHO, "event": EVENT, "data": st.fixed_dictionaries({"account": WHO})}
    ),
    malformed(),
)
NAMES = st.lists(st.sampled_from([(11, "eleven"), (12, "x" * 40)]), max_size=2, unique=True)


def frames(row: st.SearchStrategy[Row]) -> st.SearchStrategy[list[Any]]:
    return st.lists(
        st.tuples(st.integers(0, PARTITIONS - 1), st.lists(row, min_size=1, max_size=5), NAMES, st.integers(0, 2)),
        min_size=1,
        max_size=14,
    )


SEGMENT = st.sampled_from([300, 900, 4096])


def filled(tmp_path_factory: pytest.TempPathFactory, appended: list[Any], segment_bytes: int) -> Kept:
    kept = Kept(tmp_path_factory.mktemp("log"), segment_bytes)
    for frame in appended:
        kept.append(*frame)
    return kept


def goes(row: Row, rows: list[Row], keys: list[int], ids: list[str]) -> bool:
    if row["kind"] == Kind.MALFORMED:
        return bool(set(row["says"]) & set(ids))
    if row["kind"] == Kind.ERASED:
        return False
    if row.get("user") in keys:
        return any(r["kind"] == Kind.FORGET and r["user"] == row["user"] for r in rows[row["offset"] :])
    return row["kind"] == Kind.ALIAS and row["data"]["account"] in keys


def without(rows: list[Row], gone: list[Row]) -> list[Row]:
    at = {row["offset"] for row in gone}
    blank = [{"kind": Kind.ERASED, "offset": r["offset"], "event": own(r)} for r in gone if r.get("event")]
    return sorted([*(r for r in rows if r["offset"] not in at), *blank], key=lambda row: row["offset"])


@settings(max_examples=60)
@given(appended=frames(USERS_ROW), segment=SEGMENT, who=st.sets(st.integers(0, 2), min_size=1), reopen=st.booleans())
def test_the_rows_of_forgotten_users_go(
    tmp_path_factory: pytest.TempPathFactory, appended: list[Any], segment: int, who: set[int], reopen: bool
) -> None:
    kept = filled(tmp_path_factory, appended, segment)
    keys, ids = [KEYS[at] for at in who], [IDS[at] for at in who]
    gone = {p: [row for row in rows if goes(row, rows, keys, ids)] for p, rows in kept.rows.items()}
    found = find(kept.log, keys, ids)
    assert {p: offsets.tolist() for p, offsets in found.offsets.items()} == {
        p: [row["offset"] for row in rows] for p, rows in gone.items()
    }
    assert sum(found.kinds.values()) == sum(map(len, gone.values()))
    erase(kept.log, found.offsets)
    before = content(kept.path)
    if reopen:
        kept.reopen()
    for partition, rows in kept.rows.items():
        kept.holds(partition, without(rows, gone[partition]))
    again = find(kept.log, keys, ids)
    assert not again.kinds
    erase(kept.log, again.offsets)
    assert content(kept.path) == before
    erase(kept.log, found.offsets)
    for partition, rows in kept.rows.items():
        kept.holds(partition, without(rows, gone[partition]))
    kept.log.close()


@settings(max_examples=30)
@given(appended=frames(USERS_ROW), segment=SEGMENT)
def test_no_file_holds_a_byte_of_a_forgotten_user(
    tmp_path_factory: pytest.TempPathFactory, appended: list[Any], segment: int
) -> None:
    kept = filled(tmp_path_factory, appended, segment)
    for partition in range(PARTITIONS):
        kept.append(partition, [{"kind": Kind.FORGET, "user": key} for key in KEYS], [], 0)
    erase(kept.log, find(kept.log, KEYS, IDS).offsets)
    kept.log.close()
    traces = [KEYS[0].to_bytes(8, order) for order in ("little", "big")]
    traces += [KEYS[1].to_bytes(8, order) for order in ("little", "big")]
    traces += [IDS[1].encode(), json.dumps(IDS[1])[1:-1].encode()]
    for name, data in content(kept.path).items():
        assert not [trace for trace in traces if trace in data], name
        assert b"u17850" not in data.replace(b"xu17850", b"").replace(b"u17850-1", b"").replace(b"u17850_", b"")


def test_an_empty_id_is_said_nowhere(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 4096)
    kept.append(0, [{"kind": Kind.MALFORMED, "data": {"reason": "none", "raw": b",, "}}], [], 0)
    assert not find(kept.log, [], [""]).kinds
    kept.log.close()


@pytest.mark.parametrize("length", range(8, 130))
def test_an_id_is_found_at_the_begin_of_rows_of_any_length(tmp_path: Path, length: int) -> None:
    kept = Kept(tmp_path, 1 << 20)
    raw = b"u17850," + b"." * (length - 7)
    kept.append(0, [{"kind": Kind.MALFORMED, "data": {"reason": "none", "raw": raw}}], [], 0)
    assert find(kept.log, [], ["u17850"]).kinds == {"malformed": 1}
    kept.log.close()


def test_small_segments_become_one(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 1 << 20)
    for at in range(20):
        kept.append(0, [{"kind": Kind.VIEW, "user": KEYS[0] if at == 5 else OTHERS[0]}], [], 1)
        kept.log.roll(0)
    kept.append(0, [{"kind": Kind.FORGET, "user": KEYS[0]}], [], 0)
    erase(kept.log, find(kept.log, KEYS[:1], []).offsets)
    assert kept.log.complete(0) == [(0, 21)]
    kept.holds(0, [row for row in kept.rows[0] if row["user"] != KEYS[0]])
    kept.log.close()


SOME = st.sampled_from(["", "a", "b"])
ITEM_ROW = st.one_of(
    st.fixed_dictionaries(
        {
            "kind": st.just(Kind.ITEM),
            "item": st.sampled_from(ITEMS),
            "data": st.fixed_dictionaries(
                {},
                optional={
                    "op": st.sampled_from(["upsert", "mention", "delete", "stock", "stock", "rubbish"]),
                    "title": st.one_of(SOME, st.none()),
                    "category": st.one_of(SOME, st.just(5)),
                    "price": st.sampled_from([0, 1.5]),
                    "stock": st.sampled_from([0, 3, -1]),
                    "other": SOME,
                },
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just(Kind.PICK),
            "item": st.sampled_from(ITEMS),
            "data": st.fixed_dictionaries(
                {"action": st.sampled_from(["pin", "clear", "undo", "nonsense"])},
                optional={"id": st.sampled_from("abc"), "undoes": st.sampled_from("abc")},
            ),
        }
    ),
    st.fixed_dictionaries({"kind": st.just(Kind.VIEW), "user": WHO, "item": st.sampled_from(ITEMS), "event": EVENT}),
)


def learned(path: Path, partition: int) -> tuple[Any, ...]:
    """What a catalogue and the categories are after all rows of a partition that make sense."""
    log, catalogue, kinds, offset = Log(path, PARTITIONS, readonly=True), Catalogue(), {}, 0
    while (batch := log.read(partition, offset, 4)) is not None:
        kept, _ = clean(batch)
        catalogue.learn(kept)
        kinds.update(zip(*(column.tolist() for column in categories(kept.events)), strict=True))
        offset = batch.last + 1
    log.close()
    products = {item: catalogue.product(item) for item in ITEMS}
    return products, list(catalogue.picks), catalogue.names, catalogue.collisions, catalogue._offsets, kinds


@settings(max_examples=60)
@given(appended=frames(ITEM_ROW), segment=SEGMENT, bounds=st.tuples(*[st.integers(0, 20)] * PARTITIONS))
def test_beyond_retention_the_catalogue_stays_and_the_rest_goes(
    tmp_path_factory: pytest.TempPathFactory, appended: list[Any], segment: int, bounds: tuple[int, ...]
) -> None:
    kept = filled(tmp_path_factory, appended, segment)
    for partition in range(PARTITIONS):
        kept.log.roll(partition)
    before = [learned(kept.path, p) for p in range(PARTITIONS)]
    complete = [[end for _, end in kept.log.complete(p) if end <= bounds[p]] for p in range(PARTITIONS)]
    done = retained(kept.log, dict(enumerate(bounds)), {})
    assert done == {p: ends[-1] for p, ends in enumerate(complete) if ends}
    assert [learned(kept.path, p) for p in range(PARTITIONS)] == before
    for partition, rows in kept.rows.items():
        end = done.get(partition, 0)
        found, _ = read(kept.log, partition, 5)
        assert found.take(found.offset >= end) == table(rows[end:])
        old = found.take(found.offset < end)
        assert old == table([rows[offset] for offset in old.offset.tolist()])
        assert set(old.kind.tolist()) <= {Kind.ITEM, Kind.PICK}
        for (source, at), row in kept.sources.items():
            assert kept.log.last_row(source, at) == row
    compacted = content(kept.path)
    assert retained(kept.log, dict(enumerate(bounds)), done) == done and content(kept.path) == compacted
    kept.reopen()
    for _ in range(6):  # what became small is put together, until there is nothing to put together
        compacted = content(kept.path)
        assert retained(kept.log, dict(enumerate(bounds)), {}) == done
        assert [learned(kept.path, p) for p in range(PARTITIONS)] == before
    assert content(kept.path) == compacted
    kept.log.close()


def test_of_an_item_whose_stock_changes_all_day_the_first_and_the_last_row_stay(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 1 << 20)
    for stock in range(50):
        kept.append(0, [{"kind": Kind.ITEM, "item": 11, "data": {"op": "stock", "stock": stock}}], [], 0)
    kept.log.roll(0)
    retained(kept.log, {0: 50}, {})
    assert read(kept.log)[0].offset.tolist() == [0, 49]
    kept.log.close()


def test_of_many_small_frames_few_are_at_hand_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, looked_at, joined = Kept(tmp_path, 1 << 20), list[int](), list[int]()
    monkeypatch.setattr(compaction, "clean", lambda batch: looked_at.append(batch.first) or clean(batch))
    whole = compaction._joined
    monkeypatch.setattr(compaction, "_joined", lambda waiting: joined.append(len(waiting)) or whole(waiting))
    for at in range(5 * compaction.TOGETHER):
        kept.append(0, [{"kind": Kind.ITEM if at == 9 else Kind.VIEW, "item": 11, "data": {"title": "a"}}], [], 0)
    kept.log.roll(0)
    retained(kept.log, {0: 5 * compaction.TOGETHER}, {})
    assert looked_at == [9] and joined == [compaction.TOGETHER] * 5
    assert read(kept.log)[0].offset.tolist() == [9]
    retained(kept.log, {0: 5 * compaction.TOGETHER}, {})
    assert joined[5:] == [5], "what became small is put together the next time"
    kept.log.close()


def test_since_when_an_item_is_there_is_not_forgotten(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 1 << 20)
    for hour in range(5):
        said = {"kind": Kind.ITEM, "item": 11, "time": NOW + hour * 3600.0, "data": {"title": "tea"}}
        kept.append(0, [said], [], 0)
    kept.log.roll(0)
    before = learned(kept.path, 0)
    retained(kept.log, {0: 5}, {})
    assert learned(kept.path, 0) == before and before[0][11]["since"] == NOW
    assert read(kept.log)[0].offset.tolist() == [0, 4]
    kept.log.close()


HIDES = {
    "what was rejected": {"price": "dear"},
    "what the catalogue takes and the categories do not": {"category": ""},
    "a deletion": {"op": "delete"},
    "stock": {"op": "stock", "stock": 3},
    "when it ends": {"until": 9e9},
}


@pytest.mark.parametrize("later", HIDES.values(), ids=HIDES)
def test_a_later_row_hides_only_what_it_says_again(tmp_path: Path, later: dict[str, Any]) -> None:
    kept = Kept(tmp_path, 1 << 20)
    said = {"title": "a", "category": "c", "price": 1, "until": 8e9}
    for data in (said, {**{name: said[name] for name in ("title", "category", "price")}, **later}):
        kept.append(0, [{"kind": Kind.ITEM, "item": 11, "data": data}], [], 0)
    kept.log.roll(0)
    before = learned(tmp_path, 0)
    retained(kept.log, {0: 2}, {})
    assert learned(tmp_path, 0) == before
    kept.log.close()


@pytest.mark.parametrize("op", ["mention", "stock"])
def test_what_was_deleted_stays_so_whatever_is_said_of_it_later(tmp_path: Path, op: str) -> None:
    kept, said = Kept(tmp_path, 1 << 20), {"title": "a", "stock": 3}
    for data in (said, {"op": "delete"}, {"op": op, **said}):
        kept.append(0, [{"kind": Kind.ITEM, "item": 11, "data": data}], [], 0)
    kept.log.roll(0)
    retained(kept.log, {0: 3}, {})
    assert learned(tmp_path, 0)[0][11]["deleted"]
    kept.log.close()


def test_two_names_of_one_key_stay_two(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 1 << 20)
    for name in ("one", "two"):
        kept.append(0, [{"kind": Kind.VIEW, "user": OTHERS[0], "item": 11}], [(11, name)], 0)
    kept.log.roll(0)
    retained(kept.log, {0: 2}, {})
    assert learned(tmp_path, 0)[3] == {11}
    kept.log.close()


WATCHED: list[Callable[[str], None]] = []
sys.addaudithook(lambda event, _: WATCHED[-1](event) if WATCHED and event in ("os.rename", "os.remove") else None)


@contextmanager
def copies(path: Path, to: Path) -> Iterator[list[Path]]:
    """Copies of a directory as it is before every rename and removal, and at the end."""
    found: list[Path] = []

    def copy(_: str = "") -> None:
        WATCHED.append(lambda _: None)
        found.append(to / str(len(found)))
        shutil.copytree(path, found[-1])
        WATCHED.pop()

    WATCHED.append(copy)
    try:
        yield found
        copy()
    finally:
        WATCHED.pop()


def busy(path: Path) -> Kept:
    """A log of many small segments, of a user to forget and others, and of items."""
    kept = Kept(path, 600)
    for at in range(16):
        user = KEYS[0] if at % 3 == 0 else OTHERS[0]
        item = {"kind": Kind.ITEM, "item": 11 + at // 2 % 2, "data": {"title": f"t{at}"}}
        view = {"kind": Kind.VIEW, "user": user, "item": 11 + at // 2 % 2, "event": 91 + at}
        kept.append(at % 2, [item, view], [(11 + at // 2 % 2, f"i{at // 2 % 2}")], 1)
    for partition in range(PARTITIONS):
        kept.append(partition, [{"kind": Kind.FORGET, "user": KEYS[0]}], [], 0)
    return kept


def test_a_crash_between_any_two_steps_of_erase_is_made_up_for(tmp_path: Path) -> None:
    kept = busy(tmp_path / "log")
    found = find(kept.log, KEYS[:1], [])
    with copies(kept.path, tmp_path) as states:
        erase(kept.log, found.offsets)
    kept.log.close()
    want = {p: without(rows, [row for row in rows if goes(row, rows, KEYS[:1], [])]) for p, rows in kept.rows.items()}
    assert len(states) > 8
    for state in states:
        for partition, rows in kept.rows.items():
            for readonly in (True, False):
                log = Log(state, PARTITIONS, 600, readonly=readonly)
                events, names = read(log, partition)
                have = {int(at): events.take(events.offset == at) for at in events.offset}
                assert names == kept.names
                for row in want[partition]:
                    here = have.pop(row["offset"])
                    assert here in (table([rows[row["offset"]]]), table_or_blank([row]))
                assert all(table([rows[at]]) == row for at, row in have.items())
                log.close()
        assert not list(state.rglob("*.new"))
        log = Log(state, PARTITIONS, 600)
        erase(log, find(log, KEYS[:1], []).offsets)
        for partition in kept.rows:
            assert read(log, partition)[0] == table_or_blank(want[partition])
        log.close()
        assert not [name for name, data in content(state).items() if KEYS[0].to_bytes(8, "little") in data]


def test_a_crash_between_any_two_steps_of_retain_is_made_up_for(tmp_path: Path) -> None:
    kept = busy(tmp_path / "log")
    bounds = {0: 12, 1: 14}
    before = [learned(kept.path, p) for p in range(PARTITIONS)]
    with copies(kept.path, tmp_path) as states:
        done = retained(kept.log, bounds, {})
    kept.log.close()
    assert len(states) > 8
    for state in states:
        assert [learned(state, p) for p in range(PARTITIONS)] == before
        log = Log(state, PARTITIONS, 600)
        assert retained(log, bounds, {}) == done
        for partition, rows in kept.rows.items():
            found = read(log, partition)[0]
            assert not (found.kind[found.offset < done[partition]] == Kind.VIEW).any()
            assert found.take(found.offset >= done[partition]) == table(rows[done[partition] :])
        log.close()
        assert [learned(state, p) for p in range(PARTITIONS)] == before


@pytest.mark.parametrize("work", ["erase", "retain"])
def test_a_full_disk_changes_nothing_and_is_one_line(tmp_path: Path, work: str) -> None:
    kept = busy(tmp_path)
    offsets = find(kept.log, KEYS[:1], []).offsets
    before = content(tmp_path)
    with full_disk(100), pytest.raises(StateError, match=r"^the log in .* cannot be compacted: File too large$"):
        if work == "erase":
            erase(kept.log, offsets)
        else:
            retained(kept.log, {0: 12, 1: 14}, {})
    assert content(tmp_path) == before
    for partition, rows in kept.rows.items():
        kept.holds(partition, rows)
    erase(kept.log, offsets)
    assert not find(kept.log, KEYS[:1], []).kinds
    kept.log.close()


def test_erase_and_retain_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    kept = busy(tmp_path)
    for at in range(300):
        kept.append(at % 2, [{"kind": Kind.VIEW, "user": KEYS[1] if at % 5 == 0 else OTHERS[0], "event": at}], [], 1)
    done: dict[int, int] = {}

    def retaining() -> None:
        for bound in range(4, 16):
            done.update(retained(kept.log, {0: bound, 1: bound}, {}))

    thread = threading.Thread(target=retaining)
    thread.start()
    gone: dict[int, set[int]] = {0: set(), 1: set()}
    for at in range(0, 150, 3):
        for partition in gone:
            gone[partition] |= {at, at + 1}
            erase(kept.log, {partition: np.array([at, at + 1])})
    thread.join()
    for partition, rows in kept.rows.items():
        dropped = [row for row in rows if row["offset"] in gone[partition]]
        want = [row for row in without(rows, dropped) if row["offset"] >= done[partition]]
        found = read(kept.log, partition)[0]
        assert found.take(found.offset >= done[partition]) == table_or_blank(want)
        assert not np.isin(found.kind[found.offset < done[partition]], (Kind.VIEW, Kind.ERASED)).any()
    kept.log.close()


def test_what_a_later_segment_says_is_not_kept_in_an_older_one(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 600)
    for stock in range(60):
        row = {"kind": Kind.ITEM, "item": 11, "data": {"op": "stock", "stock": stock}}
        kept.append(0, [row], [(11, "eleven" * 20), (12, "x" * 100)], 0)
    kept.log.roll(0)
    assert len(kept.log.complete(0)) > 10
    retained(kept.log, {0: 60}, {})
    assert read(kept.log)[0].offset.tolist() == [0, 59]
    assert sum(data.count(b"eleven" * 20) for data in content(tmp_path).values()) == 1
    kept.log.close()


def test_of_what_the_catalogue_does_not_know_nothing_stays(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 1 << 20)
    rows = [{"kind": Kind.ITEM, "item": item, "data": {"title": "t"}} for item in ITEMS]
    kept.append(0, rows, [(11, "eleven"), (12, "twelve")], 0)
    kept.log.roll(0)
    retain(kept.log, {0: compaction.Kept(2, np.empty(0, np.uint64), np.array([12], np.uint64))}, {})
    events, names = read(kept.log)
    assert events.item.tolist() == [12] and names == {12: "twelve"}
    kept.log.close()
