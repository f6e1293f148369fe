"""content: what the catalogue says. Items that resemble those the shopper looked at, and those whose words the shopper
searched for; the first answer for an item that nobody has touched yet. For a shopper who has hardly looked at anything,
items that match the interests of an imported profile.

An item's terms are the words of its title, brand and category, brand and category as a whole, and its price, in bands
of an octave that overlap by half (two prices within 19 % share one at least). Similarity is BM25 with one item's terms
as the query (:mod:`shopguide.recommenders.bm25`), as a share of what the item scores for itself, so that those with
much to say count no more than others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from shopguide import catalogue
from shopguide._core import Blend, Table
from shopguide.keys import query_key
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.recommenders.bm25 import Bm25, Found
from shopguide.recommenders.words import LONGEST, words
from shopguide.records import Batch
from shopguide.settings import ScoreSettings

WHOLE = ("category", "brand")  # are terms as they stand, beside their words
DESCRIBED = ("title", "category", "brand", "price")
_TOLD = (*DESCRIBED, "stock")
ASKED = 3  # the user's newest items that others resemble
LIKED = 8  # … and of older ones the newest favourites, each of which counts as much as the newest item
REACH = 4_096  # places of terms that are read for an item
SOUGHT = 65_536  # … and for a query: one of a single common word still finds something
INTERESTED = 0.5  # what the best match of interests counts, where the likeness of two equal items is 1 …
ACQUAINTED = 10  # … and how many items of the shopper leave nothing of it
FURTHEST = 4_096  # items of a ranking, beyond which none is looked for that can be had
REMEMBERED = 4_096  # answers that are kept until the catalogue changes


class Described(NamedTuple):
    """What ITEM rows said of an item, the newest at ``offset``. It is not ``there`` once it was deleted."""

    offset: int
    there: bool
    said: dict[str, Any]

    @property
    def offered(self) -> bool:
        return self.there and self.said.get("stock", 1) > 0


class Content(Recommender):
    """Learns from the catalogue alone."""

    signals = ("content", "search")

    def __init__(self, score: ScoreSettings) -> None:
        self._decay: list[float] = np.power(score.decay, np.arange(min(ASKED, score.recent)), dtype=np.float64).tolist()
        self._items: dict[int, Described] = {}
        self.gone = Table()  # items that the catalogue knows and that cannot be had
        self._index = Bm25()
        self._answers: dict[tuple[int, int], Found] = {}  # of the index as it is

    def learn_catalogue(self, batch: Batch) -> None:
        for item, offset, details in catalogue.items(batch.events):
            before = self._items.get(item)
            if before is not None and offset <= before.offset:
                continue
            there = catalogue.is_there(details, before is None or before.there)
            said = dict(before.said) if before else {}
            if details.get("op") != "delete":
                said |= {name: details[name] for name in _TOLD if details.get(name) is not None}
            if not there and (before is None or before.said != said):
                self._answers.clear()  # what is like it is found by what it was
            self._put(item, Described(offset, there, said))
            self._describe(item, terms(said) if there else ())

    def forget(self, items: NDArray[np.uint64]) -> None:
        for item in items.tolist():
            if (was := self._items.pop(item, None)) and not was.there:
                self._answers.clear()
            self._describe(item, ())
        self.gone.remove(items)

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        for item, weight in zip(context.recent[:ASKED].tolist(), self._decay, strict=False):
            self.like(item, weight, limit, blend)
        if len(context.liked):
            older = context.liked[~np.isin(context.liked, context.recent[:ASKED])]
            for item in older[:LIKED].tolist():
                self.like(item, 1.0, limit, blend)
        if context.interests and len(context.recent) < ACQUAINTED:
            items, scores = self._liked(context.interests, limit)
            weight = INTERESTED * (1 - len(context.recent) / ACQUAINTED)
            blend.put(PLACE["content"], items, scores * (weight / scores.max(initial=1e-300)))
        if context.query:
            blend.put(PLACE["search"], *self._matching(context.query, limit))

    def called(self, attribute: str, text: str, limit: int) -> NDArray[np.uint64]:
        """Items whose category or brand, as a whole, is this."""
        items, _ = self._index.best([f"{attribute}:{text[:LONGEST].casefold()}"], limit, SOUGHT)
        return items

    def like(self, item: int, weight: float, limit: int, blend: Blend) -> None:
        """Put what resembles an item most into a blend."""
        blend.put_because(PLACE["content"], *self.neighbours(item, limit), weight, item)

    def described(self) -> dict[int, dict[str, Any]]:
        """What the catalogue says of each item that is there: some of DESCRIBED, and its stock."""
        return {item: described.said for item, described in self._items.items() if described.there}

    def offered(self, items: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of the items can be had: not deleted, not sold out, as far as the catalogue says."""
        return self.gone.find(items) < 0

    def reach(self, best: Callable[[int], NDArray[np.uint64]], n: int) -> int:
        """How far a ranking has to be read for n items that can be had; ``best``: so many first of it."""
        asked = n
        while len(self.gone):
            items = best(asked)
            offered = np.flatnonzero(self.offered(items))
            if len(offered) >= n or len(items) < asked or asked > FURTHEST:
                return int(offered[n - 1]) + 1 if len(offered) >= n > 0 else len(items)
            asked *= 2
        return n

    def terms(self, item: int) -> tuple[str, ...]:
        """What describes an item; nothing where it is not known, or was deleted."""
        return self._index.terms(item)

    def dump(self) -> dict[str, NDArray[Any]]:
        said = [(item, *described) for item, described in self._items.items()]
        return {"items": np.frombuffer(orjson.dumps(said), np.uint8)}

    def load(self, state: dict[str, NDArray[Any]], kept: dict[str, NDArray[Any]]) -> None:
        self._items = {
            item: Described(offset, there, said) for item, offset, there, said in orjson.loads(state["items"].tobytes())
        }
        self.gone = Table()
        self.gone.index([item for item, described in self._items.items() if not described.offered])
        self._index = Bm25()
        self._answers.clear()
        for item, described in self._items.items():
            if described.there:
                self._index.put(item, terms(described.said))

    def check(self) -> None:
        self._index.check()

    def neighbours(self, item: int, limit: int) -> Found:
        """What resembles an item most, and how much, as a share of what it resembles itself. One that was deleted is
        what it was: who watched a stream that has ended likes what is like it."""
        if known := self._answers.get((item, limit)):
            return known
        by = self._index.terms(item) or self._was(item)
        return self._remember(item, limit, self._index.like(item, by, limit, REACH))

    def _was(self, item: int) -> tuple[str, ...]:
        described = self._items.get(item)
        return terms(described.said) if described else ()

    def _matching(self, query: str, limit: int) -> Found:
        key = -query_key(query)  # the words themselves would outlive a shopper who is forgotten
        known = self._answers.get((key, limit))
        return known or self._remember(key, limit, self._index.best(words(query), limit, SOUGHT))

    def _liked(self, interests: tuple[str, ...], limit: int) -> Found:
        """Items whose words, brand or category interests name."""
        key = -query_key("\n" + "\n".join(interests))  # no query begins like this
        if known := self._answers.get((key, limit)):
            return known
        whole = [f"{name}:{interest[:LONGEST].casefold()}" for name in WHOLE for interest in interests]
        return self._remember(key, limit, self._index.best((*words(*interests), *whole), limit, SOUGHT))

    def _remember(self, asked: int, limit: int, answer: Found) -> Found:
        if len(self._answers) >= REMEMBERED:
            self._answers.clear()
        self._answers[asked, limit] = answer
        return answer

    def _put(self, item: int, described: Described) -> None:
        self._items[item] = described
        (self.gone.remove if described.offered else self.gone.index)([item])

    def _describe(self, item: int, by: tuple[str, ...]) -> None:
        if self._index.terms(item) != by:
            self._index.put(item, by)
            self._answers.clear()


def terms(said: dict[str, Any]) -> tuple[str, ...]:
    """What describes an item of these attributes. No word has a colon: what has one is no word."""
    whole = [f"{name}:{said[name][:LONGEST].casefold()}" for name in WHOLE if said.get(name)]
    found = [*words(*(said[name] for name in ("title", "brand", "category") if said.get(name))), *whole]
    if said.get("price", 0) > 0:
        octave = math.log2(said["price"])
        found += [f"price:{math.floor(octave)}", f"price:{math.floor(octave + 0.5)}½"]
    return tuple(found)
