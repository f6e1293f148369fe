"""Group commit: what comes while the log is being written waits, and is then written together, by one commit.

Where several send at once, those who were just answered are waited for a moment, since most have more to send: half as
many commits, each of twice as much, cost less.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from shopguide.display.doubles import Doubles
from shopguide.display.line import Line, Receipt

MOMENT = 0.004  # seconds that a group waits at most for those of the last one

Rows = list[dict[str, Any]]


class GroupCommit:
    """Over one line, of one event loop. Batches are written in the order in which they come; one that comes alone is
    written at once."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._doubles = Doubles()
        self._waiting: list[tuple[Rows, asyncio.Future[Receipt]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._expected = 0  # batches
        self._complete = asyncio.Event()

    async def collect(self, rows: Rows, patience: float | None = None) -> Receipt:
        """Have the log take what is new among the rows; returns when that is durable, and all that came before.

        Raises what the line raises: then nothing of the group counts as having come, and it may be sent again. Raises
        TimeoutError after ``patience`` seconds. Who hears that, or is cancelled, does not hear of the rows: they are
        written.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Receipt] = loop.create_future()
        late = loop.call_later(patience, _give_up, answer) if patience is not None else None
        self._waiting.append((rows, answer))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        if len(self._waiting) >= self._expected:
            self._complete.set()
        try:
            return await answer
        finally:
            if late is not None:
                late.cancel()

    async def close(self) -> None:
        """Return when nothing waits any more."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                new = self._doubles.without([rows for rows, _ in group])
                receipts = await self._line.append(new)
                await self._line.commit()
            except Exception as error:
                for _, answer in group:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            self._doubles.remember(new)
            for (_, answer), receipt in zip(group, receipts, strict=True):
                if not answer.done():
                    answer.set_result(receipt)
            await self._wait_for(len(group) + len(self._waiting))
        self._writing = None

    async def _wait_for(self, batches: int) -> None:
        """Return when so many wait, or after a moment. For one alone nobody waits."""
        if batches > 1:
            self._expected = batches
            self._complete.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(MOMENT):
                    await self._complete.wait()


def _give_up(answer: asyncio.Future[Receipt]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
