"""The collector: encoded rows go to the log, each to its partition, each once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgpack
import numpy as np
import orjson

from shopguide.collect.chunk import Chunk, columns_of
from shopguide.collect.encode import Encoded, Encoder
from shopguide.keys import Secret, partition_of
from shopguide.records import Events, Kind, Names, Ragged

ADDRESSES = frozenset(("ip", "ip_address", "remote_addr", "client_ip"))  # never kept, not even with a malformed row
OF_ITEMS = (Kind.ITEM, Kind.PICK)  # kinds whose rows live in their item's partition


class Sink(Protocol):
    """What the collector needs of the log."""

    partitions: int

    def append(self, partition: int, events: Events, names: Names, source: int = 0, row: int = -1) -> object: ...

    def commit(self) -> None: ...

    def last_row(self, source: int, partition: int) -> int: ...


@dataclass(frozen=True)
class Receipt:
    """What became of the rows given: ``accepted`` are in the log (malformed ones too, with their reasons),
    ``refused`` were without consent and are not kept. Rows that the log had already are neither."""

    accepted: int
    refused: int


class Collector:
    """Appends to a log. Any thread may call it."""

    def __init__(self, log: Sink, secret: Secret, clock: Callable[[], float] = time.time) -> None:
        self._log = log
        self._clock = clock
        self._live, self._loading = Encoder(secret, clock), Encoder(secret, clock, controls=True)
        self._known: dict[Any, tuple[Any, ...]] = {}
        self._live_lock, self._loading_lock = threading.Lock(), threading.Lock()

    def collect(self, rows: Sequence[Mapping[str, Any]], raw: Sequence[bytes] | None = None) -> Receipt:
        """Append rows that name their own fields, as HTTP and the simulated shop give them.

        ``raw[i]`` is what a malformed row i keeps; without ``raw`` it is the row as JSON. A row without a time is of
        now. ``user_key`` stands for a user whose key is known from a token.
        """
        columns = columns_of(rows)
        now = self._clock()
        columns["time"] = [now if t is None else t for t in columns.get("time", [None] * len(rows))]
        chunk = Chunk(len(rows), columns, lambda row: raw_of(rows[row], raw[row] if raw else None), known=self._known)
        with self._live_lock:
            return self._append(self._live.encode(chunk))

    def load(self, chunk: Chunk | Encoded) -> Receipt:
        """Append the rows of a source that the log does not have yet."""
        with self._loading_lock:
            return self._append(chunk if isinstance(chunk, Encoded) else self._loading.encode(chunk))

    def control(self, kind: Kind, user: int, item: int = 0, partition: int | None = None, **details: Any) -> None:
        """Append a control row. ``user`` and ``item`` are keys; ``partition`` None: the one of those keys."""
        now = self._clock()
        events = Events(
            arrived=[now],
            kind=[kind],
            user=np.array([user], np.uint64),
            item=np.array([item], np.uint64),
            time=[now],
            data=Ragged.of_bytes([msgpack.packb(details) if details else b""]),
        )
        owner = item if kind in OF_ITEMS else user
        home = partition_of(owner, self._log.partitions)
        self._log.append(home if partition is None else partition, events, Names())

    def commit(self) -> None:
        """Make everything collected durable."""
        self._log.commit()

    def _append(self, encoded: Encoded) -> Receipt:
        events, names, source = encoded.events, encoded.names, encoded.source
        in_file = bool((encoded.row >= 0).any())
        owner = np.where(np.isin(events.kind, OF_ITEMS), events.item, events.user)
        partition = partition_of(owner, self._log.partitions)  # type: ignore[arg-type]
        everywhere = ~np.isin(names.key, events.item)
        accepted = 0
        for p in np.unique(partition).tolist():
            rows = partition == p
            if in_file:
                rows &= encoded.row > self._log.last_row(source, p)
            if not rows.any():
                continue
            part = events.take(rows)
            named = names.take(everywhere | np.isin(names.key, part.item))
            self._log.append(p, part, named, source, int(encoded.row[rows].max()))
            accepted += int((rows & ~encoded.derived).sum())
        return Receipt(accepted, encoded.refused)


def raw_of(row: Mapping[str, Any], given: bytes | None) -> bytes:
    """The bytes that a malformed row keeps: all of it but where it came from."""
    if given is not None and not ADDRESSES & row.keys():
        return given
    kept = {str(name): value for name, value in row.items() if name not in ADDRESSES and name != "user_key"}
    try:
        return orjson.dumps(kept)
    except TypeError:  # nested too deep for it, or no JSON
        return _dumps(kept)


def _dumps(kept: Mapping[str, Any]) -> bytes:
    """A row that orjson does not take. Of one that nobody does, its fields."""
    try:
        return json.dumps(kept, default=repr).encode()
    except RecursionError:
        return orjson.dumps({"fields": list(kept)})
