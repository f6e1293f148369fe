"""Logs that are followed: every line once, whatever rotation, truncation, compression and kills do meanwhile."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from test_access_log import record

from shopguide.collect import follow, generation
from shopguide.collect.collector import Collector
from shopguide.collect.follow import Followed, open_follower
from shopguide.collect.sources import open_source, open_sources
from shopguide.errors import SourceError
from shopguide.keys import Secret, item_key
from shopguide.log import Log
from shopguide.records import Events, Kind, Names
from shopguide.settings import CollectSettings, Settings

COLLECT = Settings().collect
SECRET = Secret(b"a secret for the tests")


def line(number: int) -> bytes:
    """Another shopper now and then, so that chunks reach several partitions; a third is nothing that counts."""
    target = f"/product/n{number}" if number % 3 else f"/about/{number}"
    return record(f"GET {target} HTTP/1.1", host=f"203.0.{number % 7}.9").encode() + b"\n"


def counted(numbers: range | list[int]) -> Counter[int]:
    return Counter(item_key(f"n{number}") for number in numbers if number % 3)


class KilledError(Exception):
    pass


class Mortal(Log):
    """A log whose process is killed at its ``left``-th append."""

    left = 1 << 30

    def append(self, partition: int, events: Events, names: Names, source: int = 0, row: int = -1) -> int:
        self.left -= 1
        if self.left < 0:
            raise KilledError
        return super().append(partition, events, names, source, row)


class State:
    """A state directory and what follows a log into it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "access.log"
        self._state = folder / "state"
        self.start()

    def start(self) -> None:
        self.log = Mortal(self._state, 3)
        self._collector = Collector(self.log, SECRET)
        self._followed = Followed(self.path, COLLECT)

    def sent(self, source: int) -> int:
        return max(self.log.last_row(source, partition) for partition in range(3))

    def look(self, times: int = 2, left: int = 1 << 30) -> None:
        """Some looks; a kill, and a new start, at an append."""
        self.log.left = left
        try:
            for _ in range(times):
                for chunk in self._followed.chunks(self.sent):
                    self._collector.load(chunk)
                    self._collector.commit()
        except KilledError:
            self.restart()

    def close(self) -> None:
        self._followed.close()
        self.log.close()

    def restart(self) -> None:
        self.close()
        self.start()

    def rows(self) -> Events:
        batches = [self.log.read(p, 0, 1 << 20) for p in range(3)]
        return Events.join([batch.events for batch in batches if batch is not None])

    def taken(self) -> Counter[int]:
        rows = self.rows()
        assert (rows.kind == Kind.VIEW).all()
        return Counter(rows.item.tolist())


