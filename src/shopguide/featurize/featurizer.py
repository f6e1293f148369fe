"""The stage: batches in, updates out."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.errors import CoreError, StateError
from shopguide.featurize.looks import Watches
from shopguide.featurize.part import Part, Parts
from shopguide.frontier import Frontier
from shopguide.profile import Profile
from shopguide.records import Batch, Events, Kind, Lessons, Looks, Update
from shopguide.settings import Settings


class Featurizer:
    """The state of featurize for some partitions: a :class:`Part` each, and who watches: in a topic a user's events lie
    where the producer puts them, which need not be where the user's WATCH rows are."""

    def __init__(self, settings: Settings) -> None:
        self._parts = Parts(settings)
        by_session = settings.learn.unit == "session"
        of, everybody = (self._parts.shoppers_of, self._parts.profile_of), settings.push.everybody
        self._watches = Watches(*of, settings.rank.n, by_session, everybody)
        self.frontier = Frontier()

    @property
    def newest(self) -> float:
        """The largest time of an event; 0: there is none."""
        return max((part.newest for part in self._parts.values()), default=0.0)

    @property
    def counts(self) -> Counter[str]:
        """Rows by kind, and notes."""
        return sum((part.counts for part in list(self._parts.values())), Counter())

    def featurize(self, batch: Batch) -> Update:
        """Learn the batch's new rows; the lessons of all its rows, and a look for each watching user among them.

        Of a replay the lessons are given again where they are still held (``Update.held``), the looks always.
        Raises GapError where rows before the batch are missing.
        """
        new = self.frontier.admit(batch)
        part = self._parts[batch.partition]
        if batch.last >= new:
            part.learn(batch, new)
        held, lessons = part.lessons(batch.first, batch.last)
        relays = part.relays(batch.first, batch.last)
        self.frontier.advance(batch)
        looks = self._watches.looks(batch, new)
        return Update(batch.partition, batch.first, batch.last, held, lessons, relays.before, relays.rows, looks)

    def learn(self, batch: Batch) -> Events:
        """Learn the batch's new rows where nobody waits for lessons or looks; :meth:`lessons` has what they come to.

        Returns the rows that concern other partitions. Raises GapError where rows before the batch are missing.
        """
        new = self.frontier.admit(batch)
        part = self._parts[batch.partition]
        if batch.last >= new:
            part.learn(batch, new)
        self._watches.learn(batch, new)
        self.frontier.advance(batch)
        return part.relays(batch.first, batch.last).rows

    def look(self, user: int, slot: str, n: int, now: float) -> Looks:
        """One row: what an answer to this user needs at this moment."""
        return self._watches.look(user, slot, n, now)

    def events_of(self, user: int) -> dict[str, NDArray[Any]]:
        """All kept events of a user, in order."""
        return self._parts.shoppers_of(user).events(user)

    def queries_of(self, user: int) -> dict[int, str]:
        """What a user's searches are for, by the key that stands as the item of such an event."""
        shoppers = self._parts.shoppers_of(user)
        events = shoppers.events(user)
        keys: list[int] = events["item"][events["kind"] == Kind.SEARCH].tolist()
        return {key: shoppers.queries.text(key) for key in keys}

    def profile_of(self, user: int) -> Profile:
        """What was imported of a user."""
        return self._parts.profile_of(user)

    def past_of(self, user: int) -> bytes:
        """What trained profiles in force need of a user, packed (:class:`shopguide.tastes.Past`); empty: none are."""
        return self._parts.shoppers_of(user).past(user)

    def users(self) -> set[int]:
        """The keys of all of whom there are events."""
        return {user for part in self._parts.values() for user in part.shoppers.users()}

    def owner(self, event: int) -> tuple[int, int] | None:
        """Who holds an event of a producer's id key: the partition and the user; None: nobody."""
        return next(((p, user) for p, part in self._parts.items() if (user := part.shoppers.owner(event))), None)

    def whereabouts(self, user: int) -> list[int]:
        """The partitions in which something is known of a user."""
        parts = [(p, part.shoppers) for p, part in self._parts.items()]
        return [p for p, s in parts if s.knows(user) or s.profiles.of(user) or s.accounts.near(user)]

    def person(self, user: int) -> set[int]:
        """All keys of the person that this user is: the account and its visitors."""
        found: set[int] = set()
        ahead = {user}
        while ahead:
            found |= ahead
            ahead = {key for part in self._parts.values() for one in ahead for key in part.shoppers.accounts.near(one)}
            ahead -= found
        return found

    def reached(self, partition: int) -> int:
        """The offset after the last row learned of a partition."""
        return self.frontier.reached.get(partition, -1) + 1

    def held(self, partition: int) -> int:
        """The first row of a partition whose lessons can be given, now or when it comes."""
        held = self._parts[partition].held()
        return self.reached(partition) if held is None else held

    def kept_from(self, partition: int) -> int:
        """Rows of the partition below this offset have gone out of the model."""
        return self._parts[partition].kept_from

    def visitors(self, partition: int) -> NDArray[np.uint64]:
        """The users of the partition whose account is known: the log has to remember it."""
        return self._parts[partition].shoppers.accounts.visitors

    def profiled(self, partition: int) -> NDArray[np.uint64]:
        """The users of the partition who have a profile: the log has to remember it."""
        return self._parts[partition].shoppers.profiles.users

    def lessons(self) -> Lessons:
        """All that the model holds of the kept events, to be added: user by user, each one's in order."""
        return Lessons.join([part.shoppers.lessons() for part in self._parts.values()])

    def dump(self, partition: int, taken: int | None = None) -> dict[str, NDArray[Any]]:
        """What is held of a partition. What rows below ``taken`` (None: all) cause in others has been taken there."""
        taken = self.reached(partition) if taken is None else taken
        meta = {"reached": self.frontier.reached.get(partition, -1), "watches": self._watches.dump(partition)}
        return {"task": np.frombuffer(json.dumps(meta).encode(), np.uint8), **self._parts[partition].dump(taken)}

    def load(self, partition: int, state: dict[str, NDArray[Any]]) -> None:
        """Take in a partition of which nothing is held. Raises StateError for what :meth:`dump` did not give."""
        try:
            meta = json.loads(state["task"].tobytes())
            part = self._parts[partition]
            part.load({name: column for name, column in state.items() if name != "task"})
            part.check()
            self._watches.load(partition, meta["watches"])
            if meta["reached"] >= 0:
                self.frontier.reached[partition] = int(meta["reached"])
        except (CoreError, KeyError, ValueError, TypeError) as e:
            raise StateError(f"featurize's snapshot of partition {partition} is broken: {e}") from None

    def parts(self) -> dict[int, Part]:
        """What is held of each partition."""
        return self._parts

    def check(self) -> None:
        """Raises CoreError where an invariant of the core does not hold."""
        for part in self._parts.values():
            part.check()
