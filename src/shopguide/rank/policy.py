"""What a list holds, and in which order: pins, then the candidates by score, less what policy hides and caps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from shopguide.catalogue import Catalogue
from shopguide.records import SIMILAR, TRENDING, Looks
from shopguide.settings import PolicySettings, RankSettings

PICK_FACTOR = {"boost": 1.5, "bury": 0.5}
_NO_USER = (SIMILAR.decode(), TRENDING.decode())  # their lists answer a question: a pin cannot come into them


class Chosen(NamedTuple):
    """A place in a list. ``row`` is that of the candidate, None for a pin that is none; ``factor`` is what a pick
    puts on the score."""

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
        caps = _Caps(rules)
        chosen: list[Chosen] = []
        for place in self._in_order(slot, float(looks.event_time[look]), items, scores, rows):
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

    def _in_order(
        self, slot: str, now: float, items: Sequence[int], scores: Sequence[float], rows: range
    ) -> Iterator[Chosen]:
        """Pins by the time of the pick, then all other candidates that are not blocked, by score."""
        picks = self._catalogue.picks(slot, now)
        if not picks:
            for row in sorted(rows, key=scores.__getitem__, reverse=True):
                yield Chosen(items[row], row, 1.0, False)
            return
        row_of = {items[row]: row for row in rows}
        for item in (item for item, action in picks.items() if action == "pin"):
            if item in row_of or slot not in _NO_USER:
                yield Chosen(item, row_of.get(item), 1.0, True)
        factor = {row: PICK_FACTOR.get(picks.get(items[row], ""), 1.0) for row in rows}
        for row in sorted(rows, key=lambda row: scores[row] * factor[row], reverse=True):
            if picks.get(items[row]) not in ("pin", "block"):
                yield Chosen(items[row], row, factor[row], False)


class _Caps:
    """How many of a brand and of a category a list holds, where there is a limit."""

    def __init__(self, rules: PolicySettings) -> None:
        limits = {"brand": rules.per_brand, "category": rules.per_category}
        self._counts = [(attribute, most, Counter[Any]()) for attribute, most in limits.items() if most]

    def fit(self, product: dict[str, Any]) -> bool:
        """Whether one more such product is within every limit."""
        return all(
            counts[value] < most for attribute, most, counts in self._counts if (value := product.get(attribute))
        )

    def add(self, product: dict[str, Any]) -> None:
        """The list holds this one too."""
        for attribute, _, counts in self._counts:
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
