"""The whole line in one process: log, collector, the topology in the local runner, the push server.

The runner works in a thread of its own; the collector may be called from any thread. Nothing but the log and the push
server connects them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shopguide.collect.collector import Collector
from shopguide.errors import ShopguideError, StateError
from shopguide.kafka.binding import refuse_bound
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.push import PushServer
from shopguide.records import Kind
from shopguide.settings import Settings
from shopguide.state import StateDir, fits
from shopguide.storm import deployment
from shopguide.storm.runner import LocalRunner
from shopguide.tokens import KeyRing
from shopguide.topologies.recommend import Recommend

if TYPE_CHECKING:
    from shopguide.kafka.log import KafkaLog

logger = logging.getLogger(__name__)

IDLE = 0.2  # seconds between looks at the log when nothing was appended


class RunningLine:
    """A line on a state directory, from :meth:`start` to :meth:`stop`. ``push`` False: nobody subscribes.
    ``open_log`` gives the log of that directory; None: its own."""

    def __init__(
        self,
        state: StateDir,
        settings: Settings,
        push: bool = True,
        open_log: Callable[[Path, Secret], KafkaLog] | None = None,
    ) -> None:
        state.take()
        self.state, self.settings = state, settings
        self.secret = Secret.load(state.path, create=True)
        self.log = open_log(state.path, self.secret) if open_log else self._own_log()
        state.keep_settings(settings)
        self.collector = Collector(self.log, self.secret)
        self.keys = KeyRing.of(self.secret)
        self.push: PushServer | None = None
        if push:
            self.push = PushServer(settings.push, self.keys, state.path, self._watched, self._unwatched)
        self._fits = fits(settings, {spec.name: spec.par for spec in Recommend.specs})
        self.runner = LocalRunner(Recommend, self._configuration, pending=settings.log.pending)
        self._thread = threading.Thread(target=self._work, name="runner", daemon=True)
        self._stopping = threading.Event()
        self._error: Exception | None = None

    def start(self) -> None:
        if self.push is not None:
            self.push.start()
        self._thread.start()

    def stop(self) -> None:
        """Work off the log, write a snapshot, let go of everything."""
        self._stopping.set()
        self.log.appended.set()
        self._thread.join()
        try:
            if self._error is None:
                self._save()
        except StateError as e:
            logger.warning("%s", e)
        self.runner.close()
        if self.push is not None:
            self.push.stop()
        self.log.close()
        self.state.release()
        self.raise_error()

    def behind(self) -> int:
        """Rows of the log that the spout has not read yet."""
        positions: dict[int, int] = self.runner.spouts[0].component.positions
        return sum(self.log.end(p) - position for p, position in positions.items()) // self.log.stride

    def catch_up(self, within: int = 0) -> None:
        """Wait until at most ``within`` rows of the log are unread. Raises what ended the runner, if it did."""
        while self.behind() > within:
            self.raise_error()
            time.sleep(0.002)

    def failed(self) -> bool:
        """Whether the runner ended with an error."""
        return self._error is not None

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def stage(self, name: str) -> Any:
        """The first task's stage object of a component; for counting only while the runner works."""
        return self.runner.stages()[f"{name}-0"]

    def _own_log(self) -> Log | KafkaLog:
        refuse_bound(self.state.path)
        return Log(self.state.log, self.settings.log.partitions, self.settings.log.segment_bytes)

    def _configuration(self) -> dict[str, Any]:
        parts = self.state.newest(self._fits) or {}
        configuration = {
            deployment.STATE: str(self.state.path),
            deployment.SETTINGS: self.settings.model_dump_json(),
            deployment.LOG: self.log,
            deployment.PARTS: parts,
        }
        if self.push is not None:
            configuration[deployment.INTAKE] = self.push.intake
        return configuration

    def _work(self) -> None:
        try:
            while not self._stopping.is_set():
                self.log.raise_error()
                self.log.appended.clear()
                if not self.runner.step():
                    self.log.appended.wait(IDLE)
            self.runner.drain()
        except Exception as e:
            if not isinstance(e, ShopguideError):
                logger.exception("the runner ended")
            self._error = e

    def _save(self) -> None:
        self.log.commit()
        states = {name: s.dump() for name, s in self.runner.stages().items() if hasattr(s, "dump")}
        positions = self.runner.spouts[0].component.positions
        states["position"] = {
            "position": np.array([positions[p] for p in range(self.log.partitions)]),
        }
        self.state.save(states, self._fits)
        self.log.follow({p: position - 1 for p, position in positions.items()})

    def _watched(self, user: int, expires: float) -> None:
        self.collector.control(Kind.WATCH, user, expires=expires, slot="home", n=self.settings.rank.n)

    def _unwatched(self, user: int) -> None:
        self.collector.control(Kind.UNWATCH, user)
