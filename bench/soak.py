"""A line under load for twenty minutes, killed with SIGKILL every two: are its counts exact, does anything grow?

    python bench/soak.py [--minutes N] [--every SECONDS] [--rate N] [--engine local|beside] [--json FILE]

`shopguide run --source http:` keeps its ports and its state directory. A shop posts events with ids, twenty a request,
again until they are taken; a tenth are of shoppers who are watched by ZeroMQ subscribers that stay through all kills.
Of each life memory, descriptors and threads are sampled early and late, those of its children too. At last all that
the shop has sent has to be there, once; a model that learns the same log anew has to be the same; and every subscriber
has to hold the list that the server holds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bench_end_to_end import SHOPGUIDE
from family import family
from table import Table, machine

from shopguide.client import Subscriber
from shopguide.keys import Secret, event_key
from shopguide.log import Log
from shopguide.tokens import KeyRing, mint

HTTP, PUSH = "127.0.0.1:8461", "tcp://127.0.0.1:8462"
WATCHED, OTHERS, ITEMS, BATCH = 20, 20_000, 2_000, 20
RETENTION = 200_000  # events that count
EARLY = 30.0  # seconds of a life after which what it has is looked at first
SETTINGS = {"SHOPGUIDE_LEARN_RETENTION_EVENTS": str(RETENTION), "SHOPGUIDE_STATE_EVERY": "10"}


class Held(NamedTuple):
    """What a process and its children have: MB, descriptors, threads."""

    memory: float
    descriptors: int
    threads: int


class Line:
    """Killed and started again, always the same."""

    def __init__(self, state: Path, engine: str) -> None:
        self.state, self._engine = state, engine
        self.start()

    def start(self) -> None:
        doors = ["--http", HTTP, "--push", PUSH, "--state", str(self.state), "--engine", self._engine]
        self._process = subprocess.Popen(
            [*SHOPGUIDE, "run", "--source", "http:", *doors],
            env={**os.environ, **SETTINGS},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        mended = ""
        while not (said := self._process.stderr.readline()).startswith("serving "):
            mended += said
            if not said:
                sys.exit(f"soak: the line does not begin: {mended}")

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()

    def stop(self) -> None:
        self._process.terminate()
        _, said = self._process.communicate(timeout=300)
        if self._process.returncode:
            sys.exit(f"soak: the line ended badly: {said}")

    def held(self) -> Held:
        found = [Path(f"/proc/{one}") for one in family(self._process.pid)]
        pages = sum(int((one / "statm").read_text().split()[1]) for one in found)
        descriptors = sum(len(list((one / "fd").iterdir())) for one in found)
        threads = sum(len(list((one / "task").iterdir())) for one in found)
        return Held(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, descriptors, threads)


class Shop(threading.Thread):
    """Posts events at a rate; what is not taken is sent again, in its place."""

    def __init__(self, rate: float) -> None:
        super().__init__(daemon=True)
        self._rate, self._chance = rate, random.Random(1)
        self.ended = threading.Event()
        self.sent = self.again = 0

    def run(self) -> None:
        begin = time.monotonic()
        while not self.ended.wait(max(0.0, begin + self.sent / self._rate - time.monotonic())):
            events = [self._event(self.sent + at) for at in range(BATCH)]
            while not self._taken(json.dumps(events).encode()):
                self.again += 1
                time.sleep(0.1)
            self.sent += BATCH

    def _event(self, number: int) -> dict[str, Any]:
        chance = self._chance
        user = f"watched-{chance.randrange(WATCHED)}" if chance.random() < 0.1 else f"other-{chance.randrange(OTHERS)}"
        kind = chance.choice(("view",) * 8 + ("cart", "purchase"))
        return {"id": f"e{number}", "user": user, "item": f"i{int(ITEMS * chance.random() ** 2)}", "kind": kind}

    def _taken(self, body: bytes) -> bool:
        try:
            if not hasattr(self, "_connection"):
                self._connection = http.client.HTTPConnection(HTTP, timeout=10)
            self._connection.request("POST", "/v1/events", body)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return False
        return answer.status == http.client.ACCEPTED


class Watcher(threading.Thread):
    def __init__(self, token: str) -> None:
        super().__init__(daemon=True)
        self.token, self.lists, self.items = token, 0, list[str]()
        self.start()

    def run(self) -> None:
        with Subscriber(self.token, PUSH) as lists:
            for update in lists:
                self.lists += 1
                self.items = [item["item"] for item in update.items]

    def is_newest(self) -> bool:
        """Whether the server's list is the one at hand."""
        connection = http.client.HTTPConnection(HTTP, timeout=10)
        connection.request("GET", "/v1/recommend?n=20", headers={"authorization": f"Bearer {self.token}"})
        message = json.loads(connection.getresponse().read())
        return [item["item"] for item in message["items"]] == self.items


