"""What featurize holds of one partition."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgpack
import numpy as np
from numpy.typing import NDArray

from shopguide.errors import StateError
from shopguide.featurize.accounts import Accounts
from shopguide.featurize.doubles import Doubles
from shopguide.featurize.profiles import Profiles
from shopguide.featurize.retention import Horizon, Retention, times
from shopguide.featurize.shoppers import Shoppers
from shopguide.profile import NOTHING, Profile
from shopguide.records import U64, Batch, Events, Kind, Lessons, Names, pack, unpack
from shopguide.settings import Settings

_NAMES = {int(kind): kind.name.lower() for kind in Kind}
REPLAYABLE = 64  # batches whose lessons can be given again
REMEMBERED = frozenset(("meta", "profiles"))  # the columns that say what a log has to remember


class Given(NamedTuple):
    """The lessons of the rows first..last, kept in case they are asked for again."""

    first: int
    last: int
    lessons: Lessons


@dataclass(frozen=True)
class Relays:
    """The rows caused in other partitions by those that can be asked for again; the last row that caused any before
    them (-1: none)."""

    rows: Events
    before: int

    def until(self, offset: int) -> int:
        """The last row below an offset that caused any."""
        return int(self.rows.offset[self.rows.offset < offset].max(initial=self.before))

    def beginning(self, offset: int) -> Relays:
        """Those of the rows from an offset on."""
        if not len(self.rows):
            return self
        return Relays(self.rows.take(self.rows.offset >= offset), self.until(offset))


class Part:
    """Shoppers and doubles of a partition, after each of its rows."""

    def __init__(self, settings: Settings) -> None:
        self._retention = Retention(settings.learn, settings.log.partitions)
        self.shoppers = Shoppers(settings.learn)
        self.doubles = Doubles()
        self._given: deque[Given] = deque(maxlen=REPLAYABLE)
        self._relays = Relays(Events(), -1)
        self._horizon = Horizon()
        self.newest = 0.0  # the largest time
        self.kept_from = 0  # rows below this offset have gone
        self.counts: Counter[str] = Counter()

    def learn(self, batch: Batch, new: int) -> None:
        """Learn the rows from offset ``new`` on, and let go of what is beyond retention."""
        events = batch.events
        if new > batch.first:
            events = events.view(int(np.searchsorted(events.offset, new)), len(events))
        lessons: list[Lessons] = []
        start, first = 0, new
        for row in self._retention.turns(events, self.newest):
            if (stop := row + 1) < len(events):
                last = int(events.offset[stop]) - 1
                lessons += self._learn(events.view(start, stop), first, last)
                start, first = stop, last + 1
        lessons += self._learn(events.view(start, len(events)) if start else events, first, batch.last)
        self._given.append(Given(new, batch.last, Lessons.join(lessons)))
        if self.shoppers.relayed:
            rows = Events.join([self._relays.rows, *self.shoppers.relayed])
            self._relays = Relays(rows, self._relays.before).beginning(self._given[0].first)
            self.shoppers.relayed.clear()
        if self.shoppers.counts:
            self.counts.update(self.shoppers.counts)
            self.shoppers.counts.clear()

    def lessons(self, first: int, last: int) -> tuple[int, Lessons]:
        """The lessons of the rows first..last, and from which row on they are still held."""
        if self._given and (newest := self._given[-1])[:2] == (first, last):
            return first, newest.lessons
        lessons = Lessons.join([g.lessons for g in self._given if g.last >= first])
        held = max(first, self._given[0].first) if self._given else last + 1
        return held, lessons.take((lessons.offset >= first) & (lessons.offset <= last))

    def held(self) -> int | None:
        """The first row whose lessons can be given again; None: only those to come can."""
        return self._given[0].first if self._given else None

    def relays(self, first: int, last: int) -> Relays:
        """What the rows first..last caused in other partitions."""
        if not len(self._relays.rows):
            return self._relays
        relays = self._relays.beginning(first)
        return Relays(relays.rows.take(relays.rows.offset <= last), relays.before)

    def dump(self, taken: int) -> dict[str, NDArray[Any]]:
        """What the rows below ``taken`` cause in other partitions need not be given again."""
        relays = self._relays.beginning(taken)
        users, accounts, queries = self.shoppers.dump()
        meta = {
            "counts": dict(self.counts),
            "newest": self.newest,
            "horizon": self._horizon.dump(),
            "kept_from": self.kept_from,
            "accounts": accounts,
            "queries": queries,
            "relayed": relays.before,
            "trained": self.shoppers.trained.dump(),
        }
        return {
            **{f"users.{name}": column for name, column in users.items()},
            **{f"ids.{number}": ids for number, ids in self.doubles.dump().items()},
            "profiles": self.shoppers.profiles.dump(),
            "relays": np.frombuffer(pack(Batch(0, 0, 0, relays.rows, Names())), np.uint8),
            "meta": np.frombuffer(json.dumps(meta).encode(), np.uint8),
        }

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        """Raises KeyError, ValueError or TypeError for what is no state."""
        meta = json.loads(state["meta"].tobytes())
        users = {n.removeprefix("users."): c for n, c in state.items() if n.startswith("users.")}
        self.shoppers.load(users, meta["accounts"], meta["queries"])
        self.shoppers.profiles.load(state["profiles"])
        self.shoppers.trained.load(meta.get("trained"))  # none: of a version without trained profiles
        self.doubles.load({n.removeprefix("ids."): c for n, c in state.items() if n.startswith("ids.")})
        self._horizon = Horizon([(tick, last, time) for tick, last, time in meta["horizon"]])
        self._relays = Relays(cast(Batch, unpack(state["relays"].tobytes())).events, meta["relayed"])
        self.newest, self.kept_from = meta["newest"], meta["kept_from"]
        self.counts = Counter(meta["counts"])

    def check(self) -> None:
        """Raises CoreError where an invariant of the core does not hold."""
        self.shoppers.check()
        self.doubles.check()

    def _learn(self, events: Events, first: int, last: int) -> list[Lessons]:
        """The rows of first..last, a range in which the retention's bounds do not move."""
        tick = self._retention.tick(first - 1, self.newest)
        latest = max(times(events).tolist(), default=0.0)  # of doubles too, as where the bounds move says
        doubles = self.doubles.among(events, tick)
        if doubles:
            self.counts["doubles"] += len(doubles)
            events = events.take(np.delete(np.arange(len(events)), doubles))
        kinds = events.kind.tobytes()
        for kind in set(kinds):
            self.counts[_NAMES[kind]] += kinds.count(kind)
        lessons = self.shoppers.learn(events)
        self.newest = max(self.newest, latest)
        if not self._retention.limited:
            return lessons
        self._horizon.note(tick, last, latest)
        if self._retention.tick(last, self.newest) != tick:
            bounds = self._retention.bounds(last, self.newest)
            self.kept_from = max(self.kept_from, self._horizon.move(bounds))
            lessons.append(self.shoppers.expire(bounds, last))
        return lessons


