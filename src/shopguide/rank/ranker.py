"""The stage: a slate's candidates as lists that can be pushed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import msgpack
import numpy as np
import orjson
from numpy.typing import NDArray

from shopguide import lists
from shopguide._core import Parts
from shopguide.catalogue import Catalogue
from shopguide.context import is_segment, said_of
from shopguide.rank.interests import Interests
from shopguide.rank.policy import Lookers, Policy
from shopguide.rank.reasons import NAMED_SHARE, OPENINGS, REASONS, UNNAMED_REASONS, Reasons, parts_for
from shopguide.records import Batch, Slate
from shopguide.settings import Settings


class _Listed(NamedTuple):
    """A slate's candidates as lists, which cost Python less than arrays where single values are read."""

    item: list[int]
    score: list[float]
    best: list[int]  # rows, of each look those with the highest score first
    parts: Parts
    said: Callable[[int], str]  # a cause that is no item, in words; empty: it is one


class Ranker:
    """Knows the catalogue; holds nothing about users."""

    def __init__(self, settings: Settings) -> None:
        self.catalogue = Catalogue()
        self._interests = Interests(self.catalogue)
        self._reasons = Reasons(self.catalogue)
        self._policy = Policy(settings.rank, self.catalogue, settings.learn.session_gap)
        self._min_shoppers = settings.rank.min_shoppers
        self._welcome = [rule.because for rule in settings.score.rules]

    def learn(self, batch: Batch) -> list[str]:
        """Take in names, attributes and picks. The ids of the items that no list shows from now on."""
        return [name for item in self.catalogue.learn(batch) if (name := self.catalogue.name(item)) is not None]

    def rank(self, slate: Slate) -> list[dict[str, Any]]:
        """A recommendation for each look of the slate; ``why`` of an item holds its whole sum, for
        :func:`shopguide.rank.reasons.explain`."""
        return list(map(lists.unpack, self.packed(slate)))

    def packed(self, slate: Slate) -> list[bytes]:
        """The same, each packed (:mod:`shopguide.lists`) and ready to push."""
        candidates = slate.candidates
        bounds = np.searchsorted(candidates.look, np.arange(len(slate.looks) + 1)).tolist()
        interests = self._interests.of(candidates)
        listed = _Listed(
            candidates.item.tolist(),
            candidates.score.tolist(),
            np.lexsort((-candidates.score, candidates.look)).tolist(),
            parts_for(candidates, self._min_shoppers, interests),
            partial(self._said, interests),
        )
        lookers = Lookers(slate.looks)
        return [
            self._list(slate, lookers, look, listed, range(bounds[look], bounds[look + 1]))
            for look in range(len(slate.looks))
        ]

    def dump(self) -> dict[str, NDArray[Any]]:
        return dict(self.catalogue.dump())

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        self.catalogue.load(state)

    def _list(self, slate: Slate, lookers: Lookers, look: int, listed: _Listed, rows: range) -> bytes:
        parts, about = listed.parts, lookers.about[look]
        places = self._policy.choose(lookers, look, listed.item, listed.score, listed.best[rows.start : rows.stop])
        cards, at, factors, tags = zip(*places, strict=True) if places else ((),) * 4
        tags = bytes(tags)
        scores = [listed.score[row] * factor if row >= 0 else 0.0 for row, factor in zip(at, factors, strict=True)]
        did = dict(zip(lookers.recent[look], lookers.recent_kind[look], strict=True))
        told = self._reasons.told(parts.causes(rows.start, rows.stop), did, listed.said)
        said = {
            "user": lookers.user[look],
            "partition": slate.partition,
            "offset": lookers.offset[look],
            "slot": lookers.slot[look],
            "about": (self.catalogue.name(about) or "") if about else "",
            "intent": round(lookers.intent[look], 4),
            "times": {"event": lookers.event_time[look], "logged": lookers.logged[look], "scored": slate.scored},
            "items": [card.name for card in cards],
            "json": parts.items(
                cards,
                orjson.dumps(scores)[1:-1].split(b",") if places else (),
                at,
                tags,
                {0: UNNAMED_REASONS, **told},
                OPENINGS,
                REASONS,
                NAMED_SHARE,
            ),
            "causes": orjson.dumps([one.said for one in told.values()]),
            "why": [tags, *parts.packed(at, factors)],
        }
        return msgpack.packb(said)  # type: ignore[no-any-return]

    def _said(self, interests: Mapping[int, str], cause: int) -> str:
        """A cause that is no item, in words; empty: it is one."""
        return said_of(cause, self._welcome) if is_segment(cause) else interests.get(cause, "")
