"""This machine's clock, as long as it goes on as it began.

Events are dated by it. One that is set far ahead makes the events of that time the newest for as long, and under a
retention lets all older ones go, from the log too: so none is taken then.
"""

from __future__ import annotations

import time

from shopguide.errors import StateError

AHEAD = 86_400.0  # seconds that it may gain on what has passed since the process began


class Clock:
    """The time (epoch s). Raises StateError while it is ahead; a machine that slept is not."""

    def __init__(self) -> None:
        self._began = time.time() - _passed()

    def __call__(self) -> float:
        if why := self.ahead():
            raise StateError(why)
        return time.time()

    def ahead(self) -> str:
        """Why events are not dated by it; empty: they are."""
        gained = time.time() - _passed() - self._began
        if gained <= AHEAD:
            return ""
        return f"this machine's clock was set {gained / 86_400:,.1f} days ahead; where it is right now, start again"


def _passed() -> float:
    """Seconds since the machine began, asleep or not where the system says so."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
