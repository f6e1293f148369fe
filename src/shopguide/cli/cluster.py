"""A line whose stages work on a Storm cluster: log, collector and push server here, the topology there.

One thread serves the tasks and gathers snapshots (shopguide.tasks). What has to see the stages themselves (whom a
person was joined with, the model's checksum) is read from the newest snapshot and the log, as at rest.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

from shopguide.catalogue import Catalogue
from shopguide.cli.at_rest import AtRest
from shopguide.cli.door import Line
from shopguide.cli.follower import Follower
from shopguide.cli.gather import Gatherer
from shopguide.cli.host import Host
from shopguide.cli.keeper import Saved
from shopguide.errors import StateError
from shopguide.log import Log
from shopguide.rejects import RejectFiles
from shopguide.settings import Settings
from shopguide.state import StateDir
from shopguide.storm.holder import door_keys
from shopguide.tasks import Progress, Tasks, Told
from shopguide.topologies.recommend import Recommend

logger = logging.getLogger(__name__)

TURN = 0.02  # seconds between looks at what the tasks say
SILENCE = 10.0  # seconds without a sign of the spout after which nobody waits for the topology

T = TypeVar("T")


class ClusterLine(Line):
    """``push`` False: nobody subscribes. Raises StateError where the log is none of its own."""

    log: Log

    def __init__(self, state: StateDir, settings: Settings, push: bool = True) -> None:
        super().__init__(state, settings)
        self._tasks = Tasks(state.path)
        self._progress = self._tasks.progress()
        if state.drop_ahead(self.log.holds) or not self.log.holds(self._reached().read):
            self._tasks.renew()
            self._progress = None
        self._rejects = RejectFiles(state.rejects)
        self._follower = Follower(state, settings, self.log)
        self._host = Host(self.log, self.secret, settings.storm.host)
        if push:
            self.push = self._pushing(f"tcp://{settings.storm.host}:*", door_keys(self.secret)[1])
        self._gatherer = Gatherer(state, self.log, self._rejects, settings)
        self._leaving = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="host", daemon=True)

    def start(self) -> None:
        if self.push is not None:
            self.push.start()
        self.state.announce(rows=self._host.endpoint, lists=self.push.intake if self.push else None)
        self._thread.start()

    def stop(self) -> None:
        """Wait for the topology, as long as there is one, to work off the log, and for a snapshot first."""
        if self._error is None and self._tasks.silent() < SILENCE:
            self._leaving = True
            try:
                self.learn_all()
                self.snapshot()
            except StateError as e:
                logger.warning("%s", e)
            self._leaving = False
        self._dismiss()
        self._stopping.set()
        self._thread.join()
        self._gatherer.finish()
        self._host.close()
        self._close()

    def positions(self) -> dict[int, int]:
        return dict(enumerate(self._reached().read))

    def learned(self) -> dict[int, int]:
        return dict(enumerate(self._reached().acked))

    def call(self, work: Callable[[], T]) -> T:
        return work()

    def raise_error(self) -> None:
        super().raise_error()
        if self._leaving and self._tasks.silent() > SILENCE:
            raise StateError("the topology has gone; what it has not learned is in the log")

    def snapshot(self, only: bool = False) -> None:
        future = self._gatherer.want(self._reached().acked, only)
        while True:
            try:
                return future.result(1)
            except TimeoutError:
                self.raise_error()

    def stage(self, name: str) -> Any:
        if name == "reject":
            return self._rejects
        with closing(AtRest(self.state.path)) as found:
            return {"featurize": found.featurizer, "score": found.scorer, "rank": found.ranker}[name]

    def numbers(self) -> dict[str, Told]:
        self._tasks.drop_silent()
        return self._tasks.told()

    def missing(self) -> list[str]:
        """Those of the stages, and of what each says that there are of it."""
        told = self._tasks.told()
        widths = {spec.name: 1 for spec in Recommend.specs}
        widths |= {task.rpartition("-")[0]: of.width for task, of in told.items()}
        tasks = {f"{name}-{at}" for name, width in widths.items() for at in range(width)}
        return sorted(tasks - told.keys())

    @property
    def saved(self) -> Saved:
        return self._gatherer.saved

    @property
    def restarts(self) -> int:
        return 0

    def knows(self, item: int) -> bool:
        """Only the topology could tell."""
        return True

    def catalogue(self) -> Catalogue:
        return self._follower.catalogue()

    def _dismiss(self) -> None:
        """Let go of a topology that works for this process alone."""

    def _reached(self) -> Progress:
        none = [0] * self.log.partitions
        return self._progress or Progress("", none, none)

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                self.turned = time.monotonic()
                self._host.serve(TURN)
                self._progress = self._tasks.progress() or self._progress
                self._gatherer.step(self._reached())
                self._follower.keep_up()
        except Exception as e:
            logger.exception("the host of the tasks ended")
            self._error = e
