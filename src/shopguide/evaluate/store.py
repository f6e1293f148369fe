"""The line's featurize and score in this process, without a log: what evaluation and training ask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shopguide.featurize import Featurizer
from shopguide.networks.learning import Learner
from shopguide.records import Batch, Events, Lessons, Looks, Names, Update
from shopguide.score import Scorer
from shopguide.settings import Settings

BULK = 65536  # rows of a batch


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

    def rehearse(self, networks: Learner | None) -> None:
        """Ask networks too, of what was learned so far."""
        if networks is not None:
            self.scorer.use(networks.rehearse(self.featurizer.lessons(), self.described()))

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
        return Store(self._settings, self.scorer)

    def look(self, user: int, n: int, now: float) -> Looks:
        """What an answer to a user needs."""
        return self.featurizer.look(user, "home", n, now)

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
