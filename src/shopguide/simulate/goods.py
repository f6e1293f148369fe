"""What the shop sells: products made of a category, a style, a noun and a price, each with a small picture."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from urllib.parse import quote

BANDS = 3  # cheap, middling, dear

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


def product(random: Random, number: int) -> Product:
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
