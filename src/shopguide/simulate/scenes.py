"""What the simulated shop is: a shop, a newspaper, a video site. Its visitors want the same of each: a collection (a
style: here a story, a channel) and a few shelves (a category: here a topic)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from shopguide.simulate.goods import CATEGORIES, STYLES, Product
from shopguide.simulate.truth import NEWS, STATIONARY, Regime

STORIES = dict(
    zip(
        STYLES,
        (
            "Harbour tunnel", "Juniper vaccine", "Meridian summit", "Terracotta festival", "Nordic power line",
            "Orchard strike", "Slate quarry", "Willow bridge", "Saffron harvest", "Alpine railway", "Indigo satellite",
            "Coral reef",
        ),
        strict=True,
    )
)  # fmt: skip
TOPICS = {
    "Politics": "ministers divided, the vote is put off, new terms, a deal in the small hours, who said what",
    "Business": "the bill so far, shares react, suppliers wait, who stands to gain, insurers step in",
    "Science": "what the data say, a second study disagrees, how it was measured, the missing sample, in five charts",
    "Sport": "the team that stayed, a late winner, training goes on, the captain speaks out, the fixture moves",
    "Culture": "the film about it, a song for it, a novelist's view, an exhibition opens, what to read",
    "Health": "what doctors advise, waiting lists grow, a nurse's diary, the side effects, questions and answers",
    "Travel": "how to get there, the night train, a weekend nearby, roads closed, where to stay",
    "Technology": "the code behind it, sensors everywhere, an app for that, the outage, what engineers say",
    "Climate": "the hottest week, water runs low, the cost of waiting, a village moves, what has changed",
    "City": "neighbours speak, closed on Sunday, the mayor replies, the plans on show, before and after",
}
SHOWS = {
    "Games": "speedrun night, co-op evening, retro hour, ranked climb, puzzle box",
    "Music": "open rehearsal, vinyl hour, piano requests, late session, new releases",
    "Cooking": "one-pan dinner, bread morning, knife skills, market basket, leftovers",
    "Talk": "morning call-in, two chairs, ask me anything, the long interview, night line",
    "Fitness": "slow yoga, stairs and stretch, kettlebell half-hour, run with me, cool-down",
    "Crafts": "wood shop, knit along, clay wheel, bookbinding, repair bench",
    "Travel": "train window, city walk, ferry crossing, border town, market tour",
    "Chess": "blitz arena, endgame clinic, simul, opening lab, game review",
    "Science": "telescope live, kitchen lab, paper club, storm watch, microscope",
    "Nature": "waterhole, nest camera, reef camera, dawn chorus, river bend",
}

CHANNELS = ("Live", "TV", "Studio", "Club", "Radio")


@dataclass(frozen=True)
class Scene:
    """``dress`` says what a product is called and looks like; ``sells``: there are carts and purchases; ``turns``: mean
    seconds for which an item can be had, and for which it then cannot (None: it always can)."""

    name: str
    dress: Callable[[Product], dict[str, Any]]
    products: int = 600
    regime: Regime = STATIONARY
    sells: bool = False
    turns: tuple[float, float] | None = None


def _goods(product: Product) -> dict[str, Any]:
    return {a: getattr(product, a) for a in ("item", "title", "category", "brand", "price", "image")}


def _article(product: Product) -> dict[str, Any]:
    topic, angle = _of(product, TOPICS)
    title = f"{STORIES[product.style]}: {angle}"
    return {"item": product.item, "title": title, "category": topic, "image": _picture(product, 62, 34)}


def _stream(product: Product) -> dict[str, Any]:
    shelf, show = _of(product, SHOWS)
    channel = f"{product.style} {CHANNELS[_place(product) % len(CHANNELS)]}"
    title = f"{channel}: {show}"
    return {
        "item": product.item,
        "title": title,
        "category": shelf,
        "brand": channel,
        "image": _picture(product, 30, 62),
    }


def _place(product: Product) -> int:
    return int(product.item[1:]) // len(CATEGORIES)


def _of(product: Product, shelves: dict[str, str]) -> tuple[str, str]:
    """What the product's category is here, and what is on that shelf in its place; a round of all is a part."""
    names, place = list(shelves), _place(product) // len(STYLES)
    shelf = names[int(product.item[1:]) % len(names)]
    each = shelves[shelf].split(", ")
    part = place // len(each)
    return shelf, each[(place + STYLES.index(product.style)) % len(each)] + (f", part {part + 1}" if part else "")


def _picture(product: Product, sky: int, ground: int) -> str:
    """A landscape as a data URI: the shelf's colour, the collection's sun, the product's own hills."""
    number = int(product.item[1:])
    hue = 36 * (number % len(CATEGORIES)) + 8
    sun = 12 + STYLES.index(product.style) % 6 * 8
    hills = " ".join(f"L{16 * k} {34 + (number * (7 + k) + 11 * k * k) % 19}" for k in range(5))
    svg = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 64 64'>"
        f"<rect width='64' height='64' fill='hsl({hue} 42% {sky + 20 if sky > 50 else sky}%)'/>"
        f"<circle cx='{sun}' cy='22' r='9' fill='hsl({hue + 30} 70% {sky + 8}%)'/>"
        f"<path d='M0 64V44{hills}V64Z' fill='hsl({hue} 40% {ground}%)'/></svg>"
    )
    return "data:image/svg+xml," + quote(svg, safe="/:='(),.-")


SHOP = Scene("shop", _goods, sells=True, turns=(7200.0, 90.0))
SCENES = {
    scene.name: scene
    for scene in (
        SHOP,
        Scene("news", _article, products=1200, regime=NEWS),
        Scene("live", _stream, products=240, turns=(300.0, 450.0)),
    )
}
