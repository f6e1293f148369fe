"""Whose heartbeat is due. No sockets, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from heapq import heappop, heappush

SOON = 0.02  # seconds until one who has missed something hears of it
PAUSE = 0.001  # seconds until more are due at once: on a connection of many tokens a burst would be dropped


class Beats:
    """Each user's, ``every`` so many seconds (of any clock that never falls), soonest first, few at once."""

    def __init__(self, every: float, at_once: int) -> None:
        self._every, self._at_once = every, at_once
        self._from = 0.0  # when more are due
        self._due: dict[int, float] = {}
        self._soonest: list[tuple[float, int]] = []  # a heap of these; what is due at another time now is passed over
        self._waits: dict[int, float] = {}  # of those who have missed something

    def begin(self, user: int, now: float) -> None:
        """The first is due in a while, unless they have begun."""
        if user not in self._due:
            self._put(user, now + self._every)

    def hasten(self, user: int, now: float) -> bool:
        """They have missed something: the next is due soon, each time they miss more twice as late. False: no sooner
        than it would be anyhow."""
        wait = min(2 * self._waits.get(user, SOON / 2), self._every)
        self._waits[user] = wait
        if now + wait < self._due.get(user, math.inf):
            self._put(user, now + wait)
        return wait < self._every

    def arrived(self, user: int) -> None:
        """They have missed nothing more."""
        self._waits.pop(user, None)

    def next(self) -> float:
        """When the next is due."""
        while self._soonest and self._due.get(self._soonest[0][1]) != self._soonest[0][0]:
            heappop(self._soonest)
        return max(self._soonest[0][0], self._from) if self._soonest else math.inf

    def take(self, now: float) -> Iterator[int]:
        """The users whose turn it is, each once; of who is not begun again it was the last."""
        for _ in range(self._at_once):
            if self.next() > now:
                return
            _, user = heappop(self._soonest)
            del self._due[user]
            yield user
        self._from = now + PAUSE

    def _put(self, user: int, due: float) -> None:
        self._due[user] = due
        heappush(self._soonest, (due, user))
