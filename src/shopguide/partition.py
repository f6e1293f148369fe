"""One partition of the log: its segment files, from offset 0 on, and a sparse index of their frames.

``0000001024.seg`` begins at offset 1024 and ends where the next one begins. Only the last is written to; the others
are complete and durable, and change only by being replaced as a whole. One thread reads; appending is the caller's to
serialise.
"""

from __future__ import annotations

import bisect
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from shopguide import durable
from shopguide.errors import StateError
from shopguide.records import Batch
from shopguide.segment import HEADER, Header, Place, Segment, joined

logger = logging.getLogger(__name__)

FRESH, FRESH_ROWS = 16, 512  # frames that stay at hand for who reads them at once, and the most rows of one
SCANS = 5  # one fails where segments are replaced while it goes on
INDEX_EVERY = 64 << 10  # bytes between entries of the sparse index
BEGINNING = Place(0, 0, 0)


class Partition:
    """Raises StateError where files are damaged or the disk refuses."""

    def __init__(self, path: Path, segment_bytes: int, readonly: bool) -> None:
        self.path = path
        self.end = 0  # offset of the next row
        self.rows: dict[int, int] = {}  # source -> its last row here
        self._segment_bytes = segment_bytes
        self._readonly = readonly
        self._segments: list[int] = []  # first offset of each
        self._index: list[Place] = []
        self._size = 0  # bytes of whole frames in the last segment
        self._files: dict[int, Segment] = {}
        self._writer = -1
        self._lock = threading.RLock()  # what is read against what is replaced
        self._cursor: tuple[Place, Batch] | None = None  # the frame that the last read ended in, mostly in its midst
        self._following = 0  # the offset after the last read
        self._fresh: dict[int, Batch] = {}  # the newest frames as they were written, by their first offsets
        self._seen: tuple[int, int, int, int] | None = None  # what was on disk when it was scanned last
        self._scanned = BEGINNING  # up to where
        try:
            if not readonly:
                path.mkdir(exist_ok=True)
            self._catch_up()
            if not readonly:
                self._open_for_writing()
        except OSError as e:
            raise StateError(f"the log in {path} cannot be opened: {e.strerror}") from None

    # ---- appending

    def write(self, data: bytes, header: Header, batch: Batch) -> None:
        """Add the frame of a batch at the end; see :meth:`roll`. On StateError the partition is as it was."""
        if self._size + len(data) > self._segment_bytes:
            self.roll()
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._writer, memoryview(data)[written:], self._size + written)
        except OSError as e:
            with suppress(OSError):  # the next frame is written over it
                os.truncate(self._writer, self._size)
            raise StateError(f"the log in {self.path} takes no more: {e.strerror}") from None
        self._keep_at_hand(batch)
        self._take_in(Place(self.end, self._segments[-1], self._size), header)
        self._size += len(data)

    def roll(self) -> None:
        """Begin a new segment where the last one holds anything. OSError: it is unknown whether that is durable."""
        if not self._size:
            return
        os.fdatasync(self._writer)
        self._begin_segment()

    def duplicate(self) -> int:
        """A descriptor of the last segment, to make it durable with; the caller closes it."""
        return os.dup(self._writer)

    # ---- reading

    def read(self, number: int, offset: int, limit: int) -> Batch | None:
        """See :meth:`shopguide.log.Log.read`."""
        if offset >= self.end and not self._readonly:
            return None
        with self._lock:
            if self._readonly:
                self._follow()
            if offset >= self.end:
                return None
            batches, last = self._fresh_from(offset, limit) or self._written_from(offset, limit)
            batch = joined(number, batches, offset, last, limit, again=offset != self._following)
            self._following = batch.last + 1
            return batch

    def _fresh_from(self, offset: int, limit: int) -> tuple[list[Batch], int] | None:
        """As :meth:`_written_from`, of the frames that are still at hand; None where one of them is not."""
        batches: list[Batch] = []
        rows, last = 0, offset - 1
        while rows < limit and (batch := self._fresh.get(last + 1)) is not None:
            batches.append(batch)
            rows, last = rows + len(batch.events), batch.last
        return (batches, last) if rows >= limit or last + 1 == self.end else None

    def _written_from(self, offset: int, limit: int) -> tuple[list[Batch], int]:
        """Frames from that of an offset on, with at least ``limit`` rows where there are so many; their last offset."""
        batches: list[Batch] = []
        rows, last = 0, offset - 1
        for place, header in self._frames(self._seek(offset)):
            if header.end <= offset:
                continue
            if self._cursor is None or self._cursor[0] != place:
                self._cursor = place, self._opened(place.segment).batch(place.position, header)
            batches.append(self._cursor[1])
            rows, last = rows + int((batches[-1].events.offset >= offset).sum()), header.end - 1
            if rows >= limit or header.end == self.end:
                break
        return batches, last

    # ---- replacing

    def complete(self) -> list[tuple[int, int]]:
        """First offset, and offset after the last, of the complete segments."""
        return list(zip(self._segments, self._segments[1:], strict=False))

    def frames(self, first: int, end: int) -> Iterator[tuple[Header, Batch]]:
        """The frames of the complete segments from ``first`` up to the one that begins at ``end``."""
        for begin in [s for s in self._segments if first <= s < end]:
            segment = Segment(self._file(begin))
            try:
                for position, header in segment.frames():
                    yield header, segment.batch(position, header)
            finally:
                segment.close()

    def replace(self, first: int, end: int, frames: Iterator[bytes]) -> None:
        """See :meth:`shopguide.log.Log.replace`."""
        temporary = self._file(first).with_suffix(".new")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                for data in frames:
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with self._lock:
                self._swap(temporary, first, end)
        except OSError as e:
            raise StateError(f"the log in {self.path} cannot be compacted: {e.strerror}") from None
        finally:
            temporary.unlink(missing_ok=True)

    def sizes(self) -> dict[int, int]:
        """Bytes of each segment, by its first offset."""
        return {int(f.stem): f.stat().st_size for f in self.path.glob("*.seg")}

    def close(self) -> None:
        for segment in self._files.values():
            segment.close()
        self._files = {}
        if self._writer >= 0:
            os.close(self._writer)
        self._writer = -1

    # ---- files

    def _file(self, segment: int) -> Path:
        return self.path / f"{segment:020d}.seg"

    def _opened(self, segment: int) -> Segment:
        if segment not in self._files:
            self._files[segment] = Segment(self._file(segment))
        return self._files[segment]

    def _close(self, segment: int) -> None:
        if segment in self._files:
            self._files.pop(segment).close()

    def _open_for_writing(self) -> None:
        for left in self.path.iterdir():
            if left.suffix == ".new" or (left.suffix == ".seg" and int(left.stem) not in self._segments):
                left.unlink()
        if not self._segments:
            self._begin_segment()
            return
        path = self._file(self._segments[-1])
        self._writer = os.open(path, os.O_WRONLY)
        if torn := os.fstat(self._writer).st_size - self._size:
            logger.warning("%s: cut off %d bytes that a crash left unfinished", path, torn)
        os.truncate(self._writer, self._size)

    def _begin_segment(self) -> None:
        try:
            writer = os.open(self._file(self.end), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as e:
            raise StateError(f"the log cannot begin a segment in {self.path}: {e.strerror}") from None
        if self._writer >= 0:
            os.close(self._writer)
        self._writer, self._size = writer, 0
        self._segments.append(self.end)
        durable.sync(self.path)

    def _follow(self) -> None:
        """Take in what another process has written since."""
        try:
            directory, last = self.path.stat(), self._files[self._segments[-1]].path.stat()
            found = directory.st_mtime_ns, last.st_ino, last.st_mtime_ns, last.st_size
        except (OSError, LookupError):
            found = None
        if found is None or found != self._seen:
            self._catch_up()
            self._seen = found

    def _catch_up(self) -> None:
        """Scan; all anew where other segments stand in the place of those known, or come there meanwhile."""
        for left in reversed(range(SCANS)):
            try:
                self._scan()
                return
            except (StateError, FileNotFoundError):
                if not left:
                    raise
            for segment in list(self._files):
                self._close(segment)
            self._segments, self._index, self.end, self._scanned = [], [], 0, BEGINNING
            self._cursor, self._following = None, -1
            self._fresh.clear()

    def _scan(self) -> None:
        """Take in what is on disk beyond the known end: headers of all frames; of the last segment the payloads too,
        up to the first that is not as it was written."""
        on_disk = sorted(int(f.stem) for f in self.path.glob("*.seg")) if self.path.exists() else []
        if not on_disk:
            return
        at = self._scanned
        self._segments = [s for s in self._segments if s < at.segment]
        while True:
            self._segments.append(at.segment)
            at = self._scan_segment(at, is_last=at.segment == on_disk[-1])
            if at.first not in on_disk or at.first == at.segment:
                break
            at = Place(at.first, at.first, 0)
        if at.first < on_disk[-1]:
            where = f"{self._file(at.segment)} at byte {at.position}"
            raise StateError(f"{where}: row {at.first} is damaged, or {self._file(at.first).name} is missing")
        self._size, self._scanned = at.position, at

    def _scan_segment(self, at: Place, is_last: bool) -> Place:
        """Where a segment's whole frames end. What a crash left unfinished has no whole frame behind it."""
        segment = self._opened(at.segment)
        for position, header in segment.frames(at.position):
            new = header.end > self.end
            if new and is_last:
                if (batch := segment.whole(position)) is None:
                    break
                self._keep_at_hand(batch)
            if header.first != at.first:
                raise StateError(
                    f"{segment.path} at byte {position}: row {header.first} stands where {at.first} should"
                )
            if new:
                self._take_in(at, header)
            at = Place(header.end, at.segment, position + HEADER + header.bytes)
        if is_last and segment.goes_on(at.position + 1) and segment.whole(at.position) is None:
            raise StateError(f"{segment.path} at byte {at.position}: row {at.first} is damaged")
        return at

    def _keep_at_hand(self, batch: Batch) -> None:
        if len(batch.events) <= FRESH_ROWS:
            self._fresh[batch.first] = batch
        if len(self._fresh) > FRESH:
            self._fresh.pop(next(iter(self._fresh)), None)

    def _take_in(self, place: Place, header: Header) -> None:
        _note(self._index, place)
        self.end = header.end
        if header.row >= 0:
            self.rows[header.source] = max(header.row, self.rows.get(header.source, -1))

    def _seek(self, offset: int) -> Place:
        indexed = self._index[max(bisect.bisect_right(self._index, offset, key=lambda place: place.first) - 1, 0)]
        if self._cursor is not None and indexed.first <= self._cursor[0].first <= offset:
            return self._cursor[0]
        return indexed

    def _frames(self, place: Place) -> Iterator[tuple[Place, Header]]:
        """The frames from ``place`` on."""
        while True:
            header = self._opened(place.segment).header(place.position)
            if header is not None:
                yield place, header
                place = Place(header.end, place.segment, place.position + HEADER + header.bytes)
            elif place.first in self._segments and place.first != place.segment:
                place = Place(place.first, place.first, 0)
            else:
                raise StateError(f"{self._file(place.segment)} at byte {place.position}: row {place.first} is damaged")

    def _swap(self, temporary: Path, first: int, end: int) -> None:
        """The new segment takes the old ones' place; the index of what it holds is made anew."""
        temporary.replace(self._file(first))
        old = slice(bisect.bisect_left(self._segments, first), bisect.bisect_left(self._segments, end))
        for segment in self._segments[old]:
            self._close(segment)
        places: list[Place] = []
        for position, header in self._opened(first).frames():
            _note(places, Place(header.first, first, position))
        # both lists in place: an append may be adding to them
        self._segments[old] = [first]
        indexed = slice(*(bisect.bisect_left(self._index, at, key=lambda place: place.first) for at in (first, end)))
        self._index[indexed] = places
        self._cursor, self._following = None, -1
        self._fresh.clear()
        durable.sync(self.path)
        for segment in self.sizes():
            if first < segment < end:
                self._file(segment).unlink()


def _note(index: list[Place], place: Place) -> None:
    last = index[-1] if index else None
    if last is None or last.segment != place.segment or place.position - last.position >= INDEX_EVERY:
        index.append(place)
