"""Segments: frames come back, and a frame that is not as it was written is never taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import names, rows

from shopguide.errors import StateError
from shopguide.records import Batch
from shopguide.segment import HEADER, Segment, frame

FRAMES = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=6)


def written(path: Path, frames: list[list[int]]) -> tuple[list[Batch], list[int]]:
    """The batches of a new segment file, and where each begins."""
    batches, places, data, first = [], [], b"", 0
    for at, items in enumerate(frames):
        batches.append(Batch(3, first, first + len(items) - 1, rows(items), names(items)))
        first += len(items)
        places.append(len(data))
        data += frame(batches[-1], source=at, row=at * 10)[0]
    path.write_bytes(data)
    return batches, places


@given(FRAMES)
def test_frames_come_back(tmp_path_factory: pytest.TempPathFactory, frames: list[list[int]]) -> None:
    path = tmp_path_factory.mktemp("segment") / "a.seg"
    batches, places = written(path, frames)
    segment = Segment(path)
    found = list(segment.frames())
    assert [place for place, _ in found] == places and list(segment.frames(places[-1])) == found[-1:]
    for at, (place, header) in enumerate(found):
        assert segment.batch(place, header) == batches[at] == segment.whole(place)
        assert (header.first, header.end) == (batches[at].first, batches[at].last + 1)
        assert (header.source, header.row) == (at, at * 10)
    segment.close()


@given(FRAMES, st.integers(0, 10**6), st.integers(1, 255))
def test_any_byte_that_changed_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, frames: list[list[int]], where: int, change: int
) -> None:
    path = tmp_path_factory.mktemp("segment") / "a.seg"
    _, places = written(path, frames)
    data = bytearray(path.read_bytes())
    where %= len(data)
    data[where] ^= change
    path.write_bytes(data)
    segment = Segment(path)
    damaged = max(place for place in places if place <= where)
    assert [place for place in places if segment.whole(place) is None] == [damaged]
    assert segment.goes_on(damaged + 1) == (damaged != places[-1])
    segment.close()


@given(FRAMES, st.integers(0, 10**6))
def test_what_is_cut_off_is_no_frame(
    tmp_path_factory: pytest.TempPathFactory, frames: list[list[int]], size: int
) -> None:
    path = tmp_path_factory.mktemp("segment") / "a.seg"
    _, places = written(path, frames)
    data = path.read_bytes()
    size %= len(data)
    path.write_bytes(data[:size])
    segment = Segment(path)
    ends = [*places[1:], len(data)]
    assert [place for place, _ in segment.frames()] == [p for p, end in zip(places, ends, strict=True) if end <= size]
    assert segment.header(size) is None and not segment.goes_on(max((e for e in ends if e <= size), default=0))
    segment.close()


def test_a_damaged_payload_is_named_with_file_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.seg"
    _, places = written(path, [[1], [2]])
    data = bytearray(path.read_bytes())
    data[places[1] + HEADER + 20] ^= 1
    path.write_bytes(data)
    segment = Segment(path)
    header = segment.header(places[1])
    assert header is not None
    with pytest.raises(StateError, match=rf"a\.seg at byte {places[1]}: "):
        segment.batch(places[1], header)
    segment.close()
    with pytest.raises(StateError, match=r"b\.seg cannot be read: No such file"):
        Segment(tmp_path / "b.seg")
