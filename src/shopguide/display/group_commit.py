"""Group commit: batches go into the log as they come, and are made durable together, by one commit after the other.

Where several send at once, those who were just answered are waited for a moment, since most have more to send: half as
many commits, each of twice as much, cost less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from shopguide.display.doubles import Doubles
from shopguide.display.line import Line, Receipt

MOMENT = 0.004  # seconds that a commit waits at most for those of the last one

Rows = list[dict[str, Any]]
Answer = asyncio.Future[Receipt]


class GroupCommit:
    """Over one line, of one event loop. Batches are appended in the order in which they come, at once; the commit of
    one that comes alone begins at once, too."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._doubles = Doubles()
        self._waiting: list[tuple[Rows, Answer]] = []
        self._logged: list[tuple[Rows, Answer, Receipt]] = []  # maybe not on the disk
        self._appending: asyncio.Task[None] | None = None
        self._committing: asyncio.Task[None] | None = None
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
        if self._appending is None:
            self._appending = loop.create_task(self._append())
        try:
            return await answer
        finally:
            if late is not None:
                late.cancel()

    async def close(self) -> None:
        """Return when nothing waits any more."""
        while task := self._appending or self._committing:
            await task

    async def _append(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            failed = self._failed
            try:
                new = self._doubles.without([rows for rows, _ in group])
                receipts = await self._line.append(new)
                if self._failed is not None and self._failed is not failed:
                    raise self._failed  # maybe these rows made it fail
            except Exception as error:
                _fail(error, [answer for _, answer in group])
                continue
            self._doubles.remember(new)
            answers = [answer for _, answer in group]
            self._logged += zip(new, answers, receipts, strict=True)
            if len(self._logged) >= self._expected:
                self._complete.set()
            if self._committing is None:
                self._committing = asyncio.create_task(self._commit())
        self._appending = None

    async def _commit(self) -> None:
        while self._logged:
            group, self._logged = self._logged, []
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
            await self._wait_for(len(group) + len(self._logged))
        self._committing = None

    async def _wait_for(self, batches: int) -> None:
        """Return when so many are logged, or after a moment. For one alone nobody waits."""
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
