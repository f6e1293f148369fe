"""What every recommender is: learns per event, takes back exactly, and says what it gives a shopper and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shopguide._core import Blend, Query
from shopguide.records import SIGNALS, Batch, Lessons

NO_ITEMS = np.zeros(0, np.uint64)
PLACE = {name: at for at, name in enumerate(SIGNALS)}  # a signal's number in a blend


class Context(NamedTuple):
    """Who asks: what the list is made from, the user's newest items, each next older one counting less; distinct items
    of the user, newest first; of each how many events of the live session it has; the unit that the live session is in
    the model, and the user (0: none); what they searched for last in it (empty: nothing); what an imported profile says
    that they like; the items of the unit's newest events, oldest first; what their visit has in common with others'
    (:mod:`shopguide.context`); what trained profiles need of the user, packed (empty: none are in force);
    those of their items that they marked as a favourite and no more than that, newest first."""

    asked: Query
    recent: NDArray[np.uint64]
    here: NDArray[np.uint8]
    unit: int
    user: int
    now: float
    query: str = ""
    interests: tuple[str, ...] = ()
    visit: NDArray[np.uint64] = NO_ITEMS
    segments: tuple[int, ...] = ()
    past: bytes = b""
    liked: NDArray[np.uint64] = NO_ITEMS


class Recommender(Protocol):
    """Amounts are never negative. After any mix of observe and retract the state is that of what remains."""

    signals: tuple[str, ...]
    """What it gives, by the names of :data:`shopguide.records.SIGNALS`."""

    def observe(self, lessons: Lessons) -> None:
        """Learn lessons in order. One that learns nothing of them leaves this as it is, and is not told any."""
        return

    def retract(self, lessons: Lessons) -> None:
        """Take lessons back. As with observe()."""
        return

    def bulk(self, lessons: Lessons) -> None:
        """Learn a whole history at once, each unit's lessons in order. Raises ValueError where something was learned
        before and the recommender cannot add to it."""
        self.observe(lessons)

    def learn_catalogue(self, batch: Batch) -> None:
        """Take in what ITEM and PICK rows say; any number of times, in any interleaving."""
        return

    def forget(self, items: NDArray[np.uint64]) -> None:
        """These items have gone from the catalogue."""
        return

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        """Put rows of the signals into a blend, each an item, an amount, and the user's item that it comes from (0:
        none): of at most ``limit`` items for each of the user's items, or ``2 * limit`` in all where none is the
        cause. An item may stand in many rows, its signal is their sum."""

    def dump(self) -> dict[str, NDArray[Any]]:
        """What cannot be learned again from the lessons that ``items`` keeps."""
        return {}

    def load(self, state: dict[str, NDArray[Any]], kept: dict[str, NDArray[Any]]) -> None:
        """From its own dump, and that of ``items``. Raises ValueError for a state that does not fit together."""
        return

    def check(self) -> None:
        """Raises CoreError where an invariant does not hold."""
        return


class Model(Protocol):
    """What a model of the core has in common with the others; see :class:`shopguide._core.Items`."""

    def observe_many(self, units: ArrayLike, items: ArrayLike, times: ArrayLike) -> None: ...

    def retract_many(self, units: ArrayLike, items: ArrayLike, times: ArrayLike) -> int: ...

    def load(self, columns: Mapping[str, NDArray[Any]]) -> None: ...

    def check(self) -> None: ...


ModelT = TypeVar("ModelT", bound=Model)


class OfUnits(Recommender, Generic[ModelT]):
    """A model of the core, learned from the items of units in order."""

    def __init__(self, model: ModelT) -> None:
        self.model = model

    def observe(self, lessons: Lessons) -> None:
        self.model.observe_many(self.units(lessons), lessons.item, lessons.time)

    def retract(self, lessons: Lessons) -> None:
        self.model.retract_many(self.units(lessons), lessons.item, lessons.time)

    def load(self, state: dict[str, NDArray[Any]], kept: dict[str, NDArray[Any]]) -> None:
        self.model.load(kept)

    def check(self) -> None:
        self.model.check()

    def units(self, lessons: Lessons) -> NDArray[np.uint64]:
        return lessons.unit
