"""The whole topology on a Storm cluster: events a second in columnar batches over MessagePack, against one event a
tuple over JSON; and how long an event takes to the client, from its arrival at the collector.

    python bench/bench_storm.py [--events N] [--few N] [--pace N] [--seconds N] [--json FILE]

Brings up a cluster of its own (deploy/storm.py: Java 17, Maven) and ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import queue
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from table import Base, Table, machine

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "storm"))

from cluster import Cluster, build_jar  # noqa: E402 - the tests' own
from guide import Holder, said  # noqa: E402
from local import make_jar  # noqa: E402

from shopguide.client import AsyncSubscriber  # noqa: E402
from shopguide.keys import Secret  # noqa: E402
from shopguide.tasks import Tasks  # noqa: E402
from shopguide.tokens import KeyRing, mint  # noqa: E402

os.environ.setdefault("SHOPGUIDE_SECRET", "a secret for the bench only")

ONE_EVENT = ROOT / "bench" / "storm"  # the baseline's project
WATCHERS, OTHERS, ITEMS = 50, 450, 400
CONNECTIONS = 32
WARM = 0.2  # of a history is passed over: the JVM compiles its code
TIMES = ("logged", "scored", "pushed", "received")
HOPS = {"scored": "logged → scored: spout, clean, featurize, score", "pushed": "scored → pushed: rank, push, server"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000, help="of a history in batches")
    parser.add_argument("--few", type=int, default=6_000, help="of one that goes one by one, and in batches too")
    parser.add_argument("--pace", type=float, default=200.0, help="events a second of the latency run")
    parser.add_argument("--watched", type=float, default=0.1, help="share of those events that are by watched shoppers")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each latency run")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@contextmanager
def topology(cluster: Cluster, state: Path, project: Path, name: str, jar: Path, **options: object) -> Iterator[None]:
    """Up and idle: its directory is not there yet."""
    cluster.submit(project, name, {"shopguide.state": str(state), **options}, jar=jar)
    try:
        waited = cluster.wait(name)
        assert waited.returncode == 0, waited.stderr
        yield
    finally:
        cluster.kill(name)


def learn(history: Path, state: Path, size: int) -> tuple[float, str]:
    """Events a second in which the topology learns a history, and the checksum of what it has learned."""
    settings = {"SHOPGUIDE_LOG_BATCH": str(size), "SHOPGUIDE_STATE_EVERY": "3600"}
    with tempfile.TemporaryDirectory(dir=state.parent) as folder:
        filled = Path(folder) / "state"
        said("batch", "--source", f"file:{history}?speed=max", "--state", str(filled), **settings)
        shutil.rmtree(filled / "snapshots")
        shutil.rmtree(filled / "rejects", ignore_errors=True)
        filled.rename(state)
    rows = sum(json.loads(said("state", "info", str(state), "--json"))["log"]["rows"])
    seen: list[tuple[float, int]] = []
    while not seen or seen[-1][1] < rows:
        progress = Tasks(state).progress()
        if progress is not None:
            seen.append((time.monotonic(), sum(progress.acked)))
        time.sleep(0.01)
    begin = next((at for at in reversed(seen) if at[1] <= WARM * rows), seen[0])
    Holder(state, **settings).stop()  # a snapshot of what the tasks hold
    assert list((state / "snapshots").iterdir())
    seconds = max(seen[-1][0] - begin[0], 0.01)
    return (rows - begin[1]) / seconds, said("state", "checksum", str(state))


class Shoppers:
    """Events one by one, an open loop: each at its time, however long the others take."""

    def __init__(self, url: str, pace: float, seconds: float, share: float) -> None:
        self._connections = queue.SimpleQueue[http.client.HTTPConnection]()
        for _ in range(CONNECTIONS):
            self._connections.put(http.client.HTTPConnection(urlsplit(url).netloc))
        self._pace, self._seconds, self._share = pace, seconds, share

    def shop(self) -> None:
        chance, begin = random.Random(1), time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for number in range(int(self._pace * self._seconds)):
                time.sleep(max(0.0, begin + number / self._pace - time.monotonic()))
                watched = chance.random() < self._share
                user = f"shopper-{chance.randrange(WATCHERS)}" if watched else f"other-{chance.randrange(OTHERS)}"
                pool.submit(self._post, {"kind": "view", "user": user, "item": f"item-{chance.randrange(ITEMS)}"})

    def _post(self, event: dict[str, str]) -> None:
        """Waits until the event is durable, as a shop does."""
        connection = self._connections.get()
        connection.request("POST", "/v1/events", json.dumps([event]))
        connection.getresponse().read()
        self._connections.put(connection)


async def watch(state: Path, shoppers: Shoppers) -> np.ndarray:
    """The times of each list: logged, scored, pushed, received (epoch s)."""
    running, secret = json.loads((state / "run.json").read_text()), Secret.load(state)
    times: list[list[float]] = []
    async with AsyncSubscriber(running["push"], running["gap"]) as subscriber:
        for number in range(WATCHERS):
            subscriber.subscribe(mint(KeyRing.of(secret), secret.user_key(f"shopper-{number}"), 3600))

        async def read() -> None:
            async for _, update in subscriber:
                assert update is not None
                said_times = update.message["times"]
                times.append([*(said_times[name] for name in TIMES[:-1]), time.time()])

        reading = asyncio.create_task(read())
        await asyncio.sleep(2)
        thread = threading.Thread(target=shoppers.shop)
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        reading.cancel()
    return np.array(times)[len(times) // 5 :]


def latency(table: Table, where: str, state: Path, given: argparse.Namespace, engine: str = "storm") -> None:
    holder = Holder(state, engine, SHOPGUIDE_STATE_EVERY="3600")
    try:
        times = asyncio.run(watch(state, Shoppers(holder.url, given.pace, given.seconds, given.watched)))
        holder.stop()
    finally:
        holder.kill()
    ms = (times[:, -1] - times[:, 0]) * 1e3
    for p in (50, 99):
        table.line(where, f"event → client at {given.pace:.0f} events/s, p{p}", [np.percentile(ms, p)], "ms")
    for at, (_, name) in enumerate(pairwise(TIMES)):
        part = (times[:, at + 1] - times[:, at]) * 1e3
        table.line(where, f"  {HOPS.get(name, 'pushed → client')}, p50", [np.percentile(part, 50)], "ms")
    table.line(where, "  lists", [len(times)], "")


def run(cluster: Cluster, folder: Path, given: argparse.Namespace) -> Table:
    table, jar = Table(judged=True), make_jar()
    few, many = folder / "few.jsonl", folder / "many.jsonl"
    for path, events in ((few, given.few), (many, given.events)):
        said("simulate", "--events", str(events), "--seed", "1", "--out", str(path))
    sums = {}
    rates = {}
    state = folder / "one by one"
    text = {"topology.max.spout.pending": 500}
    with topology(cluster, state, ONE_EVENT, "one_event", build_jar(ONE_EVENT, folder / "one.jar"), **text):
        rates["one"], sums["one"] = learn(few, state, 1)
    for name, history in (("few", few), ("many", many)):
        state = folder / name
        with topology(cluster, state, ROOT, "recommend", jar):
            rates[name], sums[name] = learn(history, state, 1024)
    assert sums["one"] == sums["few"], sums
    one = Base("one", table.line("Storm", f"one event a tuple, JSON: {given.few:,} events", [rates["one"]], "events/s"))
    table.line(
        "Storm",
        f"batches, MessagePack: {given.events:,} (of the few: the same model)",
        [rates["many"]],
        "events/s",
        one,
    )
    latency(table, "process", folder / "process", given, engine="local")
    for workers in (1, 2):
        state = folder / f"{workers} workers"
        with topology(cluster, state, ROOT, "recommend", jar, **{"topology.workers": workers}):
            latency(table, f"{workers} worker" + "s" * (workers > 1), state, given)
    return table


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "storm")
        cluster.up()
        try:
            table = run(cluster, Path(folder), given)
        finally:
            cluster.down()
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "rows": table.rows}, indent=1))


if __name__ == "__main__":
    main()
