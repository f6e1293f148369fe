"""The embedded log: the truth that every state is a function of.

``DIR/log/meta.json`` fixes the number of partitions; ``DIR/log/p0003/`` holds partition 3
(:mod:`shopguide.partition`). A frame cut off by a crash is the last of its partition; opening for writing cuts it
away, reading stops before it. ``DIR/log/doubt`` is there where the disk failed: it may have let go of what the system
still shows, so the next to open the log for writing has it written once more.

Appends are visible to readers at once and durable after :meth:`Log.commit`. One thread reads, any thread appends,
commits and replaces.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from shopguide import durable
from shopguide.errors import StateError
from shopguide.partition import Partition
from shopguide.records import Batch, Events, Names
from shopguide.segment import Header, frame

logger = logging.getLogger(__name__)

SYNCERS = 16  # files that are made durable at once
DOUBT = "doubt"


class History(Protocol):
    """What there is of a log, to be read."""

    partitions: int

    def read(self, partition: int, offset: int, limit: int) -> Batch | None: ...

    def end(self, partition: int) -> int: ...

    def close(self) -> None: ...


class Log:
    """A partitioned, append-only, checksummed log in a directory. ``stride``: between the offsets of neighbouring rows.

    Raises StateError where the directory is no log, has another number of partitions, or the disk refuses a write
    (the log is then as it was before the call).
    """

    stride = 1

    def __init__(self, path: Path, partitions: int, segment_bytes: int = 64 << 20, readonly: bool = False) -> None:
        self.partitions = partitions
        self.segment_bytes = segment_bytes
        self.appended = threading.Event()  # set by every append; a reader that found nothing clears it and waits
        self._readonly = readonly
        self.compacting = threading.Lock()  # held by who replaces, from what it reads of the old segments on
        self._broken = f"the log in {path} is open for reading only" if readonly else ""  # why nothing can be written
        self._lock, self._committing = threading.Lock(), threading.Lock()
        self._meta(path, partitions, readonly)
        self._doubt = path / DOUBT
        if not readonly:
            self._settle_doubt()
        self._parts = [Partition(path / f"p{p:04d}", segment_bytes, readonly) for p in range(partitions)]
        self._dirty: set[int] = set()
        self._listeners: set[Callable[[Batch], None]] = set()
        self._syncers = ThreadPoolExecutor(min(partitions, SYNCERS), "sync")  # a disk takes many at once as one

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
            self._check()
            first = part.end
            events.offset[:] = np.arange(first, first + len(events))
            batch = Batch(partition, first, first + len(events) - 1, events, names)
            with self._breaking():
                part.write(*frame(batch, source, row), batch)
            self._dirty.add(partition)
            for hear in self._listeners:
                hear(batch)
        self.appended.set()
        if logger.isEnabledFor(logging.DEBUG):
            places = {"partition": partition, "offset": first, "last": batch.last, "rows": len(events)}
            logger.debug("logged", extra=places)
        return first

    def listen(self, hear: Callable[[Batch], None]) -> None:
        """Have ``hear`` called with each batch that is appended from now on, by who appends it, in order."""
        with self._lock:
            self._listeners.add(hear)

    def commit(self) -> None:
        """Make everything appended so far durable.

        Raises StateError where the disk fails; what it holds is then unknown, and the log takes nothing more.
        """
        with self._committing, self._breaking():
            self._check()
            with self._lock:
                writers = [self._parts[p].duplicate() for p in self._dirty]
                self._dirty.clear()
            others = [self._syncers.submit(os.fdatasync, writer) for writer in writers[1:]]
            try:
                for own in writers[:1]:
                    os.fdatasync(own)
            finally:
                wait(others)
                for writer in writers:
                    os.close(writer)
            for done in others:
                done.result()

    def read(self, partition: int, offset: int, limit: int) -> Batch | None:
        """What stands from ``offset`` on, in order, up to ``limit`` rows; None where there is nothing yet.

        The batch's range begins at ``offset`` and has no gaps; rows that compaction took out are missing in it. The
        names of a frame come with its first row: who reads a partition from its beginning, or from a state that did,
        has them all.

        Raises StateError where a frame before the end is corrupt.
        """
        return self._parts[partition].read(partition, offset, limit)

    def end(self, partition: int) -> int:
        """The offset that the next row of the partition will get."""
        return self._parts[partition].end

    def holds(self, positions: Sequence[int]) -> bool:
        """Whether no partition ends before its position."""
        return all(part.end >= position for part, position in zip(self._parts, positions, strict=True))

    def last_row(self, source: int, partition: int) -> int:
        """The last row of a source that the partition holds; -1: none."""
        return self._parts[partition].rows.get(source, -1)

    @property
    def refuses(self) -> str:
        """Why nothing can be written; empty: it can."""
        return self._broken

    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(sum(part.sizes().values()) for part in self._parts)

    def roll(self, partition: int) -> None:
        """Begin a new segment, so that all there is stands in complete ones."""
        with self._lock, self._breaking():
            self._check()
            self._parts[partition].roll()

    def complete(self, partition: int) -> list[tuple[int, int]]:
        """First offset, and offset after the last, of the segments that are not written to any more."""
        return self._parts[partition].complete()

    def sizes(self, partition: int) -> dict[int, int]:
        """Bytes of each segment, by its first offset."""
        return self._parts[partition].sizes()

    def frames(self, partition: int, first: int, end: int) -> Iterator[tuple[Header, Batch]]:
        """The frames of complete segments from the segment at ``first`` up to the one that begins at ``end``."""
        return self._parts[partition].frames(first, end)

    def replace(self, partition: int, first: int, end: int, frames: Iterator[bytes]) -> None:
        """Put one segment in the place of the complete ones from ``first`` up to the one that begins at ``end``.

        ``frames`` must stand for the same offsets. A crash leaves the old segments or the new one; what it left over
        is removed when the log is opened. Raises StateError, and changes nothing, where the disk refuses.
        """
        self._parts[partition].replace(first, end, frames)

    # What a log that is shared with other processes says and hears (shopguide.kafka.log): here there is nothing.
    def rewinds(self, after: int) -> list[tuple[int, int, int]]:
        return []

    def trouble(self) -> str:
        return ""

    def look(self) -> None: ...
    def follow(self, frontiers: dict[int, int]) -> None: ...
    def finish(self) -> None: ...
    def raise_error(self) -> None: ...

    def close(self) -> None:
        try:
            if not self._readonly:
                self.commit()
        finally:
            self._syncers.shutdown()
            for part in self._parts:
                part.close()

    def _check(self) -> None:
        if self._broken:
            raise StateError(self._broken)

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        """An OSError in the body: it is unknown what the disk holds."""
        try:
            yield
        except OSError as e:
            self._broken = f"the log could not be made durable: {e.strerror}; start again"
            logger.error("%s", self._broken)
            with suppress(OSError):
                self._doubt.touch()
            raise StateError(self._broken) from None

    def _settle_doubt(self) -> None:
        """Write the last segments once more: to sync them again after a failure would say yes without doing it."""
        try:
            if self._doubt.exists():
                for folder in self._doubt.parent.glob("p*"):
                    for last in sorted(folder.glob("*.seg"))[-1:]:
                        durable.rewrite(last)
                self._doubt.unlink()
        except OSError as e:
            raise StateError(f"the log in {self._doubt.parent} cannot be made durable: {e.strerror}") from None

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
            durable.replace(meta, json.dumps({"version": 1, "partitions": partitions}).encode())