class Parts(dict[int, Part]):
    """What featurize holds, by the number of the partition: nothing yet of one that is asked for the first time."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def __missing__(self, number: int) -> Part:
        part = self[number] = Part(self._settings)
        return part

    def shoppers_of(self, user: int) -> Shoppers:
        """Those among whom the user is; any, where nobody knows the user."""
        for part in self.values():
            if user in part.shoppers.kept:
                return part.shoppers
        return (next(iter(self.values())) if self else Part(self._settings)).shoppers

    def profile_of(self, user: int) -> Profile:
        """What was imported of a user."""
        for part in self.values():
            if profile := part.shoppers.profiles.by_user.get(user):
                return profile
        return NOTHING


class Remembered(NamedTuple):
    """What the log has to remember of a partition: its rows from an offset on, and of those before it who is whose
    visitor, of these users, and the profiles of those."""

    kept_from: int
    visitors: U64
    profiled: U64


def remembered(dump: dict[str, NDArray[Any]]) -> Remembered:
    """That, of the columns REMEMBERED of a :meth:`Part.dump`; no shopper is loaded. Raises StateError."""
    try:
        meta = json.loads(dump["meta"].tobytes())
        visitors = Accounts.visitors_in(meta["accounts"])
        return Remembered(int(meta["kept_from"]), visitors, Profiles.users_in(dump["profiles"]))
    except (KeyError, ValueError, TypeError, msgpack.UnpackException) as e:
        raise StateError(f"featurize's snapshot of a partition is broken: {e}") from None
