"""Rows of a simulated shop to its arms, as one partition of a log that nobody keeps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgpack
import numpy as np

from shopguide.collect.collector import Collector
from shopguide.keys import Secret, item_key
from shopguide.records import Batch, Events, Kind, Names, Ragged
from shopguide.simulate.arms import Arm
from shopguide.simulate.shop import START, Row

SECRET = Secret(b"a simulated shop has no secrets")


class Feed:
    """Every arm learns every row, in order; ``now`` is epoch s."""

    partitions = 1

    def __init__(self, arms: Sequence[Arm]) -> None:
        self._arms, self._now, self._end = arms, START, 0
        self._collector = Collector(self, SECRET, lambda: self._now)
        self.user_key, self._session_key = cache(SECRET.user_key), cache(SECRET.session_key)
        self._item_key = cache(item_key)

    def load(self, rows: Sequence[Row], now: float) -> None:
        """Any rows, through collect: the catalogue and the past."""
        self._now = now
        self._collector.collect(rows)

    def send(self, rows: Sequence[Row], now: float) -> None:
        """The few rows of a moment in a visit, which collect would give the same columns for ten times the time."""
        self._now = now
        if rows:
            self.append(0, self.events(rows), Names())

    def events(self, rows: Sequence[Row]) -> Events:
        """Shoppers' rows as columns."""
        said = [{name: row[name] for name in ("query", "list") if name in row} for row in rows]
        return Events(
            arrived=[self._now] * len(rows),
            kind=[Kind[row["kind"].upper()] for row in rows],
            user=np.array([self.user_key(row["user"]) for row in rows], np.uint64),
            session=np.array([self._session_key(row["session"]) for row in rows], np.uint64),
            item=np.array([self._item_key(row["item"]) if "item" in row else 0 for row in rows], np.uint64),
            time=[row["time"] for row in rows],
            value=[row.get("value", 0.0) for row in rows],
            data=Ragged.of_bytes([msgpack.packb(one) if one else b"" for one in said]),
        )

    def append(self, partition: int, events: Events, names: Names, source: int = 0, row: int = -1) -> None:
        """As a log takes them."""
        first, self._end = self._end, self._end + len(events)
        events.offset = np.arange(first, self._end)
        batch = Batch(partition, first, self._end - 1, events, names)
        for arm in self._arms:
            arm.learn(batch, self._now)

    def commit(self) -> None:
        """Nothing is kept."""

    def last_row(self, source: int, partition: int) -> int:
        """Nothing comes from a file."""
        return -1
