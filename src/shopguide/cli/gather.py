"""Snapshots that the tasks of a topology write part by part: begun, completed, or given up (shopguide.tasks)."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from shopguide import snapshot
from shopguide.cli.keeper import Saved, told
from shopguide.compaction import Kept, retain
from shopguide.errors import StateError
from shopguide.featurize import REMEMBERED, remembered
from shopguide.log import Log
from shopguide.rejects import RejectFiles
from shopguide.settings import Settings
from shopguide.state import StateDir, fits, names
from shopguide.tasks import FEATURIZE, Due, Progress

logger = logging.getLogger(__name__)

PATIENCE = 60.0  # seconds that the parts of a snapshot may take


@dataclass(frozen=True)
class Wanted:
    """A snapshot begun after ``since`` (monotonic s); ``only``: no other is kept."""

    only: bool
    since: float = field(default_factory=time.monotonic)
    done: Future[None] = field(default_factory=Future)


class Gatherer:
    """One snapshot at a time, every ``state.every`` seconds while events come, or as soon as somebody wants one."""

    def __init__(self, state: StateDir, log: Log, rejects: RejectFiles, settings: Settings) -> None:
        self._state, self._log, self._rejects, self._settings = state, log, rejects, settings
        self._parts = names(settings.log.partitions)
        self._begun: Path | None = None
        self._since = 0.0  # monotonic s
        self._kept: list[int] | None = None  # what the newest snapshot of ours holds
        self._next = time.monotonic() + settings.state.every
        self._wanted: Wanted | None = None
        self._compaction: threading.Thread | None = None
        self._compacted: dict[int, int] = {}
        self.saved = Saved()

    def want(self, acked: list[int], only: bool) -> Future[None]:
        """A snapshot that holds all that is acked now; ``only``: and no other is kept."""
        wanted = Wanted(only)
        if acked == self._kept and not only:
            wanted.done.set_result(None)
        else:
            self._wanted = wanted
        return wanted.done

    def step(self, progress: Progress) -> None:
        """Begin a snapshot when there is to be one; complete it when all its parts are there."""
        if self._begun is None:
            due = time.monotonic() >= self._next and progress.acked != self._kept and any(progress.acked)
            if due or self._wanted is not None:
                self._begin()
            return
        found = Due(self._begun)
        if all(map(found.has, self._parts)):
            self._complete(found)
        elif self._outdated(found, progress):
            self._begun = None
        elif time.monotonic() - self._since > PATIENCE:
            self._begun = None
            missing = ", ".join(part for part in self._parts if not found.has(part))
            self._refuse(StateError(f"{missing} did not come within {PATIENCE:g} s; the log holds everything"))

    def finish(self) -> None:
        """Wait for what works in a thread."""
        if self._compaction is not None:
            self._compaction.join()

    def _begin(self) -> None:
        self._next = time.monotonic() + self._settings.state.every
        try:
            self._begun, self._since = self._state.begin(), time.monotonic()
        except StateError as e:
            self._refuse(e)

    def _outdated(self, due: Due, progress: Progress) -> bool:
        """Whether the parts are none that are wanted: a task has begun anew, or somebody has asked since."""
        asked = self._wanted is not None and self._since < self._wanted.since
        return asked or (due.offsets is not None and due.heard != progress.heard)

    def _complete(self, due: Due) -> None:
        assert due.offsets is not None
        wanted = self._wanted if self._wanted is not None and self._wanted.since <= self._since else None
        self._begun = None
        try:
            self._log.commit()
            self._rejects.commit()
            keep = 1 if wanted is not None and wanted.only else self._settings.state.keep
            path = self._state.complete(due.folder, self._parts, fits(self._settings), keep)
        except StateError as e:
            self._refuse(e)
            return
        self._kept = due.offsets
        self.saved.written += 1
        self.saved.seconds = time.monotonic() - self._since
        told(path, {p: at - 1 for p, at in enumerate(due.offsets)}, self.saved.seconds)
        self._rejects.settle(dict(enumerate(due.offsets)))
        if wanted is not None:
            self._wanted = None if self._wanted is wanted else self._wanted
            wanted.done.set_result(None)
        self._compact(path)

    def _refuse(self, why: StateError) -> None:
        """The disk takes no snapshot now."""
        self.saved.failed += 1
        logger.warning("no snapshot: %s", why)
        if self._wanted is not None:
            self._wanted.done.set_exception(why)
            self._wanted = None

    def _compact(self, path: Path) -> None:
        """What is beyond retention leaves the log."""
        learn = self._settings.learn
        if learn.retention is None and learn.retention_events is None:
            return
        self.finish()
        self._compaction = threading.Thread(target=self._retain, args=(path,), name="compaction", daemon=True)
        self._compaction.start()

    def _retain(self, path: Path) -> None:
        try:
            kept = {p: self._kept_of(p, path) for p in range(self._settings.log.partitions)}
            self._compacted = retain(self._log, kept, self._compacted)
            self._rejects.purge(lambda p, row: row["offset"] < self._compacted.get(p, 0))
        except (StateError, OSError) as e:
            logger.warning("the log is not compacted: %s", e)

    def _kept_of(self, partition: int, path: Path) -> Kept:
        name = f"{FEATURIZE}{partition}"
        from_, visitors, profiled = remembered(snapshot.read(path / name, name, REMEMBERED))
        return Kept(from_, visitors, profiled=profiled)
