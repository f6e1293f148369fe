"""The interpreter of a process that a line, or a part of one, works in."""

from __future__ import annotations

import ctypes
import gc
import sys

YOUNG, MIDDLE, OLD = 100_000, 50, 100  # of the cyclic collector: a batch of rows is not garbage yet
SWITCH = 0.0005  # seconds that a thread may keep others from the interpreter: an event waits for less than its list

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's


def tune() -> None:
    """Set it up; what is there now is there to stay."""
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    sys.setswitchinterval(SWITCH)


def give_back() -> None:
    """Let the system have the memory that is free between what is held: what a snapshot copied leaves it in pieces."""
    if _trim is not None:
        _trim(0)
