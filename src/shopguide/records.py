"""The nouns that travel: columnar micro-batches, and their packing.

A *record* is what one tuple carries: a few tables (:mod:`shopguide.columns`) of one partition, and the range of log
offsets they stand for. Ids are 64-bit keys (:mod:`shopguide.keys`); 0 is "none".

Packed form: one msgpack array ``[b"SG", version, crc32, body]``; body is a msgpack map of the record's integers and
tables, every column a binary buffer in little-endian order.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from shopguide.columns import Ragged, Table, pack_table, unpack_table
from shopguide.errors import PackingError

__all__ = ["LEARNED", "SIGNALS", "SIMILAR", "TOPIC", "TRENDING", "Batch", "Candidates", "Events", "Kind", "Lessons"]
__all__ += ["Looks", "Moved", "Names", "Ragged", "Record", "Slate", "Table", "Update", "pack", "unpack"]

MAGIC = b"SG"
VERSION = 1

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


EARLIEST = 631_152_000.0  # 1990-01-01 in epoch seconds: what is before it is no event's time
AHEAD = 86_400.0  # seconds that an event's time may be ahead of its arrival


class Kind(IntEnum):
    """What a row of the log says. Up to DISMISS a shopper did it; ITEM is the catalogue's; the rest control us."""

    MALFORMED = 0  # collect could not read it; data: {"reason": str, "raw": bytes}
    VIEW = 1
    SEARCH = 2  # data: {"query": str}
    CART = 3
    FAVOURITE = 4
    PURCHASE = 5
    REMOVE = 6  # a return: takes back the newest purchase or cart event of the item, or else its favourite
    IMPRESSION = 7
    CLICK = 8  # on something we recommended
    DISMISS = 9  # "not this"
    ITEM = 10  # data: {"op": "upsert" | "mention" | "delete" | "stock", "title", "category", "price", "until", ...}
    WATCH = 11  # data: {"expires": float, "slot": str, "n": int}; see Looks; expires 0: answer once
    UNWATCH = 12
    PICK = 13  # data: {"action": "pin" | "boost" | "bury" | "block" | "undo", "id", "by", "why", ...}; see picks
    ACTIVATE = 14  # data: {"version": str, "models": [str], "read": int}; see artefacts
    FORGET = 15  # data: {"by": int}: the account whose visitor this was; nothing: by themselves
    RETRACT = 16  # data: {"target": int}: the key of the event id to take out
    ALIAS = 17  # data: {"account": int}: the user key that this visitor is
    ADOPT = 18  # data: {"path": [int], "events": packed Moved}: a visitor's events, now this user's; see featurize
    ERASED = 19  # what is left of a forgotten row: what its event's id is known by, so that a late retry is a double
    LOOKUP = 20  # data: {"by": str, "why": str}: an expert looked at what is held of the user
    PROFILE = 21  # data: {"attributes": {str: str}, "interests": [str], "beneath": bool}; see profile


LEARNED = (Kind.VIEW, Kind.CART, Kind.FAVOURITE, Kind.PURCHASE, Kind.CLICK)  # what a model learns from


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

    @property
    def kinds(self) -> frozenset[int]:
        """Those that there are: most batches have few, and nothing that only other kinds ask for."""
        return frozenset(self.kind.tobytes())

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
        "context": "<u4",  # of the visit; see context
    }
    offset: I64
    sign: NDArray[np.int8]
    kind: U8
    unit: U64
    user: U64
    item: U64
    time: F64
    context: NDArray[np.uint32]


class Moved(Table):
    """Events on their way from a visitor to an account, in order. ``session`` 0: cut by inactivity."""

    schema = {"item": "<u8", "time": "<f8", "session": "<u8", "kind": "u1", "event": "<u8", "context": "<u4"}
    item: U64
    time: F64
    session: U64
    kind: U8
    event: U64
    context: NDArray[np.uint32]


SIMILAR = b"similar"
TRENDING = b"trending"
TOPIC = b"topic"  # the slot of lists that are made of everybody, for who reads them from a topic
BASE = "base"  # what every candidate of the trees begins with


class Looks(Table):
    """Who looks, and all that an answer needs. One row an answer; ragged columns newest first."""

    schema = {
        "user": "<u8",
        "unit": "<u8",  # of the live session in the model; 0: none
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
        "here": "u1[]",  # events of each in the live session; 0: it is not in it
        "visit": "<u8[]",  # items of the unit's newest events, oldest first: of the live session, or the user
        "visit_kind": "u1[]",
        "visit_time": "<f8[]",
        "query": "u1[]",  # what was searched for last in the live session, UTF-8; empty: nothing
        "since_query": "<u2",  # signs of interest in the live session after that search
        "bought": "<u8[]",
        "dismissed": "<u8[]",
        "interests": "u1[]",  # of the imported profile, a line each, UTF-8
        "context": "<u4",  # of the visit; see context
        "tried": "<u8[]",  # new items that the user was shown as such
        "explored": "<u8[]",  # by score: those to show as such, best first
        "past": "u1[]",  # where trained profiles are in force, for these: shopguide.tastes.Past, packed
    }
    user: U64
    unit: U64
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
    visit: Ragged[np.uint64]
    visit_kind: Ragged[np.uint8]
    visit_time: Ragged[np.float64]
    query: Ragged[np.uint8]
    since_query: NDArray[np.uint16]
    bought: Ragged[np.uint64]
    dismissed: Ragged[np.uint64]
    interests: Ragged[np.uint8]
    context: NDArray[np.uint32]
    tried: Ragged[np.uint64]
    explored: Ragged[np.uint64]
    past: Ragged[np.uint8]


SIGNALS: tuple[str, ...] = ("items", "rule", "second", "next", "hops", "sessions", "users")
SIGNALS += ("current", "previous", "steps", "repeats", "popular")
SIGNALS += (SIMILAR.decode(), TRENDING.decode(), BASE)
SIGNALS += ("content", "search", "beside", "rnn", "cnn", "segment", "welcome", "profile", "title")


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
    """featurize → score. Lessons are those of the rows from ``held`` on; relay: rows that these cause in other
    partitions, as ``relayed`` was the last to do before them."""

    held: int
    lessons: Lessons
    relayed: int
    relay: Events
    looks: Looks


@dataclass(eq=True)
class Slate(Record):
    """score → rank."""

    looks: Looks
    candidates: Candidates
    scored: float  # epoch seconds


_RECORDS: dict[str, type[Record]] = {c.__name__: c for c in (Batch, Update, Slate)}
_TABLES: dict[str, type[Table]] = {c.__name__: c for c in (Events, Names, Lessons, Looks, Candidates)}


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
        return cls(**{n: unpack_table(t, fields[n]) if (t := kinds[n]) else fields[n] for n in fields})  # type: ignore[arg-type]
    except PackingError:
        raise
    except Exception as e:  # msgpack raises many kinds; all mean the same to the caller
        raise PackingError(f"record is truncated or corrupt: {type(e).__name__}: {e}") from None
