"""The line's featurize and score in this process, without a log: what evaluation and training ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgpack
import numpy as np

from shopguide.featurize import Featurizer
from shopguide.networks.learning import Learner
from shopguide.records import EARLIEST, Batch, Events, Kind, Lessons, Looks, Names, Ragged, Update
from shopguide.score import Scorer
from shopguide.settings import Settings
from shopguide.tastes import MODEL, Tastes, build

BULK = 65536  # rows of a batch
OWN = "own"  # version of the profiles that it makes


class Store:
    """Rows are given offsets as they come. A scorer may learn later than featurize does (:meth:`see`)."""

    def __init__(self, settings: Settings, scorer: Scorer | None = None) -> None:
        self._settings = settings
        self.featurizer = Featurizer(settings)
        self.scorer = scorer or Scorer(settings)
        self._rows = 0

    def bulk(self, events: Events, scorers: Sequence[Scorer] = ()) -> None:
        """Learn a history at once, these scorers (none: its own) too; nothing may have been learned before."""
        for start in range(0, len(events), BULK):
            batch = self._batch(events.slice(start, start + BULK))
            for scorer in scorers or [self.scorer]:
                scorer.learn_catalogue(batch)
            self.featurizer.learn(batch)
        lessons = self.featurizer.lessons()
        for scorer in scorers or [self.scorer]:
            scorer.bulk(lessons, self.featurizer.frontier)

    def rehearse(self, networks: Learner | None, profiles: bool = False) -> None:
        """Ask networks and profiles too, of what was learned so far."""
        if networks is not None:
            self.scorer.use(networks.rehearse(self.featurizer.lessons(), self.described()))
        if profiles:
            self.profile()

    def tastes(self) -> Tastes:
        """Profiles of what was learned so far, as of a version that has read no row: all that a user does is newer."""
        half_life = self._settings.score.profile_half_life
        return build(self.featurizer.lessons(), self.scorer.content.described(), half_life, {})

    def profile(self, scorers: Sequence[Scorer] = ()) -> None:
        """Ask profiles too, these scorers (none: its own) those of what was learned so far."""
        tastes, update = replace(self.tastes(), version=OWN), self._activate()
        for scorer in scorers or [self.scorer]:
            scorer.profile.tastes = tastes
            scorer.learn(update)

    def described(self) -> dict[int, tuple[str, ...]]:
        """What the catalogue says of items, in terms."""
        content = self.scorer.content
        return {item: terms for item in content.described() if (terms := content.terms(item))}

    def see(self, events: Events, scorers: Sequence[Scorer] = ()) -> Update:
        """Take events in, but for the model: what it would learn. The catalogue is told to these scorers (none: its
        own) at once."""
        batch = self._batch(events)
        for scorer in scorers or [self.scorer]:
            scorer.learn_catalogue(batch)
        return self.featurizer.featurize(batch)

    def stranger(self) -> Store:
        """One with the same model, whose featurize has seen nobody yet."""
        other = Store(self._settings, self.scorer)
        if self.scorer.profile.tastes is not None:
            other._activate()
        return other

    def look(self, user: int, n: int, now: float) -> Looks:
        """What an answer to a user needs."""
        return self.featurizer.look(user, "home", n, now)

    def _activate(self) -> Update:
        """Looks carry from now on what those profiles need."""
        said = msgpack.packb({"version": OWN, "models": [MODEL]})
        row = Events(
            offset=[0], arrived=[EARLIEST], kind=[Kind.ACTIVATE], time=[EARLIEST], data=Ragged.of_bytes([said])
        )
        return self.featurizer.featurize(self._batch(row))

    def _batch(self, events: Events) -> Batch:
        first = self._rows
        self._rows += len(events)
        events = events.take(np.arange(len(events)))
        events.offset[:] = np.arange(first, self._rows)
        return Batch(0, first, self._rows - 1, events, Names())


def joined(updates: list[Update]) -> Update:
    """Updates of consecutive rows as one. Raises IndexError where there is none."""
    lessons = Lessons.join([update.lessons for update in updates])
    first, last = updates[0].first, updates[-1].last
    return Update(0, first, last, first, lessons, -1, Events(), Looks())
