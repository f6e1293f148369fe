"""Raw columns become rows of the log: ids become keys, users become keyed hashes, rows without consent go no further.

Every row given is either an event, or a MALFORMED row with its reason and raw bytes, or counted as refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shopguide.collect.attributes import Bools
from shopguide.collect.chunk import Chunk
from shopguide.collect.memory import Memory
from shopguide.collect.passage import NONE, Passage
from shopguide.keys import Secret
from shopguide.records import I64, Events, Names

MAX_ITEMS = 1 << 18  # items of a source whose attributes are remembered


@dataclass
class Encoded:
    """Rows for the log. ``row``: the row number in the source; ``derived``: an ITEM row that an event's attributes
    made; ``refused``: the rows that were without consent; ``source``: what the log calls the source."""

    events: Events
    names: Names
    row: I64
    derived: Bools
    refused: I64
    source: int = 0

    @property
    def rows(self) -> int:
        return len(self.events)


class Encoder:
    """Encodes chunks; remembers the keys of ids. Not for two threads at once. ``controls``: rows may also alias,
    retract and forget."""

    def __init__(self, secret: Secret, clock: Callable[[], float] = time.time, controls: bool = False) -> None:
        self.clock = clock
        self.memory = Memory(secret, controls)

    def encode(self, chunk: Chunk) -> Encoded:
        """The chunk's rows, in order, an item's new attributes before the event that brought them."""
        if len(chunk.known) > MAX_ITEMS:
            chunk.known.clear()
        passage = Passage(self.memory, chunk, self.clock())
        events, row, derived = passage.events(), np.arange(chunk.rows), np.zeros(chunk.rows, bool)
        news = passage.news()
        if len(news):
            events, row = Events.join([events, passage.items(news)]), np.concatenate([row, news])
            derived = np.arange(len(row)) >= chunk.rows
            place = np.argsort(row * 2 - derived, kind="stable")
            events, row, derived = events.take(place), row[place], derived[place]
        refused = NONE
        if passage.consent is not None:
            kept = passage.consent[row]
            refused = np.flatnonzero(~passage.consent)
            events, row, derived = events.take(kept), row[kept], derived[kept]
        return Encoded(events, passage.names(), chunk.rows_numbered()[row], derived, refused, chunk.source)
