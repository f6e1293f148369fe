"""The collector: each row in its partition once, whatever the interruption."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopguide.catalogue import Catalogue
from shopguide.collect import files as files_module
from shopguide.collect.collector import Collector, Receipt
from shopguide.collect.files import open_source
from shopguide.errors import StateError
from shopguide.keys import Secret, item_key, partition_of
from shopguide.log import Log
from shopguide.records import Batch, Events, Kind, Names

SECRET = Secret(b"a secret for the tests")
PARTITIONS = 3
NOW = 1_700_000_000.0


def everything(log: Log) -> list[Batch]:
    return [log.read(p, 0, 1 << 30) or Batch(p, 0, -1, Events(), Names()) for p in range(log.partitions)]


def contents(log: Log) -> list[list[tuple[Any, ...]]]:
    """Rows of each partition but for when they came."""
    return [
        [
            (int(b.events.kind[r]), int(b.events.user[r]), int(b.events.item[r]), b.events.data.bytes_at(r))
            for r in range(len(b.events))
        ]
        for b in everything(log)
    ]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log", PARTITIONS)
    yield log
    log.close()


@pytest.fixture
def collector(log: Log) -> Collector:
    return Collector(log, SECRET, lambda: NOW)


@pytest.mark.parametrize("again", [True, False], ids=["another process", "the same"])
def test_what_was_deleted_comes_back_by_the_catalogue_not_by_a_late_event(log: Log, again: bool) -> None:
    def says(**row: Any) -> bool:
        nonlocal collector
        collector = Collector(log, SECRET, lambda: NOW) if again else collector
        collector.collect([{"item": "stream", **row}])
        catalogue = Catalogue()
        for batch in everything(log):
            catalogue.learn(batch)
        assert catalogue.title(item_key("stream")) == row.get("title", "Evening show")
        return catalogue.available(item_key("stream"))

    collector = Collector(log, SECRET, lambda: NOW)
    assert says(kind="item", title="Evening show")
    assert not says(kind="item", op="delete")
    assert not says(user="u", title="Evening show")
    assert not says(user="u", title="Evening show, repeated")
    assert not says(kind="item", op="stock", stock=3, title="Evening show")
    assert says(kind="item", title="Evening show")


def row(user: str, item: str = "i1", **more: Any) -> dict[str, Any]:
    return {"user": user, "item": item, "time": NOW, **more}


def test_rows_go_to_the_partition_of_their_user_and_items_to_their_own(log: Log, collector: Collector) -> None:
    rows = [row(f"u{n}", f"i{n % 5}", title=f"T{n % 5}", category="C") for n in range(40)]
    assert collector.collect(rows) == Receipt(40, 0)
    for batch in everything(log):
        events = batch.events
        owner = np.where(events.kind == Kind.ITEM, events.item, events.user)
        assert {partition_of(int(key), PARTITIONS) for key in owner} == {batch.partition}
        assert set(events.item.tolist()) <= set(batch.names.key.tolist())
        assert len(set(batch.names.key.tolist())) == len(batch.names.key)
        assert b"C" in map(bytes, batch.names.text)
    assert sum(len(b.events) for b in everything(log)) == 45


def test_a_user_stays_in_order(log: Log, collector: Collector) -> None:
    collector.collect([row("u", f"i{n}") for n in range(50)])
    (items,) = [b.events.item.tolist() for b in everything(log) if len(b.events)]
    assert items == [item_key(f"i{n}") for n in range(50)]


def test_receipts_count_refusals(collector: Collector, log: Log) -> None:
    rows = [row("u"), row("u", consent=False), {}, row("u", consent=True), {"consent": "no"}]
    assert collector.collect(rows) == Receipt(3, 2)
    assert collector.collect([]) == Receipt(0, 0)
    assert collector.collect([row("u", consent=False)]) == Receipt(0, 1)
    assert sum(len(b.events) for b in everything(log)) == 3


def test_batches_are_appended_as_one_with_a_receipt_each(log: Log, collector: Collector) -> None:
    batches = [
        [row("a", "i1", title="One"), row("a", "i2", consent=False)],
        [],
        [row("a", "i1", title="One"), {}, row("a", Consent="no")],
        [row("a", consent=0)],
    ]
    assert collector.collect_all(batches) == [Receipt(1, 1), Receipt(0, 0), Receipt(2, 1), Receipt(0, 1)]
    assert collector.collect_all([]) == []
    assert sum(len(b.events) for b in everything(log)) == 4  # one of them the item's own


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=5), max_size=6))
def test_batches_at_once_are_the_rows_of_batches_one_by_one(tmp_path_factory, users: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("log")
    logs = Log(path / "at once", PARTITIONS), Log(path / "one by one", PARTITIONS)
    at_once, one_by_one = (Collector(log, SECRET, lambda: NOW) for log in logs)
    batches = [
        [row(user, f"i{user}", title=f"{user} {n % 2}", kind="view" if n % 3 else "?") for user in batch]
        for n, batch in enumerate(users)
    ]
    assert at_once.collect_all(batches) == [one_by_one.collect(batch) for batch in batches]
    assert contents(logs[0]) == contents(logs[1])
    for log in logs:
        log.close()


def test_what_a_refused_row_said_of_its_item_is_news_again(log: Log) -> None:
    dying = Dying(log, 0)
    collector = Collector(dying, SECRET, lambda: NOW)
    with pytest.raises(StateError):
        collector.collect([row("u", title="T")])
    dying.takes = 9
    collector.collect([row("u", title="T")])
    assert sorted(int(kind) for b in everything(log) for kind in b.events.kind) == [Kind.VIEW, Kind.ITEM]


def test_a_row_without_a_time_is_of_now(collector: Collector, log: Log) -> None:
    collector.collect([{"user": "u", "item": "i"}, {"user": "u", "item": "i", "time": None}, row("u", time="")])
    (events,) = [b.events for b in everything(log) if len(b.events)]
    assert events.time.tolist() == [NOW] * 3 and events.kind.tolist() == [1, 1, Kind.MALFORMED]


@pytest.mark.parametrize(
    ("depth", "keeps"), [(300, b'{"user": "u", "item": [[['), (1020, b'{"fields":["user","item"]}')]
)
def test_a_row_nested_deep_is_malformed_like_any_other(
    collector: Collector, log: Log, depth: int, keeps: bytes
) -> None:
    deep = orjson.loads(b"[" * depth + b"]" * depth)
    assert collector.collect([row("u", "i"), {"user": "u", "item": deep}, row("u", "i")]) == Receipt(3, 0)
    (events,) = [b.events for b in everything(log) if len(b.events)]
    assert events.kind.tolist() == [1, Kind.MALFORMED, 1]
    assert events.details(1)["raw"].startswith(keeps)


def test_what_a_malformed_row_keeps(collector: Collector, log: Log) -> None:
    bad = {"user": "u", "item": "", "ip": "192.0.2.7", "user_key": 5, "odd": object}
    collector.collect([bad, {"user": "u"}], [b"given with 192.0.2.7", b"\x00given"])
    collector.collect([{"user": "u"}])
    kept = [b.events.details(r)["raw"] for b in everything(log) for r in range(len(b.events))]
    assert sorted(kept) == sorted(
        [b'{"user": "u", "item": "", "odd": "<class \'object\'>"}', b"\x00given", b'{"user":"u"}']
    )


def test_control_rows(log: Log, collector: Collector) -> None:
    collector.control(Kind.WATCH, 7 << 32, expires=NOW + 60, slot="home", n=5)
    collector.control(Kind.PICK, 1 << 32, 5 << 32, action="pin")
    collector.control(Kind.FORGET, 7 << 32)
    watch, pick = everything(log)[partition_of(7 << 32, PARTITIONS)], everything(log)[partition_of(5 << 32, PARTITIONS)]
    assert watch.events.kind.tolist() == [Kind.WATCH, Kind.FORGET]
    assert watch.events.details(0) == {"expires": NOW + 60, "slot": "home", "n": 5} and watch.events.details(1) == {}
    assert pick.events.kind.tolist() == [Kind.PICK] and pick.events.item.tolist() == [5 << 32]


def lines(n: int) -> str:
    bad = ["u,i,never", "", "u,,5", "no", 'u,i,5,"']
    rows = [bad[n % 5] if n % 7 == 3 else f"u{n % 11},i{n % 5},{1_700_000_000 + n},T{n % 3}" for n in range(n)]
    return "user,item,time,title\n" + "\n".join(rows) + "\n"


class Dying:
    """A log that takes some appends and then no more."""

    def __init__(self, log: Log, takes: int) -> None:
        self.partitions, self.commit, self.last_row = log.partitions, log.commit, log.last_row
        self._log, self.takes = log, takes

    def append(self, *row: Any) -> int:
        if not self.takes:
            raise StateError("the log takes no more")
        self.takes -= 1
        return self._log.append(*row)


@settings(max_examples=60)
@given(rows=st.integers(0, 120), chunk=st.integers(1, 40), takes=st.lists(st.integers(0, 20), max_size=4))
def test_a_file_is_in_the_log_once_whatever_interrupts(
    tmp_path_factory, rows: int, chunk: int, takes: list[int]
) -> None:
    path = tmp_path_factory.mktemp("file")
    file = path / "events.csv"
    file.write_text(lines(rows))
    logs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_module, "CHUNK", chunk)
        for name, lives in (("straight", []), ("interrupted", takes)):
            log = Log(path / name, PARTITIONS)
            for life in lives:
                dying = Collector(Dying(log, life), SECRET, lambda: NOW)
                with contextlib.suppress(StateError):
                    for part in open_source(f"file:{file}").chunks():
                        dying.load(part)
                log.close()
                log = Log(path / name, PARTITIONS)
            for _ in range(2):
                collector = Collector(log, SECRET, lambda: NOW)
                receipts = [collector.load(part) for part in open_source(f"file:{file}").chunks()]
            assert sum(r.accepted for r in receipts) == 0  # the second reading
            logs.append(contents(log))
            log.close()
    assert logs[0] == logs[1]
    assert sum(r[0] != Kind.ITEM for part in logs[0] for r in part) == sum(bool(x) for x in lines(rows).split("\n")[1:])


def test_a_file_that_grew_is_continued(tmp_path: Path, log: Log, collector: Collector) -> None:
    file = tmp_path / "events.csv"
    file.write_text(lines(20))
    first = sum(collector.load(chunk).accepted for chunk in open_source(f"file:{file}").chunks())
    file.write_text(lines(30))
    more = sum(collector.load(chunk).accepted for chunk in open_source(f"file:{file}").chunks())
    assert first + more == sum(bool(x) for x in lines(30).split("\n")[1:])


def test_threads_share_a_collector(log: Log, collector: Collector) -> None:
    def work(name: str) -> None:
        for n in range(50):
            collector.collect([row(f"{name}{n}", f"i{n}", title=f"T{n}")])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = [b.events for b in everything(log)]
    assert sum(int((e.kind == Kind.VIEW).sum()) for e in events) == 200
    assert sum(int((e.kind == Kind.ITEM).sum()) for e in events) == 50
