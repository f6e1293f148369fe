"""Server-sent events: a line's messages as frames, a heartbeat when it is quiet, an end when anyone hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

Message = tuple[str, str]
RETRY_MS = 1000


class Streams:
    """The open streams of one app, so that a shutdown can end them."""

    def __init__(self) -> None:
        self._pumps: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._pumps)

    def close(self) -> None:
        """End every open stream; their clients come back by themselves."""
        for pump in self._pumps:
            pump.cancel()

    async def frames(
        self, messages: AsyncGenerator[Message, None], last_id: str | None, heartbeat: float
    ) -> AsyncIterator[str]:
        """SSE frames of the messages. A heartbeat comes first, and after ``heartbeat`` seconds of silence: how many
        these are, so that a page knows a stream that has ended unheard. A first message whose id is ``last_id`` is left
        out: the client has that list. Ends with the messages, with close(), or when cancelled."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue(maxsize=1)
        pump = asyncio.create_task(_pump(messages, queue))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)
        try:
            beat = f"event: heartbeat\ndata: {heartbeat:g}\n\n"
            yield f"retry: {RETRY_MS}\n{beat}"
            while True:
                try:
                    message = await asyncio.wait_for(queue.get(), heartbeat)
                except TimeoutError:
                    yield beat
                    continue
                if message is None:
                    return
                if message[0] != last_id:
                    yield frame(*message)
                last_id = None
        finally:
            pump.cancel()


def frame(message_id: str, text: str) -> str:
    """One ``list`` event. JSON text has no raw newline, so it is one data line."""
    return f"id: {message_id}\nevent: list\ndata: {text}\n\n"


async def _pump(messages: AsyncGenerator[Message, None], queue: asyncio.Queue[Message | None]) -> None:
    """Move messages to the queue, one at a time; None is the end. A task of its own, so that the line's generator is
    closed in its own time even where the response is cancelled."""
    try:
        async for message in messages:
            await queue.put(message)
        await queue.put(None)
    except asyncio.CancelledError:
        if queue.full():
            queue.get_nowait()
        queue.put_nowait(None)
        raise
    finally:
        await messages.aclose()
