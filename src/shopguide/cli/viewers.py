"""Simulated shoppers who look at their lists: what they are shown, follow and buy goes into the log as a page would say
it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from shopguide.cli.door import Line
from shopguide.featurize import OF_NEW
from shopguide.records import Kind
from shopguide.simulate import Shop
from shopguide.simulate.truth import Memory
from shopguide.simulate.visit import Visit

VIEWERS = 2  # who look at a time
PAUSE = 1.0  # seconds between two steps of one
ON_SCREEN = 6  # items of a list that are seen

Row = dict[str, Any]


class Viewers:
    """Of a line that pushes. ``note`` hears of their rows before the collector has them."""

    def __init__(self, line: Line, shop: Shop, note: Callable[[list[Row]], object]) -> None:
        assert line.push is not None
        self._line, self._latest, self._shop, self._note = line, line.push.latest, shop, note
        self._products = {product.item: product for product in shop.products}
        self._random = Random(f"viewers {shop.start}")
        self._numbers = count(int(shop.start))
        self._memories: dict[str, Memory] = defaultdict(Memory)
        self._visits: list[Visit] = []
        self._next = 0.0

    def turn(self, now: float, there: float) -> None:
        """Let each make a step, where it is time (epoch s) for one. ``there``: the shop's own time, of what its
        shoppers want, since its past was moved to end when it opened."""
        if now < self._next:
            return
        self._next = now + PAUSE
        for visit in self._visits:
            self._show(visit, now)
        self._visits = [visit for visit in self._visits if not visit.over]
        while len(self._visits) < VIEWERS:
            shopper = self._shop.visitor(self._random)
            visit = Visit(self._shop, shopper, self._memories[shopper.user], next(self._numbers), there)
            self._visits.append(visit)
        for visit in self._visits:
            visit.now = there
            self._step(visit, now)

    def _step(self, visit: Visit, now: float) -> None:
        """What a visit does, and a question for the list that it is then shown."""
        self._say([{**row, "time": now} for row in visit.step()])
        if not visit.over:
            self._line.collector.control(Kind.WATCH, self._key(visit), expires=0.0)

    def _show(self, visit: Visit, now: float) -> None:
        """The list that has come meanwhile."""
        newest = self._latest(self._key(visit))
        if newest is None or visit.over:
            return
        seen = [item["item"] for item in newest["items"] if item["item"] in self._products][:ON_SCREEN]
        who = {"user": visit.shopper.user, "session": visit.session, "time": now}
        new = {item["item"] for item in newest["items"] if item.get("explored")}
        self._say([{"kind": "impression", "item": i, **who, **({"list": OF_NEW} if i in new else {})} for i in seen])
        visit.show([self._products[item] for item in seen])

    def _say(self, rows: list[Row]) -> None:
        self._note(rows)
        self._line.collector.collect(rows)

    def _key(self, visit: Visit) -> int:
        return self._line.secret.user_key(visit.shopper.user)
