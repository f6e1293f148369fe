"""rnn and cnn: what a sequence network that the batch layer trained expects next. Nothing is learned here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Blend
from shopguide.networks.serving import Sequential
from shopguide.networks.visits import STEPS
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.records import Lessons

HOP = STEPS // 2  # events after which a long visit's beginning moves on, and is read again
ALL = 20_000  # items up to which a network names its own best: it costs a product with each of them


class Network(Recommender):
    """Silent until it is given a ``network``. Of all candidates that others have put before, and of its own best, the
    odds that it is the next item against the one with the best odds. The cause of each is the item of the visit that
    lowers its probability most where it is left out."""

    network: Sequential | None = None

    def __init__(self, name: str) -> None:
        self.signals = (name,)

    def retract(self, lessons: Lessons) -> None:
        if self.network is not None:
            self.network.forget(np.unique(lessons.unit).tolist())

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        if self.network is None:
            return
        layer = self.network.layer
        ids = layer.rows(context.visit) + 1
        ids = _newest(ids[ids > 0])
        if not len(ids):
            return
        states = self.network.states(context.unit, ids)
        rows = layer.rows(blend.items())
        rows = rows[rows >= 0]
        if len(layer.keys) <= ALL:
            rows = np.union1d(rows, layer.best(states[0], limit))
        if not len(rows):
            return
        scores = layer.scores(states, rows)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        because = np.zeros(len(rows), np.uint64)
        if len(states) > 1:
            chance = odds / odds.sum(axis=1, keepdims=True)
            without = chance[1:].argmin(axis=0)
            matters = chance[1:].min(axis=0) < chance[0]
            because[matters] = layer.keys[ids[-1 - without[matters]] - 1]
        else:
            because[:] = layer.keys[ids[-1] - 1]
        blend.put(PLACE[self.signals[0]], layer.keys[rows], odds[0].astype(np.float64), because)


def _newest(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most STEPS of them. Where there are more they begin at a multiple of HOP, so that most are a step more than
    before."""
    return ids[max(0, -(-(len(ids) - STEPS) // HOP) * HOP) :]
