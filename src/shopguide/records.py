"""The nouns that travel: columnar micro-batches, and their packing.

A *table* is a struct of arrays: columns of one length, either fixed (numpy, one value a row) or ragged (any number
of values a row). A *record* is what one tuple carries: a few tables of one partition, and the range of log offsets
they stand for. Ids are 64-bit keys (:mod:`shopguide.keys`); 0 is "none".

Packed form: one msgpack array ``[b"SG", version, crc32, body]``; body is a msgpack map of the record's integers and
tables, every column a binary buffer in little-endian order.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Generic, Self, TypeVar

import msgpack
import numpy as np
from numpy.typing import NDArray

from shopguide.errors import PackingError

MAGIC = b"SG"
VERSION = 1

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


T = TypeVar("T", bound=np.generic)


class Kind(IntEnum):
    """What a row of the log says. Up to DISMISS a shopper did it; ITEM is the catalogue's; the rest control us."""

    MALFORMED = 0  # collect could not read it; data: {"reason": str, "raw": bytes}
    VIEW = 1
    SEARCH = 2  # data: {"query": str}
    CART = 3
    FAVOURITE = 4
    PURCHASE = 5
    REMOVE = 6  # a return, or out of the cart: takes back the newest purchase or cart event of the item
    IMPRESSION = 7
    CLICK = 8  # on something we recommended
    DISMISS = 9  # "not this"
    ITEM = 10  # data: {"op": "upsert" | "delete" | "stock", "title", "category", "brand", "price", "image", "url", ...}
    WATCH = 11  # data: {"expires": float, "slot": str, "n": int}; see Looks; expires 0: answer once
    UNWATCH = 12
    PICK = 13  # data: {"action": "pin" | "boost" | "bury" | "block", "slot", "until", "by", "why"}
    ACTIVATE = 14  # data: {"model": str, "version": str}
    FORGET = 15
    RETRACT = 16  # data: {"target": int}: the key of the event id to take out
    ALIAS = 17  # data: {"account": int}: the user key that this visitor is


class Ragged(Generic[T]):
    """A column with any number of values a row: row r is ``values[starts[r]:starts[r + 1]]``."""

    __slots__ = ("starts", "values")

    def __init__(self, starts: NDArray[np.uint32], values: NDArray[T]) -> None:
        self.starts = starts
        self.values = values

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any] | NDArray[T]], dtype: str) -> Ragged[Any]:
        arrays = [np.asarray(row, dtype) for row in rows]
        starts = np.zeros(len(arrays) + 1, np.uint32)
        np.cumsum([len(a) for a in arrays], out=starts[1:], dtype=np.uint32)
        return cls(starts, np.concatenate(arrays) if arrays else np.empty(0, dtype))  # type: ignore[arg-type]

    @classmethod
    def of_bytes(cls, rows: Sequence[bytes]) -> Ragged[Any]:
        starts = np.zeros(len(rows) + 1, np.uint32)
        np.cumsum(np.fromiter(map(len, rows), np.uint32, len(rows)), out=starts[1:], dtype=np.uint32)
        return cls(starts, np.frombuffer(b"".join(rows), np.uint8))  # type: ignore[arg-type]

    @classmethod
    def empty(cls, rows: int, dtype: str) -> Ragged[Any]:
        return cls(np.zeros(rows + 1, np.uint32), np.empty(0, dtype))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> NDArray[T]:
        return self.values[self.starts[row] : self.starts[row + 1]]

    def __iter__(self) -> Iterator[NDArray[T]]:
        return (self[row] for row in range(len(self)))

    def bytes_at(self, row: int) -> bytes:
        return self[row].tobytes()

    def take(self, rows: NDArray[Any]) -> Ragged[T]:
        """The given rows (boolean mask or indices), in that order."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        sizes = np.diff(self.starts)[index]
        starts = np.zeros(len(index) + 1, np.uint32)
        np.cumsum(sizes, out=starts[1:], dtype=np.uint32)
        if not starts[-1]:
            return Ragged(starts, self.values[:0])
        where = np.repeat(self.starts[:-1][index].astype(np.int64) - starts[:-1], sizes) + np.arange(starts[-1])
        return Ragged(starts, self.values[where])

    def join(self, *others: Ragged[T]) -> Ragged[T]:
        parts = (self, *others)
        sizes = np.concatenate([np.diff(p.starts) for p in parts])
        starts = np.zeros(len(sizes) + 1, np.uint32)
        np.cumsum(sizes, out=starts[1:], dtype=np.uint32)
        return Ragged(starts, np.concatenate([p.values for p in parts]))


class Table:
    """Columns of one length. ``schema`` gives each column's dtype; a trailing ``[]`` makes it ragged."""

    schema: ClassVar[dict[str, str]]

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
        return len(getattr(self, next(iter(self.schema))))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and pack_table(self) == pack_table(other)  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]

    def columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.schema}

    def take(self, rows: NDArray[Any]) -> Self:
        """The rows of a boolean mask, an index array, in that order."""
        return type(self)(**{n: c.take(rows) if isinstance(c, Ragged) else c[rows] for n, c in self.columns().items()})

    def slice(self, start: int, stop: int) -> Self:
        return self.take(np.arange(start, min(stop, len(self))))

    @classmethod
    def join(cls, tables: Sequence[Self]) -> Self:
        if not tables:
            return cls()
        first = tables[0].columns()
        return cls(
            **{
                n: c.join(*(getattr(t, n) for t in tables[1:]))
                if isinstance(c, Ragged)
                else np.concatenate([getattr(t, n) for t in tables])
                for n, c in first.items()
            }
        )


