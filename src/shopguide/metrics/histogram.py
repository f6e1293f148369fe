"""A cumulative histogram: how many values were at most each bound, ever."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # of a stage
DELAYS = (0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # to the push
ROWS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)


class Histogram:
    """Of values in buckets that end at ``bounds``, ascending; what is above the last has a bucket of its own. One
    thread observes, any may read."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(map(float, bounds))
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def dump(self) -> dict[str, Any]:
        """Plain values, which msgpack and JSON carry; ``counts`` of each bucket alone."""
        return {"bounds": list(self.bounds), "counts": self.counts.copy(), "sum": self.sum}

    @classmethod
    def load(cls, said: dict[str, Any]) -> Histogram:
        """What :meth:`dump` gave. Raises KeyError, TypeError or ValueError for anything else."""
        found = cls(said["bounds"])
        if len(said["counts"]) != len(found.counts):
            raise ValueError(f"{len(said['counts'])} buckets, where the bounds make {len(found.counts)}")
        found.counts, found.sum = [int(n) for n in said["counts"]], float(said["sum"])
        return found

    def __len__(self) -> int:
        """Values observed."""
        return sum(self.counts)
