"""profile: what fits a user's taste, as trained profiles and what came since say it (:mod:`shopguide.tastes`). Nothing
is learned here."""

from __future__ import annotations

from typing import Any

import numpy as np

from shopguide._core import Blend
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.records import F64
from shopguide.tastes import Past, Taste, Tastes
from shopguide.tastes.library import I32, spread

STRONGEST = 64  # terms of a taste that are looked for
REACH = 16_384  # places of terms that are read


class Profile(Recommender):
    """Silent until it is given ``tastes``. Of all candidates that others have put before, and of the best of its own,
    how well each fits: BM25 with the taste as the query, whose terms count by the roots of their weights, times a low
    power of the item's popularity. Of the terms the strongest count, as many as have at most REACH places together. The
    cause of each item is the term that gives it most, by its key; the rest has none."""

    signals = ("profile",)

    def __init__(self) -> None:
        self.tastes: Tastes | None = None

    def taste(self, user: int, past: bytes) -> Taste | None:
        """A user's, by what featurize says of their past; None where that is of other profiles than those in force
        here: they change a moment apart."""
        found = self._past(past)
        return self.tastes.of(user, found) if self.tastes and found else None

    def said(self, user: int, past: bytes) -> dict[str, Any]:
        """Their taste in words, the strongest interests first, each with its share; empty where there is none."""
        found, taste = self._past(past), self.taste(user, past)
        if self.tastes is None or found is None or taste is None:
            return {}
        shares = taste.weights / max(taste.weights.sum(), 1e-300)
        order = np.argsort(-shares, kind="stable")
        terms = [self.tastes.library.terms[at] for at in taste.ids[order].tolist()]
        interests = [
            {"term": term, "share": share} for term, share in zip(terms, shares[order].round(6).tolist(), strict=True)
        ]
        return {"version": self.tastes.version, **self.tastes.figures(user, found)._asdict(), "interests": interests}

    def _past(self, past: bytes) -> Past | None:
        """None where it is not of the profiles in force."""
        found = Past.unpacked(past) if self.tastes and past else None
        return found if self.tastes and found and found.version == self.tastes.version else None

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        taste = self.taste(context.user, context.past)
        if self.tastes is None or taste is None:
            return
        library = self.tastes.library
        ids, counts = self._sought(taste)
        at, sizes = spread(library.postings[0], ids)
        places, given = library.postings[1][at], np.repeat(counts, sizes)
        sums = np.bincount(places, given, len(library.items))
        most, cause = np.zeros(len(sums)), np.zeros(len(sums), np.int64)
        most[places], cause[places] = given, np.repeat(ids, sizes)  # the weaker first: of each item the last remains
        fits = np.flatnonzero(sums)
        worth = sums[fits] * library.weight[fits]
        chosen = np.zeros(len(sums), bool)
        chosen[fits[np.argpartition(-worth, limit)[:limit]] if len(fits) > limit else fits] = True
        found = library.rows(blend.items())
        found = found[found >= 0]
        chosen[found] = sums[found] > 0
        rows = np.flatnonzero(chosen)
        items, weight = library.items[rows], library.weight[rows]
        blend.put(PLACE["profile"], items, most[rows] * weight, library.keys[cause[rows]])
        blend.put(PLACE["profile"], items, np.maximum(sums[rows] - most[rows], 0) * weight)

    def _sought(self, taste: Taste) -> tuple[I32, F64]:
        """The terms of a taste that are looked for and what each counts, the weakest first."""
        assert self.tastes is not None
        library = self.tastes.library
        counts = np.sqrt(taste.weights) * library.idf[taste.ids]
        order = np.argsort(-counts, kind="stable")[:STRONGEST]
        ids = taste.ids[order]
        reach = np.cumsum(library.postings[0][ids + 1] - library.postings[0][ids])
        order = order[: np.searchsorted(reach, REACH, side="right")][::-1]
        return taste.ids[order], counts[order]
