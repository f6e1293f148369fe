"""Raw columns become rows of the log: ids become keys, users become keyed hashes, rows without consent go no further.

Every row given is either an event, or a MALFORMED row with its reason and raw bytes, or counted as refused. Columns
are worked on whole; only rows with something wrong, a search, or new item attributes cost a step each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import ne
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from shopguide.collect.chunk import ATTRIBUTES, Chunk, Column
from shopguide.collect.values import (
    NO_ID,
    UNKNOWN,
    Cache,
    amount,
    consents,
    epoch,
    floats,
    id_text,
    is_blank,
    keys,
    kind_of,
    texts,
    times,
)
from shopguide.keys import Secret, category_key, event_key, item_key
from shopguide.records import F64, I64, U8, U64, Events, Kind, Names, Ragged

Bools = NDArray[np.bool_]

OPS = ("upsert", "delete", "stock")
NEED_ITEM = np.isin(np.arange(256), [k for k in Kind if Kind.VIEW <= k <= Kind.ITEM and k != Kind.SEARCH])
NUMBERS = ("price", "stock")
ITEM = int(Kind.ITEM)
MAX_ITEMS = 1 << 18  # items of a source whose attributes are remembered


@dataclass
class Encoded:
    """Rows for the log. ``row``: the row number in the source; ``derived``: an ITEM row that an event's attributes
    made; ``refused``: how many rows were without consent."""

    events: Events
    names: Names
    row: I64
    derived: Bools
    refused: int


class Encoder:
    """Encodes chunks; remembers the keys of ids. Not for two threads at once."""

    def __init__(self, secret: Secret, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.users = Cache(_key_by(secret.user_key))
        self.guests = Cache(_key_by(lambda session: secret.user_key("anonymous:" + session)))
        self.sessions = Cache(_key_by(secret.session_key))
        self.items = Cache(_key_by(item_key))
        self.events = Cache(_key_by(event_key), limit=1 << 12)
        self.times = Cache(epoch, limit=1 << 12)
        self.amounts = Cache(amount)
        self.kinds = Cache(kind_of, limit=1 << 12)
        self.ids = Cache(lambda text: id_text(text).encode())

    def encode(self, chunk: Chunk) -> Encoded:
        """The chunk's rows, in order, an item's new attributes before the event that brought them."""
        if len(chunk.known) > MAX_ITEMS:
            chunk.known.clear()
        return _Encoding(self, chunk).result()


def _key_by(key: Callable[[str], int]) -> Callable[[str | None], int]:
    def work(text: str | None) -> int:
        usable = id_text(text)
        return key(usable) if usable else 0

    return work


def _pack(details: dict[str, Any]) -> bytes:
    return msgpack.packb(details, unicode_errors="replace")  # type: ignore[no-any-return]


class _Encoding:
    """One chunk on its way."""

    def __init__(self, encoder: Encoder, chunk: Chunk) -> None:
        self.encoder, self.chunk, self.known = encoder, chunk, chunk.known
        self.n = chunk.rows
        self.arrived = encoder.clock()
        self.why: dict[int, str] = {}
        self.categories: set[str] = set()
        self.good = np.ones(self.n, bool)

    def result(self) -> Encoded:
        asked = self._consent()
        for row, why in self.chunk.problems.items():
            self._reject([row], why)
        self._read_kind_and_ids()
        self._read_numbers()
        self._check_attributes()
        data = self._data()
        rows, items = self._new_attributes()
        names = self._names()
        events = Events(
            arrived=np.full(self.n, self.arrived),
            kind=np.where(self.good, self.kind, np.uint8(Kind.MALFORMED)),
            user=np.where(self.good & (self.kind == Kind.ITEM), np.uint64(0), self.user),
            session=self.session * self.good,
            item=self.item * self.good,
            time=np.where(self.good, self.time, self.arrived),
            value=np.where(self.good, self.value, 0.0),
            event=self.event * self.good,
            data=data,
        )
        row = np.arange(self.n)
        derived = np.zeros(self.n, bool)
        if len(rows):
            place = np.argsort(np.concatenate([row * 2 + 1, rows * 2]), kind="stable")
            events = Events.join([events, items]).take(place)
            derived = place >= self.n
            row = np.concatenate([row, rows])[place]
        if not asked.all():
            stays = asked[row]
            events, row, derived = events.take(stays), row[stays], derived[stays]
        first = self.chunk.first
        number = row + first if first >= 0 else np.full(len(row), -1)
        return Encoded(events, names, number, derived, int(self.n - asked.sum()))

    def _column(self, name: str) -> Column | None:
        return self.chunk.columns.get(name)

    def _texts(self, name: str) -> Sequence[str | None]:
        column = self._column(name)
        return [None] * self.n if column is None else texts(column)

    def _reject(self, rows: Sequence[int] | NDArray[Any], why: str) -> None:
        """Rows (a boolean mask or indices) cannot be read; the first reason of a row stays."""
        index = np.flatnonzero(rows).tolist() if isinstance(rows, np.ndarray) and rows.dtype == bool else rows
        for row in index:
            self.why.setdefault(int(row), why)
        self.good[index] = False

    def _consent(self) -> Bools:
        column = self._column("consent")
        if column is None:
            return np.ones(self.n, bool)
        asked = np.fromiter(map(consents, column), bool, self.n)
        self.good &= asked
        return asked

    def _keys(self, name: str, cache: Cache[int]) -> U64:
        column = self._column(name)
        return np.zeros(self.n, np.uint64) if column is None else keys(texts(column), cache)

    def _read_kind_and_ids(self) -> None:
        encoder = self.encoder
        column = self._column("kind")
        self.kind: U8 = (
            np.full(self.n, Kind.VIEW, np.uint8)
            if column is None
            else np.fromiter(map(encoder.kinds.__getitem__, texts(column)), np.uint8, self.n)
        )
        self._reject(self.kind == UNKNOWN, "unknown kind")
        self.session = self._keys("session", encoder.sessions)
        self.user = self._users()
        shopper = self.kind != Kind.ITEM
        self._reject_ids(shopper & (self.user == 0), ("user", "session"), "no user and no session")
        self.item = self._keys("item", encoder.items)
        self._reject_ids(NEED_ITEM[self.kind] & (self.item == 0), ("item",), "no item")
        self.event = self._keys("event", encoder.events)

    def _users(self) -> U64:
        """The user's key; of a row without one, that of its session's guest; or the key that a token gave."""
        user = self._keys("user", self.encoder.users)
        if not user.all() and self._column("session") is not None:
            user = np.where(user == 0, self._keys("session", self.encoder.guests), user)
        given = self._column("user_key")
        if given is not None:
            known = [key if type(key) is int and 0 < key < 2**64 else 0 for key in given]
            user = np.where(np.array(known, np.uint64) > 0, np.array(known, np.uint64), user)
        return user

    def _reject_ids(self, rows: Bools, names: tuple[str, ...], missing: str) -> None:
        """Rows without a usable id: missing, or there but no id at all."""
        for row in np.flatnonzero(rows & self.good).tolist():
            there = [n for n in names if (c := self._column(n)) is not None and not is_blank(c[row])]
            self._reject([row], f"{there[0]} is no id" if there else missing)

    def _read_numbers(self) -> None:
        column = self._column("time")
        self.time: F64 = np.full(self.n, np.nan) if column is None else times(column, self.encoder.times)
        unread = ~np.isfinite(self.time)
        if unread.any():
            self._judge_times(column, unread)
        column = self._column("value")
        self.value: F64 = np.zeros(self.n) if column is None else floats(column, self.encoder.amounts)
        self._reject(~np.isfinite(self.value), "value is not a finite number")

    def _judge_times(self, column: Column | None, unread: Bools) -> None:
        """Say what is wrong with times. A catalogue's row without one is of now."""
        for row in np.flatnonzero(unread).tolist():
            given = None if column is None else column[row]
            if not is_blank(given):
                readable = np.isinf(self.time[row]) or (isinstance(given, (str, float)) and _names_nan(given))
                self._reject([row], "time is not finite" if readable else "time cannot be read")
            elif self.kind[row] == Kind.ITEM:
                self.time[row] = self.arrived
            else:
                self._reject([row], "no time")

    def _check_attributes(self) -> None:
        """Which attributes the rows have, their numbers read."""
        self.attributes: list[tuple[str, Column, F64 | None]] = []
        for name in ATTRIBUTES:
            column = self._column(name)
            if column is None:
                continue
            numbers = floats(column, self.encoder.amounts) if name in NUMBERS else None
            if numbers is not None:
                self._reject(~np.isfinite(numbers), f"{name} is not a finite number")
            elif not set(map(type, column)) <= {str, type(None)}:
                column = texts(column)
                self._reject(np.array([text == NO_ID for text in column], bool), f"{name} is no text")
            self.attributes.append((name, column, numbers))

    def _attributes(self, row: int) -> dict[str, Any]:
        """What a row says of its item."""
        said: dict[str, Any] = {}
        for name, column, numbers in self.attributes:
            given = column[row]
            if given is None or given == "":
                continue
            if numbers is not None:
                said[name] = float(numbers[row])
            elif text := given.strip():
                said[name] = text
        if "category" in said:
            self.categories.add(said["category"])
        return said

    def _data(self) -> Ragged[np.uint8]:
        """Searches' queries, catalogue rows, and what became malformed."""
        data = [b""] * self.n
        queries, ops = self._texts("query"), self._texts("op")
        for row in np.flatnonzero(self.good & (self.kind == Kind.SEARCH)).tolist():
            query = queries[row]
            if is_blank(query) or query == NO_ID:
                self._reject([row], "no query")
            else:
                data[row] = _pack({"query": str(query).strip()})
        for row in np.flatnonzero(self.good & (self.kind == Kind.ITEM)).tolist():
            op = ops[row] or "upsert"
            said = self._attributes(row)
            if op not in OPS:
                self._reject([row], "unknown op")
            elif op == "stock" and "stock" not in said:
                self._reject([row], "no stock")
            else:
                data[row] = _pack({"op": op, **said})
        for row, why in self.why.items():
            data[row] = _pack({"reason": why, "raw": self.chunk.raw(row)})
        return Ragged.of_bytes(data)

    def _new_attributes(self) -> tuple[I64, Events]:
        """ITEM rows for items whose attributes are new or changed, and the chunk's row before which each belongs."""
        columns = [self._column(name) for name in ATTRIBUTES]
        ids = self._column("item")
        if ids is None or all(column is None for column in columns):
            return np.empty(0, np.int64), Events()
        ids = texts(ids)
        said = list(zip(*(repeat(None, self.n) if c is None else c for c in columns), strict=True))
        other = np.fromiter(map(ne, map(self.known.get, ids), said), bool, self.n) & self.good & (self.item > 0)
        if not other.any():
            return np.empty(0, np.int64), Events()
        changed = {ids[row] for row in np.flatnonzero(other).tolist()}
        look = np.fromiter(map(changed.__contains__, ids), bool, self.n) & self.good
        rows = [row for row in np.flatnonzero(look).tolist() if self._notice(ids[row], said[row], self.kind[row])]
        index = np.array(rows, np.int64)
        return index, Events(
            arrived=np.full(len(rows), self.arrived),
            kind=np.full(len(rows), Kind.ITEM),
            item=self.item[index],
            time=self.time[index],
            data=Ragged.of_bytes([_pack({"op": "upsert", **self._attributes(row)}) for row in rows]),
        )

    def _notice(self, item: str | None, said: tuple[Any, ...], kind: int) -> bool:
        """Remember an item's attributes; whether an event brought something new."""
        before = self.known.get(item)
        if before is not None and (None in said or "" in said):
            said = tuple(map(_newer, said, before))
        if said == before:
            return False
        self.known[item] = said
        return kind != ITEM and said.count(None) + said.count("") < len(said)

    def _names(self) -> Names:
        """The ids of the chunk's items, and the names of the categories that ITEM rows mention."""
        ids = self._texts("item")
        item, at = np.unique(self.item * self.good, return_index=True)
        words = [ids[row] for row in at[item > 0].tolist()]
        categories = sorted(filter(id_text, self.categories))
        return Names(
            key=np.concatenate([item[item > 0], np.array(list(map(category_key, categories)), np.uint64)]),
            text=Ragged.of_bytes(list(map(self.encoder.ids.__getitem__, [*words, *categories]))),
        )


def _newer(said: Any, before: Any) -> Any:
    return before if said is None or said == "" else said


def _names_nan(value: str | float) -> bool:
    try:
        return bool(np.isnan(float(value)))
    except ValueError:
        return False
