"""Who watches, and all that an answer to a user needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Glance, Users
from shopguide.columns import Ragged
from shopguide.context import packed
from shopguide.featurize.shoppers import Shoppers
from shopguide.profile import Profile
from shopguide.records import SIMILAR, TOPIC, TRENDING, Batch, Events, Kind, Looks

STRENGTH = np.zeros(256, np.uint8)  # of a sign of interest, to name the strongest for an item
STRENGTH[[Kind.VIEW, Kind.CLICK, Kind.FAVOURITE, Kind.CART, Kind.PURCHASE]] = 1, 2, 3, 4, 5
REMEMBERED = 1000  # newest events of a user that an answer looks at
VISIT = 200  # newest events of a unit that an answer looks at one by one
_NOBODY = Users(0.0), 0  # of whom there are no events
_NO_LOOKS = Looks().columns()
_WATCHING = frozenset((Kind.WATCH, Kind.UNWATCH, Kind.FORGET))
_SHOPPING = frozenset(kind for kind in Kind if Kind.VIEW <= kind <= Kind.DISMISS) - {Kind.IMPRESSION} | {Kind.ADOPT}
_CHANGE_NO_LIST = frozenset((Kind.LOOKUP, Kind.IMPRESSION))


@dataclass(frozen=True)
class Watch:
    """A user's list is wanted until ``expires`` (epoch s), as a row of ``partition`` said. ``context``: of the visit in
    which it is; 0: as the user's newest events say."""

    partition: int
    expires: float
    slot: str
    n: int
    context: int = 0


def intent(kinds: NDArray[np.uint8], items: NDArray[np.uint64]) -> float:
    """Purchase intent of a live session in 0..1, of its events."""
    looked = items[kinds != Kind.SEARCH]
    cart, favourite = bool((kinds == Kind.CART).any()), bool((kinds == Kind.FAVOURITE).any())
    return intent_of(cart, favourite, len(looked), len(np.unique(looked)))


def intent_of(cart: bool, favourite: bool, looked: int, distinct: int) -> float:
    """The same of what counts in it: a logistic with hand-set log-odds.

    Two sessions in a hundred buy to begin with; a cart and a favourite count most, coming back to an item (up to
    three times) and looking at more items (up to ten) a little each.
    """
    log_odds = -3.9 + 1.8 * cart + 0.8 * favourite + 0.4 * min(looked - distinct, 3) + 0.1 * min(distinct, 10)
    return 1 / (1 + math.exp(-log_odds))


