"""What a request with one event costs: processor time of its threads, and how long until the event is in the log.

    python bench/bench_requests.py [--rate N] [--seconds N] [--json FILE]

Shoppers post one event a request over connections that stay open, at a fixed rate, whoever is slow; nobody watches.
`shopguide run --source http:` takes them twice: with all that it does besides (learning), and "alone", as the process
beside a Storm cluster, whose stages would learn elsewhere: here nobody does. Baseline of the same run: a handler of the
same server (uvicorn, uvloop, httptools) that reads the body and answers 202. Processor time is what the kernel counts
of each thread (schedstat), while requests come.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from table import Base, Table, machine

from shopguide.log import Log
from shopguide.state import StateDir

CONNECTIONS = 64
USERS, ITEMS = 5_000, 2_000
WARM = 0.2  # of the events are passed over
GOAL = 600.0  # us of processor time a request, the stages' left out
SOON = 1.0  # ms from when an event is due until it is in the log
BARE = """
import sys, uvicorn

async def app(scope, receive, send):
    while (await receive())["more_body"]:
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"14")]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"accepted":1}'})

uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="error")
"""
LINE = "from shopguide.cli import main; main()"
PORT = 8432  # of the bare handler


class Sent(NamedTuple):
    """When the events were due (epoch s), the seconds until each was answered, and how many were refused."""

    due: np.ndarray
    answered: np.ndarray
    refused: int


def send(address: str, rate: float, seconds: float, seed: int = 1) -> Sent:
    """One event a request, each when it is due, or when a connection is free."""
    chance, host = random.Random(seed), urlsplit(f"//{address}")
    free = deque(socket.create_connection((host.hostname or "", host.port or 80)) for _ in range(CONNECTIONS))
    selector = selectors.DefaultSelector()
    for one in free:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(one, selectors.EVENT_READ)
    events = int(rate * seconds)
    begin = time.time() + 0.1
    due, answered = begin + np.arange(events) / rate, np.zeros(events)
    times, under_way, refused, number = due.tolist(), dict[Any, int](), 0, 0
    said: dict[Any, bytes] = {}
    while number < events or under_way:
        while number < events and free and times[number] <= time.time():
            one = free.popleft()
            one.send(request(address, chance, times[number]))
            under_way[one], number = number, number + 1
        left = times[number] - time.time() if number < events and free else 0.05
        for key, _ in selector.select(max(left, 0)):
            connection: Any = key.fileobj
            said[connection] = said.get(connection, b"") + connection.recv(65536)
            if said[connection].endswith(b"}"):  # the answer is a JSON object
                answered[under_way.pop(connection)] = time.time()
                refused += not said.pop(connection).startswith(b"HTTP/1.1 202")
                free.append(connection)
    for one in free:
        one.close()
    return Sent(due, answered - due, refused)


def request(host: str, chance: random.Random, moment: float) -> bytes:
    event = {"kind": "view", "user": f"u{chance.randrange(USERS)}", "item": f"i{int(ITEMS * chance.random() ** 2)}"}
    body = json.dumps({**event, "time": moment})
    head = f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


def work_of(pid: int) -> dict[int, float]:
    """Seconds that each thread of a process has run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {int(task.name): int((task / "schedstat").read_text().split()[0]) / 1e9 for task in tasks}


def loaded(address: str, pid: int, rate: float, seconds: float) -> tuple[Sent, dict[int, float]]:
    """After a warm-up: what was sent, and the processor time that each thread spent on a request (us)."""
    send(address, rate, seconds * WARM, seed=0)
    before = work_of(pid)
    sent = send(address, rate, seconds)
    spent = {thread: (all_ - before.get(thread, 0)) / len(sent.due) * 1e6 for thread, all_ in work_of(pid).items()}
    return sent, spent


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    patient = {**os.environ, "SHOPGUIDE_HTTP_MAX_BEHIND": str(10**9)}  # where nobody learns, all rows wait
    process = subprocess.Popen([sys.executable, "-c", *command], stdout=subprocess.DEVNULL, env=patient)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(120)


def collected(engine: str, rate: float, seconds: float) -> tuple[Sent, dict[int, float], int, np.ndarray]:
    """As ``loaded``, of a line; its process, and the seconds until events were in the log."""
    with TemporaryDirectory() as folder:
        state = StateDir(Path(folder))
        doors = ["--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*", "--engine", engine]
        with running(LINE, "run", "--source", "http:", "--state", folder, *doors) as line:
            while "http" not in state.running():
                time.sleep(0.05)
            sent, spent = loaded(urlsplit(str(state.running()["http"])).netloc, line.pid, rate, seconds)
        log = Log(state.log, Log.partitions_of(state.log, 0), readonly=True)
        parts = [log.read(p, 0, 1 << 20) for p in range(log.partitions)]
        rows = [batch.events for batch in parts if batch is not None]
        time_, arrived = (np.concatenate([getattr(events, name) for events in rows]) for name in ("time", "arrived"))
        return sent, spent, line.pid, (arrived - time_)[time_ >= sent.due[0] - 1e-6]


def show(table: Table, what: str, sent: Sent, spent: dict[int, float], loop: int, base: Base | None = None) -> float:
    """The processor time of a request."""
    work = sum(spent.values())
    goal = GOAL if what.endswith("alone") else None
    table.line("requests", f"{what}: processor time of a request", [work], "us", base, at_most=goal)
    table.line("requests", f"{what}: … in the loop's thread", [spent[loop]], "us")
    for p in (50, 99):
        table.line("requests", f"{what}: due → answered, p{p}", [np.percentile(sent.answered, p) * 1e3], "ms")
    table.line("requests", f"{what}: refused", [sent.refused], "", at_most=0)
    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    table = Table(judged=True)
    with running(BARE, str(PORT)) as bare:
        for _ in range(600):
            if socket.socket().connect_ex(("127.0.0.1", PORT)) == 0:
                break
            time.sleep(0.05)
        sent, spent = loaded(f"127.0.0.1:{PORT}", bare.pid, given.rate, given.seconds)
    base = Base("bare", show(table, "a bare handler", sent, spent, bare.pid))
    for what, engine in (("the line", "local"), ("the line alone", "storm")):
        sent, spent, pid, logged = collected(engine, given.rate, given.seconds)
        show(table, what, sent, spent, pid, base)
        for p, goal in ((50, SOON), (99, None)):
            table.line("requests", f"{what}: due → logged, p{p}", [np.percentile(logged, p) * 1e3], "ms", at_most=goal)
    print(f"\n{machine()}, load {os.getloadavg()[0]:.1f}\n{table.summary()}")
    if given.json:
        table.save(given.json, machine=machine())


if __name__ == "__main__":
    main()
