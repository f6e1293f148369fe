"""Which producers' event ids were seen: a second event of an id is a double and is dropped."""

from __future__ import annotations

from collections import deque
from typing import Any

from numpy.typing import NDArray

from shopguide._core import Table as KeyTable
from shopguide._core import doubles_of
from shopguide.featurize.retention import STEPS
from shopguide.records import Events, Kind

TICKS = STEPS // 4  # of one table


class Doubles:
    """The ids of one partition, in tables by age: one is remembered for the retention and up to a quarter more."""

    def __init__(self) -> None:
        self._tables: deque[tuple[int, KeyTable]] = deque()
        self.evicted = 0  # ids that were too old, ever

    def among(self, events: Events, tick: int) -> list[int]:
        """The rows whose id was seen before, in one of these too; the others' are seen from now on. ``tick`` is the
        retention's."""
        number = tick // TICKS
        while self._tables and self._tables[0][0] < number - STEPS // TICKS:
            self.evicted += len(self._tables.popleft()[1])
        if not self._tables or self._tables[-1][0] != number:
            self._tables.append((number, KeyTable()))
        tables = [table for _, table in self._tables]
        return doubles_of(tables, events.event, events.user, events.kind, Kind.ERASED)

    def dump(self) -> dict[str, NDArray[Any]]:
        """The ids by the number of their table."""
        return {str(number): table.keys() for number, table in self._tables}

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        self._tables.clear()
        for number in sorted(map(int, state)):
            table = KeyTable()
            table.index(state[str(number)])
            self._tables.append((number, table))

    def __len__(self) -> int:
        """Ids remembered."""
        return sum(len(table) for _, table in list(self._tables))

    @property
    def nbytes(self) -> int:
        return sum(table.nbytes for _, table in self._tables)

    def check(self) -> None:
        """Raises CoreError where an invariant of the core does not hold."""
        for _, table in self._tables:
            table.check()
