"""popular: what is chosen most now, each event halving in ``trend_half_life``. The answer for the unknown visitor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide import catalogue
from shopguide._core import Blend, Recent
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.recommenders.content import Content
from shopguide.records import Batch, Kind, Lessons
from shopguide.settings import LearnSettings

WEIGHT = np.zeros(256)  # of a kind of event: a purchase says more than a look
WEIGHT[[Kind.VIEW, Kind.CLICK, Kind.FAVOURITE, Kind.CART, Kind.PURCHASE]] = 1, 1, 2, 3, 5


class Popular(Recommender):
    """Decayed counts, overall and by category. Of all candidates that others have put before, it says how popular they
    are."""

    signals = ("popular",)

    def __init__(self, learn: LearnSettings, content: Content) -> None:
        self.model, self._content = Recent(learn.trend_half_life), content

    def observe(self, lessons: Lessons) -> None:
        self.model.observe(lessons.item, lessons.time, WEIGHT.take(lessons.kind))

    def retract(self, lessons: Lessons) -> None:
        self.model.retract(lessons.item, lessons.time, WEIGHT.take(lessons.kind))

    def learn_catalogue(self, batch: Batch) -> None:
        self.model.categorise(*catalogue.categories(batch.events))

    def forget(self, items: NDArray[np.uint64]) -> None:
        self.model.categorise(items, np.zeros(len(items), np.uint64))

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        self.model.put(blend, PLACE["popular"], limit, context.now, self._content.gone)

    def top(self, limit: int, category: int, now: float) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """The ``limit`` most popular items of a category (0: of all) at a time that can be had; the first has amount 1.
        What is so long ago that nothing is left of it is not among them. (A weight read long before its events is the
        largest double.)"""
        items, weights = self._first(limit, category, now)
        return items, weights / weights[:1]

    def _first(self, limit: int, category: int, now: float) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        far = self._content.reach(lambda n: self.model.top(n, category, now)[0], limit)
        items, weights = self.model.top(far, category, now)
        live = self._content.offered(items) & (weights > 0)
        return items[live], weights[live]

    def dump(self) -> dict[str, NDArray[Any]]:
        return dict(self.model.dump())

    def load(self, state: dict[str, NDArray[Any]], kept: dict[str, NDArray[Any]]) -> None:
        self.model.load(state)
        self.model.check()  # the columns are taken as they are; other models learn theirs anew

    def check(self) -> None:
        self.model.check()
