"""Whose heartbeat is due. No sockets, no clock."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator

PAUSE = 0.001  # seconds until more are due at once: on a connection of many tokens a burst would be dropped


class Beats:
    """Each user's, ``every`` so many seconds (of any clock that never falls), soonest first, few at once."""

    def __init__(self, every: float, at_once: int) -> None:
        self._every, self._at_once = every, at_once
        self._from = 0.0  # when more are due
        self._due: OrderedDict[int, float] = OrderedDict()  # not a dict: its front is slow where much was taken away

    def begin(self, user: int, now: float) -> None:
        """The first is due in a while, unless they have begun."""
        self._due.setdefault(user, now + self._every)

    def next(self) -> float:
        """When the next is due."""
        return max(next(iter(self._due.values()), math.inf), self._from)

    def take(self, now: float) -> Iterator[int]:
        """The users whose turn it is, each once; of who is not begun again it was the last."""
        for _ in range(self._at_once):
            if self.next() > now:
                return
            yield self._due.popitem(last=False)[0]
        self._from = now + PAUSE
