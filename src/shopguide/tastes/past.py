"""What a look brings along of what its user did, for the profiles in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

from shopguide.records import F64, LEARNED, U8, U64

REMEMBERED = 1000  # newest events on each side of the frontier that are looked at
_LEARNED = np.isin(np.arange(256), LEARNED)


class Past(NamedTuple):
    """The signs of interest that are held of a user; the last ``since`` of them came after what the training of
    ``version`` read, which it had ``before`` of that are still held."""

    version: str
    before: int
    since: int
    item: U64
    kind: U8
    time: F64

    @classmethod
    def of(cls, version: str, read: int, events: Mapping[str, NDArray[Any]]) -> Past:
        """``read``: the offset after the last row that training read; ``events``: item, kind, time and offset."""
        learned, new = _LEARNED[events["kind"]], events["offset"] >= read
        old = np.flatnonzero(learned & ~new)
        since = np.flatnonzero(learned & new)[-REMEMBERED:]
        rows = np.concatenate((old[-REMEMBERED:], since))
        return cls(version, len(old), len(since), events["item"][rows], events["kind"][rows], events["time"][rows])

    def packed(self) -> bytes:
        columns = (np.asarray(column, dtype).tobytes() for column, dtype in zip(self[3:], _TYPES, strict=True))
        return msgpack.packb([*self[:3], *columns])  # type: ignore[no-any-return]

    @classmethod
    def unpacked(cls, data: bytes) -> Past:
        version, before, since, *columns = msgpack.unpackb(data)
        return cls(version, before, since, *map(np.frombuffer, columns, _TYPES))


_TYPES = ("<u8", "u1", "<f8")  # of item, kind, time
