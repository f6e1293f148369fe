"""Which trained profiles are in force for the shoppers of a partition, and up to which row they know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.artefacts import OFF
from shopguide.records import Events, Kind
from shopguide.tastes import MODEL, Past


class Trained:
    """By what the partition's ACTIVATE rows say, the newest of them. ``version`` is empty where none are in force."""

    def __init__(self) -> None:
        self.version = ""
        self._read = 0
        self._since = 0.0

    def learn(self, events: Events) -> None:
        for row in np.flatnonzero(events.kind == Kind.ACTIVATE).tolist() if Kind.ACTIVATE in events.kinds else ():
            said, since = events.details(row), float(events.arrived[row])
            if MODEL in said["models"] and since > self._since:
                version = str(said["version"])
                self.version, self._read, self._since = version * (version != OFF), int(said.get("read", 0)), since

    def past(self, events: Mapping[str, NDArray[Any]]) -> Past:
        """What these profiles need of a user, whose kept events these are."""
        return Past.of(self.version, self._read, events)

    def dump(self) -> list[Any]:
        return [self.version, self._read, self._since]

    def load(self, state: list[Any] | None) -> None:
        self.version, self._read, self._since = state or ["", 0, 0.0]