def is_ready() -> bool:
    """Whether the line has learned what it holds and answers for it."""
    connection = http.client.HTTPConnection(HTTP, timeout=10)
    connection.request("GET", "/readyz")
    return connection.getresponse().status == http.client.OK


def said(*arguments: str) -> str:
    return subprocess.run(
        [*SHOPGUIDE, *arguments], check=True, capture_output=True, text=True, env={**os.environ, **SETTINGS}
    ).stdout


def missing(state: Path, sent: int) -> tuple[int, int]:
    """Of the newest events that must be in the log still, how many are not; rows with an id that nobody sent."""
    ours = np.array([event_key(f"e{number}") for number in range(sent)], np.uint64)
    log = Log(state / "log", Log.partitions_of(state / "log", 0), readonly=True)
    found: set[int] = set()
    for partition in range(log.partitions):
        position = 0
        while (batch := log.read(partition, position, 65_536)) is not None:
            found |= set(batch.events.event[batch.events.event > 0].tolist())
            position = batch.last + 1
    log.close()
    return len(set(ours[-RETENTION // 2 :].tolist()) - found), len(found - set(ours.tolist()))


def soak(table: Table, state: Path, given: argparse.Namespace) -> bool:
    line, shop = Line(state, given.engine), Shop(given.rate)
    secret = Secret.load(state)
    tokens = [mint(KeyRing.of(secret), secret.user_key(f"watched-{n}"), 86_400) for n in range(WATCHED)]
    shop.start()
    watchers = [Watcher(token) for token in tokens]
    early: list[Held] = []
    late: list[Held] = []
    for life in range(int(given.minutes * 60 / given.every)):
        time.sleep(min(EARLY, given.every / 2))
        early.append(line.held())
        time.sleep(given.every - min(EARLY, given.every / 2))
        late.append(line.held())
        print(f"life {life + 1}: {late[-1].memory:.0f} MB, {late[-1].descriptors} descriptors, {late[-1].threads} "
              f"threads; {shop.sent:,} events taken, {shop.again} requests sent again", file=sys.stderr)  # fmt: skip
        line.kill()
        line.start()
    shop.ended.set()
    shop.join()
    while not is_ready():
        time.sleep(1)
    time.sleep(5)
    newest = sum(watcher.is_newest() for watcher in watchers)
    line.stop()
    return report(table, state, shop, watchers, newest, early, late)


def report(
    table: Table, state: Path, shop: Shop, watchers: Sequence[Watcher], newest: int, early: list[Held], late: list[Held]
) -> bool:
    lost, strange = missing(state, shop.sent)
    anew = state.with_name("anew")
    shutil.copytree(state, anew, ignore=shutil.ignore_patterns("snapshots", "*.sock", "run.json"))
    said("batch", "--state", str(anew))
    same = said("state", "checksum", str(state)) == said("state", "checksum", str(anew))
    table.line("soak", "events taken", [shop.sent], "")
    table.line("soak", "requests sent again, for want of an answer", [shop.again], "")
    table.line("soak", "events that are not in the log", [lost], "", at_most=0)
    table.line("soak", "rows that nobody sent", [strange], "", at_most=0)
    table.line("soak", "the model is another than one that learns the log anew", [not same], "", at_most=0)
    table.line("soak", "lists of a subscriber", [watcher.lists for watcher in watchers], "")
    table.line("soak", "subscribers without the newest list", [len(watchers) - newest], "", at_most=0)
    for name in Held._fields:
        first, last = ([getattr(held, name) for held in lives] for lives in (early, late))
        unit = "MB" if name == "memory" else ""
        table.line("soak", f"{name}: early in each life", first, unit)
        table.line("soak", f"{name}: late in each life", last, unit)
    return not any(row.get("met") is False for row in table.rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--every", type=float, default=120.0, help="seconds between kills")
    parser.add_argument("--rate", type=float, default=500.0, help="events a second: half of what saturates the line")
    parser.add_argument("--engine", choices=("local", "beside"), default="local", help="where the stages work")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    table = Table(judged=True)
    with tempfile.TemporaryDirectory() as folder:
        exact = soak(table, Path(folder) / "state", given)
    print(f"\n{machine()}, load {os.getloadavg()[0]:.1f}\n{table.summary()}")
    if given.json:
        table.save(given.json, machine=machine())
    sys.exit(not exact)


if __name__ == "__main__":
    main()
