"""The web server over a small in-memory line, through a real uvicorn on a random port."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx

from shopguide.collect.collector import raw_of
from shopguide.display import Server, create_app
from shopguide.errors import TokenError
from shopguide.metrics import Sample
from shopguide.settings import Settings

LIMIT = 4096
LIST = {"v": 1, "type": "snapshot", "seq": [1, 1], "slot": "home", "items": []}


class MemoryLine:
    """A line that keeps rows in a list, which is its disk. A token is "user|expires|good"."""

    def __init__(self) -> None:
        self.rows: list[dict] = []
        self.raw: list[bytes] = []
        self.appended: list[list[dict]] = []  # batches that are on no disk
        self.groups: list[list[int]] = []  # rows of the batches that were committed together
        self.catalogue: list[dict] = []
        self.lists: dict[str, asyncio.Queue] = {}
        self.slots: list[str | None] = []
        self.closed = 0
        self.broken: Exception | None = None
        self.writes = asyncio.Event()  # set: the disk does not hang
        self.writes.set()
        self.silent = False
        self.too_much = self.stuck = ""
        self.said: list[tuple[str, object]] = []  # rows by their items, logins, who is forgotten, in order

    async def append(self, batches: list[list[dict]]) -> list[SimpleNamespace]:
        self.appended += batches
        kept = [sum(row.get("consent", True) for row in rows) for rows in batches]
        return [SimpleNamespace(accepted=n, refused=len(rows) - n) for n, rows in zip(kept, batches, strict=True)]

    async def commit(self) -> None:
        group, self.appended = self.appended, []
        await asyncio.sleep(0.005)
        await self.writes.wait()
        if self.broken:
            raise self.broken
        self.groups.append([len(rows) for rows in group])
        kept = [row for rows in group for row in rows if row.get("consent", True)]
        self.rows += kept
        self.said += [(row.get("item", ""), row) for row in kept]
        self.raw += [raw_of(row, None) for row in kept]

    def busy(self) -> str | None:
        return self.too_much or None

    async def identify(self, visitor: int, account: int) -> None:
        self.said.append(("identify", (visitor, account)))

    async def forget(self, token: str) -> dict:
        self.said.append(("forget", self.verify(token)))
        return {}

    def mint(self, user: str, ttl: float | None = None) -> str:
        return f"{user}|{time.time() + (ttl or 60)}|good"

    def verify(self, token: str) -> int:
        user, expires, signature = (*token.split("|"), "", "")[:3]
        if signature != "good":
            raise TokenError("the token is forged")
        if float(expires) < time.time():
            raise TokenError("the token has expired")
        return int.from_bytes(user.encode(), "little")

    async def recommend(
        self, token: str, n: int, slot: str, timeout: float, context: Mapping[str, str] = {}
    ) -> dict | None:
        return None if self.silent else {**LIST, "slot": slot, "items": [{"item": f"i{k}"} for k in range(n)]}

    async def similar(self, item: str, n: int) -> dict | None:
        if self.silent:
            raise TimeoutError
        return {"items": [{"item": "i2"}][:n]} if item == "i1" else None

    async def trending(self, category: str | None, n: int) -> dict:
        if self.silent:
            raise TimeoutError
        return {"category": category, "items": [{"item": "i1"}][:n] if category in (None, "shoes") else []}

    async def why(self, token: str, item: str) -> dict | None:
        return {"item": item, "title": "One", "score": 1.0, "parts": []} if item == "i1" else None

    async def subscribe(
        self, token: str, slot: str | None = None, context: Mapping[str, str] = {}
    ) -> AsyncGenerator[tuple[str, str], None]:
        self.slots.append(slot)
        lists = self.lists[token] = asyncio.Queue()
        try:
            yield "1-1", json.dumps(LIST)
            while (message := await lists.get()) is not None:
                yield message
        finally:
            self.closed += 1
            del self.lists[token]

    @property
    def scene(self) -> str:
        return "shop" if self.catalogue else ""

    def products(self) -> list[dict]:
        return self.catalogue

    def alive(self) -> dict:
        return {"line": {"ok": not self.stuck, "said": self.stuck or "works"}}

    def ready(self) -> dict:
        return {**self.alive(), "disk": {"ok": not self.too_much, "said": self.too_much or "has room"}}

    async def samples(self) -> list:
        return [Sample("shopguide_watched_users", [], len(self.lists))]

    def counts(self) -> dict:
        return {"events": len(self.rows), "rejected": 0, "watched": len(self.lists), "events_per_second": 0.0}


@asynccontextmanager
async def serving(
    line: MemoryLine, heartbeat: float = 5.0, **http: object
) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    settings = Settings.model_validate(
        {"http": {"port": 0, "max_body": LIMIT, **http}, "push": {"heartbeat": heartbeat}}
    )
    server = Server(create_app(line, settings), settings)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=5) as client:
        yield server, client
        server.should_exit = True
        await asyncio.wait_for(running, 5)
