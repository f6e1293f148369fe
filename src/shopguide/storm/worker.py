"""The stages in a process of their own: ``python -m shopguide.storm.worker STATE DESCRIPTOR``, begun by its line
(:mod:`shopguide.cli.beside`).

They work in the local runner, over the state directory as tasks on a cluster do. The descriptor is one of a pair of
sockets: a byte to the line says that the stages have begun, one from it that there may be rows, its end that the line
has gone, killed or not. Then this ends, too.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path

from shopguide import interpreter, journal
from shopguide.errors import ShopguideError
from shopguide.settings import Settings
from shopguide.state import StateDir
from shopguide.storm import deployment
from shopguide.storm.runner import LocalRunner
from shopguide.topologies.recommend import Recommend

logger = logging.getLogger(__name__)

IDLE = 0.05  # seconds between looks at the log and the directory where no byte comes
ROOM = 1 << 16  # bytes that are taken at once


class Worker:
    """One at a time works on a directory: the next one waits until this has let go of it."""

    def __init__(self, state: StateDir, settings: Settings, descriptor: int) -> None:
        self._lock = os.open(state.path / "worker", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        conf = {deployment.STATE: str(state.path), "pystorm.log.level": settings.run.level}
        self._runner = LocalRunner(Recommend, lambda: conf, pending=settings.log.pending)
        with suppress(ConnectionError):  # the line has gone meanwhile
            os.write(descriptor, b"\0")

    def run(self) -> None:
        """Until the line has gone. Raises ShopguideError where a component keeps raising."""
        busy = True
        while self._wait(0 if busy else IDLE):
            busy = self._runner.step()
            self._runner.settle()
        self._runner.close()

    def _wait(self, seconds: float) -> bool:
        """For a byte at most; False: the line has gone."""
        try:
            return not self._poll.poll(seconds * 1000) or bool(os.read(self._descriptor, ROOM))
        except ConnectionError:
            return False


def main() -> None:
    """Signals that all processes of a group or a service get are the line's to obey."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    state = StateDir(Path(sys.argv[1]))
    interpreter.tune()
    try:
        settings = state.settings()
        journal.begin(settings.run.logs, settings.run.level)
        Worker(state, settings, int(sys.argv[2])).run()
    except ShopguideError as e:
        logger.error("%s", e)
        sys.exit(1)
    except Exception:
        logger.exception("the stages ended")
        sys.exit(1)


if __name__ == "__main__":
    main()
