"""What a task on a cluster does beside its work: it says when it begins, and writes its parts of snapshots."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from shopguide import interpreter
from shopguide.snapshot import Columns
from shopguide.storm.deployment import Deployment
from shopguide.tasks import Due, Offsets, Tasks

logger = logging.getLogger(__name__)


class Part(NamedTuple):
    """Of a snapshot: its name, what gives its columns, and for featurize the next row that it learns."""

    name: str
    dump: Callable[[], Columns]
    learned: int | None = None


class Member:
    """Of a task that has begun with what the newest snapshot holds."""

    def __init__(self, deployment: Deployment, offsets: Offsets, learned: Offsets) -> None:
        self._deployment = deployment
        self._tasks = Tasks(deployment.state.path)
        self._stamp = self._tasks.stamp()
        self._known = self._tasks.beginnings()
        self._life = self._tasks.begin(deployment.name, offsets, learned).life
        self._writer = ThreadPoolExecutor(1, "member")
        self._given: set[tuple[str, str]] = set()  # parts of the snapshots begun, that are written or being written

    def began(self) -> dict[str, Offsets]:
        """Other tasks that have begun since this was asked last, and the next row of each partition that they learn."""
        stamp = self._tasks.stamp()
        if stamp == self._stamp:
            return {}
        known, self._stamp, self._known = self._known, stamp, self._tasks.beginnings()
        others = {task: new for task, new in self._known.items() if task != self._deployment.name}
        return {task: new.learned for task, new in others.items() if new != known.get(task)}

    def contribute(self, parts: Callable[[Due], Iterator[Part]]) -> None:
        """Write one part that a snapshot waits for: columns are copied now, and written in a thread."""
        folder = self._deployment.state.begun()
        if folder is None:
            return
        due = Due(folder)
        if due.offsets is None or due.heard.get(self._deployment.name) != self._life:
            return
        for part in parts(due):
            key = folder.name, part.name
            if key not in self._given:
                self._given = {k for k in self._given if k[0] == folder.name} | {key}
                self._writer.submit(self._write, due, part, part.dump())
                return

    @staticmethod
    def _write(due: Due, part: Part, columns: Columns) -> None:
        try:
            due.write(part.name, columns, part.learned)
        except OSError as e:  # given up meanwhile, or the disk is full: the next snapshot
            logger.warning("part %s of snapshot %s is not written: %s", part.name, due.folder.name, e)
        interpreter.give_back()
