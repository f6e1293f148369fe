"""What a list holds, and in which order: pins in their places, between them the candidates by score, less what policy
hides and caps. Of the experts' words on an item the newest counts; where there is none, the newest on its category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from shopguide._core import Card, rows_of
from shopguide.catalogue import NO_PRODUCT, Catalogue
from shopguide.chance import number, seed_of
from shopguide.lists import EXPLORED, PINNED
from shopguide.picks import InForce
from shopguide.records import SIMILAR, TRENDING, Looks
from shopguide.settings import PolicySettings, RankSettings

PICK_FACTOR = {"boost": 1.5, "bury": 0.5}
_NO_USER = (SIMILAR.decode(), TRENDING.decode())  # their lists answer a question: a pin cannot come into them
_NO_PICKS = InForce({}, {})


Place = tuple[Card, int, float, int]
"""Of a list: card, row of the candidate, what a pick and the item's age put on its score, tag. The row is -1 for a pin,
or a new item that is tried, that is no candidate; the tag PINNED, EXPLORED or 0."""


class Looker(NamedTuple):
    """A look in plain values, which cost Python less than arrays where single ones are read."""

    user: int
    offset: int
    event_time: float
    logged: float
    slot: bytes
    about: int
    n: int
    intent: float
    recent: list[int]
    recent_kind: bytes
    recent_time: list[float]
    here: bytes
    bought: list[int]
    dismissed: list[int]
    explored: list[int]


_COLUMNS = attrgetter(*Looker._fields)


def lookers(looks: Looks) -> list[Looker]:
    return rows_of(_COLUMNS(looks), Looker._make)


class Policy:
    """The settings of rank as choices from a slot's candidates. ``session_gap``: seconds that end a visit."""

    def __init__(self, settings: RankSettings, catalogue: Catalogue, session_gap: float) -> None:
        self._settings = settings
        self._gap = session_gap
        self._catalogue = catalogue

    def choose(self, looker: Looker, items: Sequence[int], scores: Sequence[float], rows: range) -> list[Place]:
        """The list of a look in its slot, best first, from ``rows`` of candidates; no item twice, and no longer than
        the look says. An item without a name, or with one that another item has too, cannot be shown."""
        n, slot, now, cards = looker.n, looker.slot.decode(), looker.event_time, self._catalogue.cards
        best = sorted(rows, key=scores.__getitem__, reverse=True)
        if self._settings.policy == "off":
            return [(card, row, 1.0, 0) for row in best if (card := cards[items[row]]).name is not None][:n]
        rules, entries = self._settings.slots.get(slot, self._settings), self._catalogue.picks
        hidden = _hidden(rules, looker)
        places: Iterable[Place] = (
            (card, row, 1.0, 0)
            for row in best
            if (item := items[row]) not in hidden and (card := cards[item]).offered is not None
        )
        limits = _Limits(rules, n, self._tired_of(rules, looker.recent))
        picks = entries.in_force(slot, now, segments(looker, self._gap)) if entries else _NO_PICKS
        if any(picks) or rules.age_half_life is not None:
            places = self._weighed(rules, now, picks, places, scores)
        explored = looker.explored if rules.explore else []
        if not (limits or picks.items or explored):
            return list(islice(places, n))
        row_of = {items[row]: row for row in rows}
        pins = self._pins(picks, slot, hidden, row_of, n)
        for card, *_ in pins.values():
            limits.add(card)
        others = list(islice(filter(limits.take, places), n - len(pins)))
        if explored:
            known = hidden.union(place[0].item for place in (*pins.values(), *others))
            new = self._new((item for item in explored if item not in known), picks, row_of)
            free = [at for at in places_of_new(rules.explore, n, looker.user, now) if at not in pins]
            pins |= dict(zip(free, filter(limits.take, new), strict=False))
        return list(_placed(pins, iter(others), n))

    def _tired_of(self, rules: PolicySettings, recent: list[int]) -> tuple[Any, int]:
        """The category of the user's newest items in a row, and how often its places in a list are halved for it."""
        if rules.fatigue is None:
            return None, 0
        categories = (self._catalogue.product(item).get("category") for item in recent)
        category, row = next(((category, list(row)) for category, row in groupby(categories)), (None, []))
        return category, max(0, len(row) - rules.fatigue + 1)

    def _pins(self, picks: InForce, slot: str, hidden: set[int], row_of: dict[int, int], n: int) -> dict[int, Place]:
        """Pins by their place in the list, from 0. Of two in one place the newer stays and the older moves down; those
        without one take what is free, the oldest first."""
        pins = [pick for pick in picks.items.values() if pick.action == "pin"]
        placed = sorted((pick for pick in reversed(pins) if pick.position), key=lambda pick: pick.position)
        taken: dict[int, Place] = {}
        for pick in (*placed, *(pick for pick in pins if not pick.position)):
            item, card = pick.item, self._catalogue.cards[pick.item]
            if item in hidden or card.offered is None or (item not in row_of and slot in _NO_USER):
                continue
            place = max(pick.position - 1, 0)
            while place in taken:
                place += 1
            if place < n:
                taken[place] = (card, row_of.get(item, -1), 1.0, PINNED)
        return taken

    def _weighed(
        self, rules: PolicySettings, now: float, picks: InForce, places: Iterable[Place], scores: Sequence[float]
    ) -> list[Place]:
        """Those that are neither pinned nor blocked, with their factors, best first."""
        found: list[Place] = []
        picked = any(picks)
        for card, row, _, tag in sorted(places, key=itemgetter(1)):
            action = self._word_on(card.item, picks) if picked else ""
            if action not in ("pin", "block"):
                factor = PICK_FACTOR.get(action, 1.0) * self._youth(rules, card, now)
                found.append((card, row, factor, tag))
        return sorted(found, key=lambda place: scores[place[1]] * place[2], reverse=True)

    def _new(self, items: Iterable[int], picks: InForce, row_of: dict[int, int]) -> Iterator[Place]:
        """Those to be tried that can be offered and that no expert blocks."""
        for item in items:
            card = self._catalogue.cards[item]
            if card.offered is not None and self._word_on(item, picks) != "block":
                yield card, row_of.get(item, -1), 1.0, EXPLORED

    def _youth(self, rules: PolicySettings, card: Card, now: float) -> float:
        """What an item's age leaves of its score. One that the catalogue never had is as old as its oldest."""
        if rules.age_half_life is None:
            return 1.0
        since = (card.offered or NO_PRODUCT).get("since", self._catalogue.oldest)
        return float(2 ** (-max(0.0, now - since) / rules.age_half_life))

    def _word_on(self, item: int, picks: InForce) -> str:
        """The action that experts want for an item; empty: none."""
        category = self._catalogue.product(item).get("category", "")
        pick = picks.items.get(item) or picks.categories.get(category)
        return pick.action if pick else ""


