"""Trained models changed while events come: is an event lost, is a list empty, does anybody wait?

    python bench/bench_swap.py [--rate N] [--swaps N] [--every SECONDS] [--watched SHARE] [--json FILE]

`shopguide run --source http:` in front of a simulated shop of the past that has trained weights and a recurrent
network.
Events come at their times, whoever is slow (open_loop.py); meanwhile `shopguide activate` puts the version in
force and out of it in turn. Afterwards the log is counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
from bench_end_to_end import SHOPGUIDE, SHOPPERS, process, shop_of_the_past
from open_loop import Plan, measure
from table import Table, machine

from shopguide.artefacts import OFF, Artefacts
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.records import LEARNED
from shopguide.state import StateDir
from shopguide.tokens import KeyRing, mint


def rows(state: Path) -> int:
    """What shoppers did, in the log."""
    log, count = Log(state / "log", Log.partitions_of(state / "log", 0), readonly=True), 0
    for partition in range(log.partitions):
        offset = 0
        while (batch := log.read(partition, offset, 65_536)) is not None:
            count += int(np.isin(batch.events.kind, LEARNED).sum())
            offset = batch.last + 1
    log.close()
    return count


class Swaps(threading.Thread):
    """``seconds``: what each took, until it was in force."""

    def __init__(self, state: Path, version: str, swaps: int, every: float) -> None:
        super().__init__()
        self._command = [*SHOPGUIDE, "activate", "--state", str(state)]
        self._version, self._swaps, self._every = version, swaps, every
        self.seconds: list[float] = []

    def run(self) -> None:
        for number in range(self._swaps):
            began = time.monotonic()
            version = OFF if number % 2 else self._version
            subprocess.run([*self._command, version], check=True, capture_output=True)
            self.seconds.append(time.monotonic() - began)
            time.sleep(max(0.0, began + self._every - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--every", type=float, default=3.0)
    parser.add_argument("--watched", type=float, default=0.1, help="share of the events by shoppers who are watched")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    table = Table(judged=True)
    with tempfile.TemporaryDirectory() as folder:
        state, items = shop_of_the_past(Path(folder))
        train = [*SHOPGUIDE, "train", "--state", str(state), "--no-activate"]
        for model in ("blend", "rnn"):
            subprocess.run([*train, "--model", model], check=True, capture_output=True)
        (version, *_) = [one.version for one in Artefacts(StateDir(state).models).all() if "rnn" in one.models]
        secret, before = Secret.load(state), rows(state)
        shoppers = [f"shopper-{number}" for number in range(SHOPPERS)]
        tokens = [mint(KeyRing.of(secret), secret.user_key(one), 36_000).encode() for one in shoppers]
        plan = Plan(given.rate, given.swaps * given.every + 5, shoppers, items, given.watched)
        with process(state) as served:
            swaps = Swaps(state, version, given.swaps, given.every)
            swaps.start()
            found = measure(served.push, tokens, partial(served.send, plan))
            swaps.join()
        table.line("swap", f"{plan.rate:.0f} events/s: events sent", [plan.events], "")
        table.line("swap", "events sent, less those in the log", [plan.events - (rows(state) - before)], "", at_most=0)
        table.line("swap", "events of watched shoppers without a list", [np.isinf(found.waits).sum()], "", at_most=0)
        table.line("swap", "lists that were empty", [found.empty], "", at_most=0)
        table.line("swap", f"the {given.swaps} swaps, until in force", swaps.seconds, "s")
        for p in (50, 99):
            table.line("swap", f"event → client, p{p}", [np.percentile(found.waits, p) * 1e3], "ms")
    print(f"\n{machine()}, load {os.getloadavg()[0]:.1f}\n{table.summary()}")
    if given.json:
        table.save(given.json, machine=machine())


if __name__ == "__main__":
    main()
