"""sequence: what follows what. ``next`` is the newest item's followers, ``hops`` the followers of followers of all."""

from __future__ import annotations

from shopguide._core import Blend, Next
from shopguide.recommenders.base import PLACE, Context, OfUnits
from shopguide.settings import LearnSettings, ScoreSettings

STEPS = 10  # items behind an event that it follows, with weight 1 / distance
FIRST, SECOND = 12, 50  # followers read in the first hop and in the second


class Sequence(OfUnits[Next]):
    """Two hops reach what was never seen together with the user's items: the best single addition that was measured."""

    signals = ("next", "hops")

    def __init__(self, learn: LearnSettings, score: ScoreSettings) -> None:
        steps = min(STEPS, learn.history)
        super().__init__(Next(steps=steps, history=learn.history, k=score.neighbours))

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        hops = (FIRST, SECOND, 2 * limit)
        self.model.put(blend, PLACE["next"], PLACE["hops"], context.asked, limit, *hops)
