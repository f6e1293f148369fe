"""The running line as the web server sees it: shopguide.display.Line over a Line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from itertools import chain
from typing import Any

import orjson

from shopguide import wire
from shopguide.cli.aside import Aside
from shopguide.cli.desk import Desk
from shopguide.cli.door import Line
from shopguide.cli.feed import Feed
from shopguide.cli.health import Checks, Health
from shopguide.cli.numbers import samples
from shopguide.cli.operator import Operator
from shopguide.cli.outcomes import Outcomes
from shopguide.collect.collector import Receipt
from shopguide.display.line import NOTHING
from shopguide.keys import category_key, item_key
from shopguide.metrics import Sample
from shopguide.rank import explain
from shopguide.records import SIMILAR, TRENDING, Kind
from shopguide.tokens import Token, mint

PULLED_FOR = 300.0  # seconds that a pulled list is kept fresh
LOOK = 0.25  # seconds between looks at whether there is room for more rows
FEW = 32  # rows that the loop stands still for
ASK = 2.0  # seconds to wait for the answer to a question


class ServedLine:
    """Every call comes from the web server's loop; what may block goes to a thread."""

    scene = ""

    def __init__(self, line: Line) -> None:
        assert line.push is not None
        self._line, self._push = line, line.push
        self._aside = Aside()
        self._feed: Feed | None = None
        self._operator = Operator(line)
        self.outcomes = Outcomes(line.secret, self._push.latest_of)
        self.desk = Desk(line, self._push, self.outcomes, self.counts)
        self.health = Health(line, self._push)
        self._started = time.time()
        self._counted = 0, time.monotonic()  # rows, when
        self._pace = 0.0
        self._busy: str | None = None
        self._look_at = 0.0

    async def append(self, batches: list[list[dict[str, Any]]]) -> list[Receipt]:
        """Few rows at once; many, and those whose lists have to be asked for first, in a thread."""
        self._line.raise_error()
        rows = list(chain.from_iterable(batches))
        if len(rows) <= FEW and not self.outcomes.concerns(rows):
            return self._line.collector.collect_all(batches)
        return await asyncio.to_thread(self._append, rows, batches)

    def _append(self, rows: list[dict[str, Any]], batches: list[list[dict[str, Any]]]) -> list[Receipt]:
        self.outcomes.note(rows)
        return self._line.collector.collect_all(batches)

    async def commit(self) -> None:
        await self._aside.do(self._line.collector.commit)

    def busy(self) -> str | None:
        """Looked at now and then only: to ask a cluster, or the disk, is not free."""
        now = time.monotonic()
        if now >= self._look_at:
            self._busy, self._look_at = self._find_busy(), now + LOOK
        return self._busy

    def _find_busy(self) -> str | None:
        return self.health.full() or self.health.late() or None

    async def identify(self, visitor: int, account: int) -> None:
        self._line.raise_error()
        self._line.collector.control(Kind.ALIAS, visitor, account=account)
        self.outcomes.join(visitor, account)
        await self.commit()

    def mint(self, user: str, ttl: float | None = None) -> str:
        ttl = self._line.settings.push.token_ttl if ttl is None else ttl
        return mint(self._line.keys, self._line.secret.user_key(user), ttl)

    def verify(self, token: str) -> int:
        return self._line.guard.verify(token).user

    async def recommend(
        self, token: str, n: int, slot: str, timeout: float, context: Mapping[str, str] = NOTHING
    ) -> dict[str, Any] | None:
        user = self.verify(token)
        newest = await asyncio.to_thread(self._push.snapshot, user)
        if (
            context
            or newest is None
            or newest["slot"] != slot
            or len(newest["items"]) < n
            or not self._line.follows(user)
        ):
            wanted: dict[str, Any] = {"expires": time.time() + PULLED_FOR, "slot": slot, "n": n, **context}
            with suppress(TimeoutError):
                await self._ask(user, timeout, **wanted)
                self._line.pulled(user, wanted["expires"])
            newest = await asyncio.to_thread(self._push.snapshot, user)
        return {**newest, "items": newest["items"][:n]} if newest else None

    async def similar(self, item: str, n: int) -> dict[str, Any] | None:
        key = item_key(item)
        if not self._line.knows(key):
            return None
        user = self._line.secret.user_key(f"similar:{n}:{item}")
        found = await self._ask(user, ASK, key, slot=SIMILAR.decode(), n=n)
        return _public(found) if found["about"] else None  # who did not know it here, knows it there

    async def trending(self, category: str | None, n: int) -> dict[str, Any]:
        key = category_key(category) if category else 0
        user = self._line.secret.user_key(f"trending:{n}:{category}")
        return _public(await self._ask(user, ASK, slot=TRENDING.decode(), n=n, category=key))

    async def why(self, token: str, item: str) -> dict[str, Any] | None:
        newest = await asyncio.to_thread(self._push.latest, self.verify(token))
        return explain(newest, item) if newest else None

    async def forget(self, token: str) -> dict[str, Any]:
        key = self.verify(token)
        return await asyncio.to_thread(self._operator.forget_key, key)

    def subscribe(
        self, token: str, slot: str | None = None, context: Mapping[str, str] = NOTHING
    ) -> AsyncGenerator[tuple[str, str], None]:
        claims = self._line.guard.verify(token)
        if self._feed is None:
            self._feed = Feed(self._push.endpoint, self._push.gap_endpoint, self._push.server_key, self._push.own_keys)
        lists = self._feed.lists(token, claims.expires)
        return self._in_slot(slot, context, claims, lists) if slot or context else lists

    async def _in_slot(
        self, slot: str | None, context: Mapping[str, str], claims: Token, lists: AsyncGenerator[tuple[str, str], None]
    ) -> AsyncGenerator[tuple[str, str], None]:
        """The lists; with the first one the subscription has begun, and its WATCH row is the one to replace."""
        stands = None
        async with aclosing(lists):
            async for number, text in lists:
                if stands is None:
                    stands = orjson.loads(text)["slot"]
                    if context or stands != slot:
                        wanted: dict[str, Any] = {"expires": claims.expires, "slot": slot or stands, **context}
                        self._line.collector.control(Kind.WATCH, claims.user, **wanted)
                yield number, text

    async def close(self) -> None:
        """Let go of the subscription behind the streams, and of the thread."""
        self._aside.close()
        if self._feed is not None:
            await self._feed.close()

    def products(self) -> list[dict[str, Any]]:
        return []

    def counts(self) -> dict[str, Any]:
        """Rows of the log, and what became of them."""
        line = self._line
        line.raise_error()
        rows = sum(line.log.end(p) for p in range(line.log.partitions)) // line.log.stride
        rejected = line.stage("reject").counts.total()
        return {
            "rows": rows,
            "events": rows - rejected,
            "events_per_second": round(self._rate(rows), 1),
            "rejected": rejected,
            "watched": self._push.watched(),
            "behind": line.behind(),
            "uptime": round(time.time() - self._started, 1),
        }

    def alive(self) -> Checks:
        return self.health.alive()

    def ready(self) -> Checks:
        return self.health.ready()

    async def samples(self) -> list[Sample]:
        uptime = time.time() - self._started
        return await asyncio.to_thread(
            lambda: list(samples(self._line, self._push, self.outcomes, self.health, uptime))
        )

    def _rate(self, rows: int) -> float:
        """Rows a second since they were last counted, at least a second ago."""
        now = time.monotonic()
        before, then = self._counted
        if now - then >= 1:
            self._pace = (rows - before) / (now - then)
            self._counted = rows, now
        return self._pace

    async def _ask(self, user: int, timeout: float, item: int = 0, **details: Any) -> dict[str, Any]:
        """Write a WATCH row and wait for the answer. Raises TimeoutError where it does not come in time."""
        answer = self._push.next(user, timeout)
        self._line.collector.control(Kind.WATCH, user, item, **{"expires": 0.0, **details})
        found = await answer
        if found is None:
            raise TimeoutError
        return found


def _public(recommendation: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question as it goes out: what a snapshot says, without a seq."""
    message = wire.snapshot((0, 0), recommendation, time.time())
    return {name: message[name] for name in ("slot", "about", "items", "at", "times")}
