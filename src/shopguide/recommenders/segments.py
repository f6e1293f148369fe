"""segment: what is popular among visitors like this one: on such a device, from that country, by that campaign, at this
time of day. An answer for the visitor of whom nothing else is known.

An item's share of a segment's choices, each weighed and fading as in :mod:`shopguide.recommenders.popular`, is drawn
towards its share of all choices whose context is known, as if the segment had seen PRIOR more of those:

    amount = (w(item, segment) + PRIOR w(item) / W) / (W(segment) + PRIOR)

the mean of a Dirichlet posterior whose prior is what everybody chooses. A segment that chose little lately says little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Blend, Recent
from shopguide.context import EVERYONE, Clock, segments, segments_of
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.recommenders.popular import WEIGHT
from shopguide.records import U64, Lessons, Looks
from shopguide.settings import LearnSettings

PRIOR = 300.0  # views' worth of everybody's choices
ACQUAINTED = 10  # distinct items of a shopper that leave nothing of this


class Segments(Recommender):
    """Decayed counts by segment; of lessons without a context nothing."""

    signals = ("segment",)

    def __init__(self, learn: LearnSettings) -> None:
        self.clock = Clock(learn.time_zone)
        self._half_life = learn.trend_half_life
        self.models: dict[int, Recent] = {}
        self._totals = Recent(self._half_life)  # of all a segment chose, by its key

    def asked(self, looks: Looks, row: int) -> tuple[int, ...]:
        """The segments that a look's visit is in."""
        return segments_of(int(looks.context[row]), float(looks.event_time[row]), self.clock)

    def touches(self, lessons: Lessons) -> tuple[U64, U64]:
        """What lessons touch, uint64[m], and the user who did, uint64[m]: items, and as if they were such too, the
        segments in which users were."""
        if not np.count_nonzero(lessons.context):
            return lessons.item, lessons.user
        keys = segments(lessons.context, lessons.time, self.clock)
        row, part = np.nonzero(keys)
        return np.concatenate((lessons.item, keys[row, part])), np.concatenate((lessons.user, lessons.user[row]))

    def observe(self, lessons: Lessons) -> None:
        for segment, part in self._parts(lessons):
            weights = WEIGHT[part.kind]
            if segment not in self.models:
                self.models[segment] = Recent(self._half_life)
            self.models[segment].observe(part.item, part.time, weights)
            self._totals.observe(np.full(len(part), segment, np.uint64), part.time, weights)

    def retract(self, lessons: Lessons) -> None:
        for segment, part in self._parts(lessons):
            if segment not in self.models:
                continue
            weights = WEIGHT[part.kind]
            self.models[segment].retract(part.item, part.time, weights)
            self._totals.retract(np.full(len(part), segment, np.uint64), part.time, weights)
            if not len(self.models[segment]):
                del self.models[segment]

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        asked = [segment for segment in context.segments if segment in self.models]
        if not asked:
            return
        now = context.now
        of_all, *of_segment = self._totals.weight([EVERYONE, *asked], now).tolist()
        for segment, total in zip(asked, of_segment, strict=True):
            items, weights = self.models[segment].top(limit, 0, now)
            shares = self.models[EVERYONE].weight(items, now) / max(of_all, 1e-300)
            live = weights > 0
            amounts = (weights + PRIOR * shares)[live] / (total + PRIOR)
            blend.put(PLACE["segment"], items[live], amounts, np.full(len(amounts), segment, np.uint64))

    def dump(self) -> dict[str, NDArray[Any]]:
        models = {f"{segment}.{name}": c for segment, m in self.models.items() for name, c in m.dump().items()}
        return {**models, **{f"totals.{name}": column for name, column in self._totals.dump().items()}}

    def load(self, state: dict[str, NDArray[Any]], kept: dict[str, NDArray[Any]]) -> None:
        found: dict[str, dict[str, NDArray[Any]]] = {}
        for name, column in state.items():
            segment, _, of = name.partition(".")
            found.setdefault(segment, {})[of] = column
        totals = found.pop("totals")
        self.models = {int(segment): Recent(self._half_life) for segment in found}
        for segment, columns in found.items():
            self.models[int(segment)].load(columns)
        self._totals.load(totals)
        self.check()

    def check(self) -> None:
        self._totals.check()
        for model in self.models.values():
            model.check()

    def _parts(self, lessons: Lessons) -> Iterator[tuple[int, Lessons]]:
        """The lessons with a context, once for everybody and once for each segment that they are of."""
        known = np.count_nonzero(lessons.context)
        if not known:
            return
        part = lessons if known == len(lessons) else lessons.take(lessons.context > 0)
        yield EVERYONE, part
        keys = segments(part.context, part.time, self.clock)
        for column in keys.T:
            for segment in np.unique(column[column > 0]).tolist():
                yield segment, part.take(column == segment)
