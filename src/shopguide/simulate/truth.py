"""The truth of the simulated shop: who likes what, how that drifts, and what tires.

What a shopper wants is a product of factors in 0..1: how the item's style fits the visit, its category, its price
band, its quality; and of its heat, which moves with time: the season of its style, its own trend, its novelty. A
:class:`Regime` says how much moves. Times are epoch seconds, spans of a regime days.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from shopguide.simulate.goods import CATEGORIES, STYLES, Product

DAY = 86400.0
HOUR = 3600.0

OWN_STYLE, OTHER_STYLE, NO_STYLE = 1.0, 0.4, 0.05  # the visit's style, the shopper's other one, any other
OFF_CATEGORY = 0.25  # weight of an item outside the shopper's categories
OFF_BAND = 0.3  # ... and outside their price band
APPEAL = 0.8  # probability that an item which fits in everything, of the best quality, is clicked when examined
CERTAIN = 0.95  # no probability is above it
NOVEL = 1.0  # days in which an item's novelty falls to 1/e, if the regime says nothing else
TIRES = 0.7  # factor on a click's probability for each time that the item was examined and left
REST = 1.0  # days in which half of such a weariness is gone
LOOKED_AT, BOUGHT = 0.4, 0.05  # factor for an item that was opened in this visit; that the shopper owns


@dataclass(frozen=True)
class Regime:
    """How the shop moves. ``season`` and ``trend`` are amplitudes of log heat: at 1.0 the best time is e times the mean
    and the worst 1/e; a season is of a style, a trend of one item. ``new`` is the share of the catalogue that appears
    evenly over ``arrivals`` days from the opening on, each wanted 1 + ``novelty`` times as much at first,
    which falls to 1/e in ``novel`` days. What is wanted is worked out anew every ``step`` seconds."""

    name: str
    history: float  # days of visits that everybody has learned before the first list is shown
    season: float = 0.0
    season_days: float = 365.0
    trend: float = 0.0
    trend_days: float = 3.0
    new: float = 0.0
    arrivals: float = 4.0
    novelty: float = 0.0
    novel: float = NOVEL
    step: float = HOUR

    @property
    def moves(self) -> bool:
        """Whether anything depends on time."""
        return bool(self.season or self.trend or self.new)


STATIONARY = Regime("stationary", history=8)
YOUNG = Regime(
    "young", history=0.02, season=0.7, season_days=12, trend=0.8, trend_days=3, new=0.5, arrivals=4, novelty=4.0
)
SEASONAL = Regime("seasonal", history=8, season=1.2, season_days=16, new=0.1, arrivals=4, novelty=1.0)
NEWS = Regime("news", history=0.02, new=0.95, arrivals=0.67, novelty=12.0, novel=0.08, step=1800.0)
REGIMES = {regime.name: regime for regime in (STATIONARY, YOUNG, SEASONAL)}


@dataclass(frozen=True)
class Shopper:
    user: str
    styles: tuple[str, ...]
    categories: tuple[str, ...]
    band: int


@dataclass
class Memory:
    """What a shopper remembers of lists: ``weary`` of an item is how often it was examined and left, with the time of
    the last one; it halves in REST days and is forgotten at a click. ``bought`` is for ever."""

    weary: dict[str, tuple[float, float]] = field(default_factory=dict)
    bought: set[str] = field(default_factory=set)

    def left(self, item: str, now: float) -> None:
        """Examined, and not clicked."""
        self.weary[item] = (self.weariness(item, now) + 1, now)

    def clicked(self, item: str) -> None:
        self.weary.pop(item, None)

    def weariness(self, item: str, now: float) -> float:
        times, last = self.weary.get(item, (0.0, now))
        return times * math.exp2(-(now - last) / (REST * DAY))


class Truth:
    """What shoppers want of ``products`` (``popularity`` in 0..1 of each item), from the ``opening`` (epoch s) on."""

    def __init__(
        self, seed: int, products: Sequence[Product], popularity: dict[str, float], regime: Regime, opening: float
    ) -> None:
        self.regime, self.opening = regime, opening
        self._products = products
        self.quality = {item: math.pow(weight, 0.25) for item, weight in popularity.items()}
        random = Random(f"truth {seed}")
        self._phase = {p.item: random.random() for p in products}
        newcomers = random.sample(products, int(regime.new * len(products)))
        pace = regime.arrivals * DAY / max(len(newcomers), 1)
        self.launch = {p.item: opening + place * pace for place, p in enumerate(newcomers)}
        self._step, self._heat = -1, dict[str, float]()

    def there(self, product: Product, now: float) -> bool:
        """Whether the shop has it yet."""
        return now >= self.launch.get(product.item, now)

    def season(self, style: str, now: float) -> float:
        """How much a style is wanted at a time, 1 in the mean of its logarithm."""
        turn = (now - self.opening) / (self.regime.season_days * DAY) - STYLES.index(style) / len(STYLES)
        return math.exp(self.regime.season * math.cos(2 * math.pi * turn))

    def heat(self, product: Product, now: float) -> float:
        """How much a product is wanted at a time, whoever looks; 0 before it is there."""
        if not self.regime.moves:
            return 1.0
        if int(now // self.regime.step) != self._step:
            self._step = int(now // self.regime.step)
            self._heat = {p.item: self._heat_of(p, now) for p in self._products}
        return self._heat[product.item] if self.there(product, now) else 0.0

    def wanted(self, shopper: Shopper, style: str, product: Product, now: float) -> float:
        """How much a shopper whose visit is after a style wants a product, 0..CERTAIN: the probability of a click
        when it is examined for the first time."""
        if product.style == style:
            fit = OWN_STYLE
        else:
            fit = OTHER_STYLE if product.style in shopper.styles else NO_STYLE
        fit *= 1.0 if product.category in shopper.categories else OFF_CATEGORY
        fit *= 1.0 if product.band == shopper.band else OFF_BAND
        return min(CERTAIN, APPEAL * fit * self.quality[product.item] * self.heat(product, now))

    def attraction(
        self, shopper: Shopper, style: str, product: Product, now: float, memory: Memory, seen: set[str]
    ) -> float:
        """The probability of a click on an item of a list when it is examined, given what went before; ``seen`` are
        the items opened in this visit."""
        wanted = self.wanted(shopper, style, product, now) * math.pow(TIRES, memory.weariness(product.item, now))
        if product.item in memory.bought:
            return wanted * BOUGHT
        return wanted * LOOKED_AT if product.item in seen else wanted

    def _heat_of(self, product: Product, now: float) -> float:
        regime, launch = self.regime, self.launch.get(product.item)
        turn = (now - self.opening) / (regime.trend_days * DAY) + self._phase[product.item]
        heat = self.season(product.style, now) * math.exp(regime.trend * math.cos(2 * math.pi * turn))
        if launch is None:
            return heat
        age = max(now - launch, 0.0) / DAY
        return heat * (1 + regime.novelty * math.exp(-age / regime.novel))


def examined(rank: int) -> float:
    """The probability that a shopper looks at the item in a place (1 is the first): the discount of DCG (Järvelin and
    Kekäläinen 2002) taken as a position bias (Craswell et al. 2008 measure such biases)."""
    return 1 / math.log2(1 + rank)


def shopper(random: Random, number: int, bands: int) -> Shopper:
    return Shopper(
        user=f"shopper-{number:05d}",
        styles=tuple(random.sample(STYLES, 2)),
        categories=tuple(c.name for c in random.sample(CATEGORIES, random.choice((2, 3)))),
        band=random.randrange(bands),
    )
