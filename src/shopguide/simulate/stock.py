"""What can be had: products sell out and come back, streams go off the air and on again, each by itself."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from random import Random
from typing import Any


class Stock:
    """``out`` holds the items that cannot be had. ``turns``: mean seconds for which one can, and for which it then
    cannot; times are epoch seconds."""

    def __init__(self, seed: int, items: Sequence[str], turns: tuple[float, float], now: float) -> None:
        self._random, self._turns = Random(f"stock {seed}"), turns
        self.out = {item for item in items if self._random.random() < turns[1] / sum(turns)}
        self._due = [(now + self._lasts(item), item) for item in items]
        heapq.heapify(self._due)

    def all(self, now: float) -> list[dict[str, Any]]:
        """Whether each item can be had, as rows that collect takes."""
        return [self._row(item, now) for _, item in self._due]

    def changes(self, now: float) -> list[dict[str, Any]]:
        """What has come or gone by now, as rows that collect takes."""
        rows = []
        while self._due[0][0] <= now:
            _, item = self._due[0]
            self.out ^= {item}
            heapq.heapreplace(self._due, (now + self._lasts(item), item))
            rows.append(self._row(item, now))
        return rows

    def _row(self, item: str, now: float) -> dict[str, Any]:
        return {"kind": "item", "op": "stock", "item": item, "stock": int(item not in self.out), "time": now}

    def _lasts(self, item: str) -> float:
        return self._random.expovariate(1 / self._turns[item in self.out])
