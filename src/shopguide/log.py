"""The embedded log: the truth that every state is a function of.

``DIR/log/meta.json`` fixes the number of partitions; ``DIR/log/p0003/00000000000000001024.seg`` holds the frames of
partition 3 from offset 1024 on. A frame is a header and one packed batch:

    magic "SGF1" | header crc32 | payload bytes | first offset | rows | source | row | payload
         4       |      u32     |      u32      |     i64      |  u32 |  u64   | i64 |

``source`` and ``row`` name the last row of a file that the frame holds, so that a file is continued where the log
ends. The payload has its own checksum (:func:`shopguide.records.pack`). A frame cut off by a crash is the last of its
partition; opening for writing cuts it away, reading stops before it.

Appends are visible to readers at once and durable after :meth:`Log.commit`.
"""

from __future__ import annotations

import bisect
import json
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from shopguide.errors import PackingError, StateError
from shopguide.records import Batch, Events, Names, pack, unpack

MAGIC = b"SGF1"
PREFIX = struct.Struct("<4sI")
FIELDS = struct.Struct("<IqIQq")
HEADER = PREFIX.size + FIELDS.size
INDEX_EVERY = 64 << 10  # bytes between entries of the sparse index


class Header(NamedTuple):
    bytes: int
    first: int
    rows: int
    source: int
    row: int


@dataclass
class Place:
    """Where a frame begins."""

    first: int
    segment: int
    position: int


@dataclass
class Partition:
    """One partition's segments, sparse index and end."""

    path: Path
    segments: list[int] = field(default_factory=list)  # first offset of each
    index: list[Place] = field(default_factory=list)
    end: int = 0  # offset of the next row
    size: int = 0  # bytes in the last segment
    rows: dict[int, int] = field(default_factory=dict)  # source -> its last row here
    cursor: Place | None = None  # where the next sequential read goes on
    readers: dict[int, int] = field(default_factory=dict)  # segment -> descriptor
    writer: int = -1
    dirty: bool = False

    def file(self, segment: int) -> Path:
        return self.path / f"{segment:020d}.seg"


