"""sequence: what follows what. ``next`` is the newest item's followers, ``hops`` the followers of followers of all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Next
from shopguide.recommenders.base import Context, Recommender, Signals
from shopguide.records import Lessons
from shopguide.settings import LearnSettings, ScoreSettings

STEPS = 10  # items behind an event that it follows, with weight 1 / distance
FIRST, SECOND = 12, 50  # followers read in the first hop and in the second


class Sequence(Recommender):
    """Two hops reach what was never seen together with the user's items: the best single addition that was measured."""

    signals = ("next", "hops")

    def __init__(self, learn: LearnSettings, score: ScoreSettings) -> None:
        steps = min(STEPS, learn.history)
        self.model = Next(steps=steps, history=learn.history, k=score.neighbours)
        self._recent = score.recent
        self._decay = score.decay ** np.arange(score.recent)

    def observe(self, lessons: Lessons) -> None:
        self.model.observe_many(lessons.unit, lessons.item, lessons.time)

    def retract(self, lessons: Lessons) -> None:
        self.model.retract_many(lessons.unit, lessons.item, lessons.time)

    def score(self, context: Context, limit: int) -> dict[str, Signals]:
        sources = context.recent[: self._recent]
        if not len(sources):
            return {}
        items, weights = self.model.following(int(sources[0]), limit)
        hops = self.model.two_hops(sources, self._decay[: len(sources)], FIRST, SECOND, 2 * limit)
        return {"next": Signals(items, weights, sources[:1].repeat(len(items))), "hops": Signals(*hops)}

    def load(self, state: dict[str, NDArray[Any]], kept: dict[str, NDArray[Any]]) -> None:
        self.model.load(kept)

    def check(self) -> None:
        self.model.check()
