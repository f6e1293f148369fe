"""What taking back costs, among adds and reads; and what is left when everything has been taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from learning import WEEK, cpu
from numpy.typing import NDArray
from reading import percentiles
from streams import Columns, Stream, part
from table import Base, Table

from shopguide.recommenders import Items


class Way(NamedTuple):
    """A turn: so many adds, retracts and reads; ``singly``: one call an event, else one call for all of them."""

    name: str
    adds: int
    retracts: int
    reads: int
    singly: bool


PLAIN = {
    True: Way("call by call, no retracts", 10, 0, 1, True),
    False: Way("in batches, no retracts", 1000, 0, 100, False),
}
MIXED = (
    Way("call by call, 1 retract per 10 adds", 10, 1, 1, True),
    Way("call by call, 1 retract per add", 10, 10, 1, True),
    Way("in batches, 1 retract per 10 adds", 1000, 100, 100, False),
    Way("in batches, 1 retract per add", 1000, 1000, 100, False),
)


class Cost(NamedTuple):
    """Of one round: ns an add and a retract, us of each read, ns of all reads, rescans a read."""

    add: float
    retract: float
    reads: NDArray[np.float64]
    reading: float
    rescans: float


def each_of(call: Callable[..., object], rows: Sequence[tuple[Any, ...]]) -> None:
    for row in rows:
        call(*row)


def adding(model: Items, columns: Columns, way: Way) -> Callable[[], object]:
    if not way.singly:
        return lambda: model.observe_many(*columns)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    return lambda: each_of(model.observe, rows)


def retracting(model: Items, columns: Columns, way: Way) -> Callable[[], object]:
    if not way.singly:
        return lambda: model.retract_many(*columns)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    return lambda: each_of(model.retract, rows)


def turned(model: Items, turns: Sequence[tuple[Callable[[], object], ...]], newest: Sequence[list[int]]) -> Any:
    """CPU ns of the adds, of the retracts, and of each read."""
    clock, spent, reads = time.process_time_ns, np.zeros(2), []
    itself = float(np.median([-clock() + clock() for _ in range(1000)]))
    for (add, retract), items in zip(turns, newest, strict=True):
        a = clock()
        add()
        b = clock()
        retract()
        spent += b - a - itself, clock() - b - itself
        for item in items:
            begin = clock()
            model.similar(item, 50)
            reads.append(clock() - begin - itself)
    return *spent.tolist(), np.array(reads)


def mixed(columns: Columns, way: Way, seed: int) -> Cost:
    """Nine tenths are learned and every list is read; then, in turns, the last tenth is learned, events drawn at random
    among the learned are taken back, and the lists of the newest items are read."""
    model, count = Items(), len(columns[0]) // 10 // way.adds
    before = len(columns[0]) - count * way.adds
    model.observe_many(*part(columns, 0, before))
    model.neighbours(np.unique(columns[1]), 50)
    drawn = np.random.default_rng(seed).permutation(before)[: count * way.retracts].reshape(count, -1)
    gone = [(columns[0][x], columns[1][x], columns[2][x]) for x in drawn]
    added = [part(columns, x, x + way.adds) for x in range(before, len(columns[0]), way.adds)]
    turns = [(adding(model, a, way), retracting(model, b, way)) for a, b in zip(added, gone, strict=True)]
    newest, rescans = [each[1][-way.reads :].tolist() for each in added], model.stats()["rescans"]
    add, retract, reads = turned(model, turns, newest)
    rescans = (model.stats()["rescans"] - rescans) / len(reads)
    per_retract = retract / count / max(way.retracts, 1)
    return Cost(add / count / way.adds, per_retract, reads / 1e3, float(reads.sum()), rescans)


def taking_back(table: Table, stream: Stream, rounds: int) -> None:
    wide, runs = stream.wide(), {way: list[Cost]() for way in (*PLAIN.values(), *MIXED)}
    for seed in range(rounds):
        for way, costs in runs.items():
            costs.append(mixed(wide, way, seed))
    for way, costs in runs.items():
        add = Base("its add", table.line(stream.name, f"{way.name}: add", [cost.add for cost in costs], "ns"))
        if way.retracts:
            goal = 3 if way.adds == 10 * way.retracts and not way.singly else None
            table.line(stream.name, f"{way.name}: retract", [cost.retract for cost in costs], "ns", add, goal)
            scale = way.retracts * len(costs[0].reads) / way.reads
            without = zip(costs, runs[PLAIN[way.singly]], strict=True)
            late = [cost.retract + (cost.reading - none.reading) / scale for cost, none in without]
            table.line(stream.name, f"{way.name}: retract, with what reads pay for it", late, "ns", add)
        if way.singly:
            percentiles(table, stream.name, f"{way.name}: similar", [cost.reads for cost in costs])
        table.line(stream.name, f"{way.name}: rescans", [cost.rescans for cost in costs], "per read")


def residue(model: Items, columns: Columns) -> int:
    """How many of the 1000 most frequent items do not score exactly 1 with a new item in a new unit, at the time when
    weights are least: anything left of their weight would show."""
    items, counts = np.unique(columns[1], return_counts=True)
    items = items[np.argsort(-counts)[:1000]]
    units, times = np.arange(len(items), dtype=np.uint64), np.full(len(items), columns[2][0])
    partners = np.arange(1, len(items) + 1, dtype=np.uint64)
    for each in (items, partners):
        model.observe_many(units, each, times)
    left = 0
    for item, partner in zip(items.tolist(), partners.tolist(), strict=True):
        found, scores = model.similar(item, 50)
        left += found.tolist() != [partner] or scores.tolist() != [1.0]
    for each in (partners, items):
        model.retract_many(units, each, times)
    return left


def taking_all_back(table: Table, stream: Stream) -> None:
    wide = stream.wide()
    order = np.random.default_rng(4).permutation(len(stream))
    shuffled = wide[0][order], wide[1][order], wide[2][order]
    for half_life, name in ((None, "all taken back"), (WEEK, "all taken back, half-life")):
        model = Items(half_life=half_life)
        learn = cpu(lambda m=model: m.observe_many(*wide)) / len(stream) * 1e9  # type: ignore[misc]
        model.neighbours(np.unique(wide[1]), 50)
        peak = sum(model.nbytes.values())
        spent = cpu(lambda m=model: m.retract_many(*shuffled)) / len(stream) * 1e9  # type: ignore[misc]
        table.line(stream.name, f"{name}, in random order", [spent], "ns/event", Base("observe_many", learn))
        table.line(stream.name, f"{name}: pairs left", [model.stats()["pairs"]], "pairs", at_most=0)
        table.line(stream.name, f"{name}: supports left", [int(model.count(wide[1]).sum())], "events", at_most=0)
        table.line(stream.name, f"{name}: items with weight left", [residue(model, wide)], "of 1000", at_most=0)
        table.line(stream.name, f"{name}: bytes", [sum(model.nbytes.values()) / peak * 100], "% of peak")
        model.compact()
        left = [sum(model.nbytes.values()) / peak * 100]
        table.line(stream.name, f"{name}: bytes after compact()", left, "% of peak", at_most=10)
