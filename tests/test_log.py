"""The log: what is appended is read back in order, across segments, crashes in mid-write, and full disks."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopguide.errors import StateError
from shopguide.log import Log
from shopguide.records import Events, Names, Ragged


def rows(items: list[int]) -> Events:
    return Events(kind=np.ones(len(items)), user=np.full(len(items), 7), item=items)


def names(items: list[int]) -> Names:
    return Names(key=items, text=Ragged.of_bytes([b"i%d" % i for i in items]))


def fill(log: Log, frames: list[list[int]], partition: int = 0) -> None:
    for frame in frames:
        log.append(partition, rows(frame), names(frame))


def everything(log: Log, partition: int = 0, limit: int = 3) -> list[int]:
    items: list[int] = []
    named: set[int] = set()
    while (batch := log.read(partition, len(items), limit)) is not None:
        assert batch.first == len(items) and len(batch.events) <= limit
        assert batch.events.offset.tolist() == list(range(batch.first, batch.last + 1))
        named |= set(batch.names.key.tolist())
        assert set(batch.events.item.tolist()) <= named
        items += batch.events.item.tolist()
    return items


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


@settings(max_examples=60, deadline=None)
@given(frames=FRAMES, cut=st.integers(1, 400), flip=st.booleans())
def test_a_torn_tail_loses_only_the_torn_frame(tmp_path_factory, frames, cut, flip):
    path = tmp_path_factory.mktemp("log")
    log = Log(path, 1)
    fill(log, frames[:-1])
    whole = sum(f.stat().st_size for f in path.rglob("*.seg"))
    fill(log, frames[-1:])
    log.close()
    segment = next(path.rglob("*.seg"))
    size = segment.stat().st_size
    at = max(whole, size - cut)
    if flip:
        data = bytearray(segment.read_bytes())
        data[at] ^= 0xFF
        segment.write_bytes(data)
    else:
        os.truncate(segment, at)
    want = [item for frame in frames[:-1] for item in frame]
    assert everything(Log(path, 1, readonly=True)) == want
    log = Log(path, 1)
    assert everything(log) == want
    fill(log, [[5, 6]])
    assert everything(log) == [*want, 5, 6]
    log.close()


def test_a_reader_in_another_process_sees_appends(tmp_path):
    log = Log(tmp_path, 1, segment_bytes=500)
    fill(log, [[1, 2]])
    reader = Log(tmp_path, 1, readonly=True)
    assert everything(reader) == [1, 2]
    fill(log, [[3], [4], [5]])
    assert everything(reader) == [1, 2, 3, 4, 5]
    log.close()


def test_a_corrupt_frame_before_the_end_is_an_error_not_a_loss(tmp_path):
    log = Log(tmp_path, 1)
    fill(log, [[1], [2], [3]])
    log.close()
    segment = next(tmp_path.rglob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    with pytest.raises(StateError, match=r"at byte \d+"):
        everything(Log(tmp_path, 1, readonly=True))


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
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (next(tmp_path.rglob("*.seg")).stat().st_size + 100, hard))
        with pytest.raises(StateError, match="takes no more"):
            fill(log, [[3]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert everything(log) == [1, 2]
    fill(log, [[3]])
    log.close()
    assert everything(Log(Path(tmp_path), 1, readonly=True)) == [1, 2, 3]
