"""The collector: encoded rows go to the log, each to its partition, each once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any, Protocol

import msgpack
import numpy as np
import orjson
from numpy.typing import NDArray

from shopguide.collect.chunk import Chunk, columns_of, is_full
from shopguide.collect.encode import Encoded, Encoder
from shopguide.errors import StateError
from shopguide.keys import Secret, partition_of
from shopguide.records import I64, U64, Events, Kind, Names, Ragged

ADDRESSES = frozenset(("ip", "ip_address", "remote_addr", "client_ip"))  # never kept, not even with a malformed row
OF_ITEMS = frozenset((Kind.ITEM, Kind.PICK))  # kinds whose rows live in their item's partition

U16 = NDArray[np.uint16]  # partitions; numbers of 16 bits are sorted fast


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

    def collect(self, rows: Sequence[dict[str, Any]], raw: Sequence[bytes] | None = None) -> Receipt:
        """Append rows that name their own fields, as HTTP and the simulated shop give them.

        ``raw[i]`` is what a malformed row i keeps; without ``raw`` it is the row as JSON. A row without a time is of
        now. ``user_key`` stands for a user whose key is known from a token.
        """
        (receipt,) = self.collect_all([rows], raw)
        return receipt

    def collect_all(
        self, batches: Sequence[Sequence[dict[str, Any]]], raw: Sequence[bytes] | None = None
    ) -> list[Receipt]:
        """Append batches of such rows as one, which costs little more than one of them; the receipt of each."""
        rows = list(chain.from_iterable(batches))
        columns = columns_of(rows)
        now = self._clock()
        times = columns.get("time")
        columns["time"] = [now] * len(rows) if times is None else [now if t is None else t for t in times]
        chunk = Chunk(len(rows), columns, lambda row: raw_of(rows[row], raw[row] if raw else None), known=self._known)
        with self._live_lock:
            encoded = self._live.encode(chunk)
            with self._remembering():
                self._append(encoded)
        if not len(encoded.refused):
            return [Receipt(len(batch), 0) for batch in batches]
        ends = list(accumulate(map(len, batches), initial=0))
        refused = np.diff(np.searchsorted(encoded.refused, ends)).tolist()
        return [Receipt(len(batch) - n, n) for batch, n in zip(batches, refused, strict=True)]

    def load(self, chunk: Chunk | Encoded) -> Receipt:
        """Append the rows of a source that the log does not have yet."""
        with self._loading_lock:
            encoded = chunk if isinstance(chunk, Encoded) else self._loading.encode(chunk)
            return Receipt(self._append(encoded), len(encoded.refused))

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
        with self._remembering():
            self._log.commit()

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        """Where the log fails, what rows said of their items may not be in it: said again, it is news again."""
        try:
            yield
        except StateError:
            self._known.clear()
            raise

    def _append(self, encoded: Encoded) -> int:
        """Each row to its partition; how many events the log did not have yet."""
        events, names, row = encoded.events, encoded.names, encoded.row
        if not len(events):
            return 0
        partition = self._partitions_of(events)
        of_file = row[0] >= 0
        if not of_file and is_full(partition == partition[0]):
            self._log.append(int(partition[0]), events, names, encoded.source)
            return len(events) - int(np.count_nonzero(encoded.derived))
        order = np.argsort(partition, kind="stable")
        if of_file:
            last = np.array([self._log.last_row(encoded.source, p) for p in range(self._log.partitions)])
            order = order[(row > last[partition])[order]]
        which, named = _where_names_go(names.key, events.item, partition, self._log.partitions)
        each = np.arange(self._log.partitions + 1)
        bounds, said = (np.searchsorted(of, each).tolist() for of in (partition[order], which))
        for p, ((begin, end), its) in enumerate(zip(pairwise(bounds), pairwise(said), strict=True)):
            if begin < end:
                rows = order[begin:end]
                here, names_here = events.take(rows), names.take(named[slice(*its)])
                self._log.append(p, here, names_here, encoded.source, int(row[rows[-1]]))
        return len(order) - int(np.count_nonzero(encoded.derived[order]))

    def _partitions_of(self, events: Events) -> U16:
        if self._log.partitions == 1:
            return np.zeros(len(events), np.uint16)
        owner = events.user
        if not OF_ITEMS.isdisjoint(events.kinds):
            owner = np.where(np.isin(events.kind, list(OF_ITEMS)), events.item, owner)
        partition: U16 = partition_of(owner, self._log.partitions).astype(np.uint16)  # type: ignore[arg-type, attr-defined]
        return partition


def _where_names_go(keys: U64, item: U64, partition: U16, partitions: int) -> tuple[I64, I64]:
    """(partition, name) of each name that a partition gets, in order: those of the items of its rows, and those that
    are of no row's item."""
    goes = np.zeros((partitions, len(keys)), bool)
    if len(keys):
        order = np.argsort(keys)
        found = order[np.searchsorted(keys, item, sorter=order) % len(keys)]
        named = keys[found] == item
        goes[partition[named], found[named]] = True
    which, name = np.nonzero(goes | ~goes.any(axis=0))
    return which, name


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
