"""sessions: VMIS-kNN, what the sessions most like this one hold (Kersbergen, Sprangers, Schelter, SIGMOD 2022); and
``beside``, what in them stands near the item that they share, and not long ago (STAN: Garg, Gupta, Malhotra, Vig,
Shroff, SIGIR 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shopguide._core import Sessions
from shopguide.recommenders.base import Context, OfUnits, Signals
from shopguide.records import Lessons
from shopguide.settings import LearnSettings, ScoreSettings

NEWEST = 1500  # sessions looked at for each of the user's items
NEAREST = 100  # of these, those whose items count
RARE = 1.0  # weight of the logarithm of how rare an item is
NEAR = np.append(0, np.exp(-np.arange(12) / 2))  # what an item counts, so far from the one that is shared; itself: 0
HALF_LIFE = 30 * 86400.0  # seconds before the newest of them in which a session counts half


class NearestSessions(OfUnits[Sessions]):
    """The unit is what ``learn.unit`` says. The one who asks does not count."""

    signals: tuple[str, ...] = ("sessions", "beside")

    def __init__(self, learn: LearnSettings, score: ScoreSettings) -> None:
        super().__init__(Sessions(history=learn.history), score)

    def bulk(self, lessons: Lessons) -> None:
        self.model.bulk(self.units(lessons), lessons.item, lessons.time)

    def score(self, context: Context, limit: int) -> dict[str, Signals]:
        beside = self._nearest(context, limit, context.unit, NEAR, HALF_LIFE)
        return {"sessions": self._nearest(context, limit, context.unit), "beside": beside}

    def _nearest(
        self, context: Context, limit: int, own: int, near: ArrayLike = (), half_life: float | None = None
    ) -> Signals:
        sources, weights = self.asked(context)
        sample = (2 * limit, NEWEST, NEAREST, RARE, own or None)
        return Signals(*self.model.recommend(sources, weights, weights, *sample, near, half_life))


class NearestUsers(NearestSessions):
    """User-based collaborative filtering: the same of whole users, where visits are the units of the others."""

    signals = ("users",)

    def units(self, lessons: Lessons) -> NDArray[np.uint64]:
        return lessons.user

    def score(self, context: Context, limit: int) -> dict[str, Signals]:
        return {"users": self._nearest(context, limit, context.user)}

    def dump(self) -> dict[str, NDArray[Any]]:
        return self.model.dump()

    def load(self, state: dict[str, NDArray[Any]], kept: dict[str, NDArray[Any]]) -> None:
        self.model.load(state)
