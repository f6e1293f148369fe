"""What a list holds, and in which order: pins in their places, between them the candidates by score, less what policy
hides and caps. Of the experts' words on an item the newest counts; where there is none, the newest on its category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice, pairwise
from typing import Any, NamedTuple

from shopguide.catalogue import Catalogue
from shopguide.chance import number, seed_of
from shopguide.columns import Ragged
from shopguide.lists import EXPLORED, PINNED
from shopguide.picks import InForce
from shopguide.records import SIMILAR, TRENDING, Looks
from shopguide.settings import PolicySettings, RankSettings

PICK_FACTOR = {"boost": 1.5, "bury": 0.5}
_NO_USER = (SIMILAR.decode(), TRENDING.decode())  # their lists answer a question: a pin cannot come into them
_NO_PICKS = InForce({}, {})


class Chosen(NamedTuple):
    """A place in a list. ``row`` is that of the candidate, None for a pin, or a new item to be tried, that is none;
    ``factor`` is what a pick and the item's age put on the score; ``tag``: PINNED, EXPLORED or 0."""

    item: int
    row: int | None
    factor: float = 1.0
    tag: int = 0


class Lookers:
    """Looks as lists, which cost Python less than arrays where single values are read."""

    def __init__(self, looks: Looks) -> None:
        self.looks = looks
        self.user, self.offset, self.about = looks.user.tolist(), looks.offset.tolist(), looks.about.tolist()
        self.event_time, self.logged = looks.event_time.tolist(), looks.logged.tolist()
        self.n, self.intent = looks.n.tolist(), looks.intent.tolist()
        self.slot = [slot.decode() for slot in looks.slot.as_bytes()]
        self.recent, self.recent_kind, self.here = _lists(looks.recent), _lists(looks.recent_kind), _lists(looks.here)
        self.bought, self.dismissed = _lists(looks.bought), _lists(looks.dismissed)
        self.explored = _lists(looks.explored)


def _lists(column: Ragged[Any]) -> list[list[int]]:
    values = column.values.tolist()
    return [values[begin:end] for begin, end in pairwise(column.starts.tolist())]


class Policy:
    """The settings of rank as choices from a slot's candidates. ``session_gap``: seconds that end a visit."""

    def __init__(self, settings: RankSettings, catalogue: Catalogue, session_gap: float) -> None:
        self._settings = settings
        self._gap = session_gap
        self._catalogue = catalogue

    def choose(
        self, lookers: Lookers, look: int, items: Sequence[int], scores: Sequence[float], best: Sequence[int]
    ) -> list[Chosen]:
        """The list of a look in its slot, best first, from rows of candidates, ``best`` being those with the highest
        score first; no item twice, and no longer than the look says. An item without a name, or with one that another
        item has too, cannot be shown."""
        n, slot, now = lookers.n[look], lookers.slot[look], lookers.event_time[look]
        card, entries = self._catalogue.card, self._catalogue.picks
        if self._settings.policy == "off":
            return [Chosen(items[row], row) for row in best if card(items[row]).name is not None][:n]
        rules = self._settings.slots.get(slot, self._settings)
        picks = entries.in_force(slot, now, segments(lookers.looks, look, self._gap)) if entries else _NO_PICKS
        hidden = _hidden(rules, lookers, look)
        caps = _Caps(rules, n, self._tired_of(rules, lookers.recent[look]))
        explored = lookers.explored[look] if rules.explore else []
        candidates = self._by_score(rules, now, picks, items, scores, best)
        others = self._others(rules, hidden, caps, candidates)
        if not picks.items and not explored:
            return list(islice(others, n))
        row_of = {items[row]: row for row in best}
        pins = self._pins(picks, slot, hidden, row_of, n)
        for pin in pins.values():
            caps.add(self._catalogue.product(pin.item))
        if explored:
            shown = list(islice(others, n - len(pins)))
            new = self._new(explored, picks, row_of, {p.item for p in (*pins.values(), *shown)})
            free = [at for at in places_of_new(rules.explore, n, lookers.user[look], now) if at not in pins]
            pins |= dict(zip(free, self._others(rules, hidden, caps, new), strict=False))
            others = iter(shown)
        return list(_placed(pins, others, n))

    def _tired_of(self, rules: PolicySettings, recent: list[int]) -> tuple[Any, int]:
        """The category of the user's newest items in a row, and how often its places in a list are halved for it."""
        if rules.fatigue is None:
            return None, 0
        categories = (self._catalogue.product(item).get("category") for item in recent)
        category, row = next(((category, list(row)) for category, row in groupby(categories)), (None, []))
        return category, max(0, len(row) - rules.fatigue + 1)

    def _pins(self, picks: InForce, slot: str, hidden: set[int], row_of: dict[int, int], n: int) -> dict[int, Chosen]:
        """Pins by their place in the list, from 0. Of two in one place the newer stays and the older moves down; those
        without one take what is free, the oldest first."""
        pins = [pick for pick in picks.items.values() if pick.action == "pin"]
        placed = sorted((pick for pick in reversed(pins) if pick.position), key=lambda pick: pick.position)
        taken: dict[int, Chosen] = {}
        for pick in (*placed, *(pick for pick in pins if not pick.position)):
            item = pick.item
            offered = item not in hidden and self._catalogue.card(item).offered is not None
            if not offered or (item not in row_of and slot in _NO_USER):
                continue
            place = max(pick.position - 1, 0)
            while place in taken:
                place += 1
            if place < n:
                taken[place] = Chosen(item, row_of.get(item), tag=PINNED)
        return taken

    def _by_score(
        self,
        rules: PolicySettings,
        now: float,
        picks: InForce,
        items: Sequence[int],
        scores: Sequence[float],
        best: Sequence[int],
    ) -> Iterable[Chosen]:
        """Candidates that are neither pinned nor blocked, best first."""
        if not any(picks) and rules.age_half_life is None:
            return (Chosen(items[row], row) for row in best)
        said = {row: self._word_on(items[row], picks) for row in sorted(best)}
        factor = {
            row: PICK_FACTOR.get(action, 1.0) * self._youth(rules, items[row], now) for row, action in said.items()
        }
        ordered = sorted(said, key=lambda row: scores[row] * factor[row], reverse=True)
        return (Chosen(items[row], row, factor[row]) for row in ordered if said[row] not in ("pin", "block"))

    def _new(self, items: list[int], picks: InForce, row_of: dict[int, int], known: set[int]) -> Iterator[Chosen]:
        """Items to be tried that the list has not anyhow, and that no expert blocks."""
        for item in items:
            if item not in known and self._word_on(item, picks) != "block":
                yield Chosen(item, row_of.get(item), tag=EXPLORED)

    def _youth(self, rules: PolicySettings, item: int, now: float) -> float:
        """What an item's age leaves of its score."""
        since = self._catalogue.product(item).get("since")
        if rules.age_half_life is None or since is None:
            return 1.0
        return float(2 ** (-max(0.0, now - since) / rules.age_half_life))

    def _word_on(self, item: int, picks: InForce) -> str:
        """The action that experts want for an item; empty: none."""
        category = self._catalogue.product(item).get("category", "")
        pick = picks.items.get(item) or picks.categories.get(category)
        return pick.action if pick else ""

    def _others(
        self, rules: PolicySettings, hidden: set[int], caps: _Caps, candidates: Iterable[Chosen]
    ) -> Iterator[Chosen]:
        """The candidates that may be in the list, counted against its limits as they come."""
        card, limited, any_price = self._catalogue.card, bool(caps), rules.price_min is None and rules.price_max is None
        for place in candidates:
            product = None if place.item in hidden else card(place.item).offered
            if product is not None and (any_price or _in_range(rules, product)) and (not limited or caps.take(product)):
                yield place


