"""Where rejected rows go: ``DIR/rejects/p0003.jsonl``, a JSON object a row, raw bytes in base64 where they are no text.

A row is written once, in whatever order rows come: those that the file has are a replay, and so are all below the
offsets that :meth:`RejectFiles.settle` names. Several processes may write and purge: a file is locked meanwhile, and
whoever waited for the lock of one that was replaced begins again with the new one.
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from shopguide import durable
from shopguide.errors import StateError

DAMAGED = "the line in DIR/rejects is damaged"


class Partition:
    """What has been read of one file: its inode and bytes, why its rows were rejected, which may come again."""

    def __init__(self) -> None:
        self.inode = self.size = 0
        self.counts: Counter[str] = Counter()
        self.settled = 0
        self.written: set[int] = set()  # offsets from ``settled`` on

    def read(self, file: BinaryIO) -> bool:
        """Take in the whole lines that are new; whether one follows that is being written, or that a crash left
        unfinished."""
        found = os.fstat(file.fileno())
        if found.st_ino != self.inode or found.st_size < self.size:
            self.inode, self.size = found.st_ino, 0
            self.counts.clear()
        data = os.pread(file.fileno(), found.st_size - self.size, self.size)
        whole = data.rfind(b"\n") + 1
        for line in data[:whole].splitlines():
            row = read_row(line)
            self.counts[row["reason"] if row else DAMAGED] += 1
            if row and row["offset"] >= self.settled:
                self.written.add(row["offset"])
        self.size += whole
        return len(data) > whole

    def settle(self, offset: int) -> None:
        self.settled = offset
        self.written = {at for at in self.written if at >= offset}


class RejectFiles:
    """Appends rejected rows and counts them by reason. Raises StateError where the disk refuses: then they have to come
    again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partitions: dict[int, Partition] = {}

    @property
    def counts(self) -> Counter[str]:
        """Rows by reason, whoever wrote them."""
        for file in self._path.glob("p*.jsonl"):
            with file.open("rb") as opened:
                self._of(int(file.stem[1:])).read(opened)
        return sum((one.counts for one in list(self._partitions.values())), Counter())

    def write(self, partition: int, offsets: list[int], reasons: list[str], raws: list[bytes]) -> None:
        """Append the rows that are new."""
        if not offsets:
            return
        known = self._of(partition)
        try:
            with self._locked(partition) as file:
                if known.read(file):
                    os.truncate(file.fileno(), known.size)
                rows = zip(offsets, reasons, raws, strict=True)
                new = [row for row in rows if row[0] >= known.settled and row[0] not in known.written]
                lines = [orjson.dumps({"offset": o, "reason": why, **readable(raw)}) + b"\n" for o, why, raw in new]
                self._append(file, b"".join(lines), known.size)
                known.read(file)
        except OSError as e:
            raise StateError(f"the rejects in {self._path} take no more: {e.strerror}") from None

    def settle(self, offsets: dict[int, int]) -> None:
        """Rows of a partition below its offset come no more, or again."""
        for partition, offset in offsets.items():
            self._of(partition).settle(offset)

    def commit(self) -> None:
        """Make everything written durable, whoever wrote it."""
        try:
            for file in self._path.glob("p*.jsonl"):
                with file.open("rb") as opened:
                    os.fdatasync(opened.fileno())
            if self._path.exists():
                durable.sync(self._path)
        except OSError as e:
            raise StateError(f"the rejects in {self._path} could not be made durable: {e.strerror}") from None

    def purge(self, goes: Callable[[int, dict[str, Any]], bool]) -> None:
        """Take out the rows of which ``goes(partition, row)`` holds, and damaged lines: nobody can say whose."""
        for path in sorted(self._path.glob("p*.jsonl")):
            partition = int(path.stem[1:])
            try:
                with self._locked(partition) as file:
                    self._of(partition).read(file)  # what is purged is known to have been written
                    lines = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).splitlines(keepends=True)
                    whole = ((line, read_row(line)) for line in lines if line.endswith(b"\n"))
                    stay = [line for line, row in whole if row and not goes(partition, row)]
                    if len(stay) < len(lines):
                        durable.replace(path, b"".join(stay))
            except OSError as e:
                raise StateError(f"the rejects in {self._path} cannot be purged: {e.strerror}") from None

    def _of(self, partition: int) -> Partition:
        return self._partitions.setdefault(partition, Partition())

    @contextmanager
    def _locked(self, partition: int) -> Iterator[BinaryIO]:
        """The file of a partition, which nobody else writes to or replaces."""
        self._path.mkdir(exist_ok=True)
        path = self._path / f"p{partition:04d}.jsonl"
        while True:
            with path.open("a+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    yield file
                    return

    @staticmethod
    def _append(file: BinaryIO, data: bytes, end: int) -> None:
        """All of it or nothing."""
        if data and file.write(data) < len(data):
            os.truncate(file.fileno(), end)
            raise OSError(0, "no space left")


def read_row(line: bytes) -> dict[str, Any] | None:
    """A line of a file; None where it is damaged."""
    try:
        row = orjson.loads(line)
        whole = isinstance(row, dict) and isinstance(row["offset"], int) and isinstance(row["reason"], str)
        return row if whole and isinstance(raw(row), bytes) else None
    except (ValueError, KeyError, TypeError):
        return None


def readable(raw: bytes) -> dict[str, str]:
    """Raw bytes as a JSON member: ``raw`` where they are UTF-8, else ``raw_base64``."""
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}


def raw(row: dict[str, Any]) -> bytes:
    """The raw bytes of a row in the file."""
    return base64.b64decode(row["raw_base64"]) if "raw_base64" in row else bytes(row["raw"], "utf-8")