def _placed(pins: dict[int, Place], others: Iterator[Place], n: int) -> Iterator[Place]:
    """At most ``n``: the pins in their places (from 0), between them the others, and at the end the pins left over."""
    for at in range(n):
        place = pins.pop(at, None) or next(others, None) or (pins.pop(min(pins)) if pins else None)
        if place is None:
            return
        yield place


class _Limits:
    """What a list of ``n`` may hold: prices in a range, and so many of a brand and of a category, where there is a
    limit. ``tired``: a category, and how often its limit is halved; one always stays."""

    def __init__(self, rules: PolicySettings, n: int, tired: tuple[Any, int]) -> None:
        category, halvings = tired
        self._prices = rules.price_min, rules.price_max
        self._counts: list[tuple[str, int, dict[Any, int], Counter[Any]]] = []
        if rules.per_brand:
            self._counts.append(("brand", rules.per_brand, {}, Counter()))
        if rules.per_category or (category and halvings):
            most = rules.per_category or n
            self._counts.append(("category", most, {category: max(1, most >> halvings)}, Counter()))

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return bool(self._counts) or self._prices != (None, None)

    def take(self, place: Place) -> bool:
        """Hold one more item, where that is within every limit."""
        product = place[0].offered or NO_PRODUCT
        if not _in_range(self._prices, product.get("price")):
            return False
        for attribute, most, special, counts in self._counts:
            value = product.get(attribute)
            if value and counts[value] >= special.get(value, most):
                return False
        self.add(place[0])
        return True

    def add(self, card: Card) -> None:
        """The list holds this one too, whatever the limits."""
        for attribute, _, _, counts in self._counts:
            counts[(card.offered or NO_PRODUCT).get(attribute)] += 1


def places_of_new(share: float, n: int, user: int, now: float) -> list[int]:
    """Where a list of ``n`` tries new items, from 0: share * n places in the mean, evenly spread over those behind the
    first, each of which is as probable as any other (systematic sampling)."""
    seed = seed_of(user, now)
    places = min(int(share * n + number(seed, 0)), n - 1)
    begin = number(seed, 1)
    return [1 + int((part + begin) * (n - 1) / places) for part in range(places)]


def _in_range(prices: tuple[float | None, float | None], price: float | None) -> bool:
    least, most = prices
    return price is None or ((least is None or price >= least) and (most is None or price <= most))


def segments(looker: Looker, gap: float) -> frozenset[str]:
    """Those of shopguide.picks that the user belongs to. ``gap``: seconds without an event that end a visit."""
    away = looker.recent_time and looker.event_time - looker.recent_time[0] > gap
    returning = away or 0 in looker.here
    return frozenset({"returning" if returning else "new", *(("buyers",) if looker.bought else ())})


def _hidden(rules: PolicySettings, looker: Looker) -> set[int]:
    """Items that the user's own doings keep out of the list, pins too."""
    hidden = set(looker.dismissed)
    if rules.bought == "drop":
        hidden.update(looker.bought)
    if rules.seen == "drop":
        hidden.update(looker.recent)
    elif rules.current == "drop" and looker.recent and looker.here[0]:
        hidden.add(looker.recent[0])
    return hidden