class Log:
    """A partitioned, append-only, checksummed log in a directory. ``stride``: between the offsets of neighbouring rows.

    Raises StateError where the directory is no log, has another number of partitions, or the disk refuses a write
    (the log is then as it was before the call).
    """

    stride = 1

    def __init__(self, path: Path, partitions: int, segment_bytes: int = 64 << 20, readonly: bool = False) -> None:
        self.partitions = partitions
        self.appended = threading.Event()  # set by every append; a reader that found nothing clears it and waits
        self._segment_bytes = segment_bytes
        self._readonly = readonly
        self._lock = threading.Lock()
        self._meta(path, partitions, readonly)
        self._parts = [Partition(path / f"p{p:04d}") for p in range(partitions)]
        for part in self._parts:
            self._open(part)

    @staticmethod
    def partitions_of(path: Path, default: int) -> int:
        """The number of partitions of an existing log, else ``default``."""
        meta = path / "meta.json"
        return int(json.loads(meta.read_text())["partitions"]) if meta.exists() else default

    def append(self, partition: int, events: Events, names: Names, source: int = 0, row: int = -1) -> int:
        """Add rows at the end of a partition, giving them their offsets; returns the first."""
        if not len(events):
            raise ValueError("an append needs at least one row")
        part = self._parts[partition]
        with self._lock:
            first = part.end
            events.offset[:] = np.arange(first, first + len(events))
            payload = pack(Batch(partition, first, first + len(events) - 1, events, names))
            fields = FIELDS.pack(len(payload), first, len(events), source, row)
            self._write(part, PREFIX.pack(MAGIC, zlib.crc32(fields)) + fields + payload)
            part.end += len(events)
            if row >= 0:
                part.rows[source] = max(row, part.rows.get(source, -1))
        self.appended.set()
        return first

    def commit(self) -> None:
        """Make everything appended so far durable."""
        with self._lock:
            dirty = [part for part in self._parts if part.dirty]
            for part in dirty:
                part.dirty = False
        for part in dirty:
            os.fdatasync(part.writer)

    def read(self, partition: int, offset: int, limit: int) -> Batch | None:
        """Up to ``limit`` rows of a partition from ``offset`` on, in order; None where there are none yet.

        The names of a frame come with its first row: who reads a partition from its beginning, or from a state that
        did, has them all.

        Raises StateError where a frame before the end is corrupt.
        """
        part = self._parts[partition]
        if self._readonly:
            self._scan(part)
        if offset >= part.end:
            return None
        batches: list[Batch] = []
        rows = 0
        for place, header in self._frames(part, self._seek(part, offset)):
            if header.first >= part.end:
                break
            if header.first + header.rows <= offset:
                continue
            batches.append(self._load(part, place, header))
            rows = header.first + header.rows - offset
            part.cursor = place
            if rows >= limit:
                break
        events = Events.join([b.events for b in batches])
        begin = offset - batches[0].first
        if begin or len(events) > limit:
            events = events.slice(begin, begin + limit)
        names = Names.join([b.names for b in batches if b.first >= offset])
        return Batch(partition, offset, offset + len(events) - 1, events, names)

    def end(self, partition: int) -> int:
        """The offset that the next row of the partition will get."""
        return self._parts[partition].end

    def last_row(self, source: int, partition: int) -> int:
        """The last row of a source that the partition holds; -1: none."""
        return self._parts[partition].rows.get(source, -1)

    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(f.stat().st_size for part in self._parts for f in part.path.glob("*.seg"))

    # What a log that is shared with other processes says and hears (shopguide.kafka.log): here there is nothing.
    def rewinds(self, after: int) -> list[tuple[int, int, int]]:
        return []

    def follow(self, frontiers: dict[int, int]) -> None: ...
    def finish(self) -> None: ...
    def raise_error(self) -> None: ...

    def close(self) -> None:
        if not self._readonly:
            self.commit()
        for part in self._parts:
            for descriptor in [*part.readers.values(), part.writer]:
                if descriptor >= 0:
                    os.close(descriptor)
            part.readers, part.writer = {}, -1

    @staticmethod
    def _meta(path: Path, partitions: int, readonly: bool) -> None:
        meta = path / "meta.json"
        if meta.exists():
            have = json.loads(meta.read_text())["partitions"]
            if have != partitions:
                raise StateError(f"log.partitions = {partitions}: the log in {path} has {have}, fixed when it was made")
        elif readonly:
            raise StateError(f"{path} holds no log")
        else:
            path.mkdir(parents=True, exist_ok=True)
            temporary = meta.with_suffix(".tmp")
            temporary.write_text(json.dumps({"version": 1, "partitions": partitions}))
            temporary.replace(meta)

    def _open(self, part: Partition) -> None:
        if not self._readonly:
            part.path.mkdir(exist_ok=True)
        self._scan(part)
        if self._readonly:
            return
        if not part.segments:
            self._begin_segment(part)
            return
        path = part.file(part.segments[-1])
        part.writer = os.open(path, os.O_WRONLY)
        os.truncate(part.writer, part.size)
        os.lseek(part.writer, part.size, os.SEEK_SET)

    def _begin_segment(self, part: Partition) -> None:
        if part.writer >= 0:
            os.fdatasync(part.writer)
            os.close(part.writer)
        try:
            part.writer = os.open(part.file(part.end), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as e:
            part.writer = os.open(part.file(part.segments[-1]), os.O_WRONLY | os.O_APPEND) if part.segments else -1
            raise StateError(f"the log cannot begin a segment in {part.path}: {e.strerror}") from None
        part.segments.append(part.end)
        part.size = 0

    def _write(self, part: Partition, frame: bytes) -> None:
        if part.size and part.size + len(frame) > self._segment_bytes:
            self._begin_segment(part)
        view = memoryview(frame)
        try:
            while view:
                view = view[os.write(part.writer, view) :]
        except OSError as e:
            os.truncate(part.writer, part.size)
            os.lseek(part.writer, part.size, os.SEEK_SET)
            raise StateError(f"the log in {part.path} takes no more: {e.strerror}") from None
        self._note(part, Place(part.end, part.segments[-1], part.size))
        part.size += len(frame)
        part.dirty = True

    @staticmethod
    def _note(part: Partition, place: Place) -> None:
        last = part.index[-1] if part.index else None
        if last is None or last.segment != place.segment or place.position - last.position >= INDEX_EVERY:
            part.index.append(place)

    def _scan(self, part: Partition) -> None:
        """Take in what is on disk beyond the known end: headers of all frames, the payload of the last one."""
        on_disk = sorted(int(f.stem) for f in part.path.glob("*.seg")) if part.path.exists() else []
        part.segments = on_disk
        if not on_disk:
            return
        last = None
        start = part.index[-1] if part.index else Place(on_disk[0], on_disk[0], 0)
        for place, header in self._frames(part, start):
            last = place, header
            if place.first < part.end:
                continue
            self._note(part, place)
            part.end = header.first + header.rows
            if header.row >= 0:
                part.rows[header.source] = max(header.row, part.rows.get(header.source, -1))
        part.end = max(part.end, on_disk[-1])
        part.size = 0
        if last is None:
            return
        place, header = last
        try:
            self._load(part, place, header)
        except StateError:
            part.end = place.first
            part.size = place.position if place.segment == on_disk[-1] else 0
            return
        if place.segment == on_disk[-1]:
            part.size = place.position + HEADER + header.bytes

    def _seek(self, part: Partition, offset: int) -> Place:
        if part.cursor is not None and part.cursor.first <= offset:
            return part.cursor
        at = bisect.bisect_right(part.index, offset, key=lambda place: place.first) - 1
        return part.index[max(at, 0)]

    def _frames(self, part: Partition, start: Place) -> Iterator[tuple[Place, Header]]:
        """The frames from ``start`` on, up to the first that is not whole."""
        place = start
        while True:
            header = self._header(part, place)
            if header is not None:
                yield place, header
                place = Place(header.first + header.rows, place.segment, place.position + HEADER + header.bytes)
                continue
            following = bisect.bisect_right(part.segments, place.segment)
            if following == len(part.segments) or part.segments[following] != place.first:
                return
            place = Place(place.first, part.segments[following], 0)

    def _header(self, part: Partition, place: Place) -> Header | None:
        descriptor = self._reader(part, place.segment)
        raw = os.pread(descriptor, HEADER, place.position)
        if len(raw) < HEADER:
            return None
        magic, crc = PREFIX.unpack_from(raw)
        if magic != MAGIC or zlib.crc32(raw[PREFIX.size :]) != crc:
            return None
        header = Header(*FIELDS.unpack_from(raw, PREFIX.size))
        whole = place.position + HEADER + header.bytes <= os.fstat(descriptor).st_size
        return header if whole and header.first == place.first else None

    def _load(self, part: Partition, place: Place, header: Header) -> Batch:
        raw = os.pread(self._reader(part, place.segment), header.bytes, place.position + HEADER)
        try:
            return cast(Batch, unpack(raw))
        except PackingError as e:
            raise StateError(f"{part.file(place.segment)} at byte {place.position}: {e}") from None

    @staticmethod
    def _reader(part: Partition, segment: int) -> int:
        if segment not in part.readers:
            part.readers[segment] = os.open(part.file(segment), os.O_RDONLY)
        return part.readers[segment]
