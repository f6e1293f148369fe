"""A partition: torn tails go, damage is an error and never a loss, and segments can be replaced under a reader."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import content, everything, fill, full_disk, read

from shopguide import partition as partition_module
from shopguide.errors import StateError
from shopguide.log import Log
from shopguide.records import Batch, Events, Names
from shopguide.segment import Segment, frame

FRAMES = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=6), min_size=1, max_size=12)
SMALL = 700  # bytes of a segment: two frames or three


def segments(path: Path) -> list[Path]:
    return sorted(path.rglob("*.seg"))


def places(file: Path) -> list[int]:
    segment = Segment(file)
    found = [place for place, _ in segment.frames()]
    segment.close()
    return found


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 0xFF
    file.write_bytes(data)


def as_one(log: Log, first: int, end: int) -> Iterator[bytes]:
    """All rows of complete segments as one frame."""
    batches = [batch for _, batch in log.frames(0, first, end)]
    events, names = Events.join([b.events for b in batches]), Names.join([b.names for b in batches])
    yield frame(Batch(0, first, end - 1, events, names), source=5, row=77)[0]


def ready(path: Path, frames: int = 12, segment_bytes: int = SMALL) -> Log:
    """A log of items 0, 1, 2 ... in frames of one row."""
    log = Log(path, 1, segment_bytes)
    fill(log, [[item] for item in range(frames)])
    return log


@settings(max_examples=50)
@given(frames=FRAMES, limit=st.integers(1, 9), every=st.sampled_from([1, 500, 1 << 20]), seeks=st.lists(st.integers(0)))
def test_any_offset_is_found_through_the_sparse_index(
    tmp_path_factory: pytest.TempPathFactory, frames: list[list[int]], limit: int, every: int, seeks: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition_module, "INDEX_EVERY", every)
        path = tmp_path_factory.mktemp("log")
        log = Log(path, 1, 1500)
        fill(log, frames)
        want = [item for frame in frames for item in frame]
        reader = Log(path, 1, readonly=True)
        for offset in [0, *(seek % len(want) for seek in seeks)]:
            for one in (log, reader):
                found, named = read(one, 0, limit, offset)
                assert found.item.tolist() == want[offset:] and set(want[offset:]) <= named.keys()
        log.close()
        reader.close()


def test_names_come_once_and_again_after_a_seek_into_a_frame(tmp_path: Path) -> None:
    log = Log(tmp_path, 1)
    fill(log, [[1, 2, 3, 4], [5]])

    def named(offset: int, limit: int) -> list[int]:
        batch = log.read(0, offset, limit)
        assert batch is not None
        return batch.names.key.tolist()

    assert [named(0, 2), named(2, 2), named(4, 2)] == [[1, 2, 3, 4], [], [5]]
    assert [named(2, 1), named(3, 1)] == [[1, 2, 3, 4], []]
    log.close()


@settings(max_examples=60)
@given(frames=FRAMES, torn=st.integers(1, 4), kind=st.sampled_from(["zeros", "flip", "cut"]), where=st.integers(0))
def test_a_torn_tail_of_several_frames_goes_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, frames: list[list[int]], torn: int, kind: str, where: int
) -> None:
    path = tmp_path_factory.mktemp("log")
    log = Log(path, 1)
    fill(log, frames)
    log.close()
    (file,) = segments(path)
    starts = [*places(file), file.stat().st_size]
    torn = min(torn, len(frames))
    data = bytearray(file.read_bytes())
    for start, end in list(pairwise(starts))[-torn:]:
        if kind == "zeros":
            data[start + where % (end - start) : end] = bytes(end - start - where % (end - start))
        else:
            data[start + where % (end - start)] ^= 0xFF
    begin, end = starts[-torn - 1], starts[-torn]
    if kind == "cut":
        del data[begin + where % (end - begin) :]
    file.write_bytes(data)
    want = [item for frame in frames[:-torn] for item in frame]
    reader = Log(path, 1, readonly=True)
    assert everything(reader) == want
    log = Log(path, 1)
    fill(log, [[5, 6]])
    assert everything(log) == [*want, 5, 6] == everything(reader)
    log.close()
    reader.close()


@pytest.mark.parametrize("where", [0, 5, 30, 60, 150])
@pytest.mark.parametrize("damaged", [0, 4, 10])
def test_damage_before_the_end_names_file_and_byte_and_deletes_nothing(
    tmp_path: Path, damaged: int, where: int
) -> None:
    ready(tmp_path, segment_bytes=1 << 20).close()
    (file,) = segments(tmp_path)
    place = places(file)[damaged]
    flip(file, place + where)
    before = content(tmp_path)
    for readonly in (True, False):
        with pytest.raises(StateError, match=rf"{file.name} at byte {place}: row {damaged} is damaged"):
            Log(tmp_path, 1, readonly=readonly)
    assert content(tmp_path) == before


@pytest.mark.parametrize("how", ["header", "payload", "cut", "gone", "first gone", "another's"])
def test_a_damaged_segment_in_the_middle_is_an_error_and_nothing_is_deleted(tmp_path: Path, how: str) -> None:
    ready(tmp_path).close()
    file = segments(tmp_path)[0 if how == "first gone" else 1]
    place = places(file)[-1]
    if how == "cut":
        os.truncate(file, place + 40)
    elif "gone" in how:
        file.unlink()
    elif how == "another's":
        file.write_bytes(segments(tmp_path)[2].read_bytes())
    else:
        flip(file, place + (10 if how == "header" else 60))
    before = content(tmp_path)
    with pytest.raises(StateError) as caught:
        everything(Log(tmp_path, 1))
    message = str(caught.value)
    assert file.name in message and "\n" not in message
    assert str(place) in message or how in ("gone", "first gone", "another's")
    assert content(tmp_path) == before


def test_what_was_just_written_is_not_read_again_and_older_frames_are(tmp_path: Path) -> None:
    frames = partition_module.FRESH + 2
    log = ready(tmp_path, frames, segment_bytes=1 << 20)
    for offset in (0, 1, 2):
        flip(segments(tmp_path)[0], places(segments(tmp_path)[0])[offset] + 60)
    assert log.read(0, 2, 1).events.item.tolist() == [2]  # type: ignore[union-attr]
    assert read(log, offset=2)[0].item.tolist() == list(range(2, frames))
    with pytest.raises(StateError):
        log.read(0, 1, 1)
    log.close()


def test_damage_that_comes_while_the_log_is_open_is_not_taken_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_module, "FRESH", 0)
    log = ready(tmp_path)
    reader = Log(tmp_path, 1, readonly=True)
    flip(segments(tmp_path)[1], 2)
    for one in (log, reader):
        with pytest.raises(StateError, match="is damaged"):
            everything(one)
    reader.close()
    log.close()


def test_replaced_segments_hold_the_same_rows_at_once_and_when_opened_again(tmp_path: Path) -> None:
    log = ready(tmp_path)
    reader = Log(tmp_path, 1, readonly=True)
    complete = log.complete(0)
    assert len(complete) > 3
    first, end = complete[1][0], complete[-1][1]
    log.replace(0, first, end, as_one(log, first, end))
    assert log.complete(0) == [complete[0], (first, end)] and len(segments(tmp_path)) == 3
    assert everything(log) == everything(reader) == list(range(12))
    fill(log, [[12]])
    assert everything(log) == everything(reader) == list(range(13))
    assert log.last_row(5, 0) == -1  # of what is read, not of what is replaced
    log.close()
    log = Log(tmp_path, 1, SMALL)
    assert everything(log) == list(range(13)) and log.last_row(5, 0) == 77
    log.close()
    reader.close()


@pytest.mark.parametrize("seen", range(13))
def test_a_reader_from_before_a_replace_reads_on_to_the_end(tmp_path: Path, seen: int) -> None:
    log = ready(tmp_path, seen)
    reader = Log(tmp_path, 1, readonly=True)
    assert everything(reader) == list(range(seen))
    fill(log, [[item] for item in range(seen, 12)])
    log.roll(0)
    log.replace(0, 0, 12, as_one(log, 0, 12))
    found, named = read(reader, offset=seen)
    assert found.item.tolist() == list(range(seen, 12)) and set(range(seen, 12)) <= named.keys()
    fill(log, [[12]])
    assert everything(reader) == list(range(13))
    log.close()
    reader.close()


def test_names_of_rows_not_read_yet_come_also_where_their_frame_became_part_of_another(tmp_path: Path) -> None:
    log = ready(tmp_path)
    first = log.read(0, 0, 5)
    assert first is not None and first.names.key.tolist() == [0, 1, 2, 3, 4]
    log.roll(0)
    log.replace(0, 0, 12, as_one(log, 0, 12))
    found, named = read(log, offset=5)
    assert found.item.tolist() == list(range(5, 12)) and set(range(5, 12)) <= named.keys()
    log.close()


def test_what_a_crash_left_of_a_replacement_is_removed_when_opened(tmp_path: Path) -> None:
    log = ready(tmp_path)
    before = content(tmp_path)
    first, end = log.complete(0)[0][0], log.complete(0)[2][1]
    log.replace(0, first, end, as_one(log, first, end))
    log.close()
    after = content(tmp_path)
    for name, data in before.items():
        (tmp_path / name).write_bytes(after.get(name, data))  # renamed, not yet unlinked
    (tmp_path / "p0000" / "00000000000000000003.new").write_bytes(b"half a fra")
    reader = Log(tmp_path, 1, readonly=True)
    assert everything(reader) == list(range(12)) and (tmp_path / "p0000" / "00000000000000000003.new").exists()
    log = Log(tmp_path, 1, SMALL)
    assert content(tmp_path) == after and everything(log) == list(range(12))
    log.close()
    reader.close()


def test_a_replacement_that_the_disk_refuses_changes_nothing(tmp_path: Path) -> None:
    log = ready(tmp_path)
    before, (_, end) = content(tmp_path), log.complete(0)[-1]
    with full_disk(300), pytest.raises(StateError, match="cannot be compacted: File too large"):
        log.replace(0, 0, end, as_one(log, 0, end))
    assert content(tmp_path) == before and everything(log) == list(range(12))
    log.replace(0, 0, end, as_one(log, 0, end))
    assert everything(log) == list(range(12))
    log.close()


def test_appends_and_reads_go_on_while_segments_are_replaced(tmp_path: Path) -> None:
    log = ready(tmp_path, 8, 400)
    reader = Log(tmp_path, 1, readonly=True)
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            complete = log.complete(0)
            first, end = complete[-min(3, len(complete))][0], complete[-1][1]
            log.replace(0, first, end, as_one(log, first, end))

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        for item in range(8, 400):
            fill(log, [[item]])
            if item % 40 == 0:
                assert everything(log) == everything(reader) == list(range(item + 1))
    finally:
        stop.set()
        thread.join()
    assert everything(log) == list(range(400))
    log.close()
    assert everything(Log(tmp_path, 1, readonly=True)) == list(range(400))
    reader.close()


@pytest.mark.parametrize("room", [0, 10, 60, 200])
def test_what_a_full_disk_left_of_a_frame_is_no_part_of_the_log(tmp_path: Path, room: int) -> None:
    log = Log(tmp_path, 1)
    reader = Log(tmp_path, 1, readonly=True)
    fill(log, [[1, 2]])
    (file,) = segments(tmp_path)
    size = file.stat().st_size
    for _ in range(2):
        with full_disk(size + room), pytest.raises(StateError, match="takes no more: File too large"):
            fill(log, [[3]])
        assert file.stat().st_size == size and everything(log) == everything(reader) == [1, 2]
    fill(log, [[3]])
    log.close()
    assert everything(Log(tmp_path, 1, readonly=True)) == everything(reader) == [1, 2, 3]
    reader.close()


def test_a_frame_that_is_read_in_pieces_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, unpacked, batch = Log(tmp_path, 1, 1 << 20), [], Segment.batch
    monkeypatch.setattr(Segment, "batch", lambda *given: unpacked.append(given[1]) or batch(*given))
    fill(log, [list(range(1000)), list(range(1000, 2000))])
    assert everything(log, limit=30) == list(range(2000))
    assert unpacked == sorted(set(unpacked)) and len(unpacked) == 2
