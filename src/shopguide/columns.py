"""Struct of arrays: tables of named columns, fixed (numpy, one value a row) or ragged (any number of values a row)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from shopguide._core import ValueRows, columns_of
from shopguide.errors import PackingError

T = TypeVar("T", bound=np.generic)
TableT = TypeVar("TableT", bound="Table")


class Ragged(ValueRows[T]):
    """A column with any number of values a row: row r is ``values[starts[r]:starts[r + 1]]``."""

    __slots__ = ()

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any] | NDArray[T]], dtype: str) -> Ragged[Any]:
        return cls.joined([np.asarray(row, dtype) for row in rows], dtype)

    @classmethod
    def joined(cls, arrays: Sequence[NDArray[T]], dtype: DTypeLike) -> Ragged[Any]:
        """The same of arrays of the type."""
        if len(arrays) == 1:
            return cls(_one_row(len(arrays[0])), arrays[0])
        starts = np.array([0, *accumulate(map(len, arrays))], np.uint32)
        return cls(starts, np.concatenate(arrays) if arrays else np.empty(0, dtype))

    @classmethod
    def of_bytes(cls, rows: Sequence[bytes]) -> Ragged[Any]:
        if len(rows) == 1:
            return cls(_one_row(len(rows[0])), np.frombuffer(rows[0], np.uint8))
        starts = np.array([0, *accumulate(map(len, rows))], np.uint32)
        return cls(starts, np.frombuffer(b"".join(rows), np.uint8))

    @classmethod
    def empty(cls, rows: int, dtype: str) -> Ragged[Any]:
        return cls(np.zeros(rows + 1, np.uint32), np.empty(0, dtype))

    def __iter__(self) -> Iterator[NDArray[T]]:
        return (self[row] for row in range(len(self)))

    def bytes_at(self, row: int) -> bytes:
        return self[row].tobytes()

    def take(self, rows: NDArray[Any]) -> Ragged[T]:
        """The given rows (boolean mask or indices), in that order."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        starts = np.zeros(len(index) + 1, np.uint32)
        if not len(self.values):
            return Ragged(starts, self.values)
        sizes = (self.starts[1:] - self.starts[:-1])[index]
        np.cumsum(sizes, out=starts[1:], dtype=np.uint32)
        if not starts[-1]:
            return Ragged(starts, self.values[:0])
        where = np.repeat(self.starts[:-1][index].astype(np.int64) - starts[:-1], sizes) + np.arange(starts[-1])
        return Ragged(starts, self.values[where])

    def slice(self, start: int, stop: int) -> Ragged[T]:
        """Rows start..stop-1, as far as there are; copies."""
        starts = self.starts[start : max(stop, start) + 1]
        if not len(starts):
            return Ragged(np.zeros(1, np.uint32), self.values[:0])
        return Ragged(starts - starts[0], self.values[starts[0] : starts[-1]].copy())

    def view(self, start: int, stop: int) -> Ragged[T]:
        """Rows start..stop-1, which there are; the values are not copied."""
        starts = self.starts[start : stop + 1]
        return Ragged(starts - starts[0], self.values[starts[0] : starts[-1]])

    def join(self, *others: Ragged[T]) -> Ragged[T]:
        parts = (self, *others)
        sizes = np.concatenate([np.diff(p.starts) for p in parts])
        starts = np.zeros(len(sizes) + 1, np.uint32)
        np.cumsum(sizes, out=starts[1:], dtype=np.uint32)
        return Ragged(starts, np.concatenate([p.values for p in parts]))