class Watches:
    """The users who watch. ``shoppers`` gives those among whom a user is, ``profile`` what was imported of one, ``n``
    is the length of a list, ``by_session`` whether the model's units are sessions, ``everybody`` whether all who do
    something get a list in the slot TOPIC, whoever watches."""

    def __init__(
        self,
        shoppers: Callable[[int], Shoppers],
        profile: Callable[[int], Profile],
        n: int,
        by_session: bool,
        everybody: bool = False,
    ) -> None:
        self._shoppers, self._profile = shoppers, profile
        self._n = n
        self._by_session = by_session
        self._everybody = everybody
        self._glance = Glance(
            STRENGTH,
            limit=REMEMBERED,
            visit=VISIT,
            by_session=by_session,
            shown=Kind.IMPRESSION,
            search=Kind.SEARCH,
            cart=Kind.CART,
            favourite=Kind.FAVOURITE,
            purchase=Kind.PURCHASE,
            dismiss=Kind.DISMISS,
        )
        self._watches: dict[int, Watch] = {}

    def looks(self, batch: Batch, new: int) -> Looks:
        """A look for each query row, and for each watching user at their last row or the last pick's; rows from offset
        ``new`` on change who watches."""
        events = batch.events
        asked: dict[tuple[int, bytes], int] = {}
        for row in self.learn(batch, new):
            if events.kind[row] == Kind.WATCH:
                slot = str(events.details(row).get("slot", "home")).encode()
                asked[int(events.user[row]), slot if slot in (SIMILAR, TRENDING) else b""] = row
        if self._watches:
            for row, user in self._concerned(batch):
                if self._watches[user].expires > events.arrived.item(row):
                    asked[user, b""] = max(row, asked.get((user, b""), -1))
        if self._everybody:
            for row, (user, kind) in enumerate(zip(events.user.tolist(), events.kind.tolist(), strict=True)):
                if user and kind in _SHOPPING:
                    asked[user, TOPIC] = row
        return self._looks([self._wanted(events, row, user, slot) for (user, slot), row in asked.items()])

    def _concerned(self, batch: Batch) -> Iterator[tuple[int, int]]:
        """Rows and the watching users whose lists they may change: a pick those of all whose WATCH row is in the
        partition (picks are in each)."""
        kinds: list[int] = batch.events.kind.tolist()
        if Kind.PICK in batch.events.kinds:
            row = len(kinds) - 1 - kinds[::-1].index(Kind.PICK)
            yield from ((row, user) for user, watch in self._watches.items() if watch.partition == batch.partition)
        for row, user in enumerate(batch.events.user.tolist()):
            if user in self._watches and kinds[row] not in _CHANGE_NO_LIST:
                yield row, user

    def learn(self, batch: Batch, new: int) -> list[int]:
        """Take in who begins or ends to watch, of rows from offset ``new`` on; all rows that say so."""
        events = batch.events
        if _WATCHING.isdisjoint(events.kinds):
            return []
        rows = [row for row, kind in enumerate(events.kind.tolist()) if kind in _WATCHING]
        for row in rows:
            if events.offset[row] >= new:
                self._watch(batch.partition, events, row)
        return rows

    def look(self, user: int, slot: str, n: int, now: float) -> Looks:
        """One row: what an answer to this user needs at this moment."""
        row = {"user": user, "offset": -1, "event_time": now, "logged": now, "slot": slot.encode(), "n": n}
        return self._looks([row])

    def dump(self, partition: int) -> list[tuple[int, float, str, int, int]]:
        """What rows of a partition said."""
        said = [(user, w) for user, w in self._watches.items() if w.partition == partition]
        return [(user, w.expires, w.slot, w.n, w.context) for user, w in said]

    def load(self, partition: int, state: list[tuple[int, float, str, int, int]]) -> None:
        """Take in what rows of a partition said, beside those of others."""
        for user, expires, slot, n, context in state:
            self._watches[user] = Watch(partition, expires, slot, n, context)

    def _watch(self, partition: int, events: Events, row: int) -> None:
        user, watch = int(events.user[row]), self._watch_of(partition, events, row)
        if events.kind[row] != Kind.WATCH:
            self._watches.pop(user, None)
        elif watch.expires > 0:  # a question beside an open stream ends no stream
            before = self._watches.get(user, watch)
            self._watches[user] = replace(watch, expires=max(before.expires, watch.expires))

    def _watch_of(self, partition: int, events: Events, row: int) -> Watch:
        """What a WATCH row asks for; the defaults for any other row."""
        details = events.details(row) if events.kind[row] == Kind.WATCH else {}
        slot, n = str(details.get("slot", "home")), int(details.get("n", self._n))
        return Watch(partition, float(details.get("expires", 0)), slot, n, packed(details))

    def _wanted(self, events: Events, row: int, user: int, slot: bytes) -> dict[str, Any]:
        """What a row that asks says of its look; with ``about`` where the answer is for no user."""
        asked = {
            "user": user,
            "offset": events.offset.item(row),
            "event_time": events.time.item(row),
            "logged": events.arrived.item(row),
        }
        if not slot:
            watch = self._watches.get(user) or self._watch_of(-1, events, row)
            return {**asked, "slot": watch.slot.encode(), "n": watch.n, "context": watch.context}
        if slot == TOPIC:
            return {**asked, "slot": TOPIC, "n": self._n}
        details = events.details(row)
        return {
            **asked,
            "slot": slot,
            "about": int(events.item[row]),
            "category": int(details.get("category", 0)),
            "n": int(details.get("n", self._n)),
        }

    def _looks(self, rows: list[dict[str, Any]]) -> Looks:
        """Of what asks, with all that is known of the users."""
        if not rows:
            return Looks.of(_NO_LOOKS)
        shoppers = [None if "about" in row else self._shoppers(row["user"]) for row in rows]
        asked = [_NOBODY if of is None else (of.kept, row["user"]) for of, row in zip(shoppers, rows, strict=True)]
        seen, columns = self._glance.of(asked)
        for of, row, (session, query, since, context, cart, favourite, looked, distinct) in zip(
            shoppers, rows, seen, strict=True
        ):
            if of is not None:
                row["unit"] = session ^ row["user"] if self._by_session and session else row["user"]
                row["intent"] = intent_of(cart, favourite, looked, distinct) if session else 0.0
                row["query"], row["since_query"] = of.queries.text(query).encode("utf-8", "replace"), since
                row["interests"] = "\n".join(self._profile(row["user"]).interests).encode()
                row["context"] = row.get("context") or context
                row["past"] = of.past(row["user"])
        return Looks.of_rows(rows, **{name: Ragged(*column) for name, column in columns.items()})
