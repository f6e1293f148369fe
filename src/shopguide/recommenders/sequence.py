"""sequence: what follows what. ``next`` is the newest item's followers, ``hops`` the followers of followers of all."""

from __future__ import annotations

from shopguide._core import Next
from shopguide.recommenders.base import Context, OfUnits, Signals
from shopguide.settings import LearnSettings, ScoreSettings

STEPS = 10  # items behind an event that it follows, with weight 1 / distance
FIRST, SECOND = 12, 50  # followers read in the first hop and in the second


class Sequence(OfUnits[Next]):
    """Two hops reach what was never seen together with the user's items: the best single addition that was measured."""

    signals = ("next", "hops")

    def __init__(self, learn: LearnSettings, score: ScoreSettings) -> None:
        steps = min(STEPS, learn.history)
        super().__init__(Next(steps=steps, history=learn.history, k=score.neighbours), score)

    def score(self, context: Context, limit: int) -> dict[str, Signals]:
        sources, weights = self.asked(context)
        if not len(sources):
            return {}
        items, amounts = self.model.following(int(sources[0]), limit)
        hops = self.model.two_hops(sources, weights, FIRST, SECOND, 2 * limit)
        return {"next": Signals(items, amounts, sources[:1].repeat(len(items))), "hops": Signals(*hops)}
