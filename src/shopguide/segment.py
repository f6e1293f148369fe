"""Segment files: the frames of one partition of the log, one after the other.

A frame is a header and one packed batch (:func:`shopguide.records.pack`, which has a checksum of its own):

    magic "SGF1" | header crc32 | payload bytes | first offset | rows | source | row | payload
         4       |      u32     |      u32      |     i64      |  u32 |  u64   | i64 |

It stands for the offsets ``first .. first + rows - 1``; what compaction took out of them is missing in the payload.
``source`` and ``row`` name the last row of a source that the frame holds, so that a file is continued where the log
ends. ``row`` -1: it holds none.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from shopguide.errors import PackingError, StateError
from shopguide.records import Batch, Events, Names, pack, unpack

MAGIC = b"SGF1"
PREFIX = struct.Struct("<4sI")
FIELDS = struct.Struct("<IqIQq")
HEADER = PREFIX.size + FIELDS.size


class Header(NamedTuple):
    bytes: int
    first: int
    rows: int
    source: int
    row: int

    @property
    def end(self) -> int:
        """The offset after the frame's last."""
        return self.first + self.rows


class Place(NamedTuple):
    """Where the frame of an offset begins."""

    first: int
    segment: int
    position: int


class Segment:
    """A segment file, open for reading. Raises StateError where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as e:
            raise StateError(f"{path} cannot be read: {e.strerror}") from None

    def close(self) -> None:
        os.close(self._descriptor)

    def header(self, position: int) -> Header | None:
        """The header of the frame that begins there; None where no whole frame does."""
        raw = self._bytes(HEADER, position)
        if len(raw) < HEADER:
            return None
        magic, crc = PREFIX.unpack_from(raw)
        if magic != MAGIC or zlib.crc32(raw[PREFIX.size :]) != crc:
            return None
        header = Header(*FIELDS.unpack_from(raw, PREFIX.size))
        return header if position + HEADER + header.bytes <= self.size() else None

    def batch(self, position: int, header: Header) -> Batch:
        """The batch of a frame. Raises StateError where it is corrupt."""
        try:
            return cast(Batch, unpack(self._bytes(header.bytes, position + HEADER)))
        except PackingError as e:
            raise StateError(f"{self.path} at byte {position}: {e}") from None

    def frames(self, position: int = 0) -> Iterator[tuple[int, Header]]:
        """Positions and headers of the whole frames from a position on."""
        while (header := self.header(position)) is not None:
            yield position, header
            position += HEADER + header.bytes

    def whole(self, position: int) -> Batch | None:
        """The batch of the frame that begins there; None where none does that is as it was written."""
        header = self.header(position)
        try:
            return header and self.batch(position, header)
        except StateError:
            return None

    def goes_on(self, position: int) -> bool:
        """Whether any frame that is as it was written begins at or after a position."""
        rest = self._bytes(max(0, self.size() - position), position)
        return any(self.whole(position + found.start()) is not None for found in re.finditer(MAGIC, rest))

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _bytes(self, count: int, position: int) -> bytes:
        try:
            return os.pread(self._descriptor, count, position)
        except OSError as e:
            raise StateError(f"{self.path} at byte {position} cannot be read: {e.strerror}") from None


def frame(batch: Batch, source: int = 0, row: int = -1) -> tuple[bytes, Header]:
    """The batch as a frame."""
    payload = pack(batch)
    header = Header(len(payload), batch.first, batch.last - batch.first + 1, source, row)
    fields = FIELDS.pack(*header)
    return PREFIX.pack(MAGIC, zlib.crc32(fields)) + fields + payload, header


def joined(number: int, batches: list[Batch], offset: int, last: int, limit: int, again: bool) -> Batch:
    """What frames hold from ``offset`` up to ``last``, at most ``limit`` rows. ``again``: with the names of a frame
    that it begins in the midst of."""
    if len(batches) == 1 and batches[0].first == offset and len(batches[0].events) <= limit:
        return batches[0]
    events = Events.join([b.events for b in batches])
    begin = int(np.searchsorted(events.offset, offset))
    if begin or len(events) > limit:
        cut = len(events) - begin > limit
        events = events.slice(begin, begin + limit)
        last = int(events.offset[-1]) if cut else last
    names = Names.join([b.names for b in batches if again or b.first >= offset])
    return Batch(number, offset, last, events, names)
