"""One ZeroMQ subscription for all browsers: each stream gets its token's newest list, as diff where that is enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress

from shopguide import wire
from shopguide.client import AsyncSubscriber, Keys, Update


class Listener:
    """A browser that waits. Only the newest update is kept for it: a slow one misses lists, not the last."""

    def __init__(self) -> None:
        self.update: Update | None = None  # None once it has arrived: the token has ended
        self.arrived = asyncio.Event()

    def give(self, update: Update | None) -> None:
        self.update = update
        self.arrived.set()


class Feed:
    """Of one event loop."""

    def __init__(self, endpoint: str, gap_endpoint: str, server_key: str | None, keys: Keys | None) -> None:
        self._subscriber = AsyncSubscriber(endpoint, gap_endpoint, server_key=server_key, client_keys=keys)
        self._listeners: dict[str, set[Listener]] = {}
        self._newest: dict[str, Update] = {}
        self._reader = asyncio.create_task(self._read())

    async def lists(self, token: str, expires: float) -> AsyncGenerator[tuple[str, str], None]:
        """(id "epoch-n", JSON of the message) for each list, a snapshot first; ends when the token does (epoch s)."""
        listener = Listener()
        self._listeners.setdefault(token, set()).add(listener)
        self._subscriber.subscribe(token)
        if token in self._newest:
            listener.give(self._newest[token])
        sent: wire.Seq | None = None
        try:
            while (left := expires - time.time()) > 0:
                try:
                    await asyncio.wait_for(listener.arrived.wait(), left)
                except TimeoutError:
                    return
                listener.arrived.clear()
                update = listener.update
                if update is None:
                    return
                fits = update.message["type"] == "diff" and sent == (update.seq[0], update.message["base"])
                message = update.message if fits else update.snapshot()
                sent = update.seq
                yield f"{sent[0]}-{sent[1]}", wire.dumps(message).decode()
        finally:
            self._leave(token, listener)

    async def close(self) -> None:
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader
        self._subscriber.close()

    def _leave(self, token: str, listener: Listener) -> None:
        others = self._listeners[token]
        others.discard(listener)
        if not others:
            del self._listeners[token]
            self._newest.pop(token, None)
            self._subscriber.unsubscribe(token)

    async def _read(self) -> None:
        async for token, update in self._subscriber:
            if update is not None and token in self._listeners:
                self._newest[token] = update
            for listener in self._listeners.get(token, ()):
                listener.give(update)
