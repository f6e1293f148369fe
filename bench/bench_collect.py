"""What one core takes in over HTTP: batches of 100 events, answered when the log has them on disk.

    python bench/bench_collect.py [--seconds N] [--connections N] [--json FILE]

`shopguide run --source http:` on one core, twice: with all that it does besides (learning, and nobody who watches), and
"alone", as the process beside a Storm cluster, whose stages would learn elsewhere: here nobody does. Clients on the
other cores send the next batch when the last was answered, and wait where they are told to (429). Baseline of the same
run: a handler of the same server (uvicorn, uvloop, httptools) that reads the body and answers 202. It is faster than
its clients, so its time is theirs; its processor time is its own.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from table import Base, Table, machine

from shopguide.log import Log
from shopguide.state import StateDir

BATCH = 100
USERS, ITEMS = 5_000, 2_000
GOAL = 4.0  # times the bare handler's time a batch, and its processor time, at most
BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def take(request):
    await request.body()
    return JSONResponse({"accepted": 100}, 202)

app = Starlette(routes=[Route("/v1/events", take, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="error")
"""
LINE = "from shopguide.cli import main; main()"
PORT = 8431  # of the bare handler


class Load(NamedTuple):
    """What was sent: seconds of each batch that was taken, how often clients had to wait, seconds in all, and how many
    of these the server's process was at work."""

    spent: list[float]
    waits: int
    seconds: float
    work: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return len(self.spent) * BATCH / self.seconds


def bodies(seed: int) -> Iterator[bytes]:
    """Batches of events, each event with its own id."""
    chance = random.Random(seed)
    for batch in itertools.count():
        rows = (
            {
                "user": f"u{chance.randrange(USERS)}",
                "item": f"i{int(ITEMS * chance.random() ** 2)}",
                "kind": "view",
                "id": f"{seed}-{batch}-{row}",
            }
            for row in range(BATCH)
        )
        yield json.dumps(list(rows)).encode()


@contextmanager
def on_one_core(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    patient = {**os.environ, "SHOPGUIDE_HTTP_MAX_BEHIND": str(10**9)}  # where nobody learns, all rows wait
    process = subprocess.Popen([sys.executable, "-c", *command], stdout=subprocess.DEVNULL, env=patient)
    os.sched_setaffinity(0, cores[1:] or cores)
    try:
        yield process
    finally:
        os.sched_setaffinity(0, cores)
        process.terminate()
        process.wait(120)


def wait_for(address: str) -> None:
    """Until somebody listens."""
    for _ in range(600):
        try:
            http.client.HTTPConnection(address).connect()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"bench_collect: nobody answers at {address}")


def work_of(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(address: str, pid: int, seconds: float, connections: int) -> Load:
    """Send batches for so long, over so many connections at once."""
    prepared = [list(itertools.islice(bodies(seed), int(60 * seconds))) for seed in range(connections)]
    spent: list[list[float]] = [[] for _ in range(connections)]
    waits = [0] * connections
    ready = threading.Barrier(connections + 1)

    def send(client: int) -> None:
        connection = http.client.HTTPConnection(address)
        connection.connect()
        ready.wait()
        until = time.perf_counter() + seconds
        for body in prepared[client]:
            while time.perf_counter() < until:
                began = time.perf_counter()
                connection.request("POST", "/v1/events", body, {"content-type": "application/json"})
                response = connection.getresponse()
                response.read()
                if response.status == http.client.ACCEPTED:
                    spent[client].append(time.perf_counter() - began)
                    break
                assert response.status == http.client.TOO_MANY_REQUESTS, response.status
                waits[client] += 1
                time.sleep(float(response.headers["retry-after"]))

    threads = [threading.Thread(target=send, args=(client,)) for client in range(connections)]
    for thread in threads:
        thread.start()
    ready.wait()
    began, work = time.perf_counter(), work_of(pid)
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    return Load([one for client in spent for one in client], sum(waits), took, work_of(pid) - work)


def collected(engine: str, seconds: float, connections: int) -> tuple[Load, int]:
    """What a line was sent, and how many rows its log has."""
    with TemporaryDirectory() as folder:
        state = StateDir(Path(folder))
        doors = ["--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*"]
        with on_one_core([LINE, "run", "--source", "http:", "--state", folder, "--engine", engine, *doors]) as server:
            while "http" not in state.running():
                time.sleep(0.05)
            address = urlsplit(str(state.running()["http"])).netloc
            taken = load(address, server.pid, seconds, connections)
        log = Log(state.log, Log.partitions_of(state.log, 0), readonly=True)
        return taken, sum(log.end(partition) for partition in range(log.partitions))


def show(table: Table, what: str, done: Load, bare: tuple[Base, Base] | None = None) -> tuple[float, float]:
    """The time and the processor time of a batch, ms."""
    goal = GOAL if bare else None
    time_of_bare, work_of_bare = bare or (None, None)
    milliseconds = np.array(done.spent) * 1000
    table.line("collect", f"{what}: events a second", [done.rate], "1/s")
    each = 1000 * BATCH / done.rate
    work = 1000 * done.work / len(done.spent)
    table.line("collect", f"{what}: a batch of {BATCH}", [each], "ms", time_of_bare, goal)
    table.line("collect", f"{what}: processor time of it", [work], "ms", work_of_bare, goal)
    table.line("collect", f"{what}: until the answer, p50", [np.percentile(milliseconds, 50)], "ms")
    table.line("collect", f"{what}: until the answer, p99", [np.percentile(milliseconds, 99)], "ms")
    return each, work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    table = Table(judged=True)
    with on_one_core([BARE, str(PORT)]) as server:
        wait_for(f"127.0.0.1:{PORT}")
        bare = load(f"127.0.0.1:{PORT}", server.pid, given.seconds, given.connections)
    each, work = show(table, "a bare handler", bare)
    bases = Base("bare", each), Base("bare", work)
    for what, engine in (("the collector", "local"), ("the collector alone", "storm")):
        taken, kept = collected(engine, given.seconds, given.connections)
        show(table, what, taken, bases)
        table.line("collect", f"{what}: answers that said to come later", [taken.waits], "")
        lost = abs(kept - len(taken.spent) * BATCH)
        table.line("collect", f"{what}: rows in the log less events that were taken", [lost], "", at_most=0)
    print(f"\n{machine()}\n{table.summary()}")
    if given.json:
        table.save(given.json, machine=machine())


if __name__ == "__main__":
    main()
