"""A shop with known truth: a catalogue of collections, and shoppers who each like a few of them.

Every product belongs to a *style* (a collection that spans categories), every shopper has two styles, two or three
categories and a price band, and a visit stays mostly within one style. So which items belong together is known, and
item-item counts must find it. The same seed gives the same shop and the same events.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from random import Random
from typing import Any

from shopguide.simulate.goods import BANDS, Product, product
from shopguide.simulate.scenes import SHOP, Scene
from shopguide.simulate.stock import Stock
from shopguide.simulate.truth import OFF_BAND, STATIONARY, Regime, Shopper, Truth, shopper

START = 1_760_000_000.0  # epoch s of the first event, where none is given
PAUSE = 25.0  # mean seconds between two steps of a visit
STEPS = 7.0  # mean steps of a visit
LOYALTY = 0.85  # share of steps within the visit's style
SEARCHES, CARTS, FAVOURITES, BUYS, REGRETS = 0.3, 0.16, 0.05, 0.5, 0.12

Row = dict[str, Any]


@dataclass
class Choice:
    """Products to choose from, with their cumulative weights."""

    products: list[Product]
    weights: list[float]


class Shop:
    """``rate``: new visits a second. What moves in it moves from the ``opening`` (epoch s; None: the start) on. Until
    :meth:`open_stock` all can be had.

    Raises ValueError where there is nothing to sell or nobody to buy.
    """

    def __init__(
        self,
        seed: int,
        products: int = 600,
        shoppers: int = 2000,
        start: float = START,
        rate: float = 0.5,
        regime: Regime = STATIONARY,
        opening: float | None = None,
        scene: Scene = SHOP,
    ) -> None:
        if products < 1 or shoppers < 1 or rate <= 0:
            raise ValueError("a shop needs at least one product and one shopper, and a rate above 0")
        self.seed, self.start, self.rate, self.scene = seed, start, rate, scene
        self.stock: Stock | None = None
        random = Random(f"shop {seed}")
        self.products = [product(random, number) for number in range(products)]
        self.shoppers = [shopper(random, number, BANDS) for number in range(shoppers)]
        self._popularity: dict[str, float] = {
            p.item: 1 / (1 + rank) ** 0.7 for rank, p in enumerate(_shuffled(random, self.products))
        }
        self.truth = Truth(seed, self.products, self._popularity, regime, start if opening is None else opening)
        self._busy = list(accumulate(1 / (1 + rank) ** 0.6 for rank in range(shoppers)))
        self._choices: dict[tuple[str | None, str | None, int], Choice] = {}
        self._step = 0

    def catalogue(self) -> list[Row]:
        """A row for each product that is there from the start, as collect takes it."""
        return [self._item(product, self.start) for product in self.products if product.item not in self.truth.launch]

    def launches(self) -> list[Row]:
        """A row for each product to come, in order of time."""
        launch = self.truth.launch
        rows = [self._item(product, launch[product.item]) for product in self.products if product.item in launch]
        return sorted(rows, key=lambda row: float(row["time"]))

    def open_stock(self, now: float) -> None:
        """From now (epoch s) on items come and go, if they do in this scene; visitors find what can be had."""
        if self.scene.turns:
            self.stock = Stock(self.seed, [product.item for product in self.products], self.scene.turns, now)

    def visitor(self, random: Random) -> Shopper:
        """Who comes next; some come much more often than others."""
        return random.choices(self.shoppers, cum_weights=self._busy)[0]

    def style(self, random: Random, shopper: Shopper, now: float) -> str:
        """What a visit is after: one of the shopper's styles, in its season more often."""
        if not self.truth.regime.season:
            return random.choice(shopper.styles)
        return random.choices(shopper.styles, [self.truth.season(style, now) for style in shopper.styles])[0]

    def events(self, n: int | None = None) -> Iterator[Row]:
        """What shoppers do, in order of time, as collect takes it: ``n`` rows, or without end. Products appear among
        them, and are not counted."""
        random = Random(f"events {self.seed}")
        launches = self.launches()
        visits: list[tuple[float, int, Row, Iterator[Row]]] = []
        arrival = self.start
        sessions = count()
        for number in count() if n is None else range(n):
            while not visits or arrival <= visits[0][0]:
                session = next(sessions)
                visit = self._visit(random, self.visitor(random), f"s{self.seed}-{session}", arrival)
                first = next(visit)
                heapq.heappush(visits, (first["time"], session, first, visit))
                arrival += random.expovariate(self.rate)
            _, session, row, visit = visits[0]
            following = next(visit, None)
            if following is None:
                heapq.heappop(visits)
            else:
                heapq.heapreplace(visits, (following["time"], session, following, visit))
            while launches and launches[0]["time"] <= row["time"]:
                yield launches.pop(0)
            row["event"] = f"{self.seed}-{int(self.start)}-{number}"
            yield row

    def _visit(self, random: Random, shopper: Shopper, session: str, begin: float) -> Iterator[Row]:
        """One visit: searches and views within a style, carts, and at the end purchases or second thoughts."""
        now = begin
        style = self.style(random, shopper, now)
        cart: list[Product] = []

        def row(kind: str, product: Product | None, **more: Any) -> Row:
            nonlocal now
            if product is not None:
                more["item"] = product.item
            found = {"kind": kind, "user": shopper.user, "session": session, "time": round(now, 3), **more}
            now += random.expovariate(1 / PAUSE)
            return found

        looked = 0
        while not looked or random.random() > 1 / STEPS:
            product = self.choose(random, shopper, style, now)
            if random.random() < SEARCHES:
                yield row("search", None, query=f"{style} {self.scene.dress(product)['category']}".lower())
            yield row("view", product)
            looked += 1
            chance = random.random()
            if chance < CARTS and self.scene.sells:
                cart.append(product)
                yield row("cart", product, value=product.price)
            elif chance < CARTS + FAVOURITES:
                yield row("favourite", product)
        for product in cart:
            chance = random.random()
            if chance < BUYS:
                yield row("purchase", product, value=product.price)
            elif chance < BUYS + REGRETS:
                yield row("remove", product)

    def choose(self, random: Random, shopper: Shopper, style: str, now: float) -> Product:
        """What a shopper finds by themselves in a visit that is after a style: mostly of it, by popularity."""
        category = random.choice(shopper.categories)
        choice = self._choice(style if random.random() < LOYALTY else None, category, shopper.band, now)
        found = random.choices(choice.products, cum_weights=choice.weights)[0]
        if self.stock is None or found.item not in self.stock.out:
            return found
        return random.choice(self._to_be_had(choice.products) or self._to_be_had(self.products) or [found])

    def _to_be_had(self, products: Sequence[Product]) -> list[Product]:
        return [product for product in products if self.stock is None or product.item not in self.stock.out]

    def _choice(self, style: str | None, category: str, band: int, now: float) -> Choice:
        """Products of a style and category where the shop has one; in a shop that moves, as they are at the step."""
        if self.truth.regime.moves and int(now // self.truth.regime.step) != self._step:
            self._step = int(now // self.truth.regime.step)
            self._choices.clear()
        choice = self._choices.get((style, category, band))
        if choice is None:
            there = [p for p in self.products if self.truth.there(p, self._step * self.truth.regime.step)]
            fits = [p for p in there if p.category == category and style in (None, p.style)]
            fits = fits or [p for p in there if style in (None, p.style)] or there
            weights = (self._weight(p, band) for p in fits)
            choice = self._choices[style, category, band] = Choice(fits, list(accumulate(weights)))
        return choice

    def _weight(self, product: Product, band: int) -> float:
        heat = self.truth.heat(product, self._step * self.truth.regime.step)
        return self._popularity[product.item] * heat * (1.0 if product.band == band else OFF_BAND)

    def _item(self, product: Product, time: float) -> Row:
        return {"kind": "item", "op": "upsert", "time": time, **self.scene.dress(product)}


def _shuffled(random: Random, products: list[Product]) -> list[Product]:
    return random.sample(products, len(products))
