"""visit: the live session's own signals. Shoppers come back to what they have just compared; nothing is learned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shopguide.recommenders.base import Context, Recommender, Signals
from shopguide.records import Lessons


class Visit(Recommender):
    """Of the live session's items, newest first: ``steps`` gives the k-th 1 / k, ``current`` and ``previous`` 1 to the
    first and the second alone, ``repeats`` the number of times that the shopper came back to one."""

    signals = ("current", "previous", "steps", "repeats")

    def observe(self, lessons: Lessons) -> None:
        pass

    def retract(self, lessons: Lessons) -> None:
        pass

    def score(self, context: Context, limit: int) -> dict[str, Signals]:
        here = np.flatnonzero(context.here)[:limit]
        if not len(here):
            return {}
        items, times = context.recent[here], context.here[here]
        shares: NDArray[np.float64] = 1 / np.arange(1, len(items) + 1, dtype=np.float64)
        found = {"current": Signals(items[:1], shares[:1], items[:1]), "steps": Signals(items, shares, items)}
        if len(items) > 1:
            found["previous"] = Signals(items[1:2], shares[:1], items[1:2])
        again = np.flatnonzero(times > 1)
        if len(again):
            found["repeats"] = Signals(items[again], times[again].astype(np.float64) - 1, items[again])
        return found
