"""session: the live session's own signals. Shoppers come back to what they have just compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.recommenders.base import Context, Recommender, Signals
from shopguide.records import Lessons


class Session(Recommender):
    """An item of the live session weighs 1 / (steps back + 1): nothing is learned, all is in the context."""

    def observe(self, lessons: Lessons) -> None:
        pass

    def retract(self, lessons: Lessons) -> None:
        pass

    def score(self, context: Context, limit: int) -> Signals:
        steps = np.flatnonzero(context.here)[:limit]
        items = context.recent[steps]
        return Signals(items, items, np.reciprocal(steps + 1.0))

    def dump(self) -> dict[str, NDArray[Any]]:
        return {}

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        pass

    def check(self) -> None:
        pass
