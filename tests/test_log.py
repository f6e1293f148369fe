"""The log: what is appended is read back in order, across segments, crashes in mid-write, and full disks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import everything, fill, full_disk, names, rows

from shopguide.errors import StateError
from shopguide.log import Log
from shopguide.records import Batch

FRAMES = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=6), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(frames=FRAMES, limit=st.integers(1, 9), segment=st.sampled_from([4096, 600, 1 << 20]), reopen=st.booleans())
def test_reads_back_what_was_appended(tmp_path_factory, frames, limit, segment, reopen):
    path = tmp_path_factory.mktemp("log")
    log = Log(path, 2, segment)
    fill(log, frames, 1)
    if reopen:
        log.close()
        log = Log(path, 2, segment)
        fill(log, [[1000]], 1)
        frames = [*frames, [1000]]
    want = [item for frame in frames for item in frame]
    assert everything(log, 1, limit) == want
    assert log.end(1) == len(want) and log.end(0) == 0 and log.read(0, 0, 5) is None
    assert everything(Log(path, 2, readonly=True), 1, limit) == want
    log.close()


def test_a_reader_in_another_process_sees_appends(tmp_path):
    log = Log(tmp_path, 1, segment_bytes=500)
    fill(log, [[1, 2]])
    reader = Log(tmp_path, 1, readonly=True)
    assert everything(reader) == [1, 2]
    fill(log, [[3], [4], [5]])
    assert everything(reader) == [1, 2, 3, 4, 5]
    log.close()


def test_files_are_continued_by_row(tmp_path):
    log = Log(tmp_path, 2)
    assert log.last_row(9, 0) == -1
    log.append(0, rows([1, 2]), names([1, 2]), source=9, row=41)
    log.append(1, rows([1]), names([1]), source=9, row=40)
    log.close()
    log = Log(tmp_path, 2)
    assert (log.last_row(9, 0), log.last_row(9, 1), log.last_row(8, 0)) == (41, 40, -1)
    log.close()


def test_the_number_of_partitions_is_fixed(tmp_path):
    Log(tmp_path, 3).close()
    assert Log.partitions_of(tmp_path, 8) == 3
    with pytest.raises(StateError, match=r"log\.partitions = 4.*has 3"):
        Log(tmp_path, 4)
    with pytest.raises(StateError, match="holds no log"):
        Log(tmp_path / "nothing", 1, readonly=True)


def test_a_full_disk_is_one_clear_error_and_nothing_is_lost(tmp_path):
    log = Log(tmp_path, 1)
    fill(log, [[1, 2]])
    with (
        full_disk(next(tmp_path.rglob("*.seg")).stat().st_size + 100),
        pytest.raises(StateError, match="takes no more"),
    ):
        fill(log, [[3]])
    assert everything(log) == [1, 2]
    fill(log, [[3]])
    log.close()
    assert everything(Log(Path(tmp_path), 1, readonly=True)) == [1, 2, 3]


def a_disk_that_fails(log: Log) -> int:
    """Puts a device that cannot be synced under the last segment's descriptor; returns the number of that."""
    writer = log._parts[0]._writer
    device = os.open("/dev/full", os.O_WRONLY)
    os.dup2(device, writer)
    os.close(device)
    return writer


@pytest.mark.parametrize("how", ["commit", "roll", "append", "closed"])
def test_after_a_failed_sync_the_log_takes_nothing_more(tmp_path: Path, how: str) -> None:
    log = Log(tmp_path, 1, segment_bytes=300)
    fill(log, [[1, 2]])
    file = next(tmp_path.rglob("*.seg"))
    good = os.open(file, os.O_WRONLY)
    if how == "closed":
        os.close(log._parts[0]._writer)
    else:
        a_disk_that_fails(log)
    with pytest.raises(StateError, match=r"could not be made durable: .*; start again"):
        {"roll": lambda: log.roll(0), "append": lambda: fill(log, [[3]])}.get(how, log.commit)()
    os.dup2(good, log._parts[0]._writer)
    os.close(good)
    for again in (lambda: fill(log, [[3]]), log.commit, lambda: log.roll(0), log.close):
        with pytest.raises(StateError, match="start again"):
            again()
    log = Log(tmp_path, 1)
    fill(log, [[3]])
    assert everything(log) == [1, 2, 3]
    log.close()


def test_what_a_failed_sync_left_in_doubt_is_written_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that the disk did not take may count as written: to sync them again would say yes."""
    log = Log(tmp_path, 2, segment_bytes=300)
    fill(log, [[1, 2], [3]])
    fill(log, [[4]], 1)
    a_disk_that_fails(log)
    with pytest.raises(StateError, match="start again"):
        log.commit()
    with pytest.raises(StateError, match="start again"):
        log.close()
    Log(tmp_path, 2, readonly=True).close()
    written: list[tuple[int, bytes]] = []
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: written.append((at, data)) or real(fd, data, at))
    last = [max((tmp_path / f"p{p:04d}").glob("*.seg")) for p in range(2)]
    Log(tmp_path, 2).close()
    assert sorted(written) == sorted((0, file.read_bytes()) for file in last)
    written.clear()
    log = Log(tmp_path, 2)
    assert not written and everything(log) == [1, 2, 3]
    log.close()


def test_a_commit_fails_where_one_file_of_many_does(tmp_path: Path) -> None:
    log = Log(tmp_path, 3)
    for partition in range(3):
        fill(log, [[1]], partition)
    log.commit()
    for partition in range(3):
        fill(log, [[2]], partition)
    a_disk_that_fails(log)
    with pytest.raises(StateError, match="could not be made durable"):
        log.commit()
    with pytest.raises(StateError, match="start again"):
        log.close()


def test_who_listens_hears_what_is_appended_from_then_on(tmp_path: Path) -> None:
    log, heard = Log(tmp_path, 2), []

    def hear(batch: Batch) -> None:
        heard.append((batch.partition, batch.first, batch.events.item.tolist()))

    fill(log, [[1]])
    for _ in range(2):
        log.listen(hear)
    fill(log, [[2, 3]])
    fill(log, [[4]], 1)
    with full_disk(100), pytest.raises(StateError):
        fill(log, [[5] * 1000])
    assert heard == [(0, 1, [2, 3]), (1, 0, [4])]
    log.close()


def test_a_log_that_is_open_for_reading_takes_nothing(tmp_path: Path) -> None:
    Log(tmp_path, 1).close()
    log = Log(tmp_path, 1, readonly=True)
    with pytest.raises(StateError, match="for reading only"):
        fill(log, [[1]])
    log.close()


def test_a_directory_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    Log(tmp_path, 1).close()
    (tmp_path / "p0000" / "00000000000000000000.seg").unlink()
    (tmp_path / "p0000").rmdir()
    (tmp_path / "p0000").write_text("no directory")
    with pytest.raises(StateError, match="cannot be opened: File exists"):
        Log(tmp_path, 1)
