"""profile: what fits a user's taste, as trained profiles and what came since say it (:mod:`shopguide.tastes`). Nothing
is learned here."""

from __future__ import annotations

from typing import Any

import numpy as np

from shopguide._core import Blend
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.records import F64, I64, Lessons
from shopguide.tastes import Past, Taste, Tastes
from shopguide.tastes.library import I32, spread

STRONGEST = 64  # terms of a taste that are looked for
ALL = 20_000  # items up to which the best of all are named: it costs a sum over each


class Profile(Recommender):
    """Silent until it is given ``tastes``. Of all candidates that others have put before, and of the best of its own,
    how well each fits: BM25 with the taste as the query, whose terms count by the roots of their weights, times a low
    power of the item's popularity. The cause of each is the term that gives it most, by its key; the rest has none."""

    signals = ("profile",)

    def __init__(self) -> None:
        self.tastes: Tastes | None = None

    def observe(self, lessons: Lessons) -> None:
        pass

    def retract(self, lessons: Lessons) -> None:
        pass

    def taste(self, user: int, past: bytes) -> Taste | None:
        """A user's, by what featurize says of their past; None where that is of other profiles than those in force
        here: they change a moment apart."""
        if self.tastes is None or not past:
            return None
        found = Past.unpacked(past)
        return self.tastes.of(user, found) if found.version == self.tastes.version else None

    def said(self, user: int, past: bytes) -> dict[str, Any]:
        """Their taste in words, the strongest interests first, each with its share; empty where there is none."""
        taste = self.taste(user, past)
        if self.tastes is None or taste is None:
            return {}
        shares = taste.weights / max(taste.weights.sum(), 1e-300)
        order = np.argsort(-shares, kind="stable")
        terms = [self.tastes.library.terms[at] for at in taste.ids[order].tolist()]
        interests = [
            {"term": term, "share": share} for term, share in zip(terms, shares[order].round(6).tolist(), strict=True)
        ]
        counts = {name: getattr(taste, name) for name in ("events", "purchases", "money", "newest")}
        return {"version": self.tastes.version, **counts, "interests": interests}

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        taste = self.taste(context.user, context.past)
        if self.tastes is None or taste is None:
            return
        library = self.tastes.library
        counts = np.sqrt(taste.weights) * library.idf[taste.ids]
        if len(counts) > STRONGEST:
            strongest = np.argpartition(-counts, STRONGEST)[:STRONGEST]
            ids, counts = taste.ids[strongest], counts[strongest]
        else:
            ids = taste.ids
        rows = library.rows(blend.items())
        rows = rows[rows >= 0]
        if len(library.items) <= ALL:
            rows = np.union1d(rows, self._best(ids, counts, limit))
        if not len(rows):
            return
        self._put(rows, ids, counts, blend)

    def _best(self, ids: I32, counts: F64, limit: int) -> I64:
        """The items that fit best, by their places."""
        assert self.tastes is not None
        library = self.tastes.library
        starts, places = library.postings
        at, sizes = spread(starts, ids)
        sums = np.bincount(places[at], np.repeat(counts, sizes), len(library.items)) * library.weight
        best = np.argpartition(-sums, limit)[:limit] if len(sums) > limit else np.arange(len(sums))
        return best[sums[best] > 0]

    def _put(self, rows: I64, ids: I32, counts: F64, blend: Blend) -> None:
        """How well the items at these places fit, in parts: what their strongest term gives, and the rest."""
        assert self.tastes is not None
        library = self.tastes.library
        worth = np.zeros(len(library.terms))
        worth[ids] = counts
        rows = rows[library.starts[rows + 1] > library.starts[rows]]
        terms, sizes = library.terms_of(rows)
        given = worth[terms]
        begins = np.cumsum(sizes) - sizes
        most, sums = np.maximum.reduceat(given, begins), np.add.reduceat(given, begins)
        strongest = np.flatnonzero(given == np.repeat(most, sizes))
        owner = np.repeat(np.arange(len(rows)), sizes)[strongest]
        first = strongest[np.searchsorted(owner, np.arange(len(rows)))]
        fits, weight = sums > 0, library.weight[rows]
        items = library.items[rows][fits]
        blend.put(PLACE["profile"], items, (most * weight)[fits], library.keys[terms[first]][fits])
        blend.put(PLACE["profile"], items, ((sums - most) * weight)[fits])
