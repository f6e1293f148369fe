"""Snapshots while the line goes on: written by a thread of its own, from columns copied at one moment."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shopguide import interpreter
from shopguide.compaction import Kept, retain
from shopguide.errors import StateError
from shopguide.log import Log
from shopguide.rejects import RejectFiles
from shopguide.snapshot import Columns
from shopguide.state import StateDir

if TYPE_CHECKING:
    from shopguide.kafka.log import KafkaLog

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moment:
    """All tasks' states after the same rows: the last offset learned of each partition, and what its retention is."""

    parts: dict[str, Columns]
    reached: dict[int, int]
    kept: dict[int, Kept]


@dataclass
class Saved:
    """Snapshots written and not written since the start; ``seconds`` that the last one took."""

    written: int = 0
    failed: int = 0
    seconds: float = 0.0


def told(path: Path, reached: dict[int, int], seconds: float) -> None:
    """Say that a snapshot is written, of all rows up to these offsets."""
    if logger.isEnabledFor(logging.INFO):
        nbytes = sum(file.stat().st_size for file in path.iterdir())
        logger.info("snapshot written", extra={"offsets": reached, "seconds": round(seconds, 3), "bytes": nbytes})


class Keeper:
    """One snapshot at a time. When it is durable, what is beyond retention leaves the log."""

    def __init__(self, state: StateDir, log: Log | KafkaLog, fits: str, keep: int) -> None:
        self._state, self._log, self._fits, self._keep = state, log, fits, keep
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._durable: dict[int, int] | None = None
        self.saved = Saved()
        self.compacted: dict[int, int] = {}  # of each partition: all rows below are within retention or gone

    def busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def begin(self, moment: Moment, rejects: RejectFiles, only: bool = False) -> None:
        """Write a snapshot of the moment. ``only``: and keep no other."""
        self.finish()
        self._error = None
        self._thread = threading.Thread(target=self._save, args=(moment, rejects, only), name="keeper", daemon=True)
        self._thread.start()

    def take_durable(self) -> dict[int, int] | None:
        """How far the newest durable snapshot has learned; None where that was said before."""
        durable, self._durable = self._durable, None
        return durable

    def finish(self) -> Exception | None:
        """Wait for the snapshot under way; what went wrong with the last one."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        return self._error

    def _save(self, moment: Moment, rejects: RejectFiles, only: bool) -> None:
        began = time.monotonic()
        try:
            self._log.commit()
            rejects.commit()
            path = self._state.save(moment.parts, self._fits, 1 if only else self._keep)
            moment.parts.clear()  # memory that compaction can have
            self.saved.written += 1
            self.saved.seconds = time.monotonic() - began
            told(path, moment.reached, self.saved.seconds)
            self._durable = moment.reached
            if isinstance(self._log, Log):
                self.compacted = retain(self._log, moment.kept, self.compacted)
        except Exception as e:
            self._error = e
            self.saved.failed += 1
            logger.warning("no snapshot: %s", e, exc_info=not isinstance(e, StateError))
        interpreter.give_back()
