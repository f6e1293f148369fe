"""Rows that the rows of one partition cause in another: a visitor's events for the account, a forget for its visitors.

They go back into the log, so that every partition is still a function of its own rows. The log remembers up to which
row of which partition it has been told, so a replay adds nothing.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import xxhash

from shopguide.frontier import Debts
from shopguide.keys import partition_of
from shopguide.records import Batch, Events, Names


class Sink(Protocol):
    """What it needs of the log."""

    partitions: int

    def append(self, partition: int, events: Events, names: Names, source: int = 0, row: int = -1) -> int: ...

    def last_row(self, source: int, partition: int) -> int: ...


class Relay:
    """Appends each row to its user's partition, once."""

    def __init__(self, log: Sink) -> None:
        self._log = log
        self._debts = Debts()

    def send(self, batch: Batch) -> None:
        """Rows caused by rows of the batch's partition, whose offsets they carry, in order.

        Raises StateError where the log refuses, GapError where it did and these rows come after those.
        """
        partition, rows = batch.partition, batch.events
        if not len(rows):
            return
        source = source_of(partition)
        target = partition_of(rows.user, self._log.partitions)  # type: ignore[arg-type]
        with self._debts.taking(partition, int(rows.offset[0])):
            for to in np.unique(target).tolist():
                new = rows.take((target == to) & (rows.offset > self._log.last_row(source, to)))
                if len(new):
                    self._log.append(to, new, Names(), source, int(new.offset[-1]))


def source_of(partition: int) -> int:
    """What the log calls the rows that those of a partition cause."""
    return xxhash.xxh3_64_intdigest(b"relay", seed=partition)