def _placed(pins: dict[int, Chosen], others: Iterator[Chosen], n: int) -> Iterator[Chosen]:
    """At most ``n``: the pins in their places (from 0), the others between them and then the pins that are left."""
    for at in range(n):
        place = pins.pop(at, None) or next(others, None) or (pins.pop(min(pins)) if pins else None)
        if place is None:
            return
        yield place


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

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return bool(self._counts)

    def take(self, product: dict[str, Any]) -> bool:
        """Hold one more such product, where that is within every limit."""
        for attribute, most, special, counts in self._counts:
            value = product.get(attribute)
            if value and counts[value] >= special.get(value, most):
                return False
        self.add(product)
        return True

    def add(self, product: dict[str, Any]) -> None:
        """The list holds this one too."""
        for attribute, _, _, counts in self._counts:
            counts[product.get(attribute)] += 1


def places_of_new(share: float, n: int, user: int, now: float) -> list[int]:
    """Where a list of ``n`` tries new items, from 0: share * n places in the mean, evenly spread over those behind the
    first, each of which is as probable as any other (systematic sampling)."""
    seed = seed_of(user, now)
    places = min(int(share * n + number(seed, 0)), n - 1)
    begin = number(seed, 1)
    return [1 + int((part + begin) * (n - 1) / places) for part in range(places)]


def _in_range(rules: PolicySettings, product: dict[str, Any]) -> bool:
    price = product.get("price")
    if price is None:
        return True
    above = rules.price_min is None or price >= rules.price_min
    return above and (rules.price_max is None or price <= rules.price_max)


def segments(looks: Looks, look: int, gap: float) -> frozenset[str]:
    """Those of shopguide.picks that the user belongs to. ``gap``: seconds without an event that end a visit."""
    times = looks.recent_time[look]
    away = len(times) > 0 and float(looks.event_time[look]) - float(times[0]) > gap
    returning = away or bool((looks.here[look] == 0).any())
    return frozenset({"returning" if returning else "new", *(("buyers",) if len(looks.bought[look]) else ())})


def _hidden(rules: PolicySettings, lookers: Lookers, look: int) -> set[int]:
    """Items that the user's own doings keep out of the list, pins too."""
    hidden = set(lookers.dismissed[look])
    if rules.bought == "drop":
        hidden.update(lookers.bought[look])
    recent = lookers.recent[look]
    if rules.seen == "drop":
        hidden.update(recent)
    elif rules.current == "drop" and recent and lookers.here[look][0]:
        hidden.add(recent[0])
    return hidden
