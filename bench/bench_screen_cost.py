"""What a list costs from the log to the push bolt, stage by stage, for shoppers with histories who watch.

    python bench/bench_screen_cost.py [--lists N] [--json FILE]

The topology of `shopguide run` in its local runner, in this thread and without a push server, over a simulated shop
with its whole catalogue. A list is made for each event; batches of 1, 8 and 64 rows of a partition, each of another
shopper. Processor time of the one thread; how fast the processor is just now, a fixed loop of plain Python beside each
round says. ``digest`` is a hash of all that the lists say but the clock's time: two versions that print the
same one made the same lists.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgpack
import orjson
from table import Base, Table, machine

from shopguide import interpreter
from shopguide.collect.collector import Collector
from shopguide.keys import Secret
from shopguide.lists import unpack
from shopguide.log import Log
from shopguide.records import Kind
from shopguide.settings import Settings, load
from shopguide.simulate import Shop
from shopguide.state import StateDir
from shopguide.storm import deployment
from shopguide.storm.runner import LocalRunner
from shopguide.topologies.recommend import Recommend

PRODUCTS, SHOPPERS, HISTORY, WATCHED = 2000, 2000, 40_000, 200
BATCHES = {1: 600.0, 8: 450.0, 64: 450.0}  # rows, with the most that a list should take, us
SECRET = Secret(bytes(32))  # the same users in each run
LOOP, BETWEEN = 20_000, 20  # steps of the loop of plain Python, and batches from one to the next


class Line:
    """The stages over a log of one partition; of each task the seconds that it took so far."""

    def __init__(self, path: Path, settings: Settings) -> None:
        state = StateDir(path)
        state.take()
        state.keep_settings(settings)
        self.now = 0.0
        self._log = Log(state.log, settings.log.partitions)
        self._collector = Collector(self._log, SECRET, lambda: self.now)
        conf = {deployment.STATE: str(path), deployment.LOG: self._log, deployment.PARTS: {}}
        self._runner = LocalRunner(Recommend, lambda: conf)
        self.spent: dict[str, float] = defaultdict(float)
        self.sent: list[bytes] = []
        for task in self._runner._tasks:
            task.component._run = self._timed(task.name, task.component._run)
        next(t for t in self._runner._tasks if t.name == "push").component.stage = self

    def send(self, packed: list[bytes]) -> int:
        """In the place of the push server's intake."""
        self.sent += packed
        return 0

    def connect(self, endpoint: str | None) -> None: ...
    def close(self) -> None: ...

    def take(self, rows: list[dict[str, Any]]) -> None:
        self.now = float(rows[-1]["time"])
        self._collector.collect(rows)

    def watch(self, user: int) -> None:
        self._collector.control(Kind.WATCH, user, expires=self.now + 1e9, slot="home", n=20)

    def work(self) -> float:
        """Read the log to its end; the seconds."""
        begin = time.thread_time()
        self._runner.drain()
        return time.thread_time() - begin

    def _timed(self, name: str, run: Callable[[], None]) -> Callable[[], None]:
        def timed() -> None:
            begin = time.thread_time()
            run()
            self.spent[name] += time.thread_time() - begin

        return timed


def loop() -> float:
    """Seconds of a fixed piece of plain Python: how fast the machine is just now."""
    begin, total, seen = time.thread_time(), 0, {}
    for step in range(LOOP):
        seen[step & 255] = total
        total += step * step & 7
    return time.thread_time() - begin


def digest_of(sent: list[bytes]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for one in sent:
        said = unpack(one)
        said["times"]["scored"] = 0
        found.update(msgpack.packb(said))
    return found.hexdigest()


def batches(events: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Rows of distinct shoppers."""
    while True:
        rows: dict[str, dict[str, Any]] = {}
        for row in events:
            rows.setdefault(row["user"], row)
            if len(rows) == size:
                break
        yield sorted(rows.values(), key=lambda row: float(row["time"]))


def measure(table: Table, path: Path, lists: int) -> None:
    settings = load("shop", flags={"log.partitions": 1})
    line, shop = Line(path, settings), Shop(1, PRODUCTS, SHOPPERS)
    events = shop.events()
    line.take(shop.catalogue())
    history = list(islice(events, HISTORY))
    for at in range(0, HISTORY, 500):
        line.take(history[at : at + 500])
        line.work()
    often = sorted({row["user"] for row in history[-HISTORY // 4 :]})[:WATCHED]
    for user in often:
        line.watch(SECRET.user_key(user))
    line.work()
    line.sent.clear()
    watched = (row for row in events if row["user"] in set(often))
    for size, goal in BATCHES.items():
        round_(table, line, batches(watched, size), size, lists, goal)
    print(f"digest {digest_of(line.sent)} of {len(line.sent)} lists")


def round_(table: Table, line: Line, rows: Iterator[list[dict[str, Any]]], size: int, lists: int, goal: float) -> None:
    for batch in islice(rows, max(1, 100 // size)):
        line.take(batch)
        line.work()
    line.spent.clear()
    loops, each, made = [], [], len(line.sent)
    for batch in islice(rows, lists // size):
        line.take(batch)
        each.append(line.work() / size * 1e6)
        if len(each) % BETWEEN == 1:
            loops.append(loop() * 1e3)
    made = len(line.sent) - made
    stream = f"{size} rows"
    base = Base("loop", 1e3 * table.line(stream, f"{LOOP} steps of plain Python", loops, "ms"))
    table.line(stream, "a list, from the log to the push bolt", each, "us", base, at_most=goal)
    for name, seconds in line.spent.items():
        table.line(stream, f"of it in {name}, mean", [seconds / made * 1e6], "us")
    rest = sum(each) * size / made - sum(line.spent.values()) / made * 1e6
    table.line(stream, "of it in the runner, mean", [rest], "us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", type=int, default=1920)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    interpreter.tune()
    print(f"{machine()}; load average {os.getloadavg()[0]:.1f}")
    table = Table(judged=True)
    with TemporaryDirectory() as directory:
        measure(table, Path(directory), given.lists)
    print(table.summary())
    if given.json:
        given.json.write_bytes(orjson.dumps(table.rows))


if __name__ == "__main__":
    main()
