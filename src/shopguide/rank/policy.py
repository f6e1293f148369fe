"""What a list holds, and in which order: pins, then the candidates by score, less what policy hides and caps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from shopguide.catalogue import Catalogue
from shopguide.records import SIMILAR, TRENDING, Looks
from shopguide.settings import PolicySettings, RankSettings

PICK_FACTOR = {"boost": 1.5, "bury": 0.5}
_NO_USER = (SIMILAR.decode(), TRENDING.decode())  # their lists answer a question: a pin cannot come into them


class Chosen(NamedTuple):
    """A place in a list. ``row`` is that of the candidate, None for a pin that is none; ``factor`` is what a pick and
    the item's age put on the score."""

    item: int
    row: int | None
    factor: float
    pinned: bool


class Policy:
    """The settings of rank as choices from a slot's candidates."""

    def __init__(self, settings: RankSettings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue

    def choose(
        self, looks: Looks, look: int, slot: str, items: Sequence[int], scores: Sequence[float], rows: range
    ) -> list[Chosen]:
        """The list of a look in a slot, best first, from ``rows`` of candidates; no item twice, and no longer than the
        look says. An item without a name, or with one that another item has too, cannot be shown."""
        n = int(looks.n[look])
        if self._settings.policy == "off":
            best = sorted(rows, key=scores.__getitem__, reverse=True)
            return [
                Chosen(items[row], row, 1.0, False) for row in best if self._catalogue.name(items[row]) is not None
            ][:n]
        rules = self._settings.slots.get(slot, self._settings)
        hidden = _hidden(rules, looks, look)
        caps = _Caps(rules, n, self._tired_of(rules, looks, look))
        chosen: list[Chosen] = []
        for place in self._in_order(rules, slot, float(looks.event_time[look]), items, scores, rows):
            if len(chosen) == n:
                break
            if place.item in hidden or self._catalogue.name(place.item) is None:
                continue
            if not self._catalogue.available(place.item):
                continue
            product = self._catalogue.product(place.item)
            if place.pinned or (_in_range(rules, product) and caps.fit(product)):
                caps.add(product)
                chosen.append(place)
        return chosen

    def _tired_of(self, rules: PolicySettings, looks: Looks, look: int) -> tuple[Any, int]:
        """The category of the user's newest items in a row, and how often its places in a list are halved for it."""
        if rules.fatigue is None:
            return None, 0
        categories = (self._catalogue.product(item).get("category") for item in looks.recent[look].tolist())
        category, row = next(((category, list(row)) for category, row in groupby(categories)), (None, []))
        return category, max(0, len(row) - rules.fatigue + 1)

    def _in_order(
        self,
        rules: PolicySettings,
        slot: str,
        now: float,
        items: Sequence[int],
        scores: Sequence[float],
        rows: range,
    ) -> Iterator[Chosen]:
        """Pins by the time of the pick, then all other candidates that are not blocked, by score."""
        picks = self._catalogue.picks(slot, now)
        if not picks and rules.age_half_life is None:
            for row in sorted(rows, key=scores.__getitem__, reverse=True):
                yield Chosen(items[row], row, 1.0, False)
            return
        row_of = {items[row]: row for row in rows}
        for item in (item for item, action in picks.items() if action == "pin"):
            if item in row_of or slot not in _NO_USER:
                yield Chosen(item, row_of.get(item), 1.0, True)
        factor = {
            row: PICK_FACTOR.get(picks.get(items[row], ""), 1.0) * self._youth(rules, items[row], now) for row in rows
        }
        for row in sorted(rows, key=lambda row: scores[row] * factor[row], reverse=True):
            if picks.get(items[row]) not in ("pin", "block"):
                yield Chosen(items[row], row, factor[row], False)

    def _youth(self, rules: PolicySettings, item: int, now: float) -> float:
        """What an item's age leaves of its score."""
        since = self._catalogue.product(item).get("since")
        if rules.age_half_life is None or since is None:
            return 1.0
        return float(2 ** (-max(0.0, now - since) / rules.age_half_life))


class _Caps:
    """How many of a brand and of a category a list of ``n`` holds, where there is a limit. ``tired``: a category, and
    how often its limit is halved; one always stays."""

    def __init__(self, rules: PolicySettings, n: int, tired: tuple[Any, int]) -> None:
        category, halvings = tired
        fewest = {category: max(1, (rules.per_category or n) >> halvings)} if category and halvings else {}
        limits = (("brand", rules.per_brand, dict[Any, int]()), ("category", rules.per_category, fewest))
        self._counts = [
            (attribute, most or n, special, Counter[Any]()) for attribute, most, special in limits if most or special
        ]

    def fit(self, product: dict[str, Any]) -> bool:
        """Whether one more such product is within every limit."""
        return all(
            counts[value] < special.get(value, most)
            for attribute, most, special, counts in self._counts
            if (value := product.get(attribute))
        )

    def add(self, product: dict[str, Any]) -> None:
        """The list holds this one too."""
        for attribute, _, _, counts in self._counts:
            counts[product.get(attribute)] += 1


def _in_range(rules: PolicySettings, product: dict[str, Any]) -> bool:
    price = product.get("price")
    if price is None:
        return True
    above = rules.price_min is None or price >= rules.price_min
    return above and (rules.price_max is None or price <= rules.price_max)


def _hidden(rules: PolicySettings, looks: Looks, look: int) -> set[int]:
    """Items that the user's own doings keep out of the list, pins too."""
    hidden = set(looks.dismissed[look].tolist())
    if rules.bought == "drop":
        hidden.update(looks.bought[look].tolist())
    recent = looks.recent[look].tolist()
    if rules.seen == "drop":
        hidden.update(recent)
    elif rules.current == "drop" and recent and looks.here[look][0]:
        hidden.add(recent[0])
    return hidden
