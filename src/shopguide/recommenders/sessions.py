"""sessions: VMIS-kNN, what the sessions most like this one hold (Kersbergen, Sprangers, Schelter, SIGMOD 2022); and
``beside``, what in them stands near the item that they share, and not long ago (STAN: Garg, Gupta, Malhotra, Vig,
Shroff, SIGIR 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Blend, Reading, Sessions
from shopguide.recommenders.base import PLACE, Context, OfUnits
from shopguide.records import Lessons
from shopguide.settings import LearnSettings

NEWEST = 1500  # sessions looked at for each of the user's items
NEAREST = 100  # of these, those whose items count
RARE = 1.0  # weight of the logarithm of how rare an item is
NEAR = np.append(0, np.exp(-np.arange(12) / 2))  # what an item counts, so far from the one that is shared; itself: 0
HALF_LIFE = 30 * 86400.0  # seconds before the newest of them in which a session counts half
PLAIN, BESIDE = Reading(), Reading(NEAR, HALF_LIFE)  # how the nearest are read


class NearestSessions(OfUnits[Sessions]):
    """The unit is what ``learn.unit`` says. The one who asks does not count."""

    signals: tuple[str, ...] = ("sessions", "beside")
    readings: tuple[Reading, ...] = (PLAIN, BESIDE)

    def __init__(self, learn: LearnSettings) -> None:
        super().__init__(Sessions(history=learn.history))
        self._places = [PLACE[name] for name in self.signals]

    def bulk(self, lessons: Lessons) -> None:
        self.model.bulk(self.units(lessons), lessons.item, lessons.time)

    def own(self, context: Context) -> int:
        """The unit of the one who asks."""
        return context.unit

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        sample = (2 * limit, NEWEST, NEAREST, RARE, self.own(context) or None)
        self.model.put(blend, self._places, context.asked, self.readings, *sample)


class NearestUsers(NearestSessions):
    """User-based collaborative filtering: the same of whole users, where visits are the units of the others."""

    signals = ("users",)
    readings = (PLAIN,)

    def units(self, lessons: Lessons) -> NDArray[np.uint64]:
        return lessons.user

    def own(self, context: Context) -> int:
        return context.user

    def dump(self) -> dict[str, NDArray[Any]]:
        return self.model.dump()

    def load(self, state: dict[str, NDArray[Any]], kept: dict[str, NDArray[Any]]) -> None:
        self.model.load(state)
