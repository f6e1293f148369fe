"""A million attempts to get lists that are not one's own, beside honest subscribers: nothing leaks, nothing breaks.

    python bench/bench_forging.py [--attempts N] [--pace N] [--honest N] [--rate N] [--json FILE]

Forgers (bench/forger.py) in other processes subscribe and ask with tokens that are flipped, cut, lengthened, spliced,
expired, revoked, of another key or version, or none; through SUB, XSUB and DEALER sockets and over plain TCP.
Honest subscribers get their lists meanwhile, and newcomers come. Exit code 1 where a forger was given a list, an honest
subscriber did not end with the newest of its own, or the server's memory grew by more than 20 MB after the first tenth.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from bench_push import KEY, Load, Pipes, delays, settle, subscribers, token_of, until_watched
from forger import REVOKED, be_forger
from push_server import Child, push_server
from table import Table, machine

from shopguide.client import Subscriber

FORGERS = 2
WARM = 0.1  # of the attempts, before memory is looked at
GROWN = 20.0  # MB that the allocator may keep of a storm
STRANGER, STRANGERS = 2**45, 20  # users from here on, so many, come time and again while the forgers are at it


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--pace", type=float, default=4000.0, help="attempts a second; inf: a flood")
    parser.add_argument("--honest", type=int, default=50, help="subscribers beside")
    parser.add_argument("--rate", type=float, default=100.0, help="their lists a second")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


class Newcomers(threading.Thread):
    """One after the other subscribes, waits for its first list, and goes; ``waited``: how long it took them, s."""

    def __init__(self, child: Child, load: Load) -> None:
        super().__init__(daemon=True)
        self._child, self._load = child, load
        self.waited: list[float] = []
        self.failed = 0
        self.running = True

    def run(self) -> None:
        while self.running:
            user, begin = STRANGER + len(self.waited) % STRANGERS, time.monotonic()
            self._load.ask_for(user)
            with Subscriber(token_of(user, time.time()), self._child.push, self._child.gap, timeout=60) as lists:
                update = next(iter(lists), None)
            if update is None or update.message["about"] != f"of {user}":
                self.failed += 1
            self.waited.append(time.monotonic() - begin)
            time.sleep(0.2)


def forge(child: Child, given: argparse.Namespace, now: float, attempts: int, seed: int) -> list[Connection]:
    """Begin; each pipe says in the end what its forger did."""
    context, pipes = multiprocessing.get_context("spawn"), []
    for number in range(FORGERS):
        ours, theirs = context.Pipe()
        work = (attempts // FORGERS, given.pace / FORGERS)
        about = (theirs, (child.push, child.gap), seed + number, given.honest, now, work)
        context.Process(target=be_forger, args=about, daemon=True).start()
        pipes.append(ours)
    return pipes


def attack(child: Child, load: Load, given: argparse.Namespace, now: float, attempts: int, seed: int) -> Counter[str]:
    """All attempts, with lists for the honest beside them."""
    forgers, counts = forge(child, given, now, attempts, seed), Counter[str]()
    while forgers:
        load.run(given.rate, 0.5)
        for pipe in [pipe for pipe in forgers if pipe.poll()]:
            counts += pipe.recv()
            forgers.remove(pipe)
    return counts


def quiet(child: Child, load: Load, rate: float) -> dict[str, float]:
    """The server's figures when it has worked off what it was sent; the honest still get lists."""
    now, before = child.figures(), -1.0
    while before != now["refused"]:
        before = now["refused"]
        load.run(rate, 2.0)
        now = child.figures()
    return now


def measure(child: Child, pipes: Pipes, given: argparse.Namespace, now: float, table: Table) -> bool:
    load = Load(child, given.honest)
    load.everybody()
    until_watched(child, given.honest)
    for user in range(given.honest):
        child.revoke(REVOKED + user)
    newcomers = Newcomers(child, load)
    newcomers.start()
    counts = attack(child, load, given, now, int(given.attempts * WARM), seed=1)
    warm, begin = quiet(child, load, given.rate), time.monotonic()
    counts += attack(child, load, given, now, given.attempts - int(given.attempts * WARM), seed=11)
    took, after = time.monotonic() - begin, quiet(child, load, given.rate)
    newcomers.running = False
    while newcomers.is_alive():
        load.run(given.rate, 0.5)
    behind = settle(pipes, load)
    name, leaked = f"{given.attempts:,}", counts.pop("leaked", 0)
    for kind, times in sorted(counts.items()):
        table.line(name, kind, [times], "attempts")
    table.line(name, "refused or answered with an error by the server", [after["refused"] + after["gaps"]], "")
    table.line(name, "a second", [(counts.total() * (1 - WARM)) / took], "attempts")
    table.line(name, "messages to the wrong client", [leaked], "", at_most=0)
    table.line(name, "honest subscribers without their newest list", [behind], "", at_most=0)
    waited = delays(pipes, range(load.offset))
    table.line(name, "  their lists: due → received, p50", [np.percentile(waited, 50)], "ms")
    table.line(name, "  p99", [np.percentile(waited, 99)], "ms")
    table.line(
        name, f"newcomers meanwhile ({len(newcomers.waited)}): first list after, p50, p100", newcomers.waited, "s"
    )
    table.line(name, "  without a list of their own", [newcomers.failed], "", at_most=0)
    table.line(name, "server: resident after a tenth", [warm["resident"]], "MB")
    table.line(name, "  after all of them", [after["resident"]], "MB", at_most=warm["resident"] + GROWN)
    table.line(name, "  descriptors after a tenth", [warm["descriptors"]], "")
    table.line(name, "  after all of them", [after["descriptors"]], "")
    return not (leaked or behind or after["resident"] > warm["resident"] + GROWN or newcomers.failed)


def main() -> None:
    given = arguments()
    table = Table(judged=True)
    print(f"{machine()}; load average {os.getloadavg()[0]:.2f}")
    now = time.time()
    with push_server(KEY) as child, subscribers(child, given.honest, now, parts=1) as pipes:
        well = measure(child, pipes, given, now, table)
    print(table.summary())
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "rows": table.rows}, indent=1))
    sys.exit(not well)


if __name__ == "__main__":
    main()
