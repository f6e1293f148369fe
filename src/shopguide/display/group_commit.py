"""Group commit: what comes while the log is being made durable is made durable together, by one commit.

Few rows are appended as they come, so that the stages need not wait for the disk; many wait and are appended together,
which costs little more than one of them. Where several send at once, those who were just answered are waited for a
moment, since most have more to send: half as many commits, each of twice as much, cost less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from shopguide.display.doubles import Doubles
from shopguide.display.line import Line, Receipt

FEW = 8  # rows that do not wait for the commit under way
MOMENT = 0.004  # seconds that a group waits at most for those of the last one

Rows = list[dict[str, Any]]
Answer = asyncio.Future[Receipt]


class GroupCommit:
    """Over one line, of one event loop. Batches are appended in the order in which they come; one that comes alone is
    written at once."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._doubles = Doubles()
        self._waiting: list[tuple[Rows, Answer]] = []
        self._logged: list[tuple[Rows, Answer, Receipt]] = []  # maybe not on the disk
        self._appending = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        self._soon: asyncio.Task[None] | None = None
        self._failed: Exception | None = None  # the last commit that did
        self._expected = 0  # batches
        self._complete = asyncio.Event()

    async def collect(self, rows: Rows, patience: float | None = None) -> Receipt:
        """Have the log take what is new among the rows; returns when that is durable, and all that came before.

        Raises what the line raises: then nothing of the batches under way counts as having come, and they may be sent
        again. Raises TimeoutError after ``patience`` seconds. Who hears that, or is cancelled, does not hear of the
        rows: they are written.
        """
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        late = loop.call_later(patience, _fail, TimeoutError(), [answer]) if patience is not None else None
        self._waiting.append((rows, answer))
        if self._writing is None:
            self._writing = loop.create_task(self._write())
        elif self._soon is None:
            self._soon = loop.create_task(self._append_few())
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
        while self._waiting or self._logged or self._appending.locked():
            await self._append()
            group, self._logged = self._logged, []
            if not group:
                continue
            try:
                await self._line.commit()
            except Exception as error:
                group, self._logged, self._failed = group + self._logged, [], error
                self._doubles.forget([rows for rows, _, _ in group])
                _fail(error, [answer for _, answer, _ in group])
                continue
            for _, answer, receipt in group:
                if not answer.done():
                    answer.set_result(receipt)
            await self._wait_for(len(group) + len(self._logged) + len(self._waiting))
        self._writing = None

    async def _append_few(self) -> None:
        """All that have come in this turn of the loop; where these are many, they wait."""
        self._soon = None
        if sum(len(rows) for rows, _ in self._waiting) <= FEW:
            await self._append()
        if len(self._logged) + len(self._waiting) >= self._expected:
            self._complete.set()

    async def _append(self) -> None:
        async with self._appending:
            group, self._waiting = self._waiting, []
            if not group:
                return
            failed = self._failed
            try:
                new = self._doubles.without([rows for rows, _ in group])
                receipts = await self._line.append(new)
                if self._failed is not None and self._failed is not failed:
                    raise self._failed  # maybe these rows made it fail
            except Exception as error:
                _fail(error, [answer for _, answer in group])
                return
            self._doubles.remember(new)
            self._logged += zip(new, [answer for _, answer in group], receipts, strict=True)

    async def _wait_for(self, batches: int) -> None:
        """Return when so many have come, or after a moment. For one alone nobody waits."""
        if batches > 1:
            self._expected = batches
            self._complete.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(MOMENT):
                    await self._complete.wait()


def _fail(error: Exception, answers: Iterable[Answer]) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(error)
