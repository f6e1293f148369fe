"""The blend: signals of one look become scored items, with the amounts that make each score.

Linear: each signal divided by its largest for this look, weighed, and added up. Trees, where the weights have any,
re-rank the DEPTH best of the linear blend: their score is the sum of the leaves less the least that it can be, so it is
never negative, and what each signal did to it is its Shapley value (csrc/sg_trees.h), beside what every item begins
with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Blend, Trees
from shopguide.errors import SettingError
from shopguide.recommenders.base import Signals
from shopguide.records import BASE, SIGNALS
from shopguide.trees import Arrays, least
from shopguide.weights import BLENDED, Weights

DEPTH = 100  # of the linear blend, that trees rank again
FEATURES = tuple(f"{name} {of}" for of in ("share", "total") for name in BLENDED)

_PLACE = {name: at for at, name in enumerate(SIGNALS)}
_BLENDED = np.array([_PLACE[name] for name in BLENDED])

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Items, best first by (score down, key up). Those of item x at starts[x]:starts[x + 1] are its amounts: their
    signal (an index into SIGNALS), the user's item that each comes from (0: none); they add up to its score."""

    item: NDArray[np.uint64]
    score: F64
    starts: NDArray[np.uint32]
    signal: NDArray[np.uint8]
    because: NDArray[np.uint64]
    amount: F64


class Blender:
    """``begin``, ``put``, then ``best``. Not for two threads at once. Raises SettingError for trees that are none."""

    def __init__(self, weights: Weights, blend: Blend | None = None) -> None:
        self._blend = blend or Blend(len(SIGNALS))
        self.weights, self._linear = weights, weights.by_signal
        self._trees: Trees | None = None
        if weights.trees is not None:
            try:
                arrays = Arrays(**weights.trees)
                self._trees, self._least = Trees(*arrays), least(arrays)
                if self._trees.features != len(FEATURES):
                    raise ValueError(
                        f"they were grown on {arrays.features} features, and there are {len(FEATURES)} now"
                    )
            except (ValueError, TypeError, IndexError) as e:
                raise SettingError(f"the trees of the weights {weights.version} are none: {e}") from None

    def under(self, weights: Weights) -> Blender:
        """The same rows under other weights."""
        return Blender(weights, self._blend)

    def begin(self) -> None:
        self._blend.begin()

    def put(self, signals: dict[str, Signals]) -> None:
        """By name. Raises ValueError for an amount that is below 0 or not finite."""
        for name, one in signals.items():
            self._blend.put(_PLACE[name], one.item, one.amount, one.because)

    def order(self, n: int) -> tuple[NDArray[np.uint64], F64]:
        """Items and scores of the n best."""
        if self._trees is None:
            return self._blend.best(self._linear, n)
        items, scores, _ = self._ranked(self._trees, n)
        return items, scores

    def best(self, n: int) -> Scored:
        """The n best, and why."""
        if self._trees is not None:
            return self._explained(self._trees, n)
        items, scores = self._blend.best(self._linear, n)
        return Scored(items, scores, *self._blend.parts())

    def features(self, n: int) -> tuple[NDArray[np.uint64], F64]:
        """The n best by the linear weights, and what trees see of them: float64[<=n, len(FEATURES)]."""
        items, _ = self._blend.best(self._linear, n)
        totals, largest = self._blend.totals()
        totals = totals[:, _BLENDED]
        return items, np.hstack([totals / np.where(largest > 0, largest, 1)[_BLENDED], totals])

    def _ranked(self, trees: Trees, n: int) -> tuple[NDArray[np.uint64], F64, F64]:
        """The n best of the trees: items, scores, features."""
        items, features = self.features(DEPTH)
        scores = trees.predict(features) - self._least if len(items) else np.zeros(0)
        best = np.lexsort((items, -scores))[:n]
        return items[best], scores[best], features[best]

    def _explained(self, trees: Trees, n: int) -> Scored:
        items, scores, features = self._ranked(trees, n)
        amounts = trees.explain(features) if len(items) else np.zeros((0, len(FEATURES) + 1))
        m = len(BLENDED)
        parts = np.hstack([amounts[:, -1:] - self._least, amounts[:, :m] + amounts[:, m:-1]])
        signal = np.append(_PLACE[BASE], _BLENDED).astype(np.uint8)
        starts = (np.arange(len(items) + 1) * len(signal)).astype(np.uint32)
        because = np.zeros(parts.size, np.uint64)
        return Scored(items, scores, starts, np.tile(signal, len(items)), because, parts.ravel())
