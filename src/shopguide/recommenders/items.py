"""items: item-based collaborative filtering, what occurs together in sessions (or users).

Three signals of the same counts: the cosine support(i, j) / sqrt(n_i n_j) (Sarwar, Karypis, Konstan, Riedl, "Item-based
collaborative filtering recommendation algorithms", WWW 2001), and the confidence of the rule "who has i has j",
support(i, j) / n_i (Agrawal, Imielinski, Swami, "Mining association rules", SIGMOD 1993), which favours what many have;
and the cosines of second-order neighbours, which reach what never occurred with the user's items: of the targets that
no other signal has among its candidates they have one in eight (docs/design.md).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from shopguide._core import Blend, Items
from shopguide.recommenders.base import PLACE, Context, OfUnits
from shopguide.records import Lessons
from shopguide.settings import LearnSettings, ScoreSettings

SECOND = 20  # neighbours of the user's items whose own neighbours are looked at


class ItemBased(OfUnits[Items]):
    """Candidates are the neighbours of the user's newest items."""

    signals = ("items", "rule", "second")

    def __init__(self, learn: LearnSettings, score: ScoreSettings) -> None:
        k, half_life = score.neighbours, learn.half_life
        super().__init__(Items(history=learn.history, k=k, half_life=half_life, row_cap=learn.row_cap))

    def bulk(self, lessons: Lessons) -> None:
        self.model.bulk(lessons.unit, lessons.item, lessons.time)

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        self.model.put(blend, PLACE["items"], PLACE["rule"], context.asked, limit)
        self.model.put_second(blend, PLACE["items"], PLACE["second"], SECOND, 2 * limit, limit)

    def dump(self) -> dict[str, NDArray[Any]]:
        return self.model.dump()

    def load(self, state: dict[str, NDArray[Any]], kept: dict[str, NDArray[Any]]) -> None:
        self.model.load(state)
