"""explore: new items for the places of a list that are kept for such (``rank.explore``), by Thompson sampling.

An item is new while it is younger than ``rank.explore_age`` and fewer than KNOWN shoppers have been shown it in such a
place, or have chosen it anyhow. What a shopper does with a new item is a coin of the item's own: of ``shown`` shoppers
``won`` have chosen it. Each look draws the coin of every new item that is near from Beta(1 + won, PRIOR + shown - won),
and the largest come first (Thompson, 1933; Chapelle, Li, "An empirical evaluation of Thompson sampling", 2011). Counted
are distinct shoppers: one who sees an item twenty times, or a page that says so, is one.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Callable, Iterator
from itertools import islice, repeat
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from shopguide import catalogue
from shopguide._core import Audience, Blend
from shopguide.chance import betas, number, seed_of
from shopguide.recommenders.base import NO_ITEMS, Context, Recommender
from shopguide.records import SIMILAR, TRENDING, Batch, Lessons, Looks
from shopguide.settings import PolicySettings, RankSettings

KNOWN = 50  # shoppers, from which on an item is not new
PRIOR = 20  # misses that an item begins with
DRAWN = 32  # most items that are drawn for a look
SPARE = 5  # items beyond the places, for what rank may not show
LIKED, LIKE = 3, 20  # the user's newest items whose likes, and whose categories, come first; so many of each
LOOKED_AT = 256  # most items that are looked at to find them
_SHOWN = np.uint64(0xD6E8FEB86659FD93)  # an audience's item, beside an item's own: who was shown it
_NOBODY = (SIMILAR, TRENDING)

Near = Callable[[int], tuple[NDArray[np.uint64], NDArray[np.float64]]]


class Item(NamedTuple):
    """What ITEM rows say, the newest at ``offset``; ``since``: the time (epoch s) of the first."""

    offset: int
    since: float
    category: str
    deleted: bool
    stock: float | None


class Explore(Recommender):
    """Knows the catalogue; what shoppers did is in the scorer's ``audience``, which it writes who was shown what into.
    It puts nothing into the blend: :meth:`choose` gives a look's items."""

    signals = ()

    def __init__(self, rank: RankSettings, audience: Audience) -> None:
        self._rank, self._audience = rank, audience
        self._items: dict[int, Item] = {}
        self._all: list[tuple[float, int]] = []  # (since, item), in order
        self._of: dict[str, list[tuple[float, int]]] = {}  # … of a category

    @staticmethod
    def wanted(rank: RankSettings) -> bool:
        """Whether any list has places for new items."""
        return rank.policy == "on" and any(rules.explore > 0 for rules in (rank, *rank.slots.values()))

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        """Chance is no part of a score."""

    def learn_catalogue(self, batch: Batch) -> None:
        for item, offset, details in catalogue.items(batch.events):
            before = self._items.get(item)
            if before is not None and offset <= before.offset:
                continue
            self._put(item, _after(before, offset, float(_time(batch, offset)), details))

    def forget(self, items: NDArray[np.uint64]) -> None:
        for item in items.tolist():
            if item in self._items:
                self._take(item)

    def choose(self, looks: Looks, look: int, near: Near) -> NDArray[np.uint64]:
        """New items for a look, best first: of those ``near`` gives for the user's newest items (what is drawn counts
        as much as they resemble them), then of their categories, then any. As many as its list may have anyhow, as it
        has places for, and SPARE."""
        slot = looks.slot.bytes_at(look)
        rules: PolicySettings = self._rank.slots.get(slot.decode(), self._rank)
        if not rules.explore or slot in _NOBODY:
            return NO_ITEMS
        now, begin = float(looks.event_time[look]), float(looks.event_time[look]) - rules.explore_age
        seed, recent = seed_of(int(looks.user[look]), now), looks.recent[look][:LIKED].tolist()
        had = {i for of in (looks.recent, looks.bought, looks.dismissed, looks.tried) for i in of[look].tolist()}
        fits: dict[int, tuple[int, float]] = {}
        for tier, fit, item in islice(self._near(recent, near, begin, now, seed), LOOKED_AT):
            if item not in had and item not in fits and self._young(item, begin, now):
                fits[item] = tier, fit
                if len(fits) == DRAWN:
                    break
        return self._drawn(fits, seed)[: int(looks.n[look] * (1 + rules.explore)) + SPARE]

    def shown(self, lessons: Lessons) -> None:
        """Impressions that counted, and those that are taken back, in any order."""
        for sign, count in ((1, self._audience.add), (-1, self._audience.sub)):
            of = lessons.sign == sign
            count(lessons.item[of] ^ _SHOWN, lessons.user[of])

    def evidence(self, items: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Of each item: the shoppers who were shown it, and those of them who chose it."""
        marked = items ^ _SHOWN
        starts, ones = np.arange(len(items) + 1, dtype=np.uint32), np.ones(len(items))
        return self._audience.count(marked), self._audience.behind(items, starts, marked, ones, 1)

    def dump(self) -> dict[str, NDArray[Any]]:
        said = [(item, *of) for item, of in self._items.items()]
        return {"items": np.frombuffer(orjson.dumps(said), np.uint8)}

    def load(self, state: dict[str, NDArray[Any]], kept: dict[str, NDArray[Any]]) -> None:
        """Of a line that explored nothing there is no state: what it knew is not new."""
        self._items, self._all, self._of = {}, [], {}
        for item, *said in orjson.loads(state["items"].tobytes()) if state else ():
            self._put(item, Item(*said))

    def _near(
        self, recent: list[int], near: Near, begin: float, now: float, seed: int
    ) -> Iterator[tuple[int, float, int]]:
        """Items from near to far, with how far and how they fit: what resembles the newest items by how much it does,
        what is of their categories, anything."""
        for item in recent:
            items, shares = near(item)
            yield from zip(repeat(0), shares[:LIKE].tolist(), items[:LIKE].tolist(), strict=False)
        categories = dict.fromkeys(self._items[item].category for item in recent if item in self._items)
        for which, category in enumerate(filter(None, categories)):
            yield from zip(repeat(1), repeat(1.0), _turned(self._of[category], begin, now, number(seed, which)))
        yield from zip(repeat(2), repeat(1.0), _turned(self._all, begin, now, number(seed, LIKED)))

    def _young(self, item: int, begin: float, now: float) -> bool:
        said = self._items.get(item)
        if said is None or not begin < said.since <= now:
            return False
        return not said.deleted and (said.stock is None or said.stock > 0)

    def _drawn(self, fits: dict[int, tuple[int, float]], seed: int) -> NDArray[np.uint64]:
        """Those that too few know: the nearest first, of these the largest by what they draw times how they fit."""
        if not fits:
            return NO_ITEMS
        items = np.fromiter(fits, np.uint64, len(fits))
        tier, fit = np.array(list(fits.values())).T
        shown, won = self.evidence(items)
        drawn = fit * betas(seed, items, won, PRIOR + shown - won)
        new = np.maximum(shown, self._audience.count(items)) < KNOWN
        order = np.lexsort((-drawn, tier))
        return items[order[new[order]]]

    def _put(self, item: int, said: Item) -> None:
        before = self._items.get(item)
        self._items[item] = said
        at = (said.since, item)
        if before is None:
            insort(self._all, at)
        elif before.category != said.category:
            _remove(self._of[before.category], at)
        if before is None or before.category != said.category:
            insort(self._of.setdefault(said.category, []), at)

    def _take(self, item: int) -> None:
        said = self._items.pop(item)
        _remove(self._all, (said.since, item))
        _remove(self._of[said.category], (said.since, item))


def _after(before: Item | None, offset: int, time: float, details: dict[str, Any]) -> Item:
    """What is known after one more row."""
    had = before or Item(-1, time, "", False, None)
    deleted = not catalogue.is_there(details, not had.deleted)
    names = () if details.get("op") == "delete" else ("category", "stock")
    said = {name: details[name] for name in names if details.get(name) is not None}
    return had._replace(offset=offset, deleted=deleted, **said)


def _time(batch: Batch, offset: int) -> float:
    return float(batch.events.time[np.searchsorted(batch.events.offset, offset)])


def _turned(young: list[tuple[float, int]], begin: float, now: float, turn: float) -> Iterator[int]:
    """The items since ``begin`` and until now, once round from somewhere: ``turn`` in 0..1."""
    first, last = bisect(young, (begin, 2**64)), bisect(young, (now, 2**64))
    start = first + int(turn * (last - first))
    return (young[at][1] for part in (range(start, last), range(first, start)) for at in part)


def _remove(ordered: list[tuple[float, int]], one: tuple[float, int]) -> None:
    del ordered[bisect(ordered, one) - 1]
