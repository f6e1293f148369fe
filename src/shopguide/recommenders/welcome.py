"""welcome: what the shop itself wants a new visitor to see, by ``[[score.rules]]``: whoever comes so, at such a time,
is shown this."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Blend
from shopguide.context import FIELDS, Clock, packed, segments_of, welcome
from shopguide.keys import category_key, item_key
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.recommenders.content import Content
from shopguide.recommenders.popular import Popular
from shopguide.recommenders.segments import ACQUAINTED
from shopguide.settings import WelcomeSettings


class Welcome(Recommender):
    """Learns nothing. Of a category it names what is popular in it, then others; of a brand, any."""

    signals = ("welcome",)

    def __init__(self, rules: list[WelcomeSettings], clock: Clock, popular: Popular, content: Content) -> None:
        self.rules, self._clock = rules, clock
        self._popular, self._content = popular, content
        self._wanted = [[_segments(name, getattr(rule, name)) for name in FIELDS] for rule in rules]
        self._items = [np.array([item_key(item) for item in rule.items], np.uint64) for rule in rules]

    def fit(self, of: tuple[int, ...], now: float) -> list[int]:
        """The numbers of the rules that fit a visitor in these segments at a time."""
        if not self.rules:
            return []
        hour = self._clock.hour(now)
        return [
            number
            for number, (rule, wanted) in enumerate(zip(self.rules, self._wanted, strict=True))
            if all(any(one in of for one in ones) for ones in wanted if ones) and rule.is_at(hour)
        ]

    def faded(self, of: tuple[int, ...], now: float, chosen: int) -> dict[str, float]:
        """What signals for new visitors count to one who has chosen so many items (0..1); this signal no more than the
        largest weight of a rule that fits."""
        unknown = max(0.0, 1 - chosen / ACQUAINTED)
        weights = (self.rules[number].weight for number in self.fit(of, now))
        return {"segment": unknown, "welcome": unknown * max(weights, default=0.0)}

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        for number in self.fit(context.segments, context.now):
            rule = self.rules[number]
            items = np.concatenate([self._items[number], *self._named(rule, limit, context.now)])
            _, first = np.unique(items, return_index=True)
            items = items[np.sort(first)][:limit]
            amounts = rule.weight * np.linspace(1.0, 0.9, len(items))
            blend.put(PLACE["welcome"], items, amounts, np.full(len(items), welcome(number), np.uint64))

    def _named(self, rule: WelcomeSettings, limit: int, now: float) -> list[NDArray[np.uint64]]:
        """What is of the rule's category, and of its brand."""
        found = []
        if rule.category:
            found.append(self._popular.top(limit, category_key(rule.category), now)[0])
            found.append(self._content.called("category", rule.category, limit))
        if rule.brand:
            found.append(self._content.called("brand", rule.brand, limit))
        return found


def _segments(name: str, words: list[str]) -> list[int]:
    """The segments of those of whom one of the words is said."""
    return [segments_of(packed({name: word}), 0.0, Clock("UTC"))[0] for word in words]
