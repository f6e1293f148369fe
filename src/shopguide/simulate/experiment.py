"""The closed loop: visits come, arms make the lists, the truth decides what is clicked and bought, arms learn it."""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Callable
from itertools import takewhile
from random import Random

import numpy as np

from shopguide.compare import Ratios, Totals
from shopguide.featurize import OF_NEW
from shopguide.simulate.arms import Arm
from shopguide.simulate.feed import Feed
from shopguide.simulate.interleave import team_draft
from shopguide.simulate.shop import START, Shop
from shopguide.simulate.truth import DAY, Memory, Regime
from shopguide.simulate.visit import Visit

COUNTS = ("visits", "impressions", "shown", "clicks", "bought", "purchases", "revenue")
RATIOS = Ratios(
    COUNTS,
    {
        "ctr": ("clicks", "impressions"),
        "ctr_item": ("clicks", "shown"),
        "cvr": ("bought", "clicks"),
        "revenue_per_visit": ("revenue", "visits"),
    },
)
PER_DAY = 500.0  # visits a day, before and after the opening
ROWS = 5000  # rows of the history that arms learn at once


def opened(seed: int, regime: Regime, products: int = 600) -> Shop:
    """The shop of a closed loop: its history ends, and the loop begins, at START."""
    start, rate = START - regime.history * DAY, PER_DAY / DAY
    return Shop(seed, products, start=start, rate=rate, regime=regime, opening=START)


class Tallies:
    """Counts of each shopper, by the names in COUNTS: visits; lists (impressions), the items in them (shown), their
    clicks; purchases of what was clicked in the same visit (bought), all purchases and their value (revenue)."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0.0))

    def add(self, user: str, **counts: float) -> None:
        for name, count in counts.items():
            self.of[user][name] += count

    def totals(self) -> Totals:
        """A row each shopper."""
        rows = [[counts[name] for name in COUNTS] for counts in self.of.values()]
        return np.array(rows, np.float64).reshape(len(rows), len(COUNTS))


class Experiment:
    """Arms in one shop. Lists have ``n`` items.

    Split: a shopper belongs to one arm, by a hash of the seed and the user. ``interleaved``: each list is a team draft
    of both arms (there are two); ``credits`` has for each visit, by its session, the clicks of either's items.
    """

    def __init__(self, shop: Shop, arms: dict[str, Arm], n: int, interleaved: bool = False) -> None:
        self.tallies = {name: Tallies() for name in (["interleaved"] if interleaved else arms)}
        self.names = list(arms)
        self.credits: dict[str, list[int]] = {}
        self._shop, self._arms, self._n, self._interleaved = shop, arms, n, interleaved
        self._feed = Feed(list(arms.values()))
        self._products = {product.item: product for product in shop.products}
        self._memories: dict[str, Memory] = defaultdict(Memory)
        self._launches = shop.launches()
        self._coin = Random(f"draft {shop.seed}")

    def run(self, visits: int, told: Callable[[int], object] = lambda done: None) -> None:
        """The history, then so many visits; ``told`` hears how many have begun."""
        self._learn_history()
        random = Random(f"arrivals {self._shop.seed}")
        arrival, begun = self._shop.truth.opening, 0
        under_way: list[tuple[float, int, Visit]] = []
        while under_way or begun < visits:
            while begun < visits and (not under_way or arrival <= under_way[0][0]):
                shopper = self._shop.visitor(random)
                visit = Visit(self._shop, shopper, self._memories[shopper.user], begun, arrival)
                heapq.heappush(under_way, (arrival, begun, visit))
                arrival += random.expovariate(PER_DAY / DAY)
                begun += 1
                told(begun)
            _, number, visit = heapq.heappop(under_way)
            self._step(visit)
            if not visit.over:
                heapq.heappush(under_way, (visit.now, number, visit))

    def _learn_history(self) -> None:
        opening = self._shop.truth.opening
        past = takewhile(lambda row: row["time"] < opening, self._shop.events())
        rows = [*self._shop.catalogue(), *past]
        for start in range(0, len(rows), ROWS):
            chunk = rows[start : start + ROWS]
            self._feed.load(chunk, chunk[-1]["time"])

    def _step(self, visit: Visit) -> None:
        """What a visit does at its moment, and the list that it is shown then."""
        while self._launches and self._launches[0]["time"] <= visit.now:
            self._feed.load([self._launches.pop(0)], visit.now)
        rows = visit.step()
        self._feed.send(rows, visit.now)
        user, arm = visit.shopper.user, self._arm_of(visit.shopper.user)
        if visit.over:
            sold = [row for row in rows if row["kind"] == "purchase"]
            followed = sum(row["item"] in visit.clicked for row in sold)
            revenue = sum(row["value"] for row in sold)
            self.tallies[arm].add(user, visits=1, bought=followed, purchases=len(sold), revenue=revenue)
            return
        items, teams = self._list(visit, arm)
        tried = set().union(*(arm.tried for arm in self._asked(arm)))
        new = [self._products[item] for item in items if item in tried]
        self._feed.send(visit.saw(new, OF_NEW), visit.now)
        clicked = visit.show([self._products[item] for item in items])
        self.tallies[arm].add(user, impressions=1, shown=len(items), clicks=clicked is not None)
        if self._interleaved:
            credit = self.credits.setdefault(visit.session, [0, 0])
            if clicked is not None:
                credit[teams[clicked]] += 1

    def _list(self, visit: Visit, arm: str) -> tuple[list[str], list[int]]:
        """The items to show; where they are a draft, the team of each."""
        user = self._feed.user_key(visit.shopper.user)
        lists = [each.recommend(visit, user, self._n) for each in self._asked(arm)]
        return team_draft((lists[0], lists[1]), self._n, self._coin) if self._interleaved else (lists[0], [])

    def _asked(self, arm: str) -> list[Arm]:
        """Who makes a list of the tally."""
        return list(self._arms.values()) if self._interleaved else [self._arms[arm]]

    def _arm_of(self, user: str) -> str:
        """Of which tally a shopper is."""
        names = list(self.tallies)
        digest = hashlib.blake2b(f"{self._shop.seed} {user}".encode(), digest_size=8).digest()
        return names[int.from_bytes(digest, "big") % len(names)]
