"""The catalogue as the log says it, for a line whose stages work elsewhere."""

from __future__ import annotations

import threading

from shopguide.catalogue import Catalogue
from shopguide.clean import clean
from shopguide.log import Log
from shopguide.settings import Settings
from shopguide.state import StateDir, fits

READ = 65536  # rows a batch


class Follower:
    """Begins from the newest snapshot and reads on. Any thread may call it."""

    def __init__(self, state: StateDir, settings: Settings) -> None:
        self._state, self._settings = state, settings
        self._catalogue: Catalogue | None = None
        self._positions: list[int] = []
        self._lock = threading.Lock()

    def catalogue(self) -> Catalogue:
        """After every row that the log holds now. Raises StateError where the log cannot be read."""
        with self._lock:
            catalogue = self._catalogue = self._catalogue or self._begin()
            for partition in range(len(self._positions)):
                while (batch := self._log.read(partition, self._positions[partition], READ)) is not None:
                    catalogue.learn(clean(batch)[0])
                    self._positions[partition] = batch.last + 1
            return catalogue

    def _begin(self) -> Catalogue:
        self._log = Log(self._state.log, self._settings.log.partitions, readonly=True)
        parts = self._state.newest(fits(self._settings), self._log.holds, ("position", "rank"))
        catalogue = Catalogue()
        if parts is not None:
            catalogue.load(parts["rank"])
        self._positions = parts["position"]["position"].tolist() if parts else [0] * self._log.partitions
        return catalogue
