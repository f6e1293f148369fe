"""The stage: a slate's candidates as lists that can be pushed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.catalogue import ATTRIBUTES, Catalogue
from shopguide.rank.policy import Chosen, Policy
from shopguide.rank.reasons import PICK, Reasons, largest
from shopguide.records import Batch, Candidates, Slate
from shopguide.settings import Settings


class Ranker:
    """Knows the catalogue; holds nothing about users."""

    def __init__(self, settings: Settings) -> None:
        self.catalogue = Catalogue()
        self._policy = Policy(settings.rank, self.catalogue, settings.learn.session_gap)
        self._min_shoppers = settings.rank.min_shoppers

    def learn(self, batch: Batch) -> list[str]:
        """Take in names, attributes and picks. The ids of the items that no list shows from now on."""
        return [name for item in self.catalogue.learn(batch) if (name := self.catalogue.name(item)) is not None]

    def rank(self, slate: Slate) -> list[dict[str, Any]]:
        """A recommendation for each look of the slate, ready to push; ``why`` of an item holds its whole sum."""
        bounds = np.searchsorted(slate.candidates.look, np.arange(len(slate.looks) + 1)).tolist()
        listed = _Listed.of(slate.candidates)
        return [
            self._recommendation(slate, look, listed, range(bounds[look], bounds[look + 1]))
            for look in range(len(slate.looks))
        ]

    def dump(self) -> dict[str, NDArray[Any]]:
        return dict(self.catalogue.dump())

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        self.catalogue.load(state)

    def _recommendation(self, slate: Slate, look: int, listed: _Listed, rows: range) -> dict[str, Any]:
        looks = slate.looks
        slot, about = looks.slot.bytes_at(look).decode(), int(looks.about[look])
        chosen = self._policy.choose(looks, look, slot, listed.item, listed.score, rows)
        did = dict(zip(looks.recent[look].tolist(), looks.recent_kind[look].tolist(), strict=True))
        reasons = Reasons(self.catalogue, did, self._min_shoppers)
        return {
            "user": int(looks.user[look]),
            "partition": slate.partition,
            "offset": int(looks.offset[look]),
            "slot": slot,
            "about": (self.catalogue.name(about) or "") if about else "",
            "intent": round(float(looks.intent[look]), 4),
            "items": [self._item(place, listed, reasons) for place in chosen],
            "times": {
                "event": float(looks.event_time[look]),
                "logged": float(looks.logged[look]),
                "scored": slate.scored,
            },
        }

    def _item(self, place: Chosen, listed: _Listed, reasons: Reasons) -> dict[str, Any]:
        why: list[dict[str, Any]] = [dict(PICK)] if place.pinned else []
        score = 0.0
        if place.row is not None:
            score = listed.score[place.row] * place.factor
            why += reasons.why(listed.causes(place.row), place.factor)
        product = self.catalogue.product(place.item)
        return {
            "item": self.catalogue.name(place.item),
            "title": self.catalogue.title(place.item),
            "score": score,
            **{a: product[a] for a in ATTRIBUTES[1:] if product.get(a) not in (None, "")},
            "reasons": largest(why),
            "why": why,
        }


@dataclass(frozen=True)
class _Listed:
    """Candidates as lists: a look reads single values, which costs Python less from a list than from an array."""

    item: list[int]
    score: list[float]
    starts: list[int]
    parts: list[tuple[int, int, float, int]]  # signal, because, amount, shared

    @classmethod
    def of(cls, candidates: Candidates) -> _Listed:
        columns = (candidates.signal, candidates.because, candidates.amount, candidates.shared)
        parts = list(zip(*(column.values.tolist() for column in columns), strict=True))
        return cls(candidates.item.tolist(), candidates.score.tolist(), candidates.signal.starts.tolist(), parts)

    def causes(self, row: int) -> list[tuple[int, int, float, int]]:
        """The parts of a row's score."""
        return self.parts[self.starts[row] : self.starts[row + 1]]
