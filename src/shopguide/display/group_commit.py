"""Group commit: what comes while the log is being written waits, and is then written together, by one commit.

Where several send at once, those who were just answered are waited for a moment, since most have more to send: half as
many commits, each of twice as much, cost less.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from shopguide.display.doubles import Doubles
from shopguide.display.line import Line, Receipt

MOMENT = 0.004  # seconds that a group waits at most for those of the last one
PATIENCE = 10.0  # seconds that an answer waits for the disk

Rows = list[dict[str, Any]]


class Batch(NamedTuple):
    """Rows that came together, the answer to who brought them, and when that is too late (the loop's time)."""

    rows: Rows
    answer: asyncio.Future[Receipt]
    late: float


class GroupCommit:
    """Over one line, of one event loop. Batches are written in the order in which they come; one that comes alone is
    written at once."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._doubles = Doubles()
        self._waiting: list[Batch] = []
        self._under_way: list[Batch] = []
        self._writing: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None  # for the answer that is the first to be late
        self._expected = 0  # batches
        self._complete = asyncio.Event()

    def collect(self, rows: Rows) -> asyncio.Future[Receipt]:
        """Have the log take what is new among the rows; done when that is durable, and all that came before.

        Fails with what the line raises: then nothing of the group counts as having come, and it may be sent again.
        Fails with TimeoutError after PATIENCE. Who hears that, or is cancelled, does not hear of the rows: they are
        written.
        """
        loop = asyncio.get_running_loop()
        batch = Batch(rows, loop.create_future(), loop.time() + PATIENCE)
        self._waiting.append(batch)
        if self._watch is None:
            self._watch = loop.call_at(batch.late, self._give_up)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        if len(self._waiting) >= self._expected:
            self._complete.set()
        return batch.answer

    async def close(self) -> None:
        """Return when nothing waits any more."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            self._under_way, self._waiting = self._waiting, []
            try:
                new = self._doubles.without([batch.rows for batch in self._under_way])
                receipts = await self._line.append(new)
                await self._line.commit()
            except Exception as error:
                for batch in self._under_way:
                    if not batch.answer.done():
                        batch.answer.set_exception(error)
                continue
            self._doubles.remember(new)
            for batch, receipt in zip(self._under_way, receipts, strict=True):
                if not batch.answer.done():
                    batch.answer.set_result(receipt)
            await self._wait_for(len(self._under_way) + len(self._waiting))
        self._writing = None

    async def _wait_for(self, batches: int) -> None:
        """Return when so many wait, or after a moment. For one alone nobody waits."""
        if batches > 1:
            self._expected = batches
            self._complete.clear()
            moment = asyncio.get_running_loop().call_later(MOMENT, self._complete.set)
            await self._complete.wait()
            moment.cancel()

    def _give_up(self) -> None:
        """Answer those that are late, and look again when the next one would be."""
        loop = asyncio.get_running_loop()
        self._watch = None
        for batch in [*self._under_way, *self._waiting]:
            if batch.answer.done():
                continue
            if batch.late > loop.time():
                self._watch = loop.call_at(batch.late, self._give_up)
                return
            batch.answer.set_exception(TimeoutError())