class Events(Table):
    """Rows of the log. ``offset`` is the order, ``time`` (epoch s) is data, ``arrived`` is when collect had it."""

    schema = {
        "offset": "<i8",
        "arrived": "<f8",
        "kind": "u1",
        "user": "<u8",
        "session": "<u8",  # 0: featurize cuts sessions by inactivity
        "item": "<u8",
        "time": "<f8",
        "value": "<f8",  # money of the event; 0: not given
        "event": "<u8",  # key of the producer's event id; 0: none
        "data": "u1[]",  # msgpack map of what only some kinds carry, or nothing
    }
    offset: I64
    arrived: F64
    kind: U8
    user: U64
    session: U64
    item: U64
    time: F64
    value: F64
    event: U64
    data: Ragged[np.uint8]

    def details(self, row: int) -> dict[str, Any]:
        """The row's ``data`` as a dict; empty where there is none.

        Raises PackingError where the bytes are no msgpack map.
        """
        raw = self.data.bytes_at(row)
        if not raw:
            return {}
        try:
            details = msgpack.unpackb(raw)
        except ValueError as e:
            raise PackingError(f"data of offset {self.offset[row]} is no msgpack: {e}") from None
        if not isinstance(details, dict):
            raise PackingError(f"data of offset {self.offset[row]} is no map")
        return details


class Names(Table):
    """The id strings (UTF-8) behind item keys, each distinct one once a batch."""

    schema = {"key": "<u8", "text": "u1[]"}
    key: U64
    text: Ragged[np.uint8]


class Lessons(Table):
    """What the model learns, in order: ``sign`` +1 adds the event, -1 takes it back exactly.
    ``offset`` is that of the row which caused it."""

    schema = {
        "offset": "<i8",
        "sign": "i1",
        "kind": "u1",
        "unit": "<u8",
        "user": "<u8",
        "item": "<u8",
        "time": "<f8",
    }
    offset: I64
    sign: NDArray[np.int8]
    kind: U8
    unit: U64
    user: U64
    item: U64
    time: F64


SIMILAR = b"similar"
TRENDING = b"trending"


class Looks(Table):
    """Who looks, and all that an answer needs. One row an answer; ragged columns newest first."""

    schema = {
        "user": "<u8",
        "offset": "<i8",  # of the event that caused it
        "event_time": "<f8",
        "logged": "<f8",
        "slot": "u1[]",  # where the list stands: home, product, cart, ...; SIMILAR and TRENDING answer for no user
        "about": "<u8",  # SIMILAR: to this item
        "category": "<u8",  # TRENDING: in this category; 0: everywhere
        "n": "<u4",
        "intent": "<f4",  # probability-like purchase intent of the live session, 0..1
        "recent": "<u8[]",  # distinct items of the user, newest first
        "recent_kind": "u1[]",  # strongest kind seen for each
        "recent_time": "<f8[]",
        "here": "u1[]",  # 1: in the live session
        "bought": "<u8[]",
        "dismissed": "<u8[]",
    }
    user: U64
    offset: I64
    event_time: F64
    logged: F64
    slot: Ragged[np.uint8]
    about: U64
    category: U64
    n: NDArray[np.uint32]
    intent: NDArray[np.float32]
    recent: Ragged[np.uint64]
    recent_kind: Ragged[np.uint8]
    recent_time: Ragged[np.float64]
    here: Ragged[np.uint8]
    bought: Ragged[np.uint64]
    dismissed: Ragged[np.uint64]


