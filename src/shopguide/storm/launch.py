"""Whether a topology has come up. Nimbus takes anything that is submitted, and a worker whose Python cannot start is
restarted for ever: only several looks, one after the other, tell a topology that lives from one that does not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from shopguide.storm.nimbus import Cluster, Error, Executor, Topology

CRASHES = 2  # of a topology that is given up; one may have been a machine's
MOMENT = 3  # seconds that errors of one crash may lie apart
SLOTLESS = 15.0  # seconds for a slot to become free

Worker = tuple[str, int]  # host, port


@dataclass(frozen=True)
class Look:
    """What Nimbus said at one time (seconds on any clock)."""

    now: float
    cluster: Cluster
    topology: Topology
    executors: list[Executor]
    errors: list[Error]


@dataclass(frozen=True)
class Verdict:
    words: str
    up: bool = False
    failed: bool = False


class Launch:
    """Looks at one topology until all its workers have stayed up for ``steady`` seconds, or crashed again and again.

    Nimbus counts from the start of the JVM, and never hears whether the Python in it has begun: ``steady`` has to be
    longer than that takes. After a crash it is doubled.
    """

    def __init__(self, steady: int) -> None:
        self.errors: set[Error] = set()  # that count
        self._steady = steady
        self._old: set[Error] | None = None  # of before the first look, which a topology may have survived
        self._uptimes: dict[Worker, int] = {}
        self._grown: set[Worker] = set()  # seen alive: Nimbus knows a dead worker's last uptime for a while
        self._restarts = 0
        self._slotless: float | None = None

    def look(self, look: Look) -> Verdict:
        uptimes = {(e.host, e.port): e.uptime for e in look.executors}
        self._follow(uptimes)
        if self._old is None:
            is_up = uptimes and min(uptimes.values()) >= self._steady
            self._old = set(look.errors) if is_up else set()
        self.errors |= set(look.errors) - self._old
        if look.topology.status == "KILLED":
            return Verdict("it was killed", failed=True)
        if max(self._crashes(), self._restarts) >= CRASHES:
            return Verdict("its workers crash and are started again and again", failed=True)
        if len(uptimes) == 0 or len(look.executors) < look.topology.executors:
            return self._unplaced(look)
        return self._placed(uptimes, look.topology.executors)

    def _follow(self, uptimes: dict[Worker, int]) -> None:
        fallen = {w for w, uptime in uptimes.items() if uptime < self._uptimes.get(w, 0)}
        self._restarts += bool(fallen)
        self._grown -= fallen
        self._grown |= {w for w, uptime in uptimes.items() if uptime > self._uptimes.get(w, uptime)}
        self._grown &= uptimes.keys()
        self._uptimes = uptimes

    def _crashes(self) -> int:
        moments: list[int] = []
        for time in sorted(error.time for error in self.errors):
            if not moments or time > moments[-1] + MOMENT:
                moments.append(time)
        return len(moments)

    def _unplaced(self, look: Look) -> Verdict:
        cluster = look.cluster
        if cluster.used < cluster.slots or look.topology.workers:
            self._slotless = None
            return Verdict(f"{len(look.executors)} of {look.topology.executors} executors have a place")
        self._slotless = look.now if self._slotless is None else self._slotless
        words = f"no slot is free, {cluster.used} of {cluster.slots} are in use"
        return Verdict(words, failed=look.now - self._slotless >= SLOTLESS)

    def _placed(self, uptimes: dict[Worker, int], executors: int) -> Verdict:
        has_crashed = bool(self.errors or self._restarts)
        if self._grown == uptimes.keys() and min(uptimes.values()) >= self._steady * (1 + has_crashed):
            return Verdict(f"{executors} executors in {count(len(uptimes), 'worker')}", up=True)
        crashed = ", after a crash" if has_crashed else ""
        return Verdict(f"{len(self._grown)} of {count(len(uptimes), 'worker')} alive{crashed}")


def cause(errors: Iterable[Error]) -> tuple[str, Error] | None:
    """What most likely went wrong, in a line: the newest error in which Python raised, else the newest."""
    newest = sorted(errors, key=lambda e: (python_exception(e.text) is not None, e.time))
    return (in_a_line(newest[-1].text), newest[-1]) if newest else None


def in_a_line(trace: str) -> str:
    """A stack trace's last word: what Python raised, else the innermost cause that says more than the one around it."""
    said = python_exception(trace)
    if said:
        return said
    causes: list[str] = []
    for line in trace.splitlines():
        if line.startswith("Caused by: ") or not causes:
            wrappers = r"^(?:[\w$.]+: )+(?=[\w$.]+: )"
            words = re.sub(r"^[\w$.]*\.", "", re.sub(wrappers, "", line.removeprefix("Caused by: ")))
            if not any(words.partition(": ")[2] in outer for outer in causes):
                causes.append(words)
    return causes[-1] if causes else trace


def python_exception(text: str) -> str | None:
    """The last exception of which the text has a whole traceback."""
    found = re.findall(r"Traceback \(most recent call last\):\n(?:[ \t]+.*\n)+(\S.*)", text)
    return str(found[-1]) if found else None


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