class Rotation(RuleBasedStateMachine):
    """A server writes, logrotate rotates, the line follows and is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patched = pytest.MonkeyPatch()
        self.patched.setattr(generation, "READ", 600)
        self.patched.setattr(follow, "LINGER", 0.0)
        self.state = State(self.folder)
        self.path = self.state.path
        self.written = 0
        self.half = b""  # of a line that is being written
        self.read = 0  # lines written when all had been taken

    def teardown(self) -> None:
        self.finish_line()
        self.state.look()
        assert self.state.taken() == counted(range(self.written))
        self.state.close()
        self.patched.undo()
        shutil.rmtree(self.folder)

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def finish_line(self) -> None:
        """Then PATH is there."""
        self.write(self.half)
        self.half = b""

    @rule(n=st.integers(1, 30))
    def lines(self, n: int) -> None:
        self.finish_line()
        self.write(b"".join(line(self.written + at) for at in range(n)))
        self.written += n

    @rule(cut=st.integers(1, 100))
    def half_a_line(self, cut: int) -> None:
        self.finish_line()
        whole = line(self.written)
        self.written += 1
        self.write(whole[:cut])
        self.half = whole[cut:]

    def shift(self) -> None:
        """Older generations make room for a new PATH.1."""
        old = sorted(self.folder.glob("access.log.*"), key=lambda p: int(p.name.split(".")[2]), reverse=True)
        for path in old:
            _, _, number, *packed = path.name.split(".")
            path.rename(self.folder / ".".join(["access.log", str(int(number) + 1), *packed]))

    @rule(create=st.booleans())
    def rename(self, create: bool) -> None:
        self.finish_line()
        self.shift()
        self.path.rename(self.folder / "access.log.1")
        if create:
            self.path.touch()

    @rule(look=st.booleans(), after=st.integers(0, 9))
    def copy_and_truncate(self, look: bool, after: int) -> None:
        self.finish_line()
        self.shift()
        shutil.copyfile(self.path, self.folder / "access.log.1")
        if look:
            self.state.look()
        with self.path.open("r+b") as file:
            file.truncate()
        if after:
            self.lines(after)

    @rule(data=st.data())
    def compress(self, data: st.DataObject) -> None:
        plain = sorted(p for p in self.folder.glob("access.log.*") if p.suffix != ".gz")
        if plain:
            path = data.draw(st.sampled_from(plain))
            packed = path.with_name(f"{path.name}.gz")
            packed.write_bytes(gzip.compress(path.read_bytes()))
            if data.draw(st.booleans()):
                self.state.look()
            path.unlink()

    @rule()
    def drop_the_oldest_that_was_read(self) -> None:
        self.state.look()
        old = sorted(self.folder.glob("access.log.*"), key=lambda p: int(p.name.split(".")[2]))
        for path in old[3:]:
            path.unlink()

    @rule(times=st.integers(1, 2), left=st.integers(0, 12) | st.just(1 << 30))
    def follow(self, times: int, left: int) -> None:
        self.state.look(times, left)

    @rule()
    def start_again(self) -> None:
        self.state.restart()

    @invariant()
    def no_line_twice(self) -> None:
        assert not self.state.taken() - counted(range(self.written))


Rotation.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestRotation = Rotation.TestCase


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    found = State(tmp_path)
    yield found
    found.close()


def write(path: Path, *numbers: int) -> None:
    with path.open("ab") as file:
        file.write(b"".join(map(line, numbers)))


def test_a_line_waits_for_its_end(state: State) -> None:
    whole = record("GET /product/%C3%A9n1 HTTP/1.1", agent="Firefox é").encode() + b"\r\n"
    cut = whole.index(b"\xc3") + 1  # in the midst of a character
    state.path.write_bytes(line(1) + whole[:cut])
    state.look()
    assert state.taken() == counted([1])
    with state.path.open("ab") as file:
        file.write(whole[cut:])
    state.look()
    assert state.taken() == counted([1]) + Counter([item_key("én1")])


def test_a_truncated_log_is_another_even_where_it_is_longer_at_the_next_look(state: State) -> None:
    write(state.path, 1, 2)
    state.look()
    write(state.path, 4)
    shutil.copyfile(state.path, state.path.with_name("access.log.1"))
    state.path.write_bytes(b"".join(map(line, (5, 7, 8, 10, 11))))
    state.look()
    assert state.taken() == counted([1, 2, 4, 5, 7, 8, 10, 11])


def test_what_comes_after_the_rename_is_read_from_where_it_went(state: State) -> None:
    write(state.path, 1)
    state.look()
    with state.path.open("ab") as server:
        state.path.rename(state.path.with_name("access.log.1"))
        server.write(line(2))
        server.flush()
        write(state.path, 4)
        state.look()
        server.write(line(5))
    state.look()
    state.path.with_name("access.log.1").unlink()
    assert state.taken() == counted([1, 2, 4, 5])


def test_history_is_read_oldest_first_under_all_names(state: State) -> None:
    names = ["access.log-20261125.gz", "access-20261126.log", "access.log.2.gz", "access.log.1"]
    for at, name in enumerate(names):
        data = line(3 * at + 1)
        path = state.path.with_name(name)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        os.utime(path, (1_700_000_000 + at, 1_700_000_000 + at))
    for name in ("access.logs", "access-2.log", "access.log.old", "error.log.1"):
        write(state.path.with_name(name), 100)
    write(state.path, 13)
    state.look()
    assert state.taken() == counted([1, 4, 7, 10, 13])
    anew = Followed(state.path, COLLECT)
    assert [i for chunk in anew.chunks(lambda source: -1) for i in chunk.columns["item"]] == [
        "n1", "n4", "n7", "n10", "n13",
    ]  # fmt: skip
    anew.close()


def test_a_compressed_generation_goes_on_where_the_plain_one_was_left(state: State) -> None:
    write(state.path, 1, 2)
    state.look()
    write(state.path, 4)
    state.path.with_name("access.log.1.gz").write_bytes(gzip.compress(state.path.read_bytes()))
    state.path.unlink()
    state.restart()
    state.look()
    assert state.taken() == counted([1, 2, 4])


def test_a_damaged_history_says_so_and_the_rest_is_read(state: State) -> None:
    packed = gzip.compress(b"".join(map(line, range(1, 4000))), mtime=0)
    state.path.with_name("access.log.1.gz").write_bytes(packed[: len(packed) // 2])
    write(state.path, 4000)
    state.look()
    rows = state.rows()
    reasons = [rows.details(row)["reason"] for row in range(len(rows)) if rows.kind[row] == Kind.MALFORMED]
    taken = set(rows.item.tolist())
    assert reasons == ["file is truncated"] and {item_key("n1"), item_key("n1000"), item_key("n4000")} <= taken


def test_a_long_line_is_rejected_and_those_after_it_are_read(state: State) -> None:
    state.path.write_bytes(line(1) + b"x" * (5 << 20) + b"\n" + line(2))
    state.look()
    rows = state.rows()
    assert Counter(rows.item[rows.kind == Kind.VIEW].tolist()) == counted([1, 2])
    assert (rows.kind == Kind.MALFORMED).sum() == 3


def test_rules_may_change_while_a_log_is_followed(state: State) -> None:
    write(state.path, 1, 2, 3)
    state.look()
    write(state.path, 4, 6)
    about = {"rules": [{"kind": "view", "path": "/about/(?P<item>.+)"}]}
    other = Followed(state.path, CollectSettings.model_validate(about))
    for chunk in other.chunks(state.sent):
        Collector(state.log, SECRET).load(chunk)
    other.close()
    taken = state.taken()
    assert max(taken.values()) == 1 and counted([1, 2]) + Counter([item_key("6")]) <= taken


def test_a_log_that_begins_as_the_one_before_is_named(state: State, caplog: pytest.LogCaptureFixture) -> None:
    write(state.path, 1, 2)
    state.look()
    state.path.rename(state.path.with_name("access.log.1"))
    write(state.path, 1, 4)
    state.look()
    assert "begins with the line that" in caplog.text


def test_a_log_that_comes_later_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, seen = tmp_path / "access.log", []
    follower = open_follower([f"follow:{path}"], COLLECT)
    assert "waiting for it" in caplog.text

    def wait(seconds: float) -> bool:
        write(path, 1)
        return bool(seen)

    for chunk in follower.chunks(wait=wait):
        seen.append(chunk.rows)
    assert seen == [1] and (follower.position, follower.total) == (0, 0)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("follow:", "should be follow:PATH"),
        ("follow:access.log?format=x", "should be follow:PATH"),
        ("follow:/nowhere/at/all.log", "there is no folder /nowhere/at"),
        ("follow:/tmp", "is no regular file"),
        ("follow:/dev/null", "is no regular file"),
    ],
)
def test_a_wrong_spec_is_one_clear_line(spec: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as error:
        open_follower([spec], COLLECT)
    assert "\n" not in str(error.value)


def test_what_has_to_end_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not end"):
        open_source(f"follow:{tmp_path / 'a.log'}", tmp_path / "state", COLLECT)


def test_what_is_followed_comes_after_what_ends(tmp_path: Path) -> None:
    for name in ("a.log", "b.log"):
        write(tmp_path / name, 1, 2)
    specs = [f"follow:{tmp_path / 'a.log'}", f"file:{tmp_path / 'b.log'}", f"follow:{tmp_path / 'b.log'}"]
    assert [source.label for source in open_sources(specs, tmp_path / "state", COLLECT)] == ["1 files", "following"]
