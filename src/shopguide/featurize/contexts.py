"""The contexts that rows carry, as 32 bits each. Many rows of a visit say the same in the same bytes."""

from __future__ import annotations

import msgpack
import numpy as np

from shopguide.context import FIELDS, U32, packed
from shopguide.records import Events

MOST = 1 << 16  # distinct bytes that are remembered
_FIELDS = frozenset(FIELDS)


class Contexts:
    def __init__(self) -> None:
        self._packed: dict[bytes, int] = {b"": 0}

    def of(self, events: Events) -> U32:
        """uint32[n]: of each row; 0 where it has none. The rows have been cleaned."""
        if not len(events.data.values):
            return np.zeros(len(events), np.uint32)
        return np.fromiter(map(self._of, events.data.as_bytes()), np.uint32, len(events))

    def _of(self, data: bytes) -> int:
        found = self._packed.get(data)
        if found is None:
            said = msgpack.unpackb(data)
            found = packed({name: said[name] for name in FIELDS if name in said})
            if said.keys() <= _FIELDS:  # what was searched for would outlive a shopper who is forgotten
                if len(self._packed) >= MOST:
                    self._packed = {b"": 0}
                self._packed[data] = found
        return found
