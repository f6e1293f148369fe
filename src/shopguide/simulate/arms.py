"""Arms: what makes lists in a simulated shop. A whole line under its settings, or a yardstick.

All arms learn from all events, whoever's list led to them: arms are compared as rankers over one shared history, as in
the usual A/B test. So an arm also gains from clicks that another's lists brought about, which makes a difference
between arms smaller than it would be between two shops.
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from pathlib import Path
from random import Random
from typing import Protocol

import numpy as np

from shopguide.clean import clean
from shopguide.errors import SettingError
from shopguide.featurize import Featurizer
from shopguide.rank import Ranker
from shopguide.records import TRENDING, Batch, Looks, Ragged, Update
from shopguide.score import Scorer
from shopguide.settings import PRESETS, Settings, load
from shopguide.simulate.goods import Product
from shopguide.simulate.shop import Shop
from shopguide.simulate.visit import Visit

SLOT = "product"  # where the lists of a visit stand
YARDSTICKS = ("random", "popular", "oracle")


class Arm(Protocol):
    tried: AbstractSet[str]
    """Of the newest list, the items that stand in places for new ones."""

    def learn(self, batch: Batch, now: float) -> None:
        """Take in the next rows of the log; ``now`` is epoch s."""

    def recommend(self, visit: Visit, user: int, n: int) -> list[str]:
        """At most ``n`` items for a visit, best first; ``user`` is the shopper's key."""


class Front:
    """clean and featurize, for all lines that learn alike: each batch once, whichever of them it comes to first."""

    def __init__(self, settings: Settings) -> None:
        self.featurizer = Featurizer(settings)
        self._first = -1
        self._done: tuple[Batch, Update]

    def take(self, batch: Batch) -> tuple[Batch, Update]:
        """The rows that make sense, and what they teach."""
        if batch.first != self._first:
            kept, _ = clean(batch)
            self._first, self._done = batch.first, (kept, self.featurizer.featurize(kept))
        return self._done


class Line:
    """clean and featurize (``front``), score and rank in this process.

    ``lag``: seconds between the updates of its model, the first at ``begin`` (epoch s); 0: it learns each event. What
    a shopper does is known at once either way, so a lag is the age of what was learned from everybody.
    """

    def __init__(self, settings: Settings, front: Front, lag: float = 0.0, begin: float = -math.inf) -> None:
        self.front, self.scorer, self.ranker = front, Scorer(settings), Ranker(settings)
        self._lag, self._next = lag, begin if lag else -math.inf
        self._waiting: list[Update] = []
        self.tried: AbstractSet[str] = frozenset()

    def learn(self, batch: Batch, now: float) -> None:
        """As for :class:`Arm`."""
        self._update(now)
        kept, update = self.front.take(batch)
        self.scorer.learn_catalogue(kept)
        self.ranker.learn(kept)
        self._waiting.append(update)
        if not self._lag:
            self._update(now)

    def recommend(self, visit: Visit, user: int, n: int) -> list[str]:
        """As for :class:`Arm`."""
        self._update(visit.now)
        return self._answer(self.front.featurizer.look(user, SLOT, n, visit.now))

    def _answer(self, looks: Looks) -> list[str]:
        items = self.ranker.rank(self.scorer.answer(looks))[0]["items"]
        self.tried = {item["item"] for item in items if item.get("explored")}
        return [item["item"] for item in items]

    def _update(self, now: float) -> None:
        """Learn what came before an update that is due."""
        if now < self._next:
            return
        for update in self._waiting:
            self.scorer.learn(update)
        self._waiting.clear()
        if self._lag:
            self._next += self._lag * (1 + (now - self._next) // self._lag)


class Popular(Line):
    """A yardstick: the same list for everybody, of what is popular now."""

    def recommend(self, visit: Visit, user: int, n: int) -> list[str]:
        """As for :class:`Arm`."""
        slot = Ragged.of_bytes([TRENDING])
        users = np.array([user], np.uint64)
        return self._answer(Looks(user=users, event_time=[visit.now], slot=slot, n=[n]))


class Anything:
    """A yardstick: any items that the shop has."""

    def __init__(self, shop: Shop) -> None:
        self.tried: AbstractSet[str] = frozenset()
        self._shop, self._random = shop, Random(f"anything {shop.seed}")

    def learn(self, batch: Batch, now: float) -> None:
        """It does not."""

    def recommend(self, visit: Visit, user: int, n: int) -> list[str]:
        """As for :class:`Arm`."""
        there = [p.item for p in self._shop.products if self._shop.truth.there(p, visit.now)]
        return self._random.sample(there, min(n, len(there)))


class Oracle:
    """A yardstick: the items that the shopper will most probably click, by the truth. No line can do better on the
    click at hand."""

    def __init__(self, shop: Shop) -> None:
        self.tried: AbstractSet[str] = frozenset()
        self._shop = shop

    def learn(self, batch: Batch, now: float) -> None:
        """It knows."""

    def recommend(self, visit: Visit, user: int, n: int) -> list[str]:
        """As for :class:`Arm`."""

        def attraction(product: Product) -> float:
            return truth.attraction(visit.shopper, visit.style, product, visit.now, visit.memory, visit.seen)

        truth = self._shop.truth
        return [p.item for p in sorted(self._shop.products, key=attraction, reverse=True)[:n]]


class Arms:
    """Opens arms for a shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._fronts: dict[str, Front] = {}

    def open(self, name: str, spec: str, lag: float = 0.0) -> Arm:
        """The arm that a SPEC names: a settings file, a preset, or a yardstick.

        Raises SettingError where it is none of these, or one that learns nothing is given a lag (seconds).
        """
        if spec in ("random", "oracle"):
            if lag:
                raise SettingError(f"--lag {name}={lag:g}: {spec} learns nothing; only an arm that learns can lag")
            return Anything(self._shop) if spec == "random" else Oracle(self._shop)
        line = Popular if spec == "popular" else Line
        given = load() if spec == "popular" else _settings(name, spec)
        settings = given.model_copy(update={"log": given.log.model_copy(update={"partitions": 1})})
        front = self._fronts.setdefault(settings.learn.model_dump_json(), Front(settings))
        return line(settings, front, lag, self._shop.truth.opening)


def _settings(name: str, spec: str) -> Settings:
    try:
        return load(spec) if spec in PRESETS else load(path=Path(spec))
    except SettingError as e:
        words = ", ".join((*PRESETS, *YARDSTICKS))
        known = "" if Path(spec).exists() else f"; allowed are a TOML file, {words}"
        raise SettingError(f"--arm {name}={spec}: {e}{known}") from None
