"""The stage: a slate's candidates as lists that can be pushed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import msgpack
import orjson
from numpy.typing import NDArray

from shopguide import lists
from shopguide._core import Parts
from shopguide.catalogue import Catalogue
from shopguide.context import is_segment, said_of
from shopguide.rank.interests import Interests
from shopguide.rank.policy import Lookers, Place, Policy
from shopguide.rank.reasons import NAMED_SHARE, OPENINGS, PIECES, REASONS, UNNAMED_JSON, parts_for, told
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
        self._packer = msgpack.Packer()

    def learn(self, batch: Batch) -> list[str]:
        """Take in names, attributes and picks. The ids of the items that no list shows from now on."""
        return [name for item in self.catalogue.learn(batch) if (name := self.catalogue.name(item)) is not None]

    def rank(self, slate: Slate) -> list[dict[str, Any]]:
        """A recommendation for each look of the slate; ``why`` of an item holds its whole sum, for
        :func:`shopguide.rank.reasons.explain`."""
        return list(map(lists.unpack, self.packed(slate)))

    def packed(self, slate: Slate) -> list[bytes]:
        """The same, each packed (:mod:`shopguide.lists`) and ready to push."""
        candidates, looks = slate.candidates, range(len(slate.looks))
        interests, look_of = self._interests.of(candidates), candidates.look.tolist()
        parts = parts_for(candidates, self._min_shoppers, interests)
        said = partial(self._said, interests)
        listed = _Listed(candidates.item.tolist(), candidates.score.tolist(), parts, said)
        lookers = Lookers(slate.looks)
        bounds = [bisect_left(look_of, look) for look in (*looks, len(looks))]
        return [self._list(slate, lookers, look, listed, range(bounds[look], bounds[look + 1])) for look in looks]

    def dump(self) -> dict[str, NDArray[Any]]:
        return dict(self.catalogue.dump())

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        self.catalogue.load(state)

    def _list(self, slate: Slate, lookers: Lookers, look: int, listed: _Listed, rows: range) -> bytes:
        about, did = lookers.about[look], dict(zip(lookers.recent[look], lookers.recent_kind[look], strict=True))
        causes, as_causes = told(self.catalogue, listed.parts.causes(rows.start, rows.stop), did, listed.said)
        said = {
            "user": lookers.user[look],
            "partition": slate.partition,
            "offset": lookers.offset[look],
            "slot": lookers.slot[look],
            "about": (self.catalogue.name(about) or "") if about else "",
            "intent": round(lookers.intent[look], 4),
            "times": {"event": lookers.event_time[look], "logged": lookers.logged[look], "scored": slate.scored},
            "causes": orjson.dumps(causes),
            **_items(self._policy.choose(lookers, look, listed.item, listed.score, rows), listed, as_causes),
        }
        return self._packer.pack(said)  # type: ignore[no-any-return]

    def _said(self, interests: Mapping[int, str], cause: int) -> str:
        """A cause that is no item, in words; empty: it is one."""
        return said_of(cause, self._welcome) if is_segment(cause) else interests.get(cause, "")


def _items(places: list[Place], listed: _Listed, causes: dict[int, tuple[bytes, ...]]) -> dict[str, Any]:
    """What a packed list has of its items."""
    if not places:
        return {"items": [], "json": [], "why": [b""] * 6}
    cards, rows, factors, tags = zip(*places, strict=True)
    scores = [listed.score[row] * factor if row >= 0 else 0.0 for row, factor in zip(rows, factors, strict=True)]
    numbers, tags = orjson.dumps(scores)[1:-1].split(b","), bytes(tags)
    words = (PIECES, UNNAMED_JSON, OPENINGS)
    return {
        "items": [card.name for card in cards],
        "json": listed.parts.items(cards, numbers, rows, tags, causes, *words, REASONS, NAMED_SHARE),
        "why": [tags, *listed.parts.packed(rows, factors)],
    }
