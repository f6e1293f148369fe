"""The desk over a running line: picks, the audit log, live numbers, and what is held of a user."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from shopguide.catalogue import Catalogue
from shopguide.cli.door import Line
from shopguide.cli.outcomes import Outcomes
from shopguide.errors import RefusedError, ShopguideError
from shopguide.keys import category_key, item_key
from shopguide.picks import UNDO, Pick
from shopguide.push import PushProcess
from shopguide.rank import parts_of
from shopguide.rank.policy import lookers, segments
from shopguide.records import Kind
from shopguide.tokens import verify_admin

logger = logging.getLogger(__name__)

TURN = 0.25  # seconds between looks at whether a scheduled pick begins or ends, or an item
KNOWN = 2.0  # seconds that an answer waits until the line knows what was said
WINDOW = 60.0  # seconds of lists whose delays are counted
BOUNDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # seconds: ends of the histogram's bars
AUDITED = 500  # entries of the audit log that are shown
RECENT = 50  # events of a user that are shown


class Desk:
    """Calls come from the web server's loop; what may block goes to a thread."""

    def __init__(self, line: Line, push: PushProcess, outcomes: Outcomes, counts: Callable[[], dict[str, Any]]) -> None:
        self._line, self._push, self._outcomes, self._counts = line, push, outcomes, counts

    def admit(self, token: str) -> str:
        return verify_admin(self._line.keys, token).name

    def live(self) -> dict[str, Any]:
        now = time.time()
        delays = np.array([delay for at, delay in self._push.delays.copy() if now - at < WINDOW])
        bars = np.bincount(np.searchsorted(BOUNDS, delays), minlength=len(BOUNDS) + 1).tolist()
        p50, p99 = np.percentile(delays, (50, 99)).tolist() if len(delays) else (None, None)
        return {
            **self._counts(),
            "at": now,
            "pushed": self._push.counts["pushed"],
            "delay": {"n": len(delays), "p50": p50, "p99": p99, "bounds": BOUNDS, "bars": bars},
            "reasons": dict(self._line.stage("reject").counts.most_common()),
            "recommenders": self._outcomes.rates(),
        }

    async def products(self, text: str, n: int) -> dict[str, Any]:
        catalogue = await asyncio.to_thread(self._line.catalogue)
        return await asyncio.to_thread(lambda: {"items": catalogue.find(text, n), "categories": catalogue.categories()})

    async def picks(self) -> list[dict[str, Any]]:
        catalogue = await asyncio.to_thread(self._line.catalogue)
        return [_pick(pick, catalogue) for pick in catalogue.picks.standing()]

    async def audit(self) -> list[dict[str, Any]]:
        catalogue = await asyncio.to_thread(self._line.catalogue)
        picks = catalogue.picks
        done = [{**_pick(entry, catalogue), "stands": picks.stands(entry.id)} for entry in picks]
        looked = [
            {"action": "lookup", "user": f"{one.user:016x}", "by": one.by, "why": one.why, "time": one.time}
            for one in catalogue.lookups
        ]
        return sorted([*done, *looked], key=lambda entry: -entry["time"])[:AUDITED]

    async def pick(self, by: str, action: str, item: str, category: str, **wanted: Any) -> dict[str, Any]:
        catalogue = await asyncio.to_thread(self._line.catalogue)
        key = category_key(category) if category else item_key(item)
        if not category and catalogue.name(key) is None:
            raise RefusedError(f"item {item!r} is not known")
        if category and category not in catalogue.categories():
            raise RefusedError(f"no item is of category {category!r}")
        return await self._say(key, action=action, by=by, **({"category": category} if category else {}), **wanted)

    async def undo(self, by: str, undoes: str, why: str) -> dict[str, Any]:
        picks = (await asyncio.to_thread(self._line.catalogue)).picks
        entry = picks.get(undoes)
        if entry is None:
            raise RefusedError(f"there is no entry {undoes!r}")
        if not picks.stands(undoes):
            raise RefusedError("it is undone already")
        return await self._say(entry.item, action=UNDO, undoes=undoes, by=by, why=why)

    async def look_up(self, by: str, user: str, why: str, slot: str, n: int) -> dict[str, Any]:
        key = self._line.secret.user_key(user)
        self._line.collector.control(Kind.LOOKUP, key, by=by, why=why)
        await asyncio.to_thread(self._line.collector.commit)
        return await asyncio.to_thread(self._line.call, lambda: self._see(user, key, slot, n))

    async def keep_time(self) -> None:
        """Have the lists of all who watch made again whenever a scheduled pick begins or ends, and delete the items
        whose time is over; until cancelled."""
        before, over = time.time(), set[str]()
        while True:
            await asyncio.sleep(TURN)
            try:
                catalogue = await asyncio.to_thread(self._line.catalogue)
                ended = set(catalogue.ended(time.time()))
                if ended - over:
                    await asyncio.to_thread(self._delete, ended - over)
                over = ended  # until the line has learned it
            except Exception as e:  # the line begins anew, or its log cannot be read now
                logger.warning("schedules have to wait: %s", e, exc_info=not isinstance(e, ShopguideError))
                continue
            now = time.time()
            if catalogue.picks.turns(before, now):
                self._push.watch_again()
            before = now

    def _delete(self, items: set[str]) -> None:
        self._line.collector.collect([{"kind": "item", "item": item, "op": "delete"} for item in sorted(items)])
        self._line.collector.commit()

    async def _say(self, key: int, **details: Any) -> dict[str, Any]:
        """Log an entry, in every partition: who watches there gets a new list. Returns when the line knows it."""
        picks = (await asyncio.to_thread(self._line.catalogue)).picks
        newest = next(iter(picks), None)
        at = max(time.time(), newest.time + 1e-6 if newest else 0.0)  # the clock may have been set back
        id_ = secrets.token_hex(8)
        for partition in range(self._line.log.partitions):
            self._line.collector.control(Kind.PICK, 0, key, partition, id=id_, at=at, **details)
        await asyncio.to_thread(self._line.collector.commit)
        patience = time.monotonic() + KNOWN
        while (await asyncio.to_thread(self._line.catalogue)).picks.get(id_) is None and time.monotonic() < patience:
            self._line.raise_error()
            await asyncio.sleep(0.005)
        return {"id": id_, "time": at}

    def _see(self, user: str, key: int, slot: str, n: int) -> dict[str, Any]:
        """All that is held of a user and the list that they would get now. The stages stand still meanwhile."""
        featurizer, scorer, ranker = (self._line.stage(name) for name in ("featurize", "score", "rank"))
        catalogue: Catalogue = ranker.catalogue
        looks = featurizer.look(key, slot, n, time.time())
        (recommendation,) = ranker.rank(scorer.answer(looks))
        events, queries = featurizer.events_of(key), featurizer.queries_of(key)
        done = list(zip(*(events[name].tolist() for name in ("kind", "item", "time")), strict=True))
        interests: Counter[str] = Counter()
        for item in looks.recent[0].tolist():
            interests[catalogue.product(item).get("category", "")] += 1
        return {
            "user": user,
            "key": f"{key:016x}",
            "segments": sorted(segments(lookers(looks)[0], self._line.settings.learn.session_gap)),
            "intent": recommendation["intent"],
            "events": len(done),
            "since": done[0][2] if done else None,
            "recent": [_event(kind, item, at, catalogue, queries) for kind, item, at in reversed(done[-RECENT:])],
            "here": int((looks.here[0] > 0).sum()),
            "query": looks.query.bytes_at(0).decode("utf-8", "replace"),
            "interests": [{"category": name, "items": n} for name, n in interests.most_common() if name],
            "profile": featurizer.profile_of(key).said(),
            "trained_profile": scorer.profile.said(key, featurizer.past_of(key)),
            "bought": [catalogue.title(item) for item in looks.bought[0].tolist()],
            "dismissed": [catalogue.title(item) for item in looks.dismissed[0].tolist()],
            "slot": slot,
            "items": [{**item, "why": parts_of(recommendation, item)} for item in recommendation["items"]],
        }


def _pick(pick: Pick, catalogue: Catalogue) -> dict[str, Any]:
    said = {name: getattr(pick, name) for name in ("id", "action", "slot", "position", "segment", "by", "why", "time")}
    target = {"category": pick.category} if pick.category else {"item": catalogue.name(pick.item) or ""}
    title = {} if pick.category or pick.action == UNDO else {"title": catalogue.title(pick.item)}
    undoes = {"undoes": pick.undoes} if pick.undoes else {}
    return {**said, **target, **title, **undoes, "from": pick.begins, "until": pick.until}


def _event(kind: int, item: int, time: float, catalogue: Catalogue, queries: dict[int, str]) -> dict[str, Any]:
    named = {"query": queries.get(item, "")} if kind == Kind.SEARCH else {"title": catalogue.title(item)}
    return {"kind": Kind(kind).name.lower(), "time": time, **named}
