"""Whose heartbeat is due. No sockets, no clock."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator


class Beats:
    """Each user's, ``every`` so many seconds (of any clock that never falls), soonest first."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._due: OrderedDict[int, float] = OrderedDict()  # not a dict: its front is slow where much was taken away

    def begin(self, user: int, now: float) -> None:
        """The first is due in a while, unless they have begun."""
        self._due.setdefault(user, now + self._every)

    def next(self) -> float:
        """When the next is due."""
        return next(iter(self._due.values()), math.inf)

    def take(self, now: float, most: int) -> Iterator[int]:
        """The users whose turn it is, each once; of who is not begun again it was the last."""
        for _ in range(most):
            if self.next() > now:
                return
            yield self._due.popitem(last=False)[0]
