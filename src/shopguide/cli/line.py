"""The whole line in one process: log, collector, the topology in the local runner, the push server.

The runner works in a thread of its own; the collector may be called from any thread. Nothing but the log and the push
server connects them; what has to see the stages at one moment is called in the runner's thread (:meth:`call`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shopguide.catalogue import Catalogue
from shopguide.cli.door import Line
from shopguide.cli.keeper import Keeper, Moment, Saved
from shopguide.compaction import Kept
from shopguide.errors import ShopguideError, StateError
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.settings import Settings
from shopguide.state import StateDir, fits
from shopguide.storm import deployment
from shopguide.storm.runner import LocalRunner
from shopguide.tasks import Told
from shopguide.topologies.recommend import Recommend

if TYPE_CHECKING:
    from shopguide.kafka.log import KafkaLog
    from shopguide.kafka.publisher import Publisher

logger = logging.getLogger(__name__)

PARTING = 10.0  # seconds to deliver the last lists when the process ends
IDLE = 0.2  # seconds between looks at the log when nothing was appended

T = TypeVar("T")


class RunningLine(Line):
    """``push`` False: nobody subscribes. ``lists`` publishes them to a topic that is not the log's own."""

    def __init__(
        self,
        state: StateDir,
        settings: Settings,
        push: bool = True,
        open_log: Callable[[Path, Secret], KafkaLog] | None = None,
        lists: Publisher | None = None,
    ) -> None:
        super().__init__(state, settings, open_log)
        self._lists = lists
        self.publisher = lists or getattr(self.log, "publisher", None)
        if push:
            self.push = self._pushing()
        self._fits = fits(settings)
        self.runner = LocalRunner(Recommend, self._configuration, pending=settings.log.pending)
        self._keeper = Keeper(state, self.log, self._fits, settings.state.keep)
        self._kept = self.positions()  # of the newest snapshot
        self._next_snapshot = time.monotonic() + settings.state.every
        self._purged: dict[int, int] = {}
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._thread = threading.Thread(target=self._work, name="runner", daemon=True)
        self._stopping = threading.Event()

    def start(self) -> None:
        if self.push is not None:
            self.push.start()
        self._thread.start()

    def stop(self) -> None:
        """Work off the log and write a snapshot first."""
        self._stopping.set()
        self.log.appended.set()
        self._thread.join()
        if self._lists is not None:
            self._lists.give_up()
        if self._error is None:
            self._keep()
        self._keeper.finish()
        if self._error is None:
            self._follow()
        self.runner.close()
        self._close()

    def positions(self) -> dict[int, int]:
        return dict(self.runner.spouts[0].component.positions)

    def learned(self) -> dict[int, int]:
        return self.call(self.positions)

    def call(self, work: Callable[[], T]) -> T:
        """The result of ``work``, done in the runner's thread while nothing is under way."""
        future: Future[T] = Future()
        self._jobs.append((work, future))
        self.log.appended.set()
        while True:
            try:
                return future.result(IDLE)
            except TimeoutError:
                self.raise_error()

    def snapshot(self, only: bool = False) -> None:
        self.call(lambda: self._keep(only))
        error = self._keeper.finish()
        if error is not None:
            raise error

    def stage(self, name: str) -> Any:
        return self.runner.stages()[f"{name}-0"]

    def numbers(self) -> dict[str, Told]:
        return self.runner.numbers()

    def missing(self) -> list[str]:
        return []

    @property
    def saved(self) -> Saved:
        return self._keeper.saved

    @property
    def restarts(self) -> int:
        return self.runner.restarts

    def knows(self, item: int) -> bool:
        return self.catalogue().name(item) is not None

    def catalogue(self) -> Catalogue:
        found: Catalogue = self.stage("rank").catalogue
        return found

    def _configuration(self) -> dict[str, Any]:
        parts = self.state.newest(self._fits, self.log.holds) or {}
        configuration = {
            deployment.STATE: str(self.state.path),
            deployment.LOG: self.log,
            deployment.PARTS: parts,
            deployment.PUBLISHER: self.publisher,
            "pystorm.log.level": self.settings.run.level,
        }
        if self.push is not None:
            configuration[deployment.INTAKE] = self.push.intake
        return configuration

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                self.turned = time.monotonic()
                self.log.raise_error()
                self.log.appended.clear()
                self._do_jobs()
                self._follow()
                if self._lists is not None:
                    self._lists.turn()
                if time.monotonic() >= self._next_snapshot and not self._keeper.busy():
                    self._keep()
                if self.runner.step():
                    self.runner.settle()
                else:
                    self.log.appended.wait(IDLE)
            self.runner.drain()
            self._do_jobs()
        except Exception as e:
            if not isinstance(e, ShopguideError):
                logger.exception("the runner ended")
            self._error = e

    def _do_jobs(self) -> None:
        while self._jobs:
            work, future = self._jobs.popleft()
            self.runner.settle()
            try:
                future.set_result(work())
            except Exception as e:
                future.set_exception(e)

    def _keep(self, only: bool = False) -> None:
        """Begin a snapshot of this moment, unless the newest one is of the same."""
        self._next_snapshot = time.monotonic() + self.settings.state.every
        self.runner.settle()
        positions = self.positions()
        if (positions == self._kept or not self._delivered()) and not only:
            return
        featurizer, rejects = self.stage("featurize"), self.stage("reject")
        parts = {
            "position": {"position": np.array([positions[p] for p in range(self.log.partitions)])},
            **{f"featurize-{p}": featurizer.dump(p) for p in range(self.log.partitions)},
            "score": self.stage("score").dump(),
            "rank": self.stage("rank").dump(),
        }
        known = self._let_go(parts["score"]["items.item_keys"]) if isinstance(self.log, Log) else None
        kept = {
            p: Kept(featurizer.kept_from(p), featurizer.visitors(p), known, featurizer.profiled(p)) for p in positions
        }
        self._purge(rejects)
        self._keeper.begin(Moment(parts, {p: at - 1 for p, at in positions.items()}, kept), rejects, only)
        self._kept = positions

    def _delivered(self) -> bool:
        """Whether the lists of all that was learned are out: only then is a snapshot kept, from which a new start makes
        no list again."""
        if self._lists is None or self._lists.flush(PARTING if self._stopping.is_set() else 1.0):
            return True
        if self._stopping.is_set():
            logger.warning("the last lists are not delivered; the next start makes them again")
        return False

    def _let_go(self, live: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """What only rows beyond retention say of items goes; the keys of what the catalogue still knows. A topic's rows
        may say it again at any time."""
        featurizer, stages = self.stage("featurize"), self.runner.stages()
        kept_from = [featurizer.kept_from(p) for p in range(self.log.partitions)]
        rankers = [s for name, s in stages.items() if name.startswith("rank-")]
        scorers = [s for name, s in stages.items() if name.startswith("score-")]
        for ranker in rankers:
            gone = ranker.catalogue.forget(live, kept_from)
        for scorer in scorers:
            scorer.forget(gone)
        known: NDArray[np.uint64] = rankers[0].catalogue.known()
        return known

    def _follow(self) -> None:
        """Tell the log of a snapshot that has become durable, while nothing is under way."""
        reached = self._keeper.take_durable()
        if reached is not None:
            self.runner.settle()
            self.stage("reject").settle({partition: last + 1 for partition, last in reached.items()})
            self.log.follow(reached)

    def _purge(self, rejects: Any) -> None:
        """Rejected rows live as long as the rows of the log."""
        gone = self._keeper.compacted
        if gone != self._purged:
            try:
                rejects.purge(lambda p, row: row["offset"] < gone.get(p, 0))
                self._purged = gone
            except StateError as e:
                logger.warning("%s", e)
