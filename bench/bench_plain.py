"""One process of ours against plain Python that does the same work, on the yardstick's stream of sessions.

    python bench/bench_plain.py [--events N] [--pushed N] [--json FILE]

*Learn*: supports in dicts of dicts, and after each event the top 50 of its item. Ours twice: the core alone, called
event by event and read after each; and the whole line (log, clean, featurize, score) with every recommender that the
preset switches on, whose lists are exact whenever they are read: all are read at the end, and that counts.

*Advise*: the last events of the stream, of users who all watch. Plain Python learns each, adds up the top 20 for its
user from the rows of their ten newest items, and sends it as JSON over ZeroMQ. Ours learns all, and makes and pushes
lists with titles and reasons by the linear blend of all recommenders, to a subscriber in another process: after each
event as well (one event a batch; and once with `items` alone on, as plain Python has it), and as it comes (a user with
several events in a batch gets one list).

Seconds are of processor time, of all of a contender's threads and processes but the subscriber.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from types import MappingProxyType

import numpy as np
import zmq
from family import family
from streams import Columns, part, sessions
from table import Base, Table, machine

from shopguide.cli.line import RunningLine
from shopguide.recommenders import Items
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.tokens import mint
from shopguide.weights import BLENDED

OTHERS: set[int] = set()  # children that are not ours to count
EVERY = 25  # of plain Python's events to learn, the one whose list is really made, and counted as so many
BEGINS = 1_700_000_000.0
ALONE = {f"score.{signal}": float(signal == "items") for signal in BLENDED}
SUBSCRIBER = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.rcvhwm = 0
socket.connect(sys.argv[1])
for token in sys.stdin.read().split():
    socket.subscribe(token.encode())
print("subscribed", flush=True)
while True:
    socket.recv_multipart()
"""


class Plain:
    """Item-based collaborative filtering as one writes it: FIFO of 50 distinct items a unit, cosines."""

    def __init__(self) -> None:
        self.kept: dict[int, list[int]] = defaultdict(list)
        self.support: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.chosen: dict[int, int] = defaultdict(int)
        self.lists: dict[int, list[tuple[float, int]]] = {}

    def learn(self, unit: int, item: int) -> None:
        window = self.kept[unit]
        if item in window:
            return
        self.chosen[item] += 1
        row = self.support[item]
        for other in window:
            row[other] += 1
            self.support[other][item] += 1
        window.append(item)
        del window[:-50]

    def similar(self, item: int) -> None:
        n, chosen = self.chosen[item], self.chosen
        cosines = ((both / math.sqrt(n * chosen[other]), other) for other, both in self.support[item].items())
        self.lists[item] = heapq.nlargest(50, cosines)

    def top(self, unit: int) -> list[tuple[float, int]]:
        scores: dict[int, float] = defaultdict(float)
        chosen = self.chosen
        for age, item in enumerate(reversed(self.kept[unit][-10:])):
            n, weight = chosen[item], 0.6**age
            for other, both in self.support[item].items():
                scores[other] += weight * both / math.sqrt(n * chosen[other])
        return heapq.nlargest(20, ((score, item) for item, score in scores.items()))


def plainly(columns: Columns) -> tuple[Plain, float]:
    """The model, and seconds an event."""
    model, lists = Plain(), 0.0
    pairs = list(zip(columns[0].tolist(), columns[1].tolist(), strict=True))
    began = time.process_time()
    for number, (unit, item) in enumerate(pairs):
        model.learn(unit, item)
        if number % EVERY == 0:
            reading = time.process_time()
            model.similar(item)
            lists += time.process_time() - reading
    return model, (time.process_time() - began + (EVERY - 1) * lists) / len(pairs)


def plainly_advised(model: Plain, columns: Columns) -> float:
    """Seconds an event."""
    context = zmq.Context.instance()
    with context.socket(zmq.PUB) as publisher, context.socket(zmq.SUB) as subscriber:
        publisher.bind("inproc://plain")
        subscriber.connect("inproc://plain")
        subscriber.subscribe(b"")
        pairs = list(zip(columns[0].tolist(), columns[1].tolist(), strict=True))
        began = time.process_time()
        for unit, item in pairs:
            model.learn(unit, item)
            found = [{"item": other, "score": score} for score, other in model.top(unit)]
            publisher.send_multipart([str(unit).encode(), json.dumps({"user": unit, "items": found}).encode()])
        return (time.process_time() - began) / len(pairs)


def one_by_one(columns: Columns) -> float:
    """The core alone: seconds an event, the list of its item being read after each."""
    model = Items(half_life=None)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    began = time.process_time()
    for unit, item, moment in rows:
        model.observe(unit, item, moment)
        model.similar(item, 50)
    return (time.process_time() - began) / len(rows)


