"""What every recommender is: learns per event, takes back exactly, and says what it gives a shopper and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shopguide.records import Lessons


@dataclass(frozen=True)
class Context:
    """Who asks: distinct items of the user, newest first; of each the strongest kind, the time, whether it is in the
    live session."""

    recent: NDArray[np.uint64]
    kind: NDArray[np.uint8]
    time: NDArray[np.float64]
    here: NDArray[np.bool_]
    now: float


@dataclass(frozen=True)
class Signals:
    """Items with amounts; an item may stand in many rows, its signal is their sum. ``because`` names the user's item
    that the amount comes from; 0: none."""

    item: NDArray[np.uint64]
    because: NDArray[np.uint64]
    amount: NDArray[np.float64]


class Recommender(Protocol):
    """Amounts are never negative. After any mix of observe and retract the state is that of what remains."""

    def observe(self, lessons: Lessons) -> None: ...

    def retract(self, lessons: Lessons) -> None: ...

    def bulk(self, lessons: Lessons) -> None:
        """Learn a whole history at once, each unit's lessons in order. Raises ValueError where something was learned
        before and the recommender cannot add to it."""
        self.observe(lessons)

    def score(self, context: Context, limit: int) -> Signals:
        """At most ``limit`` items for each of the user's items (or in all, where none is the cause)."""

    def dump(self) -> dict[str, NDArray[Any]]: ...

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        """Raises ValueError for a state that does not fit together."""

    def check(self) -> None:
        """Raises CoreError where an invariant does not hold."""
