"""One chunk on its way to the log: its columns are read whole; only rows with something wrong, a search, or new item
attributes cost a step each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from shopguide._core import bytes_of, keys_of, look_up
from shopguide.collect.attributes import Attributes, Bools
from shopguide.collect.chunk import Chunk, Column, is_full, rows_of
from shopguide.collect.memory import Memory, event_key_of, item_key_of
from shopguide.collect.values import NO_ID, UNKNOWN, consents, floats, id_text, is_blank, texts, times
from shopguide.context import FIELDS, canonical
from shopguide.keys import SEED_OF_EVENTS, SEED_OF_ITEMS, category_key
from shopguide.records import AHEAD, EARLIEST, F64, I64, U8, U64, Events, Kind, Names, Ragged

OPS = ("upsert", "delete", "stock")
NEED_ITEM = frozenset(k for k in Kind if Kind.VIEW <= k <= Kind.ITEM and k != Kind.SEARCH)
OF_USERS = frozenset((Kind.ALIAS, Kind.RETRACT))
OF_LISTS = frozenset((Kind.IMPRESSION, Kind.CLICK, Kind.FAVOURITE, Kind.DISMISS))
OF_SHOPPERS = frozenset(k for k in Kind if Kind.VIEW <= k <= Kind.DISMISS)
SEARCHES, ITEMS, PROFILES = frozenset((Kind.SEARCH,)), frozenset((Kind.ITEM,)), frozenset((Kind.PROFILE,))
ITEM = int(Kind.ITEM)
NONE: I64 = np.array([], np.int64)

Details = dict[str, Any]


def _pack(details: dict[str, Any]) -> bytes:
    return msgpack.packb(details, unicode_errors="replace")  # type: ignore[no-any-return]


class Passage:
    """The columns of a chunk, read. ``arrived``: when those rows came whose source does not say it; ``consent``: which
    rows may be kept at all; None: all."""

    kind: U8
    kinds: frozenset[int]  # that there are
    user: U64
    session: U64
    item: U64
    event: U64
    time: F64
    value: F64

    def __init__(self, memory: Memory, chunk: Chunk, arrived: float) -> None:
        self.memory, self.chunk = memory, chunk
        self.n = chunk.rows
        self.arrived = np.full(self.n, arrived) if chunk.arrived is None else np.ascontiguousarray(chunk.arrived)
        self.why: dict[int, str] = {}
        self.good = np.ones(self.n, bool)
        self.attributes = Attributes(chunk, memory.amounts)
        self.words: dict[str, list[str | None]] = {}
        self.consent = self._consent()
        for bad, why in chunk.problems.items():
            self._reject([bad], why)
        self._read_kind_and_ids()
        self._read_numbers()
        for unread, why in self.attributes.unread():
            self._reject(unread, why)

    def events(self) -> Events:
        """The rows themselves. A malformed one keeps its user, so that it can be forgotten with them."""
        data = self._data()  # may reject more
        if ITEM in self.kinds:
            self.user = np.where(self.good & (self.kind == ITEM), np.uint64(0), self.user)
        if not is_full(self.good):
            self._blank()
        return Events.of(
            {
                "offset": np.zeros(self.n, np.int64),
                "arrived": self.arrived,
                "kind": self.kind,
                "user": self.user,
                "session": self.session,
                "item": self.item,
                "time": self.time,
                "value": self.value,
                "event": self.event,
                "data": data,
            }
        )

    def _blank(self) -> None:
        """Of malformed rows nothing else is told."""
        good = self.good
        self.kind = np.where(good, self.kind, np.uint8(Kind.MALFORMED))
        self.session, self.item, self.event = self.session * good, self.item * good, self.event * good
        self.time, self.value = np.where(good, self.time, self.arrived), np.where(good, self.value, 0.0)

    def news(self) -> I64:
        """The rows that bring new attributes of their item, but for the catalogue's own, and for those of a time at
        which nothing can be: what they say would be rejected with them, and known all the same."""
        if not self.attributes:
            return NONE
        told = self.good & (self.item > 0) & (self.time >= EARLIEST) & (self.time <= self.arrived + AHEAD)
        rows: I64 = np.array(self.attributes.news(self._texts("item"), told), np.int64)
        catalogue: Bools = self.kind[rows] == ITEM
        return rows[~catalogue]

    def items(self, rows: I64) -> Events:
        """An ITEM row for each of these rows: a mention, which brings back nothing that was deleted."""
        return Events(
            arrived=self.arrived[rows],
            kind=np.full(len(rows), ITEM),
            item=self.item[rows],
            time=self.time[rows],
            data=Ragged.of_bytes([_pack({"op": "mention", **self.attributes.of(row)}) for row in rows.tolist()]),
        )

    def names(self) -> Names:
        """The ids of the items of the rows that :meth:`events` gave, and the names of the categories that ITEM rows
        mention."""
        first = dict(zip(reversed(self.item.tolist()), reversed(self._texts("item")), strict=True))
        first.pop(0, None)
        items, categories = sorted(first), sorted(filter(id_text, self.attributes.categories))
        words = [first[item] for item in items]
        return Names.of(
            {
                "key": np.array([*items, *map(category_key, categories)], np.uint64),
                "text": Ragged.of_bytes(bytes_of([*words, *categories], lambda text: id_text(text).encode())),
            }
        )

    def _column(self, name: str) -> Column | None:
        return self.chunk.columns.get(name)

    def _texts(self, name: str) -> list[str | None]:
        if name not in self.words:
            column = self._column(name)
            self.words[name] = [None] * self.n if column is None else texts(column)
        return self.words[name]

    def _reject(self, rows: Sequence[int] | NDArray[np.bool_], why: str) -> None:
        """Rows (a boolean mask or indices) cannot be read; the first reason of a row stays."""
        index = rows_of(rows) if isinstance(rows, np.ndarray) else rows
        for row in index:
            self.good[row] = False
            self.why.setdefault(row, why)

    def _consent(self) -> Bools | None:
        column = self._column("consent")
        if column is None:
            return None
        asked = np.fromiter(map(consents, column), bool, self.n)
        self.good &= asked
        return asked

    def _keys(self, name: str, keys_of: Callable[[list[str | None]], U64]) -> U64:
        """The keys of a column of ids; 0 where there is none. What is there but is no id is rejected."""
        if self._column(name) is None:
            return np.zeros(self.n, np.uint64)
        ids = self._texts(name)
        found = keys_of(ids)
        if is_full(found):
            return found
        none = np.flatnonzero(found == 0).tolist()
        if not set(map(ids.__getitem__, none)) <= {None, ""}:
            self._reject([row for row in none if not is_blank(ids[row])], f"{name} is no id")
        return found

    def _of(self, kinds: frozenset[int]) -> list[int]:
        """The good rows of these kinds."""
        if kinds.isdisjoint(self.kinds):
            return []
        return rows_of(self.good & np.isin(self.kind, list(kinds)))

    def _read_kind_and_ids(self) -> None:
        memory = self.memory
        column = self._column("kind")
        self.kind = (
            np.full(self.n, Kind.VIEW, np.uint8)
            if column is None
            else look_up(texts(column), memory.kinds).astype(np.uint8)
        )
        self.kinds = frozenset(self.kind.tobytes())
        if UNKNOWN in self.kinds:
            self._reject(self.kind == UNKNOWN, "unknown kind")
        self.session = self._keys("session", partial(look_up, memory=memory.sessions))
        self.user = self._users()
        if not is_full(self.user):
            self._reject((self.kind != ITEM) & (self.user == 0), "no user and no session")
        self.item = self._keys("item", partial(keys_of, seed=SEED_OF_ITEMS, other=item_key_of))
        if not is_full(self.item):
            self._reject(np.isin(self.kind, list(NEED_ITEM)) & (self.item == 0), "no item")
        self.event = self._keys("event", partial(keys_of, seed=SEED_OF_EVENTS, other=event_key_of))

    def _users(self) -> U64:
        """The user's key; of a row without one, that of its session's guest; or the key that a token gave."""
        user = self._keys("user", partial(look_up, memory=self.memory.users))
        if not is_full(user):
            guests = rows_of((user == 0) & (self.session > 0))
            sessions = list(map(self._texts("session").__getitem__, guests))
            user[guests] = look_up(sessions, self.memory.guests)
        given = self._column("user_key")
        if given is not None:
            known = np.array([key if type(key) is int and 0 < key < 2**64 else 0 for key in given], np.uint64)
            user = np.where(known > 0, known, user)
        return user

    def _read_numbers(self) -> None:
        column = self._column("time")
        self.time = np.full(self.n, np.nan) if column is None else times(column, self.memory.times)
        readable = np.isfinite(self.time)
        if not is_full(readable):
            self._judge_times(column, rows_of(~readable))
        column = self._column("value")
        self.value = np.zeros(self.n) if column is None else floats(column, self.memory.amounts)
        if column is not None:
            self._reject(~np.isfinite(self.value), "value is not a finite number")

    def _judge_times(self, column: Column | None, unread: list[int]) -> None:
        """Say what is wrong with times. A catalogue's or a control row without one is of now."""
        for row in unread:
            given = None if column is None else column[row]
            if not is_blank(given):
                readable = np.isinf(self.time[row]) or (isinstance(given, (str, float)) and _names_nan(given))
                self._reject([row], "time is not finite" if readable else "time cannot be read")
            elif self.kind[row] >= ITEM:
                self.time[row] = self.arrived[row]
            else:
                self._reject([row], "no time")

    def _data(self) -> Ragged[np.uint8]:
        """Contexts, searches' queries, catalogue rows, profiles, and what became malformed."""
        data = self._contexts()
        queries, ops = self._texts("query"), self._texts("op")
        for row in self._of(SEARCHES):
            query = queries[row]
            if is_blank(query) or query == NO_ID:
                self._reject([row], "no query")
            else:
                data.setdefault(row, {})["query"] = str(query).strip()
        for row in self._of(ITEMS):
            op = ops[row] or "upsert"
            said = self.attributes.of(row)
            if op not in OPS:
                self._reject([row], "unknown op")
            elif op == "stock" and "stock" not in said:
                self._reject([row], "no stock")
            else:
                data[row] = {"op": op, **said}
        self._say_profiles(data)
        self._say_whom(data)
        self._say_which_list(data)
        for row, why in self.why.items():
            data[row] = {"reason": why, "raw": self.chunk.raw(row)}
        if not data:
            return Ragged.empty(self.n, "u1")
        return Ragged.of_bytes([_pack(data[row]) if row in data else b"" for row in range(self.n)])

    def _contexts(self) -> dict[int, Details]:
        """What rows of shoppers say of their visit."""
        data: dict[int, Details] = {}
        there = [name for name in FIELDS if self._column(name) is not None]
        shoppers = self._of(OF_SHOPPERS) if there else []
        for name in there:
            column = self.chunk.columns[name]
            said = texts(column)
            for row in shoppers:
                if not said[row]:
                    continue
                word = canonical(name, said[row])
                if word:
                    data.setdefault(row, {})[name] = word
                elif word is None:
                    self._reject([row], f"{name} makes no sense")
        return data

    def _say_profiles(self, data: dict[int, Details]) -> None:
        profiles = self._column("profile")
        for row in self._of(PROFILES):
            if profiles is None:
                self._reject([row], "no profile")
            else:
                data[row] = profiles[row]

    def _say_whom(self, data: dict[int, Details]) -> None:
        """Whose visitor a row's user is, which event it takes back."""
        for row in self._of(OF_USERS):
            alias = self.kind[row] == Kind.ALIAS
            name = "account" if alias else "target"
            said = self._texts(name)[row]
            key = self.memory.users[said] if alias else event_key_of(said)
            if key:
                data[row] = {name: key}
            else:
                self._reject([row], f"no {name}")

    def _say_which_list(self, data: dict[int, Details]) -> None:
        """The list in which the item stood, as its id on the stream, where it is known."""
        if self._column("list") is None:
            return
        lists = self._texts("list")
        for row in self._of(OF_LISTS):
            if id_text(lists[row]):
                data.setdefault(row, {})["list"] = lists[row]
            elif not is_blank(lists[row]):
                self._reject([row], "list is no id")


def _names_nan(value: str | float) -> bool:
    try:
        return bool(np.isnan(float(value)))
    except ValueError:
        return False
