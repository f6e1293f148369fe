"""Parquet files of events: columns named as in a table of events, read batch by batch; pyarrow is the extra `parquet`.

A row group that cannot be read is one malformed row with the number of its first missing row; the next groups are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from shopguide.collect.chunk import Chunk, Column
from shopguide.collect.formats import event_columns
from shopguide.collect.lines import CORRUPT
from shopguide.errors import SourceError

NAME = "parquet"
MAGIC = b"PAR1"
TIMES = {"s": 1, "ms": 1_000, "us": 1_000_000}  # of a unit in a second
BUFFER = 1 << 20  # bytes of a column chunk read at once
EXTRA = "reading Parquet needs pyarrow: pip install 'shopguide[parquet]'"


def is_parquet(path: Path) -> bool:
    """Whether a file begins as a Parquet file does. Raises SourceError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as e:
        raise SourceError(f"cannot read {path}: {e.strerror}") from None


class Parquet:
    """A Parquet file, ``columns`` naming those that are read, by what a chunk calls each. ``position`` of ``total``
    bytes are read, by the share of its rows.

    Raises SourceError where pyarrow is missing, the file is not whole, or its columns do not do.
    """

    def __init__(self, path: Path, columns: Callable[[Sequence[str]], Mapping[str, str]] = event_columns) -> None:
        try:
            parquet, arrow = import_module("pyarrow.parquet"), import_module("pyarrow")
        except ImportError:
            raise SourceError(f"{path}: {EXTRA}") from None
        self._broken = (arrow.ArrowException, OSError, ValueError)
        try:
            self._file = parquet.ParquetFile(path, buffer_size=BUFFER, page_checksum_verification=True)
            header = [str(name) for name in self._file.schema_arrow.names]
        except self._broken:
            raise SourceError(f"{path} is no whole Parquet file: its end cannot be read") from None
        try:
            self._places = {column: header.index(theirs) for column, theirs in columns(header).items()}
        except SourceError as e:
            raise SourceError(f"{path}: {e}") from None
        self.total = path.stat().st_size
        self.position = 0

    def chunks(self, source: int, rows: int) -> Iterator[Chunk]:
        """The rows in chunks of at most ``rows``, numbered through the file."""
        meta = self._file.metadata
        first = 0
        for group in range(meta.num_row_groups):
            at, first = first, first + meta.row_group(group).num_rows
            try:
                for batch in self._file.iter_batches(rows, row_groups=[group]):
                    chunk = self._chunk(batch, source, at)
                    at += chunk.rows
                    self.position = self.total * at // max(meta.num_rows, 1)
                    yield chunk
            except self._broken:
                lost = orjson.dumps({"row_group": group, "rows": [at, first - 1]})
                yield Chunk(1, {}, lambda row, lost=lost: lost, {0: CORRUPT}, source, at)  # type: ignore[misc]

    def _chunk(self, batch: Any, source: int, first: int) -> Chunk:
        columns = {column: _values(batch.column(place)) for column, place in self._places.items()}
        return Chunk(batch.num_rows, columns, lambda row: _raw(batch, row), source=source, first=first)


def _values(array: Any) -> Column:
    """A column's values as a table or JSON would give them, times as epoch seconds; bytes that are no text and what
    else a column may hold as it is."""
    kind = str(array.type)
    if kind.startswith("dictionary"):
        return _values(array.dictionary_decode())
    if kind.startswith(("timestamp", "date")):
        return _seconds(array)
    if kind.startswith("decimal"):
        array = array.cast("float64")
    elif kind in ("string", "large_string", "binary", "large_binary"):
        return list(map(_text, array.cast("large_binary").to_pylist()))
    elif kind.startswith(("time64", "duration")):
        array = array.cast("int64")  # nanoseconds fit no Python time
    found: list[Any] = array.to_pylist()
    return found


def _text(value: bytes | None) -> Any:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _seconds(array: Any) -> list[float | None]:
    """Timestamps of any unit, and dates, as epoch seconds; UTC where they name no zone."""
    if str(array.type).startswith("date"):
        array = array.cast("timestamp[s]" if str(array.type) == "date32[day]" else "timestamp[ms]")
    there = array.is_valid().to_pylist()
    whole, rest = array.cast("int64").fill_null(0).to_numpy(zero_copy_only=False), 0.0
    unit = array.type.unit
    if unit == "ns":
        unit, (whole, rest) = "us", np.divmod(whole, 1000)  # a double holds microseconds exactly
    seconds = (whole + rest / 1000) / TIMES[unit]
    return [second if known else None for second, known in zip(seconds.tolist(), there, strict=True)]


def _raw(batch: Any, row: int) -> bytes:
    """A row as JSON, for the rejects."""
    said: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.slice(row, 1).columns, strict=True):
        try:
            said[name] = _values(column)[0]
        except ValueError:
            said[name] = f"<{column.type}>"
    return orjson.dumps(said, default=repr)
