"""The catalogue as the log says it, for a line whose stages work elsewhere."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import closing

from shopguide.catalogue import Catalogue, concerns, extract
from shopguide.clean import clean
from shopguide.log import Log
from shopguide.records import Batch
from shopguide.settings import Settings
from shopguide.state import StateDir, fits

READ = 65536  # rows a batch


class Follower:
    """Begins from the newest snapshot and what the log holds; of what is appended from then on it hears. Any thread may
    call it."""

    def __init__(self, state: StateDir, settings: Settings, log: Log) -> None:
        self._state, self._settings, self._log = state, settings, log
        self._catalogue: Catalogue | None = None
        self._heard: deque[Batch] = deque()
        self._lock = threading.Lock()

    def catalogue(self) -> Catalogue:
        """After every row that the log holds now. Raises StateError where the log cannot be read."""
        with self._lock:
            catalogue = self._catalogue = self._catalogue or self._begin()
            while self._heard:
                _learn(catalogue, self._heard.popleft())
            return catalogue

    def keep_up(self) -> None:
        """Learn what was heard since somebody first asked: it would pile up until they ask again."""
        if self._catalogue is not None:
            self.catalogue()

    def _hear(self, batch: Batch) -> None:
        if concerns(batch):
            self._heard.append(extract(batch))

    def _begin(self) -> Catalogue:
        self._heard.clear()
        self._log.listen(self._hear)  # first: a row that is read and heard changes nothing the second time
        parts = self._state.newest(fits(self._settings), self._log.holds, ("position", "rank"))
        catalogue = Catalogue()
        if parts is not None:
            catalogue.load(parts["rank"])
        positions = parts["position"]["position"].tolist() if parts else [0] * self._log.partitions
        with closing(Log(self._state.log, self._log.partitions, readonly=True)) as log:
            for partition in range(log.partitions):
                while (batch := log.read(partition, positions[partition], READ)) is not None:
                    _learn(catalogue, batch)
                    positions[partition] = batch.last + 1
        return catalogue


def _learn(catalogue: Catalogue, batch: Batch) -> None:
    catalogue.learn(clean(batch)[0] if len(batch.events) else batch)
