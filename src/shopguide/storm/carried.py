"""Records in tuples: packed where Storm carries them, as they are where all tasks are in one process.

Whoever gets one must not change it: others have it too.
"""

from __future__ import annotations

from typing import Any

from pystorm.component import Component

from shopguide.records import Record, pack, unpack


def carried(component: Component, record: Record) -> Record | bytes:
    """What stands for a record in a tuple that a component emits."""
    return record if getattr(component.serializer, "in_memory", False) else pack(record)


def record_of(tup: Any) -> Any:
    """The record of a tuple [partition, record]. Raises PackingError for bytes that are none."""
    value = tup.values[1]
    return value if isinstance(value, Record) else unpack(value)
