"""Coroutines that wait for a user's next recommendation, woken from another thread."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable
from typing import Any

logger = logging.getLogger(__name__)


class Waiters:
    """Each waits on a future of its own event loop."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[asyncio.Future[Any]]] = {}
        self._lock = threading.Lock()

    def next(self, user: int, timeout: float) -> Awaitable[dict[str, Any] | None]:
        """What :meth:`wake` brings next for the user; None where nothing does in ``timeout`` seconds. Call from a
        running loop. It counts from the call, so a question can be asked between the call and the await."""
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.setdefault(user, []).append(future)
        return self._wait(user, future, timeout)

    def wake(self, user: int, recommendation: dict[str, Any] | None) -> None:
        """Give it to all who wait for the user. From any thread."""
        with self._lock:
            futures = self._waiting.pop(user, [])
        for future in futures:
            try:
                future.get_loop().call_soon_threadsafe(_resolve, future, recommendation)
            except RuntimeError:
                logger.debug("a loop was closed while it waited for a list")

    def users(self) -> list[int]:
        """For whom somebody waits."""
        return list(self._waiting)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def _wait(self, user: int, future: asyncio.Future[Any], timeout: float) -> dict[str, Any] | None:
        try:
            return await asyncio.wait_for(future, timeout)
        except TimeoutError:
            return None
        finally:
            with self._lock:
                others = [f for f in self._waiting.pop(user, []) if f is not future]
                if others:
                    self._waiting[user] = others


def _resolve(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
