"""visit: the live session's own signals. Shoppers come back to what they have just compared; nothing is learned."""

from __future__ import annotations

from itertools import islice

from shopguide._core import Blend
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.records import Lessons

CURRENT, PREVIOUS, STEPS, REPEATS = (PLACE[name] for name in ("current", "previous", "steps", "repeats"))


class Visit(Recommender):
    """Of the live session's items, newest first: ``steps`` gives the k-th 1 / k, ``current`` and ``previous`` 1 to the
    first and the second alone, ``repeats`` the number of times that the shopper came back to one."""

    signals = ("current", "previous", "steps", "repeats")

    def observe(self, lessons: Lessons) -> None:
        pass

    def retract(self, lessons: Lessons) -> None:
        pass

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        here = (
            (item, times) for item, times in zip(context.recent.tolist(), context.here.tolist(), strict=True) if times
        )
        for step, (item, times) in enumerate(islice(here, limit), 1):
            blend.put_one(STEPS, item, 1 / step, item)
            if step <= 2:
                blend.put_one(CURRENT if step == 1 else PREVIOUS, item, 1.0, item)
            if times > 1:
                blend.put_one(REPEATS, item, times - 1.0, item)
