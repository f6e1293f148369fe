"""Who watches, and all that an answer to a user needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.context import U32, packed
from shopguide.featurize.shoppers import Shoppers
from shopguide.profile import Profile
from shopguide.records import LEARNED, SIMILAR, TRENDING, Batch, Events, Kind, Looks, Ragged

STRENGTH = np.zeros(max(Kind) + 1, np.uint8)  # of a sign of interest, to name the strongest for an item
STRENGTH[[Kind.VIEW, Kind.CLICK, Kind.FAVOURITE, Kind.CART, Kind.PURCHASE]] = 1, 2, 3, 4, 5
_KIND_OF_STRENGTH = np.array([0, Kind.VIEW, Kind.CLICK, Kind.FAVOURITE, Kind.CART, Kind.PURCHASE], np.uint8)
_LEARNED = np.isin(np.arange(256), LEARNED)
VISIT = 200  # newest events of a unit that an answer looks at one by one
_NOTHING = np.zeros(0, np.uint64)
_CHANGES_LISTS = ~np.isin(np.arange(256), (Kind.LOOKUP, Kind.IMPRESSION))


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
    """Purchase intent of a live session in 0..1: a logistic with hand-set log-odds.

    Two sessions in a hundred buy to begin with; a cart and a favourite count most, coming back to an item (up to
    three times) and looking at more items (up to ten) a little each.
    """
    looked = items[kinds != Kind.SEARCH]
    distinct = len(np.unique(looked))
    log_odds = (
        -3.9
        + 1.8 * bool((kinds == Kind.CART).any())
        + 0.8 * bool((kinds == Kind.FAVOURITE).any())
        + 0.4 * min(len(looked) - distinct, 3)
        + 0.1 * min(distinct, 10)
    )
    return float(1 / (1 + np.exp(-log_odds)))


class Watches:
    """The users who watch. ``shoppers`` gives those among whom a user is, ``profile`` what was imported of one, ``n``
    is the length of a list, ``by_session`` whether the model's units are sessions."""

    def __init__(
        self, shoppers: Callable[[int], Shoppers], profile: Callable[[int], Profile], n: int, by_session: bool
    ) -> None:
        self._shoppers, self._profile = shoppers, profile
        self._n = n
        self._by_session = by_session
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
                if self._watches[user].expires > events.arrived[row]:
                    asked[user, b""] = max(row, asked.get((user, b""), -1))
        return Looks.join([self._answer_to(events, row, user, slot) for (user, slot), row in asked.items()])

    def _concerned(self, batch: Batch) -> Iterator[tuple[int, int]]:
        """Rows and the watching users whose lists they may change: a pick those of all whose WATCH row is in the
        partition (picks are in each)."""
        kinds = batch.events.kind
        for row in np.flatnonzero(kinds == Kind.PICK)[-1:].tolist():
            yield from ((row, user) for user, watch in self._watches.items() if watch.partition == batch.partition)
        for row, user in enumerate(batch.events.user.tolist()):
            if user in self._watches and _CHANGES_LISTS[kinds[row]]:
                yield row, user

    def learn(self, batch: Batch, new: int) -> list[int]:
        """Take in who begins or ends to watch, of rows from offset ``new`` on; all rows that say so."""
        events = batch.events
        rows: list[int] = np.flatnonzero(np.isin(events.kind, (Kind.WATCH, Kind.UNWATCH, Kind.FORGET))).tolist()
        for row in rows:
            if events.offset[row] >= new:
                self._watch(batch.partition, events, row)
        return rows

    def look(self, user: int, slot: str, n: int, now: float) -> Looks:
        """One row: what an answer to this user needs at this moment."""
        return self._look(user, Watch(-1, 0, slot, n), -1, now, now)

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
        elif watch.expires > 0:
            self._watches[user] = watch

    def _watch_of(self, partition: int, events: Events, row: int) -> Watch:
        """What a WATCH row asks for; the defaults for any other row."""
        details = events.details(row) if events.kind[row] == Kind.WATCH else {}
        slot, n = str(details.get("slot", "home")), int(details.get("n", self._n))
        return Watch(partition, float(details.get("expires", 0)), slot, n, packed(details))

    def _answer_to(self, events: Events, row: int, user: int, slot: bytes) -> Looks:
        offset = int(events.offset[row])
        time, logged = float(events.time[row]), float(events.arrived[row])
        if not slot:
            watch = self._watches.get(user) or self._watch_of(-1, events, row)
            return self._look(user, watch, offset, time, logged)
        details = events.details(row)
        return Looks(
            user=[user],
            offset=[offset],
            event_time=[time],
            logged=[logged],
            slot=Ragged.of_bytes([slot]),
            about=events.item[row : row + 1],
            category=np.array([details.get("category", 0)], np.uint64),
            n=[int(details.get("n", self._n))],
        )

    def _look(self, user: int, watch: Watch, offset: int, time: float, logged: float) -> Looks:
        shoppers = self._shoppers(user)
        events, tried = _done(shoppers.recent(user))
        item, kind, session = events["item"], events["kind"], events["session"]
        live = session == session[-1] if len(session) else np.zeros(0, bool)
        recent, strongest, times, here = _distinct(item, kind, events["time"], live)
        searches = np.flatnonzero(live & (kind == Kind.SEARCH))
        query = shoppers.queries.text(int(item[searches[-1]])) if len(searches) else ""
        since = int((live & _LEARNED[kind])[searches[-1] :].sum()) if len(searches) else 0
        visit = np.flatnonzero(live)[-VISIT:] if self._by_session else np.arange(len(item))[-VISIT:]
        unit = int(session[-1]) ^ user if self._by_session and len(session) else user
        return Looks(
            user=np.array([user], np.uint64),
            unit=np.array([unit], np.uint64),
            offset=[offset],
            event_time=[time],
            logged=[logged],
            slot=Ragged.of_bytes([watch.slot.encode()]),
            n=[watch.n],
            intent=[intent(kind[live], item[live]) if len(session) else 0.0],
            recent=Ragged.of([recent], "<u8"),
            recent_kind=Ragged.of([strongest], "u1"),
            recent_time=Ragged.of([times], "<f8"),
            here=Ragged.of([here], "u1"),
            visit=Ragged.of([item[visit]], "<u8"),
            visit_kind=Ragged.of([kind[visit]], "u1"),
            visit_time=Ragged.of([events["time"][visit]], "<f8"),
            query=Ragged.of_bytes([query.encode("utf-8", "replace")]),
            since_query=[since],
            bought=Ragged.of([np.unique(item[kind == Kind.PURCHASE])], "<u8"),
            dismissed=Ragged.of([np.unique(item[kind == Kind.DISMISS])], "<u8"),
            tried=Ragged.of([tried], "<u8"),
            interests=Ragged.of_bytes(["\n".join(self._profile(user).interests).encode()]),
            context=[watch.context or _newest(events["context"][live])],
            past=Ragged.of_bytes([shoppers.past(user)]),
        )


