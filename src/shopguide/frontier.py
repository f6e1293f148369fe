"""How far a stateful task has learned, per partition: exactly-once state over at-least-once delivery."""

from __future__ import annotations

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
