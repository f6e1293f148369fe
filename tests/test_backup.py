"""A backup holds what the directory held at some moment, whatever goes on in it; restored, it is the same model."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from shopguide import durable
from shopguide.backup import backup
from shopguide.cli.at_rest import AtRest
from shopguide.errors import StateError
from shopguide.log import Log
from shopguide.records import Events, Names
from shopguide.segment import frame
from shopguide.settings import load
from shopguide.state import StateDir, fits

COMMAND = [sys.executable, "-c", "from shopguide.cli import main; main()"]
SETTINGS = load("shop", flags={"log.partitions": 2})


def said(*words: str) -> str:
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    said("simulate", "--events", "3000", "--seed", "1", "--out", str(folder / "shop.jsonl"))
    said("run", "--source", f"file:{folder / 'shop.jsonl'}?speed=max", "--state", str(folder / "state"))
    return folder / "state"


def test_a_restored_directory_is_the_same_model_and_goes_on(shop: Path, tmp_path: Path) -> None:
    (shop / "secret").write_text("the secret of this shop")
    (shop / "secret").chmod(0o600)
    done = said("state", "backup", str(shop), str(tmp_path / "kept"))
    assert "links" in done and not list(tmp_path.glob(".*"))
    kept = tmp_path / "kept"
    assert (kept / "secret").read_bytes() == (shop / "secret").read_bytes()
    assert (kept / "secret").stat().st_mode & 0o777 == 0o600 and kept.stat().st_mode & 0o077 == 0
    restored = tmp_path / "restored"
    kept.rename(restored)
    assert said("state", "checksum", str(restored)) == said("state", "checksum", str(shop))
    assert "all invariants hold" in said("state", "check", str(restored))
    before = AtRest(shop).scorer.checksum()
    source = f"file:{shop.parent / 'shop.jsonl'}?speed=max"
    said("run", "--source", source, "--state", str(restored))  # has all of it already
    (restored / "log" / "p0000" / "more").touch()
    assert AtRest(shop).scorer.checksum() == before == AtRest(restored).scorer.checksum()


def test_the_backup_does_not_follow_what_comes_later(shop: Path, tmp_path: Path) -> None:
    backup(shop, tmp_path / "kept")
    before = AtRest(tmp_path / "kept").scorer.checksum()
    said("forget", "--user", "shopper-00001", "--state", str(shop))
    assert AtRest(shop).scorer.checksum() != before == AtRest(tmp_path / "kept").scorer.checksum()


def rows(log: Log, partition: int) -> list[int]:
    found, offset = [], 0
    while batch := log.read(partition, offset, 1000):
        found += batch.events.offset.tolist()
        offset = batch.last + 1
    return found


@contextmanager
def busy(work: Callable[[], None]) -> Iterator[None]:
    """``work`` again and again beside the block."""
    ended, raised = threading.Event(), []

    def again() -> None:
        while not ended.is_set() and not raised:
            try:
                work()
            except Exception as e:
                raised.append(e)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not raised, raised


def test_one_made_while_a_process_works_is_whole(tmp_path: Path) -> None:
    """Rows come, segments are complete, are replaced two by two, snapshots come and go."""
    state = StateDir(tmp_path / "state")
    state.path.mkdir()
    state.keep_settings(SETTINGS)
    log = Log(state.log, 2, segment_bytes=1500)

    def work() -> None:
        for partition in range(2):
            log.append(partition, Events(kind=np.ones(3)), Names())
        complete = log.complete(0)
        if len(complete) > 6:
            first, end = complete[2][0], complete[3][1]
            joined = [frame(batch)[0] for _, batch in log.frames(0, first, end)]
            log.replace(0, first, end, iter(joined))
        at = [log.end(0), log.end(1)]
        state.save({"position": {"position": np.array(at)}, "rank": {"a": np.arange(9)}}, fits(SETTINGS))

    made = 0
    with busy(work):
        while log.end(0) < 120 or made < 20:
            backup(state.path, tmp_path / str(made))
            made += 1
    log.close()
    for number in range(made):
        kept = StateDir(tmp_path / str(number))
        with_log = Log(kept.log, 2)
        for partition in range(2):
            assert rows(with_log, partition) == list(range(with_log.end(partition)))
        parts = kept.newest(fits(SETTINGS), with_log.holds)
        with_log.close()
        assert parts is not None or not kept.snapshots(), "the log lacks rows of the snapshot"


def test_a_wrong_place_is_one_line_and_leaves_nothing(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StateError, match="no state directory"):
        backup(tmp_path / "nowhere", tmp_path / "kept")
    (tmp_path / "there").mkdir()
    with pytest.raises(StateError, match="is there already"):
        backup(shop, tmp_path / "there")

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "write", full)
    with pytest.raises(StateError, match="No space left"):
        backup(shop, tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_without_links_everything_is_copied(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    made = backup(shop, tmp_path / "kept")
    assert made.linked == 0 and made.files > 10
    assert AtRest(tmp_path / "kept").scorer.checksum() == AtRest(shop).scorer.checksum()
