"""items: item-based collaborative filtering, the cosine of what occurs together in sessions (or users)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Items
from shopguide.recommenders.base import Context, Recommender, Signals
from shopguide.records import Lessons
from shopguide.settings import LearnSettings, ScoreSettings


class ItemBased(Recommender):
    """Candidates are the neighbours of the user's newest items; each next older one counts ``decay`` less."""

    def __init__(self, learn: LearnSettings, score: ScoreSettings) -> None:
        self.model = Items(history=learn.history, k=score.neighbours, half_life=learn.half_life, row_cap=learn.row_cap)
        self._recent = score.recent
        self._decay = score.decay

    def observe(self, lessons: Lessons) -> None:
        self.model.observe_many(lessons.unit, lessons.item, lessons.time)

    def retract(self, lessons: Lessons) -> None:
        self.model.retract_many(lessons.unit, lessons.item, lessons.time)

    def bulk(self, lessons: Lessons) -> None:
        self.model.bulk(lessons.unit, lessons.item, lessons.time)

    def score(self, context: Context, limit: int) -> Signals:
        sources = context.recent[: self._recent]
        starts, items, cosines = self.model.neighbours(sources, limit)
        source = np.repeat(np.arange(len(sources)), np.diff(starts))
        return Signals(items, sources[source], cosines * self._decay**source)

    def dump(self) -> dict[str, NDArray[Any]]:
        return self.model.dump()

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        self.model.load(state)

    def check(self) -> None:
        self.model.check()
