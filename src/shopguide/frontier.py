"""How far a stateful task has learned, per partition: exactly-once state over at-least-once delivery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shopguide.errors import GapError
from shopguide.records import Record


class Frontier:
    """The last log offset learned of each partition."""

    def __init__(self, reached: dict[int, int] | None = None) -> None:
        self.reached: dict[int, int] = dict(reached or {})

    def admit(self, record: Record) -> int:
        """The first offset of the record that is new; rows below it were learned before.

        Raises GapError where rows between the frontier and the record were never seen.
        """
        new = self.reached.get(record.partition, -1) + 1
        if record.first > new:
            raise GapError(f"partition {record.partition}: rows {new}..{record.first - 1} have not been seen")
        return new

    def advance(self, record: Record) -> None:
        """The record is learned; a replay (a lower ``last``) changes nothing."""
        self.reached[record.partition] = max(record.last, self.reached.get(record.partition, -1))


class Debts:
    """Rows that were refused, per partition the first: what comes after them would hide that they are missing."""

    def __init__(self) -> None:
        self._owed: dict[int, int] = {}

    @contextmanager
    def taking(self, partition: int, first: int) -> Iterator[None]:
        """Takes rows from an offset on; they are owed if the body raises.

        Raises GapError where rows before them are owed.
        """
        owed = self._owed.get(partition, first)
        if first > owed:
            raise GapError(f"partition {partition}: row {owed} was refused and has not come again")
        self._owed[partition] = first
        yield
        del self._owed[partition]
