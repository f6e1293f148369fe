"""Imported rows counted: what was kept, what was without consent, and why others were rejected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shopguide.clean import Rejects, clean
from shopguide.collect.chunk import Chunk
from shopguide.collect.encode import Encoded
from shopguide.records import Batch, Events


@dataclass
class Tally:
    """``unreadable``: why rows are without consent that cannot be read, which says none; ``new``: of the rows kept and
    rejected those that the log did not have before."""

    rows: int = 0
    kept: int = 0
    without_consent: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    new: int = 0

    def count(self, chunk: Chunk, encoded: Encoded) -> tuple[Events, Rejects]:
        """Count a chunk, as the line will judge it: what is kept of it, and what is not. Offsets are places in it."""
        place = np.searchsorted(chunk.rows_numbered(), encoded.row)
        numbered = Events(**{**encoded.events.columns(), "offset": place}).take(~encoded.derived)
        kept, rejects = clean(Batch(0, 0, 0, numbered, encoded.names))
        self.rows += chunk.rows
        self.kept += len(kept.events)
        self.without_consent += len(encoded.refused)
        said = chunk.columns.get("consent", ())
        unsaid = [row for row in encoded.refused.tolist() if said[row] is False]
        self.unreadable.update(chunk.problems[row] for row in unsaid if row in chunk.problems)
        self.rejected.update(rejects.reason)
        return kept.events, rejects

    def report(self) -> dict[str, Any]:
        counts = {name: dict(getattr(self, name).most_common()) for name in ("unreadable", "rejected")}
        return {**vars(self), **counts}
