"""visit: the live session's own signals. Shoppers come back to what they have just compared; nothing is learned."""

from __future__ import annotations

import numpy as np

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
        items, times = context.recent[here], context.here[here].astype(np.float64)
        one, again = np.ones(1), times > 1
        return {
            "current": Signals(items[:1], one[: len(items)], items[:1]),
            "previous": Signals(items[1:2], one[: len(items[1:2])], items[1:2]),
            "steps": Signals(items, 1 / np.arange(1, len(items) + 1), items),
            "repeats": Signals(items[again], times[again] - 1, items[again]),
        }
