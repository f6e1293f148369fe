"""From an event to the client's list: how long, at which rate, and where it saturates.

    python bench/bench_end_to_end.py [--rates N ...] [--seconds N] [--watched SHARE] [--of WHERE ...] [--json FILE]

A line with a simulated shop of the past: shoppers send views one by one, at their times whoever is slow (open_loop.py);
each is of a shopper who is watched, and a subscriber in another process has a list for it, by the linear blend. The
clock runs from when the event was *due* at the shop, over log, stages and push, to the subscriber's hands. The shop,
the line and the subscriber share the machine. Rates are raised until the line does not keep up; what its processes
spent says what limits it.

`--of`: *process*, `shopguide run --source http:`, an event a request, each answered when the log has it on disk;
*inside*, the line in a program of its own, which gives its collector what is due by a call, while another thread makes
the log durable; *beside*, as process, with the stages in a process of their own; *storm*, with them on a cluster of one
worker (Java 17, Maven).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from family import family
from open_loop import Found, Plan, Sent, into, measure, over_http
from table import Table, machine

from shopguide import interpreter
from shopguide.cli.line import RunningLine
from shopguide.keys import Secret
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.tokens import KeyRing, mint

os.environ.setdefault("SHOPGUIDE_SECRET", "a secret for the bench only")

SHOPGUIDE = [sys.executable, "-c", "from shopguide.cli import main; main()"]
PAST = 50_000  # events of the shop before the first of ours
SHOPPERS = 200  # who are watched
WARM = 0.2  # of each rate's events are passed over
DURABLE = 0.001  # seconds between two times that a program makes its log durable
GOAL = {1000.0: {50: 2.0, 99: 5.0}}  # ms
CHILDREN = {"push": b"shopguide.push.child", "stages": b"shopguide.storm.worker"}
SATURATED = 1.0  # seconds at the median: more comes than goes


class Served(NamedTuple):
    """A line: its process, where its lists come from, and what sends it a plan's events."""

    pid: int
    push: str
    send: Callable[[Plan], Sent]


@contextmanager
def process(state: Path, engine: str = "local") -> Iterator[Served]:
    doors = ["--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*", "--engine", engine]
    environment = {**os.environ, "SHOPGUIDE_STATE_EVERY": "3600"}
    command = [*SHOPGUIDE, "run", "--source", "http:", "--state", str(state), *doors]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        if not said.startswith("serving"):
            sys.exit(f"bench_end_to_end: {said}{process.stderr.read()}")
        at = json.loads((state / "run.json").read_text())
        yield Served(process.pid, at["push"], partial(over_http, at["http"]))
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def inside(state: Path) -> Iterator[Served]:
    interpreter.tune()
    flags = {"state.every": 3600.0, "push.endpoint": "tcp://127.0.0.1:*"}
    line = RunningLine(StateDir(state), load("shop", None, flags))
    ended = threading.Event()

    def commit() -> None:
        while not ended.wait(DURABLE):
            line.log.commit()

    line.start()
    committer = threading.Thread(target=commit)
    committer.start()
    try:
        assert line.push is not None
        yield Served(os.getpid(), line.push.endpoint, partial(into, line.collector.collect))
    finally:
        ended.set()
        committer.join()
        line.stop()


@contextmanager
def storm(state: Path) -> Iterator[Served]:
    from bench_storm import one_worker  # noqa: PLC0415 - wants Java

    with one_worker(state.parent, state), process(state, "storm") as served:
        yield served


PLACES = {"inside": inside, "process": process, "beside": partial(process, engine="beside"), "storm": storm}


def shop_of_the_past(folder: Path) -> tuple[Path, list[str]]:
    """A state directory that has learned it, and its items."""
    history, state = folder / "history.jsonl", folder / "past"
    simulate = [*SHOPGUIDE, "simulate", "--events", str(PAST), "--seed", "1"]
    rows = [json.loads(row) for row in subprocess.run(simulate, check=True, capture_output=True).stdout.splitlines()]
    items = {row["item"]: row for row in rows if row["kind"] == "item"}
    for item in items.values():
        item["image"] = f"https://shop.example/{item['item']}.jpg"  # not the drawing itself
    history.write_text("".join(json.dumps(row) + "\n" for row in rows))
    batch = ["batch", "--source", f"file:{history}?speed=max", "--state", str(state)]
    subprocess.run([*SHOPGUIDE, *batch], check=True, capture_output=True)
    return state, sorted(items)


def processor_time(pid: int) -> dict[str, float]:
    """Seconds of a process, of its push server, and of the stages beside it."""
    fields = {one: Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in family(pid)}
    commands = {one: Path(f"/proc/{one}/cmdline").read_bytes() for one in fields}
    found = {name: one for name, module in CHILDREN.items() for one in fields if module in commands[one]}
    tick = os.sysconf("SC_CLK_TCK")
    return {name: (int(fields[one][11]) + int(fields[one][12])) / tick for name, one in {"line": pid, **found}.items()}


def show(table: Table, where: str, rate: float, found: Found, spent: dict[str, float]) -> bool:
    """Whether the line keeps up."""
    waits = found.waits[int(WARM * len(found.waits)) :] * 1e3
    for p in (50, 99, 99.9):
        goal = GOAL.get(rate, {}).get(int(p)) if where != "storm" and p < 99.5 else None
        table.line(where, f"{rate:.0f} events/s: event → client, p{p:g}", [np.percentile(waits, p)], "ms", at_most=goal)
    for name, seconds in found.hops.items():
        table.line(where, f"  … → {name}, p50", [np.median(seconds) * 1e3], "ms")
    table.line(where, "  lists an event", [len(found.hops["logged"]) / max(len(found.waits), 1)], "")
    for name, seconds in spent.items():
        table.line(where, f"  {name}: processor time an event", [seconds * 1e3], "ms")
    lost = int(np.isinf(waits).sum()) + found.refused
    table.line(where, "  events without an answer, or refused", [lost], "")
    return bool(np.median(waits) < SATURATED * 1e3) and not lost


def climb(table: Table, where: str, state: Path, items: list[str], given: argparse.Namespace) -> None:
    """Rate after rate, until one is too much."""
    secret = Secret.load(state)
    shoppers = [f"shopper-{number}" for number in range(SHOPPERS)]
    tokens = [mint(KeyRing.of(secret), secret.user_key(shopper), 36_000).encode() for shopper in shoppers]
    with PLACES[where](state) as served:
        for rate in given.rates:
            plan = Plan(rate, given.seconds, shoppers, items, given.watched, seed=int(rate))
            before = processor_time(served.pid)
            found = measure(served.push, tokens, partial(served.send, plan))
            spent = {name: (all_ - before[name]) / plan.events for name, all_ in processor_time(served.pid).items()}
            if not show(table, where, rate, found, spent):
                break


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[100.0, 250.0, 500.0, 1000.0, 1500.0, 2000.0, 3000.0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each rate")
    parser.add_argument("--watched", type=float, default=1.0, help="share of the events by shoppers who are watched")
    where = ["inside", "process", "beside"]
    parser.add_argument("--of", nargs="+", choices=PLACES, default=where, help="where the line is")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    table = Table(judged=True)
    with tempfile.TemporaryDirectory() as folder:
        past, items = shop_of_the_past(Path(folder))
        for where in given.of:
            climb(table, where, past, items, given)
    print(f"\n{machine()}, load {os.getloadavg()[0]:.1f}\n{table.summary()}")
    if given.json:
        table.save(given.json, machine=machine())


if __name__ == "__main__":
    main()