class Table:
    """Columns of one length. ``schema`` gives each column's dtype; a trailing ``[]`` makes it ragged."""

    schema: ClassVar[dict[str, str]]
    types: ClassVar[dict[str, tuple[np.dtype[Any], bool]]]  # the same: of its values, and whether it is ragged

    def __init_subclass__(cls) -> None:
        cls.types = {n: (np.dtype(dtype.removesuffix("[]")), dtype.endswith("[]")) for n, dtype in cls.schema.items()}

    def __init__(self, **columns: Any) -> None:
        rows = next((len(c) for c in columns.values()), 0)
        for name, dtype in self.schema.items():
            column = columns.pop(name, None)
            ragged = dtype.endswith("[]")
            if column is None:
                column = Ragged.empty(rows, dtype[:-2]) if ragged else np.zeros(rows, dtype)
            elif not ragged:
                column = np.ascontiguousarray(column, dtype)
            if len(column) != rows:
                raise ValueError(f"{type(self).__name__}.{name} has {len(column)} rows instead of {rows}")
            setattr(self, name, column)
        if columns:
            raise TypeError(f"{type(self).__name__} has no column {', '.join(columns)}")

    def __len__(self) -> int:
        return len(next(iter(self.__dict__.values())))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and pack_table(self) == pack_table(other)

    __hash__ = None  # type: ignore[assignment]

    def columns(self) -> dict[str, Any]:
        return self.__dict__

    def take(self, rows: NDArray[Any]) -> Self:
        """The rows of a boolean mask, an index array, in that order."""
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        return self.of({n: c.take(rows) if isinstance(c, Ragged) else c[rows] for n, c in self.columns().items()})

    def slice(self, start: int, stop: int) -> Self:
        """Rows start..stop-1, as far as there are; copies."""
        rows = slice(start, stop)
        return self.of(
            {n: c.slice(start, stop) if isinstance(c, Ragged) else c[rows].copy() for n, c in self.columns().items()}
        )

    def view(self, start: int, stop: int) -> Self:
        """Rows start..stop-1, which there are; not copied."""
        if not start and stop == len(self):
            return self
        rows = slice(start, stop)
        return self.of(
            {n: c.view(start, stop) if isinstance(c, Ragged) else c[rows] for n, c in self.columns().items()}
        )

    @classmethod
    def join(cls, tables: Sequence[Self]) -> Self:
        if not tables:
            return cls()
        if len(tables) == 1:
            return tables[0]
        first = tables[0].columns()
        return cls.of(
            {
                n: c.join(*(getattr(t, n) for t in tables[1:]))
                if isinstance(c, Ragged)
                else np.concatenate([getattr(t, n) for t in tables])
                for n, c in first.items()
            }
        )

    @classmethod
    def of_rows(cls, rows: list[dict[str, Any]], **columns: Any) -> Self:
        """A table of rows by their columns' names; the value of a ragged column is an array of its type, or bytes. What
        a row does not have is 0, or empty. ``columns``: those that there are already."""
        return cls.of(columns_of(rows, cls.types, columns, Ragged))

    @classmethod
    def of(cls, columns: dict[str, Any]) -> Self:
        """Of all its columns, in their order and types, which fit already: small tables are made often."""
        table = cls.__new__(cls)
        table.__dict__.update(columns)
        return table


@lru_cache(1 << 12)
def _one_row(n: int) -> NDArray[np.uint32]:
    """The starts of a column with one row of n values. For all of them: not to be changed."""
    starts = np.array([0, n], np.uint32)
    starts.flags.writeable = False
    return starts


def pack_table(table: Table) -> dict[str, Any]:
    """The columns as binary buffers, little-endian; a ragged one as starts and values."""
    packed: dict[str, Any] = {"rows": len(table)}
    for name, column in table.columns().items():
        if isinstance(column, Ragged):
            packed[name] = [column.starts.tobytes(), column.values.tobytes()]
        else:
            packed[name] = column.tobytes()
    return packed


def unpack_table(cls: type[TableT], packed: dict[str, Any]) -> TableT:
    """The table back; arrays are read-only views. Raises PackingError where columns do not fit together."""
    rows = packed["rows"]
    columns: dict[str, Any] = {}
    for name, dtype in cls.schema.items():
        if dtype.endswith("[]"):
            starts, values = (np.frombuffer(packed[name][0], "<u4"), np.frombuffer(packed[name][1], dtype[:-2]))
            if starts[0] != 0 or starts[-1] != len(values) or (starts[1:] < starts[:-1]).any():
                raise PackingError(f"{cls.__name__}.{name}: starts do not fit the values")
            columns[name] = Ragged(starts, values)
        else:
            columns[name] = np.frombuffer(packed[name], dtype)
        if len(columns[name]) != rows:
            raise PackingError(f"{cls.__name__}.{name} has {len(columns[name])} rows instead of {rows}")
    return cls.of(columns)
