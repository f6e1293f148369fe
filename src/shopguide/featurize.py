"""featurize: an event becomes what the model learns from it, and what an answer to its user needs.

Holds, for the users of its partitions, every kept event in order (sessions cut by inactivity), who watches, and the
event ids seen. Taking back is worked out here: the lessons with sign -1 name exactly what was learned.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Table as KeyTable
from shopguide._core import Users
from shopguide.errors import CoreError, GapError, StateError
from shopguide.frontier import Frontier
from shopguide.records import I64, SIMILAR, TRENDING, U64, Batch, Events, Kind, Lessons, Looks, Ragged, Update
from shopguide.settings import Settings

LEARNED = (Kind.VIEW, Kind.CART, Kind.FAVOURITE, Kind.PURCHASE, Kind.CLICK)
KEPT = (*LEARNED, Kind.SEARCH, Kind.DISMISS)
TAKES_BACK = (Kind.REMOVE, Kind.FORGET, Kind.RETRACT)
STRENGTH = np.zeros(max(Kind) + 1, np.uint8)  # of a sign of interest, to name the strongest for an item
STRENGTH[[Kind.VIEW, Kind.CLICK, Kind.FAVOURITE, Kind.CART, Kind.PURCHASE]] = 1, 2, 3, 4, 5
_KIND_OF_STRENGTH = np.array([0, Kind.VIEW, Kind.CLICK, Kind.FAVOURITE, Kind.CART, Kind.PURCHASE], np.uint8)
REMEMBERED = 1000  # newest events of a user that an answer looks at
OWN = np.uint64(0x9E3779B97F4A7C15)  # makes an event's id its user's own: users' partitions have no order
REPLAYABLE = 64  # batches of a partition whose lessons can be given again

_LEARNED = np.isin(np.arange(256), LEARNED)
_KEPT = np.isin(np.arange(256), KEPT)
_TAKES_BACK = np.isin(np.arange(256), TAKES_BACK)
_BOUGHT_OR_IN_CART = 1 << Kind.PURCHASE | 1 << Kind.CART


@dataclass(frozen=True)
class Watch:
    """A user's list is wanted until ``expires`` (epoch s)."""

    expires: float
    slot: str
    n: int


@dataclass(frozen=True)
class Given:
    """The lessons of the rows first..last of a partition, kept in case they are asked for again."""

    first: int
    last: int
    lessons: Lessons


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