def _newest(contexts: U32) -> int:
    """That of the newest event that has one; 0: none has."""
    known = contexts[contexts > 0]
    return int(known[-1]) if len(known) else 0


def _done(events: dict[str, NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], NDArray[np.uint64]]:
    """What the user did, and the items that they were only shown."""
    shown = events["kind"] == Kind.IMPRESSION
    if not shown.any():
        return events, _NOTHING
    return {name: column[~shown] for name, column in events.items()}, np.unique(events["item"][shown])


def _distinct(
    item: NDArray[np.uint64], kind: NDArray[np.uint8], time: NDArray[np.float64], live: NDArray[np.bool_]
) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.float64], NDArray[np.uint8]]:
    """The distinct items among a user's events, newest first: each with its strongest kind, the time of its newest
    event, and how many of its events are live (at most 255)."""
    newest_first = np.flatnonzero(_LEARNED[kind])[::-1]
    items, first, place = np.unique(item[newest_first], return_index=True, return_inverse=True)
    order = np.argsort(first)
    strongest = np.zeros(len(items), np.uint8)
    np.maximum.at(strongest, place, STRENGTH[kind[newest_first]])
    here = np.minimum(np.bincount(place, live[newest_first], len(items)), 255).astype(np.uint8)
    times = time[newest_first][first]
    return items[order], _KIND_OF_STRENGTH[strongest[order]], times[order], here[order]
