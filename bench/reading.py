"""How long a read takes: lists, a shopper's top 20, what follows, and next items by whole sessions."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from streams import WIDE, Columns, Stream, yoochoose
from table import Base, Table

from shopguide.recommenders import Items, Next, Sessions

CALLS = 20_000
UNKNOWN = (1 << 64) - 1
Arguments = Sequence[tuple[Any, ...]]


def microseconds(call: Callable[..., object], arguments: Arguments) -> NDArray[np.float64]:
    """The time of each call."""
    spent, clock = np.empty(len(arguments)), time.perf_counter_ns
    for x, given in enumerate(arguments):
        begin = clock()
        call(*given)
        spent[x] = clock() - begin
    return spent / 1e3


def percentiles(
    table: Table,
    stream: str,
    what: str,
    rounds: Sequence[NDArray[np.float64]],
    goals: tuple[float | None, float | None] = (None, None),
    base: Base | None = None,
) -> float:
    medians = [
        table.line(
            stream, f"{what}, p{q}", [float(np.percentile(spent, q)) for spent in rounds], "us", base, at_most=goal
        )
        for q, goal in zip((50, 99), goals, strict=True)
    ]
    return medians[0]


def lists(table: Table, stream: Stream, rounds: int) -> None:
    """similar() one by one, less what the call itself takes: the median of similar() of an item that is unknown."""
    items, random, model = stream.wide()[1], np.random.default_rng(1), Items()
    model.observe_many(*stream.wide())
    drawn = [[(item,) for item in random.choice(items, CALLS).tolist()] for _ in range(rounds)]
    call = float(np.median(microseconds(model.similar, [(UNKNOWN,)] * CALLS)))
    table.line(stream.name, "similar(unknown item): the call itself", [call], "us")
    first = microseconds(model.similar, drawn[0]) - call
    percentiles(table, stream.name, "similar(item, 50), first reads: C time", [first])
    model.neighbours(np.unique(items), 50)
    later = [microseconds(model.similar, each) - call for each in drawn]
    percentiles(table, stream.name, "similar(item, 50): C time", later, (3, 15))
    many = [np.array(each, np.uint64).ravel() for each in drawn]
    spent = [microseconds(model.neighbours, [(each, 50)])[0] / CALLS for each in many]
    table.line(stream.name, f"neighbours({CALLS:,} items, 50): C time, mean", spent, "us/item")
    shoppers(table, stream, model, rounds)


def shoppers(table: Table, stream: Stream, model: Items, rounds: int) -> None:
    """Top 20 by the neighbours of a unit's newest 8 items."""
    random, weights = np.random.default_rng(2), 1 / np.arange(1.0, 9.0)
    drawn = [[(items, weights) for items in newest_items(stream, random, CALLS // 4)] for _ in range(rounds)]
    what = "top 20 of a user with 8 recent items"
    by_numpy = [microseconds(lambda i, w: weighed(model, i, w), each) for each in drawn]
    p50 = percentiles(table, stream.name, f"{what}, neighbours + numpy", by_numpy)
    spent = [microseconds(model.recommend, each) for each in drawn]
    percentiles(table, stream.name, what, spent, (15, None), Base("numpy's p50", p50))
    unknown = np.arange(UNKNOWN - 8, UNKNOWN, dtype=np.uint64)
    call = float(np.median(microseconds(model.recommend, [(unknown, weights)] * CALLS)))
    percentiles(table, stream.name, f"{what}: C time", [each - call for each in spent])


def newest_items(stream: Stream, random: np.random.Generator, n: int) -> list[NDArray[np.uint64]]:
    """The newest 8 items, newest first, of units drawn from those with so many events."""
    units, items, _ = stream.by_unit()
    ends = np.flatnonzero(np.diff(units, append=np.uint64(UNKNOWN)))
    ends = ends[np.diff(ends, prepend=-1) >= 8]
    return [items[end - 7 : end + 1][::-1] * WIDE for end in random.choice(ends, n)]


def weighed(model: Items, items: NDArray[np.uint64], weights: NDArray[np.float64]) -> NDArray[np.uint64]:
    starts, found, scores, _ = model.neighbours(items, 50)
    names, place = np.unique(found, return_inverse=True)
    total = np.bincount(place, scores * np.repeat(weights, np.diff(starts)))
    total[np.isin(names, items)] = 0
    return names[np.argsort(-total, kind="stable")[:20]]


def prefixes(test: Columns) -> list[tuple[NDArray[np.uint64], NDArray[np.float64], NDArray[np.float64]]]:
    """What is known before each prediction: the newest 10 distinct items, newest first, and how much each counts."""
    sessions: dict[int, list[int]] = defaultdict(list)
    wanted = []
    for session, item in zip(test[0].tolist(), test[1].tolist(), strict=True):
        seen = sessions[session]
        if seen:
            newest = list(dict.fromkeys(reversed(seen)))[:10]
            q, at = len(newest), np.arange(len(newest))
            wanted.append((np.array(newest, np.uint64), ((q - at) / q) ** 2, 1 / (at + 1.0)))
        seen.append(item)
    return wanted


class PlainSessions:
    """The same in plain Python: the 1500 newest sessions with any of the items, the 100 most alike of them."""

    def __init__(self, columns: Columns) -> None:
        held: dict[int, dict[int, None]] = {}
        for session, item in zip(columns[0].tolist(), columns[1].tolist(), strict=True):
            held.setdefault(session, {})[item] = None
        self.sessions = list(held.values())
        self.holding: dict[int, list[int]] = defaultdict(list)
        for x, items in enumerate(self.sessions):
            for item in items:
                self.holding[item].append(x)

    def recommend(
        self, items: NDArray[np.uint64], weights: NDArray[np.float64], decay: NDArray[np.float64]
    ) -> list[int]:
        known = list(zip(items.tolist(), weights.tolist(), decay.tolist(), strict=True))
        newest = set(heapq.nlargest(1500, {x for item, _, _ in known for x in self.holding.get(item, ())}))
        alike: dict[int, float] = defaultdict(float)
        shared: dict[int, float] = {}
        for item, weight, share in known:
            for x in newest.intersection(self.holding.get(item, ())):
                alike[x] += weight
                shared.setdefault(x, share)
        scores: dict[int, float] = defaultdict(float)
        for x in heapq.nlargest(100, alike, key=alike.__getitem__):
            for item in self.sessions[x]:
                scores[item] += alike[x] * shared[x]
        return heapq.nlargest(20, scores, key=scores.__getitem__)


def by_sessions(table: Table, rounds: int) -> None:
    """VMIS-kNN on public clicks: the training part learned, then each prefix of each test session."""
    name, what, found = "yoochoose", "VMIS-kNN, top 20 of a session", yoochoose()
    if isinstance(found, str):
        table.skip(name, what, found)
        return
    train, test = found
    wanted, python = prefixes(test), PlainSessions(train)
    spent = [microseconds(python.recommend, wanted)]
    p50 = percentiles(table, name, f"{what}, plain Python", spent)
    model = Sessions(history=50)
    model.observe_many(*train)
    spent = [microseconds(model.recommend, wanted) for _ in range(rounds)]
    percentiles(table, name, what, spent, (30, 150), Base("Python's p50", p50))


def following(table: Table, stream: Stream, rounds: int) -> None:
    """What follows what, in two hops from a unit's newest items."""
    spent = []
    for _ in range(rounds):
        model = Next()
        begin = time.process_time()
        model.observe_many(*stream.wide())
        spent.append((time.process_time() - begin) / len(stream) * 1e9)
    table.line(stream.name, "Next.observe_many", spent, "ns/event")
    random, weights = np.random.default_rng(3), 1 / np.arange(1.0, 4.0)
    drawn = [[(i, weights) for i in random.choice(stream.wide()[1], (CALLS // 4, 3))] for _ in range(rounds)]
    percentiles(table, stream.name, "Next.two_hops of 3 items", [microseconds(model.two_hops, each) for each in drawn])
