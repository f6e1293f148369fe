"""Messages become rows, and rows messages.

The offset of a row is its message's offset, shifted by 16 bits, plus the row's place in the message: event i of a JSON
message has place 2i + 1, the ITEM row that its attributes make 2i; row i of a packed batch has place i. The rows of a
message are a function of the message alone (and of the deployment's secret): read again they are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import orjson

from shopguide.collect.chunk import Chunk, columns_of
from shopguide.collect.collector import raw_of
from shopguide.collect.encode import Encoder
from shopguide.collect.formats import NOT_JSON
from shopguide.collect.values import is_blank
from shopguide.errors import PackingError
from shopguide.records import MAGIC, Batch, Events, Names, pack, unpack

SHIFT = 16
PLACES = 1 << SHIFT
EVENTS = PLACES // 2  # most events of a JSON message
PACKED = b"\x94\xc4" + bytes([len(MAGIC)]) + MAGIC  # how bytes made by records.pack begin
LONGEST = 900_000  # bytes of a message that we make; a broker takes a megabyte unless told otherwise

NO_VALUE = "message without a value"
TOO_MANY = f"more than {EVENTS:,} events in a message"


class Message(NamedTuple):
    """What counts of a message. ``time``: its timestamp in epoch s."""

    offset: int
    time: float
    key: bytes | None
    value: bytes | None


class _Forgetful(dict[Any, Any]):
    """Item attributes, none remembered: what is news must not depend on the messages read before."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class Rows:
    """Gathers the rows of messages, given in order. ``len`` is how many rows there are so far, without ITEM rows that
    attributes make."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._fields: list[dict[str, Any]] = []
        self._raws: list[bytes | None] = []
        self._offsets: list[int] = []
        self._arrived: list[float] = []
        self._users: list[str | None] = []
        self._problems: dict[int, str] = {}
        self._packed: list[tuple[Events, Names]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, message: Message) -> None:
        """Take a message's rows. What is no event becomes a malformed row; nothing raises."""
        value = message.value
        if value is None:
            self._bad(message, b"", NO_VALUE)
        elif value.startswith(PACKED):
            self._unpack(message, value)
        else:
            self._read_json(message, value)

    def result(self) -> tuple[Events, Names]:
        """All rows in the order of their offsets, and the names they need."""
        parts = [*self._packed, self._encode()] if self._fields else self._packed
        events = Events.join([e for e, _ in parts])
        names = Names.join([n for _, n in parts])
        if len(parts) > 1:
            events = events.take(np.argsort(events.offset, kind="stable"))
            names = names.take(np.unique(names.key, return_index=True)[1])
        return events, names

    def _read_json(self, message: Message, value: bytes) -> None:
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError:
            return self._bad(message, value, NOT_JSON)
        if isinstance(found, dict):
            return self._row(message, 0, found, value)
        if not isinstance(found, list):
            return self._bad(message, value, NOT_JSON)
        if len(found) > EVENTS:
            return self._bad(message, value, TOO_MANY)
        for at, fields in enumerate(found):
            if isinstance(fields, dict):
                self._row(message, at, fields, None)
            else:
                self._bad(message, orjson.dumps(fields), NOT_JSON, at)
        return None

    def _row(self, message: Message, at: int, fields: dict[str, Any], raw: bytes | None) -> None:
        self._fields.append(fields)
        self._raws.append(raw)
        self._offsets.append((message.offset << SHIFT) + 2 * at + 1)
        self._arrived.append(message.time)
        self._users.append(_text(message.key))
        self._count += 1

    def _bad(self, message: Message, raw: bytes, why: str, at: int = 0) -> None:
        self._problems[len(self._fields)] = why
        self._row(message, at, {}, raw)

    def _unpack(self, message: Message, value: bytes) -> None:
        try:
            batch = unpack(value)
        except PackingError as e:
            return self._bad(message, value, str(e))
        if not isinstance(batch, Batch) or len(batch.events) > PLACES or not _is_utf8(batch.names):
            return self._bad(message, value, "packed, but no batch of rows")
        batch.events.offset = (message.offset << SHIFT) + np.arange(len(batch.events))
        self._packed.append((batch.events, batch.names))
        self._count += len(batch.events)
        return None

    def _encode(self) -> tuple[Events, Names]:
        """The JSON rows. One without a user is of its message's key; one without a time is of its arrival."""
        columns = columns_of(self._fields)
        columns.pop("user_key", None)
        for name, default in (("user", self._users), ("time", self._arrived)):
            given = columns.get(name, [None] * len(self._fields))
            columns[name] = [d if is_blank(g) else g for g, d in zip(given, default, strict=True)]
        chunk = Chunk(
            len(self._fields),
            columns,
            lambda row: raw_of(self._fields[row], self._raws[row]),
            self._problems,
            first=0,
            known=_Forgetful(),
            arrived=np.array(self._arrived),
        )
        encoded = self._encoder.encode(chunk)
        encoded.events.offset = np.array(self._offsets)[encoded.row] - encoded.derived
        return encoded.events, encoded.names


def pieces(batch: Batch) -> Iterator[bytes]:
    """The batch packed, in as many messages as it takes."""
    value = pack(batch)
    rows = len(batch.events)
    if (len(value) <= LONGEST and rows <= PLACES) or rows == 1:
        yield value
        return
    for start, stop in ((0, rows // 2), (rows // 2, rows)):
        events = batch.events.slice(start, stop)
        named = np.isin(batch.names.key, events.item)
        strangers = ~np.isin(batch.names.key, batch.events.item)  # categories and the like go with the first half
        names = batch.names.take(named | (strangers & (start == 0)))
        yield from pieces(Batch(batch.partition, start, stop - 1, events, names))


def _text(key: bytes | None) -> str | None:
    try:
        return key.decode() if key else None
    except UnicodeDecodeError:
        return None


def _is_utf8(names: Names) -> bool:
    try:
        for text in names.text:
            text.tobytes().decode()
    except UnicodeDecodeError:
        return False
    return True
