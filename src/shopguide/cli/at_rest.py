"""A state directory read by itself: the newest snapshot and the log after it, through the same stages as the line.
Where the log is a Kafka topic, the snapshot alone.

Nothing is written, so a directory that a process is working on can be read too.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from shopguide.clean import clean
from shopguide.errors import StateError
from shopguide.featurize import Featurizer
from shopguide.kafka.binding import bound
from shopguide.keys import Secret, category_key, item_key
from shopguide.log import Log
from shopguide.rank import Ranker, explain
from shopguide.records import SIMILAR, TRENDING, Looks, Ragged
from shopguide.score import Scorer
from shopguide.state import StateDir, fits

READ = 65536  # rows a batch


class AtRest:
    """The stages as they are after every row of the log, or of what the snapshot holds of a ``topic``.

    Raises StateError where the directory holds no state.
    """

    def __init__(self, path: Path) -> None:
        self.state = StateDir(path)
        self.settings = self.state.settings()
        self.topic = bound(path)
        self.log = None if self.topic else self._open_log()
        self.featurizer = Featurizer(self.settings)
        self.scorer = Scorer(self.settings, models=self.state.models)
        self.ranker = Ranker(self.settings)
        positions = self._restore()
        if self.log is not None:
            for partition, position in enumerate(positions):
                self._replay(self.log, partition, position)

    def close(self) -> None:
        """Let go of the log's files; the stages stay."""
        if self.log is not None:
            self.log.close()

    def recommend(self, user: str, slot: str, n: int) -> dict[str, Any]:
        """The list that the user would get now."""
        key = self._key(user)
        known = len(self.featurizer.events_of(key)["item"]) > 0 or bool(self.featurizer.profile_of(key))
        return {"user": user, "known": known, **self._answer(self.featurizer.look(key, slot, n, self._now()))}

    def similar(self, item: str, n: int) -> dict[str, Any]:
        """Items that occur together with this one. Raises StateError where the item is unknown."""
        key = item_key(item)
        if self.ranker.catalogue.name(key) is None:
            raise StateError(f"item {item!r} is not in this state")
        return {"item": item, **self._answer(self._look(SIMILAR, n, about=key))}

    def trending(self, category: str | None, n: int) -> dict[str, Any]:
        """What is popular at the time of the newest event."""
        key = category_key(category) if category else 0
        return {"category": category, **self._answer(self._look(TRENDING, n, category=key))}

    def why(self, user: str, item: str) -> dict[str, Any]:
        """The whole sum behind an item for a user. Raises StateError where it is no candidate for them."""
        found = self._ranked(self.featurizer.look(self._key(user), "home", 100, self._now()))
        if (told := explain(found, item)) is None:
            raise StateError(f"item {item!r} is not among the {len(found['items'])} candidates for user {user!r}")
        return {"user": user, **told}

    def _answer(self, looks: Looks) -> dict[str, Any]:
        found = self._ranked(looks)
        items = [{name: value for name, value in item.items() if name != "why"} for item in found["items"]]
        return {"slot": found["slot"], "intent": found["intent"], "items": items}

    def _ranked(self, looks: Looks) -> dict[str, Any]:
        return self.ranker.rank(self.scorer.answer(looks))[0]

    def _key(self, user: str) -> int:
        return Secret.load(self.state.path).user_key(user)

    def _look(self, slot: bytes, n: int, about: int = 0, category: int = 0) -> Looks:
        return Looks(
            event_time=[self._now()],
            slot=Ragged.of_bytes([slot]),
            about=np.array([about], np.uint64),
            category=np.array([category], np.uint64),
            n=[n],
        )

    def _now(self) -> float:
        """Now; for a log of long ago the time of its newest event, so that its trends are still to be seen."""
        return self.featurizer.newest or time.time()

    def _restore(self) -> list[int]:
        holds = self.log.holds if self.log else lambda positions: True
        parts = self.state.newest(fits(self.settings), holds)
        if parts is None and self.topic is not None:
            raise StateError(f"{self.state.path} has no snapshot yet; its log is the Kafka topic {self.topic.topic!r}")
        if parts is None:
            return [0] * (self.log.partitions if self.log else 0)
        self.scorer.load(parts["score"])
        self.ranker.load(parts["rank"])
        positions: list[int] = parts["position"]["position"].tolist()
        for partition in range(len(positions)):
            self.featurizer.load(partition, parts[f"featurize-{partition}"])
        return positions

    def _open_log(self) -> Log:
        partitions = Log.partitions_of(self.state.log, self.settings.log.partitions)
        return Log(self.state.log, partitions, readonly=True)

    def _replay(self, log: Log, partition: int, position: int) -> None:
        while (batch := log.read(partition, position, READ)) is not None:
            kept, _ = clean(batch)
            self.scorer.learn_catalogue(kept)
            self.ranker.learn(kept)
            update = self.featurizer.featurize(kept)
            self.scorer.learn(update)
            position = batch.last + 1
