"""Snapshots while the line goes on: written by a thread of its own, from columns copied at one moment."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from shopguide.compaction import retain
from shopguide.errors import StateError
from shopguide.log import Log
from shopguide.rejects import RejectFiles
from shopguide.snapshot import Columns
from shopguide.state import StateDir

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moment:
    """All tasks' states after the same rows: the last offset learned of each partition, and where retention begins."""

    parts: dict[str, Columns]
    reached: dict[int, int]
    kept_from: dict[int, int]


class Keeper:
    """One snapshot at a time. When it is durable, the log is told, and what is beyond retention leaves the log."""

    def __init__(self, state: StateDir, log: Log, fits: str, keep: int) -> None:
        self._state, self._log, self._fits, self._keep = state, log, fits, keep
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self.compacted: dict[int, int] = {}  # of each partition: all rows below are within retention or gone

    def busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def begin(self, moment: Moment, rejects: RejectFiles, only: bool = False) -> None:
        """Write a snapshot of the moment. ``only``: and keep no other."""
        self.finish()
        self._error = None
        self._thread = threading.Thread(target=self._save, args=(moment, rejects, only), name="keeper", daemon=True)
        self._thread.start()

    def finish(self) -> Exception | None:
        """Wait for the snapshot under way; what went wrong with the last one."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        return self._error

    def _save(self, moment: Moment, rejects: RejectFiles, only: bool) -> None:
        try:
            self._log.commit()
            rejects.commit()
            self._state.save(moment.parts, self._fits, 1 if only else self._keep)
            self._log.follow(moment.reached)
            self.compacted = retain(self._log, moment.kept_from, self.compacted)
        except Exception as e:
            self._error = e
            logger.warning("no snapshot: %s", e, exc_info=not isinstance(e, StateError))