SIGNALS = ("items", "session", "popular", "similar", "trending")


class Candidates(Table):
    """Scored items of looks. A score is the sum of its amounts: ``signal`` (an index into SIGNALS) says which part of
    the blend, ``because`` names the user's item that it came from (0: none), ``shared`` how many distinct shoppers
    link them (0: not counted)."""

    schema = {
        "look": "<u4",
        "item": "<u8",
        "score": "<f8",
        "signal": "u1[]",
        "because": "<u8[]",
        "amount": "<f8[]",
        "shared": "<u4[]",
    }
    look: NDArray[np.uint32]
    item: U64
    score: F64
    signal: Ragged[np.uint8]
    because: Ragged[np.uint64]
    amount: Ragged[np.float64]
    shared: Ragged[np.uint32]


@dataclass(eq=True)
class Record:
    """What a tuple carries: tables of one partition, standing for its log offsets first..last (inclusive)."""

    partition: int
    first: int
    last: int


@dataclass(eq=True)
class Batch(Record):
    """collect → clean → featurize: events as they came, then events that make sense."""

    events: Events
    names: Names


@dataclass(eq=True)
class Update(Record):
    """featurize → score."""

    lessons: Lessons
    looks: Looks


@dataclass(eq=True)
class Slate(Record):
    """score → rank."""

    looks: Looks
    candidates: Candidates
    scored: float  # epoch seconds


_RECORDS: dict[str, type[Record]] = {c.__name__: c for c in (Batch, Update, Slate)}
_TABLES: dict[str, type[Table]] = {c.__name__: c for c in (Events, Names, Lessons, Looks, Candidates)}


def pack_table(table: Table) -> dict[str, Any]:
    packed: dict[str, Any] = {"rows": len(table)}
    for name, column in table.columns().items():
        if isinstance(column, Ragged):
            packed[name] = [column.starts.tobytes(), column.values.tobytes()]
        else:
            packed[name] = column.tobytes()
    return packed


def _unpack_table(cls: type[Table], packed: dict[str, Any]) -> Table:
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
    return cls(**columns)


def pack(record: Record) -> bytes:
    """The record as bytes."""
    fields: dict[str, Any] = {
        name: pack_table(value) if isinstance(value, Table) else value for name, value in vars(record).items()
    }
    body = msgpack.packb([type(record).__name__, fields])
    return msgpack.packb([MAGIC, VERSION, zlib.crc32(body), body])  # type: ignore[no-any-return]


def unpack(data: bytes) -> Record:
    """The record back. Arrays are read-only views of ``data``.

    Raises PackingError, and nothing else, for bytes that ``pack`` did not make.
    """
    try:
        magic, version, crc, body = msgpack.unpackb(data)
        if magic != MAGIC:
            raise PackingError(f"no shopguide record: begins with {bytes(data[:4])!r}")
        if version != VERSION:
            raise PackingError(f"record of version {version}; this program reads version {VERSION}")
        if zlib.crc32(body) != crc:
            raise PackingError("record is corrupt: checksum does not fit")
        name, fields = msgpack.unpackb(body)
        cls = _RECORDS[name]
        kinds = {f.name: _TABLES.get(str(f.type)) for f in cls.__dataclass_fields__.values()}
        return cls(**{n: _unpack_table(t, fields[n]) if (t := kinds[n]) else fields[n] for n in fields})
    except PackingError:
        raise
    except Exception as e:  # msgpack raises many kinds; all mean the same to the caller
        raise PackingError(f"record is truncated or corrupt: {type(e).__name__}: {e}") from None