class Featurizer:
    """The state of featurize for some partitions."""

    def __init__(self, settings: Settings) -> None:
        self._by_session = settings.learn.unit == "session"
        self._n = settings.rank.n
        self._users = Users(settings.learn.session_gap)
        self._ids = KeyTable()
        self._watches: dict[int, Watch] = {}
        self._given: dict[int, deque[Given]] = {}
        self.frontier = Frontier()
        self.counts: Counter[str] = Counter()
        self.newest = 0.0  # time of the newest event

    def featurize(self, batch: Batch) -> Update:
        """Learn the batch's new rows; the lessons of all its rows, and a look for each watching user among them.

        Raises GapError where rows before the batch are missing, or a replay asks for lessons no longer held.
        """
        new = self.frontier.admit(batch)
        given = self._given.setdefault(batch.partition, deque(maxlen=REPLAYABLE))
        if batch.last >= new:
            given.append(Given(new, batch.last, self._take_in(batch.events.take(batch.events.offset >= new))))
        elif not given or given[0].first > batch.first:
            raise GapError(f"partition {batch.partition}: the lessons of row {batch.first} are no longer held")
        lessons = Lessons.join([g.lessons for g in given if g.last >= batch.first])
        lessons = lessons.take((lessons.offset >= batch.first) & (lessons.offset <= batch.last))
        self.frontier.advance(batch)
        return Update(batch.partition, batch.first, batch.last, lessons, self._looks(batch.events))

    def learn(self, batch: Batch) -> None:
        """Learn the batch's new rows where nobody waits for lessons or looks; :meth:`lessons` has what they come to.

        Raises GapError where rows before the batch are missing.
        """
        new = self.frontier.admit(batch)
        self._take_in(batch.events.take(batch.events.offset >= new))
        self._watched(batch.events)
        self.frontier.advance(batch)

    def lessons(self) -> Lessons:
        """All that the model holds of the kept events, to be added: user by user, each one's in order."""
        held = self._users.dump()
        rows = np.flatnonzero(_LEARNED[held["kind"]])
        users = np.repeat(held["users"], np.diff(held["starts"]).astype(np.int64))
        return self._lessons(users[rows], held, rows, 1, held["offset"][rows])

    def look(self, user: int, slot: str, n: int, now: float) -> Looks:
        """One row: what an answer to this user needs at this moment."""
        return self._look(user, Watch(0, slot, n), -1, now, now)

    def dump(self) -> dict[str, NDArray[Any]]:
        meta = {
            "frontier": list(self.frontier.reached.items()),
            "counts": dict(self.counts),
            "newest": self.newest,
            "watches": [(user, w.expires, w.slot, w.n) for user, w in self._watches.items()],
        }
        users = {f"users.{name}": column for name, column in self._users.dump().items()}
        return {**users, "ids": self._ids.keys(), "meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)}

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        try:
            meta = json.loads(state["meta"].tobytes())
            self._users.load({n.removeprefix("users."): c for n, c in state.items() if n.startswith("users.")})
            self._ids.index(state["ids"])
            self._watches = {user: Watch(*watch) for user, *watch in meta["watches"]}
            self.frontier = Frontier(dict(meta["frontier"]))
            self.counts = Counter(meta["counts"])
            self.newest = meta["newest"]
            self.check()
        except (CoreError, KeyError, ValueError, TypeError) as e:
            raise StateError(f"featurize's snapshot is broken: {e}") from None

    def check(self) -> None:
        """Raises CoreError where an invariant of the core does not hold."""
        self._users.check()
        self._ids.check()

    def events_of(self, user: int) -> dict[str, NDArray[Any]]:
        """All kept events of a user, in order."""
        return dict(self._users.events(user))

    def _take_in(self, events: Events) -> Lessons:
        """Learn rows in order: runs of plain rows in one go, rows that take something back one by one."""
        events = self._drop_doubles(events)
        self.newest = max(self.newest, float(events.time.max(initial=0.0)))
        for kind, count in zip(*np.unique(events.kind, return_counts=True), strict=True):
            self.counts[Kind(kind).name.lower()] += int(count)
        lessons: list[Lessons] = []
        start = 0
        for row in [*np.flatnonzero(_TAKES_BACK[events.kind]).tolist(), len(events)]:
            if row > start:
                lessons.append(self._observe(events.slice(start, row)))
            if row < len(events):
                lessons.append(self._take_back(events, row))
            start = row + 1
        return Lessons.join(lessons)

    def _drop_doubles(self, events: Events) -> Events:
        named = np.flatnonzero(events.event)
        if not len(named):
            return events
        _, fresh = self._ids.index(events.event[named] * OWN ^ events.user[named])
        doubles = np.delete(named, fresh)
        self.counts["doubles"] += len(doubles)
        return events.take(np.delete(np.arange(len(events)), doubles))

    def _observe(self, events: Events) -> Lessons:
        events = events.take(_KEPT[events.kind])
        sessions = self._users.observe(
            events.user, events.item, events.time, events.session, events.kind, events.offset, events.event
        )
        learned = _LEARNED[events.kind]
        unit = sessions if self._by_session else events.user
        return Lessons(
            offset=events.offset[learned],
            sign=np.ones(int(learned.sum()), np.int8),
            kind=events.kind[learned],
            unit=unit[learned],
            user=events.user[learned],
            item=events.item[learned],
            time=events.time[learned],
        )

    def _take_back(self, events: Events, row: int) -> Lessons:
        """A return, a retracted event, a forgotten user; one that matches nothing is a counted no-op."""
        user, kind, offset = int(events.user[row]), Kind(events.kind[row]), int(events.offset[row])
        before = self._users.events(user)
        if kind == Kind.FORGET:
            self._users.drop(user)
            self._watches.pop(user, None)
            return self._lessons(user, before, np.arange(len(before["item"])), -1, offset)
        if kind == Kind.REMOVE:
            index = self._users.newest(user, int(events.item[row]), _BOUGHT_OR_IN_CART)
        else:
            index = self._users.find(user, int(events.details(row).get("target", 0)))
        if index < 0:
            self.counts["nothing to take back"] += 1
            return Lessons()
        self._users.remove(user, index)
        after = self._users.events(user)
        gone = np.concatenate(([index], self._learned_again(before, after, index)))
        return Lessons.join(
            [
                self._lessons(user, before, gone, -1, offset),
                self._lessons(user, after, gone[1:] - 1, 1, offset),
            ]
        )

    def _learned_again(self, before: dict[str, Any], after: dict[str, Any], index: int) -> I64:
        """The rows behind a removed one that are taken back and added again, so that every unit stays in order: those
        whose unit is another now, all behind them there, and all of its unit where one equal to it is among them."""
        later = slice(index + 1, None)
        had, has = before["session"][later] * self._by_session, after["session"][index:] * self._by_session
        same = had == before["session"][index] * self._by_session
        for name in ("item", "time"):
            same &= before[name][later] == before[name][index]
        touched = np.concatenate([had[(had != has) | same], has[had != has]])
        if not len(touched):
            return np.empty(0, np.int64)
        return np.flatnonzero(np.isin(had, touched) | np.isin(has, touched)) + later.start

    def _lessons(self, user: int | U64, events: dict[str, Any], rows: I64, sign: int, offset: int | I64) -> Lessons:
        """Lessons of some of these events; ``user`` and ``offset`` are those of all, or of each of the rows."""
        rows = rows[_LEARNED[events["kind"][rows]]]
        users = np.full(len(rows), user, np.uint64)
        return Lessons(
            offset=np.full(len(rows), offset),
            sign=np.full(len(rows), sign),
            kind=events["kind"][rows],
            unit=events["session"][rows] if self._by_session else users,
            user=users,
            item=events["item"][rows],
            time=events["time"][rows],
        )

    def _looks(self, events: Events) -> Looks:
        """A look for each query row, and for each watching user at their last row of the batch."""
        asked: dict[tuple[int, bytes], int] = {}
        for row in self._watched(events):
            if events.kind[row] == Kind.WATCH:
                slot = str(events.details(row).get("slot", "home")).encode()
                asked[int(events.user[row]), slot if slot in (SIMILAR, TRENDING) else b""] = row
        if self._watches:
            for row, user in enumerate(events.user.tolist()):
                watch = self._watches.get(user)
                if watch is not None and watch.expires > events.arrived[row]:
                    asked[user, b""] = row
        return Looks.join([self._answer_to(events, row, slot) for (_, slot), row in asked.items()])

    def _watched(self, events: Events) -> list[int]:
        """Take in who begins or ends to watch; the rows that say so."""
        rows: list[int] = np.flatnonzero((events.kind == Kind.WATCH) | (events.kind == Kind.UNWATCH)).tolist()
        for row in rows:
            user, watch = int(events.user[row]), self._watch_of(events, row)
            if events.kind[row] == Kind.UNWATCH:
                self._watches.pop(user, None)
            elif watch.expires > 0:
                self._watches[user] = watch
        return rows

    def _watch_of(self, events: Events, row: int) -> Watch:
        """What a WATCH row asks for; the defaults for any other row."""
        details = events.details(row) if events.kind[row] == Kind.WATCH else {}
        return Watch(float(details.get("expires", 0)), str(details.get("slot", "home")), int(details.get("n", self._n)))

    def _answer_to(self, events: Events, row: int, slot: bytes) -> Looks:
        user, offset = int(events.user[row]), int(events.offset[row])
        time, logged = float(events.time[row]), float(events.arrived[row])
        if not slot:
            watch = self._watches.get(user) or self._watch_of(events, row)
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
        events = self._users.recent(user, REMEMBERED)
        item, kind, session = events["item"], events["kind"], events["session"]
        learned = np.flatnonzero(_LEARNED[kind])
        newest_first = learned[::-1]
        recent, first = np.unique(item[newest_first], return_index=True)
        order = np.argsort(first)
        recent, first = recent[order], first[order]
        strongest = np.zeros(len(recent), np.uint8)
        place = {key: at for at, key in enumerate(recent.tolist())}
        np.maximum.at(strongest, [place[key] for key in item[learned].tolist()], STRENGTH[kind[learned]])
        live = session == session[-1] if len(session) else np.zeros(0, bool)
        here = np.isin(recent, item[live & _LEARNED[kind]])
        return Looks(
            user=np.array([user], np.uint64),
            offset=[offset],
            event_time=[time],
            logged=[logged],
            slot=Ragged.of_bytes([watch.slot.encode()]),
            n=[watch.n],
            intent=[intent(kind[live], item[live]) if len(session) else 0.0],
            recent=Ragged.of([recent], "<u8"),
            recent_kind=Ragged.of([_KIND_OF_STRENGTH[strongest]], "u1"),
            recent_time=Ragged.of([events["time"][newest_first][first]], "<f8"),
            here=Ragged.of([here], "u1"),
            bought=Ragged.of([np.unique(item[kind == Kind.PURCHASE])], "<u8"),
            dismissed=Ragged.of([np.unique(item[kind == Kind.DISMISS])], "<u8"),
        )
