"""A thread beside an event loop, for what may block and is done all the time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

Job = tuple[Callable[[], object], asyncio.Future[None]]


class Aside:
    """Does one thing after another: the way there and back is less than half of what an executor's costs."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="aside", daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], object]) -> asyncio.Future[None]:
        """For the running loop: done when the work is, fails with what it raises. It is done also where nobody waits
        any more."""
        future = asyncio.get_running_loop().create_future()
        self._jobs.put((work, future))
        return future

    def close(self) -> None:
        """Return when all is done that was given."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            error = None
            try:
                work()
            except Exception as e:
                error = e
            future.get_loop().call_soon_threadsafe(_tell, future, error)


def _tell(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