class Ours:
    """A line on a state directory, for events under names."""

    def __init__(self, folder: Path, push: bool, flags: Mapping[str, float] = MappingProxyType({})) -> None:
        flags = {"state.every": 86400.0, "push.endpoint": "tcp://127.0.0.1:*", **flags}
        self.line = RunningLine(StateDir(folder), load("shop", None, flags), push)
        self._seconds = count()

    def catalogue(self, items: np.ndarray) -> None:
        rows = (
            {"kind": "item", "item": f"i{i}", "title": f"Thing {i}", "category": f"c{i % 50}"} for i in items.tolist()
        )
        self._collect(rows)

    def put(self, columns: Columns) -> None:
        """Events into the log."""
        users, items = (column.tolist() for column in columns[:2])
        self._collect(
            {
                "kind": "view",
                "user": f"u{user}",
                "session": f"u{user}",
                "item": f"i{item}",
                "time": BEGINS + next(self._seconds),
            }
            for user, item in zip(users, items, strict=True)
        )

    def tokens(self, users: np.ndarray) -> list[str]:
        line = self.line
        return [mint(line.keys, line.secret.user_key(f"u{user}"), 3600) for user in users.tolist()]

    def work(self) -> float:
        """Seconds of processor time, all threads and processes of ours but the thread that calls."""
        ours = [pid for pid in family(os.getpid()) if pid not in OTHERS]
        return sum(map(processor_time, ours)) - time.thread_time()

    def _collect(self, rows: Iterable[dict[str, object]]) -> None:
        while chunk := list(islice(rows, 4096)):
            self.line.collector.collect(chunk)
        self.line.log.commit()


def learned(folder: Path, columns: Columns) -> float:
    """The line: seconds an event to learn, the lists of all items at the end among them."""
    ours = Ours(folder, push=False)
    ours.put(columns)
    began = ours.work()
    ours.line.start()
    ours.line.learn_all()
    model = ours.line.stage("score").items.model
    ours.line.call(lambda: model.neighbours(ours.line.catalogue().known(), 50))
    spent = ours.work() - began
    ours.line.stop()
    return spent / len(columns[0])


def advised(
    folder: Path, history: Columns, columns: Columns, batch: int, flags: Mapping[str, float]
) -> tuple[float, float]:
    """Seconds an event to learn it and to push its user a list; lists an event."""
    ours = Ours(folder, True, flags)
    ours.catalogue(np.unique(np.concatenate([history[1], columns[1]])))
    ours.put(history)
    ours.line.start()
    ours.line.learn_all()
    line, push = ours.line, ours.line.push
    assert push is not None
    with subscriber(push.endpoint, ours.tokens(np.unique(columns[0]))):
        while push.watched() < len(np.unique(columns[0])):
            time.sleep(0.05)
        line.learn_all()
        line.runner.spouts[0].component.limit = batch
        time.sleep(1)
        lists, began = len(push.delay), ours.work()
        ours.put(columns)
        line.learn_all()
        line.call(lambda: None)
        time.sleep(0.5)
        spent, lists = ours.work() - began, len(push.delay) - lists
    line.stop()
    return spent / len(columns[0]), lists / len(columns[0])


@contextmanager
def subscriber(endpoint: str, tokens: list[str]) -> Iterator[None]:
    """In a process of its own, until it is left."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SUBSCRIBER, endpoint], text=True, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(" ".join(tokens))
        process.stdin.close()
        process.stdout.readline()
        OTHERS.add(process.pid)
        try:
            yield
        finally:
            process.kill()


def processor_time(pid: int) -> float:
    """Seconds of all threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--pushed", type=int, default=5_000, help="the last of them, of users who watch")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    table = Table(judged=True)
    with tempfile.TemporaryDirectory() as folder:
        stream = sessions(given.events, Path(folder))
        name, columns = stream.name, stream.dense
        model, plain = plainly(columns)
        base = Base(
            "plain Python", table.line(name, "learn: plain Python, top 50 after each", [plain * 1e6], "us/event")
        )
        for what, spent in (
            ("learn: the core, top 50 after each", one_by_one(stream.wide())),
            ("learn: the line, all recommenders", learned(Path(folder) / "learned", columns)),
        ):
            table.line(name, what, [spent * 1e6], "us/event", base, ratio_at_most=1 / 30)
        history, last = part(columns, 0, -given.pushed), part(columns, -given.pushed, len(columns[0]))
        plain = plainly_advised(model, last)
        base = Base("plain Python", table.line(name, "advise: plain Python", [plain * 1e6], "us/event"))
        for what, batch, flags in (
            ("one event a batch", 1, {}),
            ("… items alone", 1, ALONE),
            ("as it comes", 1024, {}),
        ):
            spent, lists = advised(Path(folder) / what, history, last, batch, flags)
            table.line(name, f"advise: the line, {what}", [spent * 1e6], "us/event", base, ratio_at_most=1 / 20)
            table.line(name, f"advise: the line, {what}: lists pushed", [lists], "an event")
    print(f"\n{machine()}, load {os.getloadavg()[0]:.1f}\n{table.summary()}")
    if given.json:
        table.save(given.json, machine=machine())


if __name__ == "__main__":
    main()
