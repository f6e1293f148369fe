"""Lines of a file, plain or gzip, a block at a time; and their fields. Nothing that a file holds raises here."""

from __future__ import annotations

import csv
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shopguide.errors import SourceError

BLOCK = 1 << 19  # bytes of text in a block, at least, but for the last
READ = 1 << 16  # bytes of the file taken at once
MAX_LINE = 1 << 20  # bytes; of a longer line the first MAX_LINE + 1 are given
MAX_SPAN = 100  # lines that one quoted field may span
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

TRUNCATED = "file is truncated"
CORRUPT = "file is corrupt"
TOO_LONG = "line longer than 1 MiB"
NOT_UTF8 = "text is not UTF-8"
UNSPLIT = "row cannot be split into fields"
WRONG_COUNT = "wrong number of fields"


class Lines:
    """The lines of a file without their ends, blank ones left out.

    ``position`` of ``total`` bytes are read. ``damage`` says at the end why the file cannot be read on; ``rest`` is
    then the piece of a line before that place. Raises SourceError where the file cannot be read at all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            found = path.stat()
        except OSError as e:
            raise SourceError(f"cannot read {path}: {e.strerror}") from None
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(f"{path} is no regular file")
        self.total = found.st_size
        self.position = 0
        self.damage: str | None = None
        self.rest = b""

    def blocks(self) -> Iterator[list[bytes]]:
        """Lists of lines, in order."""
        text, mark = b"", BYTE_ORDER_MARK
        for data in self._texts():
            text += data
            if len(text) >= BLOCK:
                whole, _, text = text.rpartition(b"\n")
                yield _split(whole.removeprefix(mark))
                text, mark = text[: MAX_LINE + 1], b""
        if self.damage:
            text, _, self.rest = text.rpartition(b"\n")
        yield _split(text.removeprefix(mark))

    def _texts(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                data = self._read(file)
                if data[:2] == b"\x1f\x8b":
                    yield from self._unpacked(file, data)
                    return
                while data:
                    yield data
                    data = self._read(file)
        except OSError as e:
            raise SourceError(f"cannot read {self._path}: {e.strerror}") from None

    def _unpacked(self, file: BinaryIO, data: bytes) -> Iterator[bytes]:
        """The text of gzip members, up to where they are damaged."""
        unpacker = zlib.decompressobj(wbits=31)
        while data:
            try:
                yield unpacker.decompress(data, BLOCK)
            except zlib.error:
                self.damage = CORRUPT
                return
            data = unpacker.unconsumed_tail or unpacker.unused_data.lstrip(b"\0") or self._read(file)
            if unpacker.eof and data:
                unpacker = zlib.decompressobj(wbits=31)
        if not unpacker.eof:
            self.damage = TRUNCATED

    def _read(self, file: BinaryIO) -> bytes:
        data = file.read(READ)
        self.position += len(data)
        return data


def _split(text: bytes) -> list[bytes]:
    """The lines of a text, without blank ones and what makes a line too long."""
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    if max(map(len, lines)) > MAX_LINE:
        lines = [line[: MAX_LINE + 1] for line in lines]
    lines[-1] = lines[-1].removesuffix(b"\r")
    return [line for line in lines if line] if b"" in lines else lines


class Fields:
    """Splits lines into rows of ``width`` fields. A quoted field may hold line ends; a row that never closes its
    quotes costs only its own line."""

    def __init__(self, delimiter: str, width: int) -> None:
        self._delimiter = delimiter
        self._width = width
        self._open: list[bytes] = []  # lines of a row whose quotes are not closed yet

    def split(self, lines: list[bytes], last: bool) -> tuple[list[list[str]], list[bytes], dict[int, str]]:
        """Rows, the bytes of each, and what is wrong with some (their fields are empty)."""
        if not self._open and max(map(len, lines), default=0) <= MAX_LINE:
            try:
                rows = self._rows(b"\n".join(lines).decode().split("\n")) if lines else []
            except (UnicodeDecodeError, csv.Error):
                rows = []
            if len(rows) == len(lines) and set(map(len, rows)) <= {self._width}:
                return rows, lines, {}
        return self._split_each(self._join(lines, last))

    def _rows(self, lines: list[str]) -> list[list[str]]:
        return list(csv.reader(lines, delimiter=self._delimiter, strict=True))

    def _split_each(self, raw: list[bytes]) -> tuple[list[list[str]], list[bytes], dict[int, str]]:
        rows: list[list[str]] = []
        problems: dict[int, str] = {}
        for at, line in enumerate(raw):
            try:
                (fields,), why = self._rows([line.decode()]), WRONG_COUNT
            except UnicodeDecodeError:
                fields, why = [], NOT_UTF8
            except csv.Error:
                fields, why = [], UNSPLIT
            if len(fields) != self._width or len(line) > MAX_LINE:
                problems[at] = why if len(line) <= MAX_LINE else TOO_LONG
                fields = [""] * self._width
            rows.append(fields)
        return rows, raw, problems

    def _join(self, lines: list[bytes], last: bool) -> list[bytes]:
        """Rows from lines: those between an opening and a closing quote belong together."""
        rows: list[bytes] = []
        waiting = [*self._open, *lines]
        self._open = []
        at = 0
        while at < len(waiting):
            end = self._end_of_row(waiting, at)
            if end is None and not last and len(waiting) - at <= MAX_SPAN:
                self._open = waiting[at:]
                return rows
            rows.append(b"\n".join(waiting[at : end or at + 1]))
            at = end or at + 1
        return rows

    def _end_of_row(self, lines: list[bytes], at: int) -> int | None:
        """Where the row that begins with line ``at`` ends; None where its quotes stay open."""
        quotes = 0
        for end in range(at, min(at + MAX_SPAN, len(lines))):
            quotes += lines[end].count(b'"')
            if quotes % 2 == 0:
                return end + 1 if end == at or self._is_row(lines[at : end + 1]) else at + 1
        return None

    def _is_row(self, lines: list[bytes]) -> bool:
        """Whether lines with balanced quotes are one row: not where one between the first and the last looks like a
        row itself, for then two torn rows only happen to close each other's quotes."""
        return self._has_width(b"\n".join(lines)) and not any(map(self._has_width, lines[1:-1]))

    def _has_width(self, line: bytes) -> bool:
        try:
            return [len(row) for row in self._rows([line.decode()])] == [self._width]
        except (UnicodeDecodeError, csv.Error):
            return False
