"""Which names catalogues were told already: most events are of items that others were of, and each batch names its."""

from __future__ import annotations

from shopguide.records import Batch, Names

MOST = 1 << 16  # names that are remembered
NO_NAMES = Names()


class Told:
    """Of catalogues in the same process, which begin anew together with this, and that forget no name."""

    def __init__(self) -> None:
        self._names: set[tuple[int, bytes]] = set()
        self._reached: dict[int, int] = {}

    def news(self, batch: Batch) -> Batch:
        """The batch, without names where they have all of them. Of one that comes again they may lack each: it was
        failed."""
        names = set(zip(batch.names.key.tolist(), batch.names.text.as_bytes(), strict=True))
        reached = self._reached.get(batch.partition, -1)
        self._reached[batch.partition] = max(batch.last, reached)
        if batch.first > reached and names <= self._names:
            return Batch(batch.partition, batch.first, batch.last, batch.events, NO_NAMES)
        if len(self._names) > MOST:
            self._names.clear()
        self._names |= names
        return batch
