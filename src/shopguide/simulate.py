"""A shop with known truth: a catalogue of collections, and shoppers who each like a few of them.

Every product belongs to a *style* (a collection that spans categories), every shopper has two styles, two or three
categories and a price band, and a visit stays mostly within one style. So which items belong together is known, and
item-item counts must find it. The same seed gives the same shop and the same events.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, count
from random import Random
from typing import Any
from urllib.parse import quote

START = 1_760_000_000.0  # epoch s of the first event, where none is given
PAUSE = 25.0  # mean seconds between two steps of a visit
STEPS = 7.0  # mean steps of a visit
BANDS = 3  # cheap, middling, dear
OFF_BAND = 0.3  # weight of an item outside the shopper's price band
LOYALTY = 0.85  # share of steps within the visit's style
SEARCHES, CARTS, FAVOURITES, BUYS, REGRETS = 0.3, 0.16, 0.05, 0.5, 0.12

STYLES = (
    "Harbour", "Juniper", "Meridian", "Terracotta", "Nordic", "Orchard",
    "Slate", "Willow", "Saffron", "Alpine", "Indigo", "Coral",
)  # fmt: skip
BRANDS = ("Fenwick & Co", "Haus Lindqvist", "Atelier Moreau", "Brightwater", "Ostara", "Kiln Lane", "Tallow Mill")
VARIANTS = ("", "small", "large", "pair of", "set of four", "travel", "mini", "grand")


@dataclass(frozen=True)
class Category:
    """A shelf of the shop: ``hue`` and ``shape`` (a path in a box of 64 x 64) draw its products."""

    name: str
    nouns: tuple[str, ...]
    prices: tuple[float, float]
    hue: int
    shape: str


def _category(name: str, nouns: str, low: float, high: float, hue: int, shape: str) -> Category:
    return Category(name, tuple(nouns.split(", ")), (low, high), hue, shape)


CATEGORIES = (
    _category(
        "Lighting",
        "table lamp, floor lamp, pendant, wall light, lantern, reading lamp, night light, string lights, desk lamp, "
        "ceiling lamp, clip lamp, candle lamp",
        19, 189, 45, "M22 12h20l8 24H14zM30 36h4v12h-4zM22 48h20v5H22z",
    ),
    _category(
        "Furniture",
        "side table, armchair, stool, bookcase, bench, coffee table, sideboard, desk, dining chair, shelf, coat stand, "
        "footrest",
        49, 690, 25, "M20 10h24v22H20zM16 34h32v6H16zM18 40h5v14h-5zM41 40h5v14h-5z",
    ),
    _category(
        "Kitchen",
        "mug, teapot, chopping board, saucepan, apron, storage jar, mixing bowl, kettle, grater, pepper mill, "
        "bread bin, colander",
        6, 89, 5, "M14 18h28v28a6 6 0 0 1-6 6H20a6 6 0 0 1-6-6zM44 23h4a8 8 0 0 1 0 17h-4v-5h3a3 3 0 0 0 0-7h-3z",
    ),
    _category(
        "Textiles",
        "cushion, throw, rug, curtain, bath towel, bed linen, quilt, tablecloth, napkin, door mat, pillow case, "
        "blanket",
        9, 240, 330, "M12 14q20 6 40 0-6 18 0 36-20-6-40 0 6-18 0-36z",
    ),
    _category(
        "Garden",
        "planter, watering can, bird feeder, trowel, herb pot, hammock, parasol, trellis, garden chair, seed box, "
        "fire bowl, kneeler",
        8, 210, 130, "M18 36h28l-4 18H22zM30 36V25q-12 0-14-13 12 0 15 9 2-11 15-11-1 15-12 15v11z",
    ),
    _category(
        "Tableware",
        "dinner plate, soup bowl, carafe, tumbler, serving dish, egg cup, wine glass, cake stand, salad bowl, platter, "
        "saucer, cutlery",
        5, 79, 200, "M32 10a22 22 0 1 0 .1 0zm0 9a13 13 0 1 1-.1 0z",
    ),
    _category(
        "Bags",
        "tote bag, rucksack, wash bag, shopper, weekender, purse, laptop sleeve, satchel, pouch, belt bag, "
        "card holder, picnic bag",
        12, 260, 285, "M12 24h40l4 30H8zM21 24v-3a11 11 0 0 1 22 0v3h-5v-3a6 6 0 0 0-12 0v3z",
    ),
    _category(
        "Stationery",
        "notebook, fountain pen, calendar, wrapping paper, pencil case, letter set, sketchbook, desk tray, planner, "
        "card box, photo album, ink",
        3, 65, 225, "M16 10h28a4 4 0 0 1 4 4v36a4 4 0 0 1-4 4H16zM22 20v4h20v-4zM22 29v4h20v-4zM22 38v4h12v-4z",
    ),
    _category(
        "Fragrance",
        "scented candle, room spray, soap, diffuser, bath salts, hand cream, incense, body oil, linen mist, wax melts, "
        "tea light, shaving soap",
        4, 75, 305, "M24 26h16v28H24zM32 8q9 10 0 16-9-6 0-16z",
    ),
    _category(
        "Children",
        "building blocks, soft bear, puzzle, kite, money box, night owl, rocking horse, play tent, marble run, "
        "sun hat, skipping rope, music box",
        6, 140, 165, "M32 8l7 15 17 2-12 12 3 17-15-8-15 8 3-17L8 25l17-2z",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Product:
    """``style`` is the truth: products of one style are wanted together."""

    item: str
    title: str
    category: str
    brand: str
    price: float
    image: str
    style: str
    band: int


@dataclass(frozen=True)
class Shopper:
    user: str
    styles: tuple[str, ...]
    categories: tuple[str, ...]
    band: int


@dataclass
class Choice:
    """Products to choose from, with their cumulative weights."""

    products: list[Product]
    weights: list[float]


class Shop:
    """``rate``: new visits a second. Raises ValueError where there is nothing to sell or nobody to buy."""

    def __init__(
        self, seed: int, products: int = 600, shoppers: int = 2000, start: float = START, rate: float = 0.5
    ) -> None:
        if products < 1 or shoppers < 1 or rate <= 0:
            raise ValueError("a shop needs at least one product and one shopper, and a rate above 0")
        self.seed, self.start, self.rate = seed, start, rate
        random = Random(f"shop {seed}")
        self.products = [_product(random, number) for number in range(products)]
        self.shoppers = [_shopper(random, number) for number in range(shoppers)]
        self._popularity = {p.item: 1 / (1 + rank) ** 0.7 for rank, p in enumerate(_shuffled(random, self.products))}
        self._choices: dict[tuple[str | None, str | None, int], Choice] = {}

    def catalogue(self) -> list[dict[str, Any]]:
        """A row for each product, as collect takes it."""
        attributes = ("item", "title", "category", "brand", "price", "image")
        return [
            {"kind": "item", "op": "upsert", "time": self.start, **{a: getattr(product, a) for a in attributes}}
            for product in self.products
        ]

    def events(self, n: int | None = None) -> Iterator[dict[str, Any]]:
        """What shoppers do, in order of time, as collect takes it: ``n`` rows, or without end."""
        random = Random(f"events {self.seed}")
        busy = list(accumulate(1 / (1 + rank) ** 0.6 for rank in range(len(self.shoppers))))
        visits: list[tuple[float, int, dict[str, Any], Iterator[dict[str, Any]]]] = []
        arrival = self.start
        sessions = count()
        for number in count() if n is None else range(n):
            while not visits or arrival <= visits[0][0]:
                session = next(sessions)
                (shopper,) = random.choices(self.shoppers, cum_weights=busy)
                visit = self._visit(random, shopper, f"s{self.seed}-{session}", arrival)
                first = next(visit)
                heapq.heappush(visits, (first["time"], session, first, visit))
                arrival += random.expovariate(self.rate)
            _, session, row, visit = visits[0]
            following = next(visit, None)
            if following is None:
                heapq.heappop(visits)
            else:
                heapq.heapreplace(visits, (following["time"], session, following, visit))
            row["event"] = f"{self.seed}-{int(self.start)}-{number}"
            yield row

    def _visit(self, random: Random, shopper: Shopper, session: str, begin: float) -> Iterator[dict[str, Any]]:
        """One visit: searches and views within a style, carts, and at the end purchases or second thoughts."""
        now = begin
        style = random.choice(shopper.styles)
        cart: list[Product] = []

        def row(kind: str, product: Product | None, **more: Any) -> dict[str, Any]:
            nonlocal now
            if product is not None:
                more["item"] = product.item
            found = {"kind": kind, "user": shopper.user, "session": session, "time": round(now, 3), **more}
            now += random.expovariate(1 / PAUSE)
            return found

        looked = 0
        while not looked or random.random() > 1 / STEPS:
            category = random.choice(shopper.categories)
            product = self._choose(random, style if random.random() < LOYALTY else None, category, shopper.band)
            if random.random() < SEARCHES:
                yield row("search", None, query=f"{style} {product.category}".lower())
            yield row("view", product)
            looked += 1
            chance = random.random()
            if chance < CARTS:
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

    def _choose(self, random: Random, style: str | None, category: str, band: int) -> Product:
        """A product by popularity, of a style and category where the shop has one."""
        choice = self._choices.get((style, category, band))
        if choice is None:
            fits = [p for p in self.products if p.category == category and style in (None, p.style)]
            fits = fits or [p for p in self.products if style in (None, p.style)] or self.products
            weights = (self._popularity[p.item] * (1.0 if p.band == band else OFF_BAND) for p in fits)
            choice = self._choices[style, category, band] = Choice(fits, list(accumulate(weights)))
        return random.choices(choice.products, cum_weights=choice.weights)[0]


def _product(random: Random, number: int) -> Product:
    category = CATEGORIES[number % len(CATEGORIES)]
    place = number // len(CATEGORIES)
    style = STYLES[(place + number % len(CATEGORIES)) % len(STYLES)]
    noun = category.nouns[place // len(STYLES) % len(category.nouns)]
    variant, edition = place // (len(STYLES) * len(category.nouns)), ""
    if variant >= len(VARIANTS):
        variant, edition = variant % len(VARIANTS), f" No. {variant // len(VARIANTS) + 1}"
    low, high = category.prices
    price = round(low * (high / low) ** random.random()) - 0.05
    return Product(
        item=f"p{number:04d}",
        title=" ".join(filter(None, (style, VARIANTS[variant], noun))) + edition,
        category=category.name,
        brand=random.choice(BRANDS),
        price=round(price, 2),
        image=_image(category, STYLES.index(style)),
        style=style,
        band=min(int(BANDS * (price - low) / (high - low) * 1.8), BANDS - 1) if price > low else 0,
    )


def _shopper(random: Random, number: int) -> Shopper:
    return Shopper(
        user=f"shopper-{number:05d}",
        styles=tuple(random.sample(STYLES, 2)),
        categories=tuple(c.name for c in random.sample(CATEGORIES, random.choice((2, 3)))),
        band=random.randrange(BANDS),
    )


def _shuffled(random: Random, products: list[Product]) -> list[Product]:
    return random.sample(products, len(products))


def _image(category: Category, style: int) -> str:
    """A small picture as a data URI: the category's shape and colour, lighter or darker by style."""
    light = 84 + style % 4 * 3
    turn = category.hue + style * 4
    svg = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 64 64'>"
        f"<rect width='64' height='64' fill='hsl({turn} 45% {light}%)'/>"
        f"<path fill-rule='evenodd' fill='hsl({turn} 48% {34 + style % 5 * 4}%)' d='{category.shape}'/></svg>"
    )
    return "data:image/svg+xml," + quote(svg, safe="/:='(),.-")
