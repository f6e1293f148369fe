"""The blend: signals of one look become scored items, with the amounts that make each score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Blend
from shopguide.recommenders.base import Signals
from shopguide.records import SIGNALS
from shopguide.weights import Weights

_PLACE = {name: at for at, name in enumerate(SIGNALS)}


@dataclass(frozen=True)
class Scored:
    """Items, best first by (score down, key up). Those of item x at starts[x]:starts[x + 1] are its amounts: their
    signal (an index into SIGNALS), the user's item that each comes from (0: none); they add up to its score."""

    item: NDArray[np.uint64]
    score: NDArray[np.float64]
    starts: NDArray[np.uint32]
    signal: NDArray[np.uint8]
    because: NDArray[np.uint64]
    amount: NDArray[np.float64]


class Blender:
    """``begin``, ``put``, then ``best``. ``weights`` can be others at any time. Not for two threads at once."""

    def __init__(self, weights: Weights) -> None:
        self._blend = Blend(len(SIGNALS))
        self.weights = weights

    @property
    def weights(self) -> Weights:
        return self._weights

    @weights.setter
    def weights(self, weights: Weights) -> None:
        self._weights, self._linear = weights, weights.by_signal

    def begin(self) -> None:
        self._blend.begin()

    def put(self, signals: dict[str, Signals]) -> None:
        """By name. Raises ValueError for an amount that is below 0 or not finite."""
        for name, one in signals.items():
            self._blend.put(_PLACE[name], one.item, one.amount, one.because)

    def best(self, n: int) -> Scored:
        """The n best by the weights."""
        items, scores = self._blend.best(self._linear, n)
        return Scored(items, scores, *self._blend.parts())

    def features(self, n: int) -> tuple[NDArray[np.uint64], NDArray[np.float64], NDArray[np.float64]]:
        """The n best by the linear weights, with each signal's total for them [<=n, signals], and the largest that it
        has for any item [signals]."""
        items, _ = self._blend.best(self._linear, n)
        return items, *self._blend.totals()
