"""The stage: a slate's candidates as lists that can be pushed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Parts
from shopguide.catalogue import Catalogue
from shopguide.context import is_segment, said_of
from shopguide.rank.interests import Interests
from shopguide.rank.policy import Chosen, Policy
from shopguide.rank.reasons import Reasons, parts_for
from shopguide.records import Batch, Slate
from shopguide.settings import Settings


class _Listed(NamedTuple):
    """A slate's candidates as lists, which cost Python less than arrays where single values are read."""

    item: list[int]
    score: list[float]
    parts: Parts
    said: Callable[[int], str]  # a cause that is no item, in words; empty: it is one


class Ranker:
    """Knows the catalogue; holds nothing about users."""

    def __init__(self, settings: Settings) -> None:
        self.catalogue = Catalogue()
        self._interests = Interests(self.catalogue)
        self._policy = Policy(settings.rank, self.catalogue, settings.learn.session_gap)
        self._min_shoppers = settings.rank.min_shoppers
        self._welcome = [rule.because for rule in settings.score.rules]

    def learn(self, batch: Batch) -> list[str]:
        """Take in names, attributes and picks. The ids of the items that no list shows from now on."""
        return [name for item in self.catalogue.learn(batch) if (name := self.catalogue.name(item)) is not None]

    def rank(self, slate: Slate) -> list[dict[str, Any]]:
        """A recommendation for each look of the slate, ready to push; ``why`` of an item holds its whole sum, for
        :func:`shopguide.rank.reasons.explain`."""
        bounds = np.searchsorted(slate.candidates.look, np.arange(len(slate.looks) + 1)).tolist()
        interests = self._interests.of(slate.candidates)
        listed = _Listed(
            slate.candidates.item.tolist(),
            slate.candidates.score.tolist(),
            parts_for(slate.candidates, self._min_shoppers, interests),
            partial(self._said, interests),
        )
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
        reasons = Reasons(self.catalogue, did, listed.parts, rows, listed.said)
        items = [self._item(place, listed, reasons) for place in chosen]
        return {
            "user": int(looks.user[look]),
            "partition": slate.partition,
            "offset": int(looks.offset[look]),
            "slot": slot,
            "about": (self.catalogue.name(about) or "") if about else "",
            "intent": round(float(looks.intent[look]), 4),
            "items": items,
            "causes": reasons.causes,
            "times": {
                "event": float(looks.event_time[look]),
                "logged": float(looks.logged[look]),
                "scored": slate.scored,
            },
        }

    def _said(self, interests: Mapping[int, str], cause: int) -> str:
        """A cause that is no item, in words; empty: it is one."""
        return said_of(cause, self._welcome) if is_segment(cause) else interests.get(cause, "")

    def _item(self, place: Chosen, listed: _Listed, reasons: Reasons) -> dict[str, Any]:
        item, row, factor, pinned, explored = place
        said = self.catalogue.card(item).copy()
        if row is not None:
            said["score"] = listed.score[row] * factor
        if explored:
            said["explored"] = True
        said["reasons"] = reasons.told(row, pinned, explored)
        said["why"] = reasons.why(row, factor, pinned, explored)
        return said
