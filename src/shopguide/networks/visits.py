"""What sequence networks learn from: visits as sequences of dense item ids, divided in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopguide.errors import SettingError
from shopguide.records import U64, Kind, Lessons

STEPS = 32  # newest events of a visit that a network sees
LENGTHS = (8, STEPS)  # that visits are padded to, each to the least that holds it
HELD_OUT = 0.1  # of the visits, the newest, that say when to stop

I32 = NDArray[np.int32]


@dataclass(frozen=True)
class Visits:
    """Visits in the order of their ends. ``items``: the keys of the vocabulary, ascending; item i of it is id i + 1,
    and 0 is no item. ``ids`` int32[n]: those of visit v, in order, are at starts[v]:starts[v + 1]; ``ends`` float64:
    the time (epoch s) of each visit's last event."""

    items: U64
    ids: I32
    starts: NDArray[np.int64]
    ends: NDArray[np.float64]

    @classmethod
    def of(cls, lessons: Lessons) -> Visits:
        """Of kept events, each unit's in order. What was only shown is no step; visits of one event teach none, and
        are left out. Raises SettingError where there are no others."""
        lessons = lessons.take(lessons.kind != Kind.IMPRESSION)
        order = np.argsort(lessons.unit, kind="stable")
        unit = lessons.unit[order]
        first = np.flatnonzero(np.append(True, unit[1:] != unit[:-1])[: len(unit)])
        sizes = np.diff(np.append(first, len(unit)))
        ends = lessons.time[order][first + sizes - 1] if len(first) else np.zeros(0)
        kept = np.argsort(ends, kind="stable")
        kept = kept[sizes[kept] > 1]
        if not len(kept):
            raise SettingError("too little to train a network on: no visit has two events")
        rows = np.concatenate([order[first[v] : first[v] + sizes[v]] for v in kept.tolist()])
        items, ids = np.unique(lessons.item[rows], return_inverse=True)
        starts = np.concatenate(([0], np.cumsum(sizes[kept])))
        return cls(items, ids.astype(np.int32) + 1, starts, ends[kept])

    def __len__(self) -> int:
        return len(self.ends)

    def part(self, first: int, last: int) -> Visits:
        """Visits first..last (exclusive), under the same vocabulary."""
        starts = self.starts[first : last + 1]
        return Visits(self.items, self.ids[starts[0] : starts[-1]], starts - starts[0], self.ends[first:last])

    def divided(self) -> tuple[Visits, Visits]:
        """The older ones, and the newest HELD_OUT of them."""
        at = max(1, int(len(self) * (1 - HELD_OUT)))
        return self.part(0, at), self.part(at, len(self))

    def newest(self, steps: int) -> Visits:
        """The newest visits that have about so many steps together."""
        behind = self.starts[-1] - self.starts[:-1]
        return self.part(int(np.searchsorted(-behind, -steps)), len(self))

    def batches(self, size: int, order: NDArray[np.int64]) -> Iterator[tuple[I32, I32]]:
        """Steps: what was seen and what came next, int32[<=size, length], 0 behind the end; of visits in this order.
        Of a visit longer than the STEPS the newest."""
        steps = np.minimum(np.diff(self.starts) - 1, STEPS)
        bucket = np.searchsorted(LENGTHS, steps)
        for number, length in enumerate(LENGTHS):
            rows = order[bucket[order] == number]
            for at in range(0, len(rows), size):
                some = rows[at : at + size]
                fill = ((0, size - len(some)), (0, 0))
                seen, following = self._padded(some, steps, length)
                yield np.pad(seen, fill), np.pad(following, fill)

    def _padded(self, rows: NDArray[np.int64], steps: NDArray[np.int64], length: int) -> tuple[I32, I32]:
        first = self.starts[rows + 1] - steps[rows] - 1
        place = np.arange(length)
        live = place < steps[rows, np.newaxis]
        at = np.where(live, first[:, np.newaxis] + place, 0)
        return np.where(live, self.ids[at], 0), np.where(live, self.ids[at + 1], 0)
