"""How long an event counts. After every row the model is that of the rows within retention, as if the others had never
been; so that this is cheap, the bounds move in steps of a 32nd of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shopguide.records import F64, Events, Kind
from shopguide.settings import LearnSettings

STEPS = 32


@dataclass(frozen=True)
class Bounds:
    """Rows of a partition below the offset, or of an earlier time (epoch s), have gone."""

    offset: int = 0
    time: float = -np.inf


class Retention:
    """A function of a partition's rows alone: their offsets, and the largest time among them."""

    def __init__(self, learn: LearnSettings, partitions: int) -> None:
        rows, self._seconds = learn.retention_events, learn.retention
        self._rows = -(-rows // partitions) if rows is not None else None
        self._row_step = max(1, (self._rows or 0) // STEPS)
        self.limited = rows is not None or self._seconds is not None

    def tick(self, offset: int, newest: float) -> int:
        """Counts the steps up to the row at ``offset``, ``newest`` being the largest time; without limits always 0."""
        if self._rows is not None:
            return (offset + 1) // self._row_step
        return int(newest // (self._seconds / STEPS)) if self._seconds is not None else 0

    def bounds(self, offset: int, newest: float) -> Bounds:
        """What has gone after the row at ``offset``, ``newest`` being the largest time up to it."""
        before, since = 0, -np.inf
        if self._rows is not None:
            before = max(0, (offset + 1) // self._row_step * self._row_step - self._rows)
        if self._seconds is not None:
            step = self._seconds / STEPS
            since = newest // step * step - self._seconds
        return Bounds(before, since)

    def turns(self, events: Events, newest: float) -> list[int]:
        """The rows after which the bounds move; ``newest`` is the largest time before them."""
        if not self.limited or not len(events):
            return []
        moved = np.zeros(len(events), bool)
        if self._rows is not None:
            moved[:-1] = np.diff(events.offset // self._row_step) > 0
        if self._seconds is not None:
            step = self._seconds / STEPS
            reached = np.maximum.accumulate(np.maximum(times(events), newest))
            moved |= np.diff(reached // step, prepend=newest // step) > 0
        return np.flatnonzero(moved).tolist()


def times(events: Events) -> F64:
    """When the rows were, as far as retention goes: a profile holds whenever it was imported."""
    if Kind.PROFILE not in events.kinds:
        return events.time
    return np.where(events.kind == Kind.PROFILE, 0.0, events.time)


class Horizon:
    """Below which offset no row of a partition is within retention: from the largest time of each stretch of rows."""

    def __init__(self, stretches: list[tuple[int, int, float]] | None = None) -> None:
        self._stretches = stretches or []  # tick, last offset, largest time

    def note(self, tick: int, last: int, time: float) -> None:
        """Rows up to offset ``last``, none later than ``time``."""
        if self._stretches and self._stretches[-1][0] == tick:
            time = max(time, self._stretches.pop()[2])
        self._stretches.append((tick, last, time))

    def move(self, bounds: Bounds) -> int:
        """The offset, for these bounds."""
        at = bounds.offset
        while self._stretches and (self._stretches[0][2] < bounds.time or self._stretches[0][1] < at):
            at = max(at, self._stretches.pop(0)[1] + 1)
        return at

    def dump(self) -> list[tuple[int, int, float]]:
        return self._stretches
