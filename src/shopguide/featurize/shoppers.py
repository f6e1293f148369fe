"""Every kept event of the shoppers of a partition, in order; and the lessons when events come, go, or change hands.

A lesson's unit is the session or the user (setting ``learn.unit``). Sessions are the producer's or cut by inactivity;
the unit of one is ``session ^ user``, so that a unit lies in one partition, whatever ids producers give.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from shopguide._core import Users
from shopguide.columns import pack_table
from shopguide.context import unpack_moved
from shopguide.featurize.accounts import Accounts
from shopguide.featurize.contexts import Contexts
from shopguide.featurize.histories import common, merged
from shopguide.featurize.impressions import of_new
from shopguide.featurize.profiles import Profiles
from shopguide.featurize.queries import Queries
from shopguide.featurize.retention import Bounds
from shopguide.featurize.trained import Trained
from shopguide.keys import relay_key
from shopguide.records import LEARNED, Events, Kind, Lessons, Moved, Ragged
from shopguide.settings import LearnSettings

KEPT = (*LEARNED, Kind.SEARCH, Kind.DISMISS, Kind.IMPRESSION)
_TAUGHT = frozenset((*LEARNED, Kind.IMPRESSION))
_LESSONS = np.isin(np.arange(256), tuple(_TAUGHT))
_KEPT = np.isin(np.arange(256), KEPT)
_PLAIN = frozenset(KEPT)
_TAKES_BACK = np.isin(np.arange(256), (Kind.REMOVE, Kind.FORGET, Kind.RETRACT, Kind.ALIAS, Kind.ADOPT))
_CHANGES_HANDS = _KEPT | np.isin(np.arange(256), (Kind.REMOVE, Kind.RETRACT, Kind.ADOPT, Kind.PROFILE))
_BOUGHT_OR_IN_CART = 1 << Kind.PURCHASE | 1 << Kind.CART
_MOVED = ("item", "time", "kind", "event", "context")

Columns = dict[str, NDArray[Any]]


class Shoppers:
    """Lessons come back from each call; rows that concern another partition gather in ``relayed``."""

    def __init__(self, learn: LearnSettings) -> None:
        self._by_session = learn.unit == "session"
        self.kept = Users(learn.session_gap)
        self.accounts = Accounts()
        self.queries = Queries()
        self.contexts = Contexts()
        self.profiles = Profiles()
        self.trained = Trained()
        self.relayed: list[Events] = []
        self.counts: Counter[str] = Counter()

    def learn(self, events: Events) -> list[Lessons]:
        """Rows in order: runs of plain rows in one go, rows that take something back or change hands one by one."""
        kinds = events.kinds
        if Kind.IMPRESSION in kinds:
            events = of_new(events)
        if Kind.SEARCH in kinds:
            events = self.queries.keyed(events)
        if kinds <= _PLAIN and not len(self.accounts.visitors):
            return [self._observe(events, kinds)]
        lessons: list[Lessons] = []
        while len(events):
            accounts, start = self.accounts.visitors, 0
            single = _TAKES_BACK[events.kind]
            if len(accounts):
                single = single | (self.accounts.are_visitors(events.user) & _CHANGES_HANDS[events.kind])
            for row in [*np.flatnonzero(single).tolist(), len(events)]:
                if row > start:
                    lessons.append(self._take_in(events.view(start, row)))
                if row < len(events):
                    lessons.append(self._single(events, row))
                start = row + 1
                if self.accounts.visitors is not accounts:
                    break  # what the rows behind it mean is another
            else:
                break
            events = events.view(start, len(events))
        return lessons

    def expire(self, bounds: Bounds, offset: int) -> Lessons:
        """Take out what is before the bounds, as if it had never been; the row at ``offset`` is the cause."""
        self.accounts.expire(bounds)
        moves = self.kept.expire(self.kept.users(), bounds.offset, bounds.time, self._by_session)
        stays = moves["now"] != 0
        after = {**moves, "session": moves["now"]}
        return Lessons.join(
            [
                self._lessons(moves, np.arange(len(stays)), -1, offset),
                self._lessons(after, np.flatnonzero(stays), 1, offset),
            ]
        )

    def events(self, user: int) -> Columns:
        """All kept events of a user, in order."""
        return dict(self.kept.events(user))

    def users(self) -> list[int]:
        """Of whom there are events."""
        return self.kept.users().tolist()  # type: ignore[no-any-return]

    def past(self, user: int) -> bytes:
        """What the trained profiles in force need of a user, packed; nothing where none are."""
        return self.trained.past(self.kept.events(user)).packed() if self.trained.version else b""

    def knows(self, user: int) -> bool:
        """Whether there are events of the user."""
        return user in self.kept

    def owner(self, event: int) -> int:
        """The user who holds an event of a producer's id key; 0: nobody."""
        state = self.kept.dump()
        at = np.flatnonzero(state["event"] == event)
        return int(state["users"][np.searchsorted(state["starts"], at[-1], side="right") - 1]) if len(at) else 0

    def lessons(self) -> Lessons:
        """What the model has learned, of all users: each one's events in order."""
        state = self.kept.dump()
        lengths = np.diff(state["starts"]).astype(np.int64)
        events = {**state, "user": np.repeat(state["users"], lengths)}
        return self._lessons(events, np.arange(len(state["item"])), 1, -1)

    def dump(self) -> tuple[Columns, list[Any], list[str]]:
        users = dict(self.kept.dump())
        return users, self.accounts.dump(), self.queries.dump(users)

    def load(self, users: Columns, accounts: list[Any], queries: list[str]) -> None:
        self.kept.load(users)
        self.accounts.load(accounts)
        self.queries.note(queries)

    def sizes(self) -> tuple[int, int, int]:
        """Users of whom there are events, these events, and the bytes of both."""
        return len(self.kept), self.kept.total, self.kept.nbytes

    def check(self) -> None:
        """Raises CoreError where an invariant of the core does not hold."""
        self.kept.check()

    def _take_in(self, events: Events) -> Lessons:
        self.profiles.learn(events)
        self.trained.learn(events)
        kinds = events.kinds
        return self._observe(events if kinds <= _PLAIN else events.take(_KEPT[events.kind]), kinds & _PLAIN)

    def _observe(self, events: Events, kinds: frozenset[int]) -> Lessons:
        """Rows to keep, of no other kinds than these."""
        contexts = self.contexts.of(events)
        sessions = self.kept.observe(
            events.user, events.item, events.time, events.session, events.kind, events.offset, events.event, contexts
        )
        units = sessions ^ events.user if self._by_session else events.user
        said = {"offset": events.offset, "sign": np.frombuffer(b"\1" * len(events), np.int8), "kind": events.kind}
        said |= {"unit": units, "user": events.user, "item": events.item, "time": events.time, "context": contexts}
        lessons = Lessons.of(said)
        return lessons if kinds <= _TAUGHT else lessons.take(_LESSONS[events.kind])

    def _single(self, events: Events, row: int) -> Lessons:
        """A row that takes something back or changes hands; one that matches nothing is a counted no-op."""
        user, kind, offset = int(events.user[row]), Kind(events.kind[row]), int(events.offset[row])
        account = self.accounts.of(user)
        if kind == Kind.ADOPT and account in events.details(row)["path"]:
            self.accounts.drop(user)  # they lead back here
            account = 0
        if account and _CHANGES_HANDS[kind]:
            return self._hand_on(events, row, account)
        if kind == Kind.ALIAS:
            return self._alias(events, row)
        if kind == Kind.ADOPT:
            return self._adopt(events, row)
        if kind == Kind.FORGET:
            return self._forget(events, row)
        if kind == Kind.REMOVE:
            item = int(events.item[row])
            index = self.kept.newest(user, item, _BOUGHT_OR_IN_CART)
            index = self.kept.newest(user, item, 1 << Kind.FAVOURITE) if index < 0 else index
        else:
            index = self.kept.find(user, int(events.details(row)["target"]))
        if index < 0:
            self.counts["nothing to take back"] += 1
            return Lessons()
        return self._remove(user, index, offset)

    def _remove(self, user: int, index: int, offset: int) -> Lessons:
        before = self.kept.events(user)
        self.kept.remove(user, index)
        after = self.kept.events(user)
        gone = np.concatenate(([index], self._learned_again(before, after, index)))
        return Lessons.join([self._of(user, before, gone, -1, offset), self._of(user, after, gone[1:] - 1, 1, offset)])

    def _learned_again(self, before: Columns, after: Columns, index: int) -> NDArray[np.int64]:
        """The rows behind a removed one that are taken back and added again, so that every unit stays in order: those
        whose unit is another now, all behind them there, and all of its unit where one equal to it is among them."""
        later = slice(index + 1, None)
        had, has = before["session"][later] * self._by_session, after["session"][index:] * self._by_session
        same = had == before["session"][index] * self._by_session
        for name in ("item", "time"):
            same &= before[name][later] == before[name][index]
        touched = np.concatenate([had[(had != has) | same], has[had != has]])
        return np.flatnonzero(np.isin(had, touched) | np.isin(has, touched)) + later.start

    def _forget(self, events: Events, row: int) -> Lessons:
        user, offset = int(events.user[row]), int(events.offset[row])
        by = int(events.details(row).get("by", 0))
        account = self.accounts.of(user)
        if by and account and account != by:
            return Lessons()  # this visitor is somebody else by now
        self.accounts.drop(user)
        if account and account != by:
            self._relay(events, row, account, Kind.FORGET, {})
        for visitor in self.accounts.leave(user):
            self._relay(events, row, visitor, Kind.FORGET, {"by": user})
        self.profiles.pop(user)
        before = self.kept.events(user)
        self.kept.drop(user)
        return self._of(user, before, np.arange(len(before["item"])), -1, offset)

    def _alias(self, events: Events, row: int) -> Lessons:
        """All of a visitor's events go to the account's partition, and then what the account's profile lacks of the
        visitor's; what is to come goes after them (:meth:`_hand_on`)."""
        user, account, offset = int(events.user[row]), int(events.details(row)["account"]), int(events.offset[row])
        if account == user or self.accounts.is_visitor_of(account, user):
            self.counts["alias of itself"] += 1
            return Lessons()
        self.accounts.join(user, account, offset, float(events.time[row]))
        before = self.kept.events(user)
        self.kept.drop(user)
        self._send(events, row, account, before, [user])
        if profile := self.profiles.pop(user):
            self._relay(events, row, account, Kind.PROFILE, {**profile.said(), "beneath": True})
        return self._of(user, before, np.arange(len(before["item"])), -1, offset)

    def _hand_on(self, events: Events, row: int, account: int) -> Lessons:
        """A row of a visitor whose account is known."""
        kind, user = Kind(events.kind[row]), int(events.user[row])
        self.accounts.touch(user, int(events.offset[row]), float(events.time[row]))
        if kind == Kind.ADOPT:
            details = events.details(row)
            self.accounts.adopt(user, details["path"][-1], int(events.offset[row]), float(events.time[row]))
            self._relay(events, row, account, kind, {**details, "path": [*details["path"], user]})
        elif _KEPT[kind]:
            at = slice(row, row + 1)
            session = events.session[at]
            one = {n: getattr(events, n)[at] for n in ("item", "time", "kind", "event")}
            one["context"] = self.contexts.of(events.slice(row, row + 1))
            self._send(events, row, account, {**one, "session": session, "derived": session == 0}, [user])
        else:
            self._relay(events, row, account, kind, events.details(row))
        return Lessons()

    def _adopt(self, events: Events, row: int) -> Lessons:
        """A visitor's events become this user's, merged by time; of two at one time the visitor's is first."""
        user, offset, details = int(events.user[row]), int(events.offset[row]), events.details(row)
        self.accounts.adopt(user, details["path"][-1], offset, float(events.time[row]))
        self.queries.note(details.get("queries", ()))
        came = unpack_moved(details["events"])
        before = self.kept.events(user)
        order = merged(came.time, before["time"])
        given = np.where(before["derived"] == 1, np.uint64(0), before["session"])
        columns = {n: np.concatenate([getattr(came, n), before[n]])[order] for n in _MOVED}
        self.kept.drop(user)
        self.kept.observe(
            np.full(len(order), user, np.uint64),
            columns["item"],
            columns["time"],
            np.concatenate([came.session, given])[order],
            columns["kind"],
            np.concatenate([np.full(len(came), offset), before["offset"]])[order],
            columns["event"],
            columns["context"],
        )
        after = self.kept.events(user)
        same = common(before, after)
        return Lessons.join(
            [
                self._of(user, before, np.arange(same, len(before["item"])), -1, offset),
                self._of(user, after, np.arange(same, len(after["item"])), 1, offset),
            ]
        )

    def _send(self, events: Events, row: int, account: int, moved: Columns, path: list[int]) -> None:
        """Events on their way to an account."""
        given = np.where(moved["derived"] == 1, np.uint64(0), moved["session"])
        table = Moved(**{n: moved[n] for n in _MOVED}, session=given)
        details = {"path": path, "events": pack_table(table), "queries": self.queries.among(moved)}
        self._relay(events, row, account, Kind.ADOPT, details)

    def _relay(self, events: Events, row: int, user: int, kind: Kind, details: dict[str, Any]) -> None:
        """A row for another user, who may live in another partition: it goes through the log."""
        told = events.slice(row, row + 1)
        key = relay_key(int(told.user[0]), int(told.offset[0]), user) ^ (kind == Kind.PROFILE)  # beside an ADOPT row
        self.relayed.append(
            Events(
                offset=told.offset,
                arrived=told.arrived,
                kind=[kind],
                user=np.array([user], np.uint64),
                item=told.item,
                time=told.time,
                event=np.array([key], np.uint64),
                data=Ragged.of_bytes([msgpack.packb(details) if details else b""]),
            )
        )

    def _of(self, user: int, events: Columns, rows: NDArray[np.int64], sign: int, offset: int) -> Lessons:
        return self._lessons({**events, "user": np.full(len(events["item"]), user, np.uint64)}, rows, sign, offset)

    def _lessons(self, events: Columns, rows: NDArray[np.int64], sign: int, offset: int) -> Lessons:
        """Lessons of some events, all caused by the row at ``offset``."""
        rows = rows[_LESSONS[events["kind"][rows]]]
        users = events["user"][rows]
        return Lessons(
            offset=np.full(len(rows), offset),
            sign=np.full(len(rows), sign),
            kind=events["kind"][rows],
            unit=events["session"][rows] ^ users if self._by_session else users,
            user=users,
            item=events["item"][rows],
            time=events["time"][rows],
            context=events["context"][rows],
        )
