"""A line whose stages work in a process of their own beside it (:mod:`shopguide.storm.worker`), on another core.

It is that of a cluster, with one worker: begun by the line, woken for each append, begun again where it is killed.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import wait

from shopguide.cli.cluster import ClusterLine
from shopguide.errors import ShopguideError
from shopguide.records import Batch
from shopguide.settings import Settings
from shopguide.state import StateDir

logger = logging.getLogger(__name__)

COMMAND = [sys.executable, "-P", "-m", "shopguide.storm.worker"]
LOOK = 0.1  # seconds between two looks whether it is still coming up
AGAIN = 0.5  # seconds between two workers
END = 10.0  # seconds that a worker may take to end by itself


class BesideLine(ClusterLine):
    """``push`` False: nobody subscribes."""

    def __init__(self, state: StateDir, settings: Settings, push: bool = True) -> None:
        super().__init__(state, settings, push)
        self._restarts = 0
        self._ours, self._its = socket.socketpair()
        self._ours.setblocking(False)
        self._dismissed = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="worker", daemon=True)

    def start(self) -> None:
        super().start()
        self._worker = self._begin()
        while not wait([self._ours], LOOK) and self._worker.poll() is None:
            pass  # it reads its snapshot
        self.log.listen(self._wake)
        self._tending.start()

    @property
    def restarts(self) -> int:
        return self._restarts

    def _begin(self) -> subprocess.Popen[bytes]:
        its, state = self._its.fileno(), str(self.state.path.absolute())
        worker = subprocess.Popen([*COMMAND, state, str(its)], pass_fds=(its,), stdin=subprocess.DEVNULL)
        self.state.announce(worker=worker.pid)
        return worker

    def _wake(self, batch: Batch) -> None:
        with suppress(OSError):  # it has enough to wake up for, or has been dismissed
            self._ours.send(b"\0")

    def _tend(self) -> None:
        """Begin another worker where one was killed; where it ended by itself, another would, too."""
        while not self._dismissed.is_set():
            code = self._worker.wait()
            if self._dismissed.is_set():
                return
            if code >= 0:
                self._error = ShopguideError("the stages' process ended; it has said why")
                return
            logger.error("the stages' process was killed (signal %s): beginning another", -code)
            if self._dismissed.wait(AGAIN):
                return
            self._restarts += 1
            self._worker = self._begin()

    def _dismiss(self) -> None:
        self._dismissed.set()
        self._ours.close()
        try:
            self._worker.wait(END)
        except subprocess.TimeoutExpired:
            self._worker.kill()
        self._tending.join()
        self._its.close()
