"""The stage: a slate's candidates as lists that can be pushed."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import Any, NamedTuple

import msgpack
import orjson
from numpy.typing import NDArray

from shopguide import lists
from shopguide._core import Parts
from shopguide.catalogue import Catalogue, as_json
from shopguide.context import is_segment, said_of
from shopguide.rank.interests import PROFILE, Interests
from shopguide.rank.policy import Looker, Policy, lookers
from shopguide.rank.reasons import parts_for, telling
from shopguide.records import SIGNALS, Batch, Candidates, Slate
from shopguide.settings import Settings

SEGMENT, WELCOME = map(SIGNALS.index, ("segment", "welcome"))  # signals whose causes are not items but segments, rules


class _Listed(NamedTuple):
    """A slate's candidates as lists, which cost Python less than arrays where single values are read."""

    item: list[int]
    score: list[float]
    parts: Parts
    others: dict[int, bytes]  # causes that are no items


class Ranker:
    """Knows the catalogue; holds nothing about users."""

    def __init__(self, settings: Settings) -> None:
        self.catalogue = Catalogue()
        self._interests = Interests(self.catalogue)
        self._policy = Policy(settings.rank, self.catalogue, settings.learn.session_gap)
        self._telling = telling(settings.rank.min_shoppers)
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
        candidates, looks = slate.candidates, lookers(slate.looks)
        others, look_of = self._others(candidates), candidates.look.tolist()
        listed = _Listed(
            candidates.item.tolist(), candidates.score.tolist(), parts_for(candidates, self._telling, others), others
        )
        bounds = [bisect_left(look_of, look) for look in range(len(looks) + 1)]
        return [
            self._list(slate, look, listed, range(*rows)) for look, rows in zip(looks, pairwise(bounds), strict=True)
        ]

    def dump(self) -> dict[str, NDArray[Any]]:
        return dict(self.catalogue.dump())

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        self.catalogue.load(state)

    def _list(self, slate: Slate, look: Looker, listed: _Listed, rows: range) -> bytes:
        places = self._policy.choose(look, listed.item, listed.score, rows)
        scores = [listed.score[row] * factor if row >= 0 else 0.0 for _, row, factor, _ in places]
        did = dict(zip(look.recent, look.recent_kind, strict=True))
        said = {
            "user": look.user,
            "partition": slate.partition,
            "offset": look.offset,
            "slot": look.slot.decode(),
            "about": (self.catalogue.name(look.about) or "") if look.about else "",
            "intent": round(look.intent, 4),
            "times": {"event": look.event_time, "logged": look.logged, "scored": slate.scored},
            **listed.parts.listed(
                rows.start, rows.stop, places, orjson.dumps(scores), did, self.catalogue.cards, listed.others
            ),
        }
        return self._packer.pack(said)  # type: ignore[no-any-return]

    def _others(self, candidates: Candidates) -> dict[int, bytes]:
        """Causes that are no items, in words, as JSON."""
        signals = candidates.signal.values.tobytes()
        said = self._interests.of(candidates) if PROFILE in signals else {}
        if SEGMENT in signals or WELCOME in signals:
            causes = filter(is_segment, candidates.because.values.tolist())
            said |= {cause: text for cause in causes if (text := said_of(cause, self._welcome))}
        return {cause: as_json(text) for cause, text in said.items()}
