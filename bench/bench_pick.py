"""How long from an expert's pin to its place on every open screen, for many screens of shoppers with histories.

    python bench/bench_pick.py [--screens N ...] [--rounds N] [--json FILE]

The demo's shop and line in one process, as `shopguide demo` has it, its own shoppers included; the screens are streams
of server-sent events, all read by this process. In each round another item, which nobody has bought, is pinned to the
first place at the desk, and the clock runs from the request until it is first in the list of the last screen.
Baseline of the same run: the desk's own answer, when the pin is in the log and the line knows it. Beside it the line's
processor time for each screen, which other work on the machine changes less: it says how many a second one core does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
from table import Base, Table, machine

from shopguide.cli.shoppers import SEED
from shopguide.keys import Secret
from shopguide.simulate import Shop
from shopguide.state import StateDir
from shopguide.tokens import KeyRing, mint, mint_admin

GOAL = 1000.0  # ms, until the last of a thousand screens has it
TTL = 3600.0  # seconds
PATIENCE = 180.0  # seconds


@contextmanager
def demo(state: Path) -> Iterator[tuple[str, int]]:
    """Where it serves, and its process."""
    code = "from shopguide.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", "--port", "0", "--state", str(state)]
    process = subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.DEVNULL)
    while "http" not in StateDir(state).running():
        if process.poll() is not None:
            sys.exit("bench_pick: the demo does not start")
        time.sleep(0.05)
    yield str(StateDir(state).running()["http"]), process.pid
    process.terminate()
    process.wait(60)


class Screens:
    """Open streams; ``first`` has the item in the first place of each, ``since`` when it came there (monotonic s)."""

    def __init__(self, url: str, tokens: list[str]) -> None:
        address = urlsplit(url)
        self._where = address.hostname, address.port
        self._tokens = tokens
        self.first: dict[str, str] = {}
        self.since: dict[str, float] = {}
        self._readers: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        self._readers = [asyncio.create_task(self._read(token)) for token in self._tokens]
        await self.until(lambda token: token in self.first)

    async def close(self) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def until(self, fits: Any) -> None:
        ends = time.monotonic() + PATIENCE
        while not all(map(fits, self._tokens)):
            lacking = sum(not fits(token) for token in self._tokens)
            assert time.monotonic() < ends, f"{lacking} of {len(self._tokens)} screens lack it"
            await asyncio.sleep(0.02)

    async def _read(self, token: str) -> None:
        reader, writer = await asyncio.open_connection(*self._where)
        writer.write(f"GET /v1/stream?token={token} HTTP/1.1\r\nhost: bench\r\n\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"data: "):
                message = orjson.loads(line[6:])
                order = message.get("order") or [item["item"] for item in message.get("items", ())]
                if order and self.first.get(token) != order[0]:
                    self.first[token], self.since[token] = order[0], time.monotonic()


def ask(url: str, what: str, body: Any, admin: str = "") -> dict[str, Any]:
    headers = {"authorization": f"Bearer {admin}"} if admin else {}
    request = urllib.request.Request(f"{url}/v1/{what}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return dict(json.load(answer))


def processor_time(process: int) -> float:
    """Seconds that it has had, all its threads together."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


async def measure(url: str, process: int, state: Path, screens: int, rounds: int, table: Table) -> None:
    secret, shop = Secret.load(state), Shop(SEED)
    keys = KeyRing.of(secret)
    admin = mint_admin(keys, "bench", TTL)
    users = [shopper.user for shopper in shop.shoppers[:screens]]
    watched = Screens(url, [mint(keys, secret.user_key(user), TTL) for user in users])
    await watched.open()
    items = [{"kind": "item", "item": f"pin-{number}", "title": f"New {number}"} for number in range(rounds)]
    await asyncio.to_thread(ask, url, "events", items)
    await asyncio.sleep(3)
    answered, half, all_, spent = [], [], [], []
    for item in (item["item"] for item in items):
        began, before = time.monotonic(), processor_time(process)
        body = {"action": "pin", "item": item, "position": 1, "why": "bench"}
        pinned = await asyncio.to_thread(ask, url, "desk/pick", body, admin)
        answered.append(1000 * (time.monotonic() - began))
        await watched.until(lambda token, item=item: watched.first[token] == item)
        spent.append(1000 * (processor_time(process) - before) / screens)
        took = sorted(1000 * (watched.since[token] - began) for token in watched.since)
        half.append(took[len(took) // 2])
        all_.append(took[-1])
        await asyncio.to_thread(ask, url, "desk/undo", {"id": pinned["id"], "why": "bench"}, admin)
        await watched.until(lambda token, item=item: watched.first[token] != item)
        await asyncio.sleep(1)
    await watched.close()
    name = f"{screens:,} screens"
    base = Base("answer", table.line("pick", f"{name}: the desk's answer", np.array(answered), "ms"))
    table.line("pick", f"{name}: half of them have it", np.array(half), "ms", base)
    table.line("pick", f"{name}: all of them have it", np.array(all_), "ms", base, at_most=GOAL)
    table.line("pick", f"{name}: processor time of the line, each", np.array(spent), "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--screens", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = Table(judged=True)
    for screens in options.screens:
        with TemporaryDirectory() as folder, demo(Path(folder)) as (url, process):
            asyncio.run(measure(url, process, Path(folder), screens, options.rounds, table))
    print(f"\n{machine()}\n{table.summary()}")
    if options.json:
        table.save(options.json, machine=machine())


if __name__ == "__main__":
    main()
