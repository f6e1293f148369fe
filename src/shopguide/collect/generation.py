"""One generation of a growing log: a file, plain or gzip, known by its first line wherever it lies.

A row's number is where its line begins in the text, so the log of the state says how far a generation was taken, before
and after it was renamed, copied or compressed. A restart goes back by what one chunk may hold, since the last chunk may
have reached some partitions only.
"""

from __future__ import annotations

import gzip
import os
import stat
import time
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from itertools import accumulate
from pathlib import Path
from typing import cast

import numpy as np

from shopguide.collect.access_log import AccessLog
from shopguide.collect.chunk import Chunk
from shopguide.collect.lines import CORRUPT, MAX_LINE, TRUNCATED

READ = 2 * MAX_LINE  # most bytes of a chunk's text; only a smaller one may follow, or a restart would lose rows
HEAD = 4096  # bytes of a first line that count
GZIP = b"\x1f\x8b"
DAMAGED = (EOFError, OSError, zlib.error)

State = tuple[int, int, int, int]  # device, inode, size, time of modification in ns


class Generation:
    """A file of the log that is open. ``quiet`` is since when (monotonic s) nothing has come."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where it cannot be opened."""
        self.path = path
        self._raw = path.open("rb")
        self.packed = os.pread(self._raw.fileno(), 2, 0) == GZIP
        self._text = cast(BufferedIOBase, gzip.GzipFile(fileobj=self._raw) if self.packed else self._raw)
        self.quiet = time.monotonic()
        self.damage = ""
        self._begin = 0  # of ``_rest`` in the text
        self._rest = b""  # a line without its end
        self.head = self._read_head()

    @property
    def state(self) -> State:
        """The file as far as it has been read."""
        found = os.fstat(self._raw.fileno())
        size = found.st_size if self.packed else self._begin + len(self._rest)
        return found.st_dev, found.st_ino, size, found.st_mtime_ns

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return os.fstat(self._raw.fileno()).st_size

    @property
    def position(self) -> int:
        """Bytes on disk that have been read."""
        return self._raw.tell()

    @property
    def waiting(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._rest)

    def is_intact(self) -> bool:
        """Whether the file still begins as it did: a truncated one is another generation."""
        fileno = self._raw.fileno()
        long_enough = os.fstat(fileno).st_size >= self._begin + len(self._rest)
        return self.packed or (long_enough and os.pread(fileno, len(self.head), 0) == self.head)

    def go_on(self, sent: int) -> None:
        """Go to where a line begins that may not have been taken, ``sent`` being the last number that was."""
        self._begin = max(0, sent - READ)
        if not self.packed:  # a copy may end before what was read of its original
            self._begin = min(self._begin, self.size)
        try:
            self._text.seek(self._begin)
            if self._begin:
                self._begin += len(self._text.readline())
        except DAMAGED as e:
            self._give_up(e)

    def chunks(self, parser: AccessLog, source: int) -> Iterator[Chunk]:
        """The rows of the lines that have ended since."""
        while not self.damage:
            try:
                data = self._text.read1(READ - len(self._rest))  # what is before damage comes first
            except DAMAGED as e:
                self._give_up(e)
                yield Chunk(1, {}, lambda row: b"", {0: self.damage}, source, self._begin)
                return
            if not data or not self.is_intact():
                return
            self.quiet = time.monotonic()
            text = self._rest + data
            whole, end, rest = text.rpartition(b"\n")
            if not end and len(text) == READ:
                whole, rest = text, b""
            begin, self._begin, self._rest = self._begin, self._begin + len(text) - len(rest), rest
            if len(rest) < len(text):
                yield self._chunk(parser, source, begin, whole)

    def last(self, parser: AccessLog, source: int) -> Chunk:
        """The row of a line that nobody will end."""
        whole, self._rest = self._rest, b""
        self._begin += len(whole)
        return self._chunk(parser, source, self._begin - len(whole), whole)

    def close(self) -> None:
        self._text.close()
        self._raw.close()

    def _read_head(self) -> bytes:
        """The first line, with its end and what is blank before it, as far as it counts; empty: it has not ended."""
        try:
            text = self._text.read(HEAD)
        except DAMAGED:
            return b""
        blank = len(text) - len(text.lstrip(b"\r\n"))
        end = text.find(b"\n", blank) + 1
        return text[:end] if end else text if len(text) == HEAD else b""

    def _chunk(self, parser: AccessLog, source: int, begin: int, text: bytes) -> Chunk:
        lines = text.split(b"\n")
        begins = accumulate((len(line) + 1 for line in lines[:-1]), initial=begin)
        kept = [(at, line.rstrip(b"\r")) for at, line in zip(begins, lines, strict=True) if line.strip()]
        chunk = parser.parse([line[: MAX_LINE + 1] for _, line in kept], True)
        assert chunk.numbers is not None
        chunk.numbers = np.array([at for at, _ in kept], np.int64)[chunk.numbers]
        chunk.source, chunk.first = source, begin
        return chunk

    def _give_up(self, why: Exception) -> None:
        self.damage = TRUNCATED if isinstance(why, EOFError) else CORRUPT


def state_of(path: Path) -> State | None:
    """None where there is no such file, or no regular one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
