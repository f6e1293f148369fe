"""How fast each may send: a token bucket for everyone, refilled as time goes by."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST = 10.0  # seconds' worth that may come at once
MOST = 1 << 16  # buckets that are remembered


class Limit:
    """``rate`` events a second for each; None: no limit.

    A bucket is one number, the time at which it will be full again, so those that are full need not be remembered.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._full: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._full)

    def take(self, who: str, n: int) -> float:
        """0 where ``n`` events may come now, and they are counted; else the seconds until they may, and they are not.

        More than the bucket holds at once count as a full one.
        """
        if self._rate is None:
            return 0.0
        now = self._clock()
        full = max(self._full.get(who, now), now) + min(n / self._rate, BURST)
        if full - now > BURST:
            return full - now - BURST
        if len(self._full) >= MOST:
            self._let_go(now)
        self._full[who] = full
        return 0.0

    def _let_go(self, now: float) -> None:
        """Buckets that are full go; where none is, all do, since memory must not be what gives way."""
        self._full = {who: full for who, full in self._full.items() if full > now}
        if len(self._full) >= MOST:
            self._full.clear()
