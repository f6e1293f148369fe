"""visit: the live session's own signals. Shoppers come back to what they have just compared; nothing is learned."""

from __future__ import annotations

from shopguide._core import Blend
from shopguide.recommenders.base import PLACE, Context, Recommender


class Visit(Recommender):
    """Of the live session's items, newest first: ``steps`` gives the k-th 1 / k, ``current`` and ``previous`` 1 to the
    first and the second alone, ``repeats`` the number of times that the shopper came back to one."""

    signals = ("current", "previous", "steps", "repeats")
    places = tuple(PLACE[name] for name in signals)

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        blend.put_visit(self.places, context.recent, context.here, limit)
