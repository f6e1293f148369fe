"""The rates of learning, beside the yardstick, plain Python and batch refits; what is held; how both grow."""

from __future__ import annotations

import importlib
import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from streams import Columns, Stream, Yardstick, part
from table import Base, Table

from shopguide.recommenders import Items

WEEK = 7 * 86400.0
Contenders = dict[str, Callable[[], float]]
KEPT = "observe_many, every list kept"
ONE_BY_ONE = "observe, one call an event, every list kept"


def cpu(call: Callable[[], object]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def interleaved(contenders: Contenders, rounds: int) -> dict[str, list[float]]:
    """Each round runs all, so that a slower machine hits all."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            samples[name].append(run())
    return samples


def observed(columns: Columns, half_life: float | None = None) -> float:
    model = Items(half_life=half_life)
    return cpu(lambda: model.observe_many(*columns))


def with_lists(columns: Columns, learn: Callable[[Items, Columns], float]) -> float:
    """CPU seconds to learn while every item has its list: all are read after each tenth, which is not counted."""
    model, items, tenth, spent = Items(), np.unique(columns[1]), len(columns[0]) // 10, 0.0
    for begin in range(0, 10 * tenth, tenth):
        spent += learn(model, part(columns, begin, begin + tenth))
        model.neighbours(items, 50)
    return spent * len(columns[0]) / (10 * tenth)


def at_once(model: Items, columns: Columns) -> float:
    return cpu(lambda: model.observe_many(*columns))


def one_by_one(model: Items, columns: Columns) -> float:
    units, items, times = (column.tolist() for column in columns)

    def run() -> None:
        for _ in map(model.observe, units, items, times):
            pass

    return cpu(run)


def plain(columns: Columns) -> None:
    """The same supports in dicts of dicts, no lists."""
    kept: dict[int, list[int]] = defaultdict(list)
    support: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for unit, item in zip(columns[0].tolist(), columns[1].tolist(), strict=True):
        window = kept[unit]
        if item in window:
            continue
        row = support[item]
        for other in window:
            row[other] += 1
            support[other][item] += 1
        window.append(item)
        del window[:-50]


def bulk(columns: Columns, lists: bool) -> float:
    model, items = Items(), np.unique(columns[1])
    spent = cpu(lambda: model.bulk(*columns))
    return spent + (cpu(lambda: model.neighbours(items, 50)) if lists else 0)


def rates(table: Table, stream: Stream, rounds: int, yardstick: Yardstick | None, absent: str) -> None:
    """ns an event, each way to learn."""
    wide, n = stream.wide(), len(stream)
    few = part(wide, 0, min(n, 1_000_000))
    contenders: Contenders = {}
    if yardstick:
        contenders["yardstick"] = lambda: yardstick.seconds(stream, n)
    contenders |= {
        "observe_many, no list read": lambda: observed(wide),
        KEPT: lambda: with_lists(wide, at_once),
        "observe_many, half-life of a week": lambda: observed(wide, WEEK),
        ONE_BY_ONE: lambda: with_lists(wide, one_by_one),
    }
    if len(few[0]) == n:
        contenders["plain dict of dicts, no lists"] = lambda: cpu(lambda: plain(wide))
    samples = {what: [s / n * 1e9 for s in seconds] for what, seconds in interleaved(contenders, rounds).items()}
    if not yardstick:
        table.skip(stream.name, "yardstick", absent)
    base = Base("yardstick", statistics.median(samples["yardstick"])) if yardstick else None
    goals: dict[str, dict[str, float]] = {KEPT: {"ratio_at_most": 1.5}}
    goals[ONE_BY_ONE] = {"at_most": 2 * base.median + 50} if base else {}
    for what, spent in samples.items():
        table.line(stream.name, what, spent, "ns/event", None if what == "yardstick" else base, **goals.get(what, {}))


def peers(stream: Stream) -> tuple[Contenders, dict[str, str]]:
    """Refits of the same cosines by batch libraries, from a matrix that is already built; and those not installed."""
    units, items, _ = stream.dense
    runs: Contenders = {}
    missing: dict[str, str] = {}
    try:
        sparse: Any = importlib.import_module("scipy.sparse")
        matrix = sparse.csr_matrix((np.ones(len(units), np.float32), (units.astype(int), items.astype(int))))
        matrix.data[:] = 1
        knn: Any = importlib.import_module("implicit.nearest_neighbours")
        warnings.filterwarnings("ignore", "Method expects CSR")  # of its own step
        runs["implicit"] = lambda: cpu(lambda: knn.CosineRecommender(K=50, num_threads=1).fit(matrix, False))
    except ImportError as error:
        missing["implicit"] = str(error)
    try:
        topn: Any = importlib.import_module("sparse_dot_topn")
        runs["sparse_dot_topn"] = lambda: cpu(lambda: topn_refit(topn, sparse, matrix))
    except ImportError as error:
        missing["sparse_dot_topn"] = str(error)
    return runs, missing


def topn_refit(topn: Any, sparse: Any, matrix: Any) -> None:
    norms = sparse.diags(1 / np.sqrt(np.maximum(np.asarray(matrix.sum(axis=0)).ravel(), 1)), dtype=np.float32)
    scaled = (matrix @ norms).tocsr()
    topn.sp_matmul_topn(scaled.T.tocsr(), scaled, top_n=51, sort=True, n_threads=1)


def refits(table: Table, stream: Stream, rounds: int) -> None:
    """A whole history at once."""
    sorted_, n = stream.by_unit(), len(stream)
    runs, missing = peers(stream)
    runs |= {
        "bulk load": lambda: bulk(sorted_, False),
        "bulk load, then every list read": lambda: bulk(sorted_, True),
    }
    samples = {what: [s / n * 1e9 for s in seconds] for what, seconds in interleaved(runs, rounds).items()}
    base = Base("implicit", statistics.median(samples["implicit"])) if "implicit" in samples else None
    for what, spent in samples.items():
        goal = 1.5 if base and what == "bulk load" else None
        name = f"{what}, refit of top-50 cosines" if what in ("implicit", "sparse_dot_topn") else what
        table.line(stream.name, name, spent, "ns/event", None if what == "implicit" else base, ratio_at_most=goal)
    for what, reason in missing.items():
        table.skip(stream.name, f"{what}, refit of top-50 cosines", reason)


def holding(table: Table, stream: Stream) -> None:
    """Bytes by part, after every list has been read."""
    for half_life, weights, goal in ((None, "supports only", 32), (WEEK, "with weights", 56)):
        model = Items(half_life=half_life)
        model.observe_many(*stream.wide())
        model.neighbours(np.unique(stream.wide()[1]), 50)
        held, stats = model.nbytes, model.stats()
        table.line(stream.name, f"pairs, {weights}", [held["pairs"] / stats["pairs"]], "B/pair", at_most=goal)
        if half_life:
            continue
        for part_held in ("pairs", "events", "tables", "lists"):
            table.line(stream.name, f"held: {part_held}", [held[part_held] / stats["events"]], "B/event")
        table.line(stream.name, "held: all", [sum(held.values()) / stats["events"]], "B/event")


def growth(table: Table, stream: Stream, rounds: int, yardstick: Yardstick | None) -> None:
    """The first events of one stream, more and more of them: what each has cost so far, and what is held."""
    wide, sizes = stream.wide(), [int(len(stream) * share) for share in (0.01, 0.03, 0.1, 0.3, 1)]
    spent: dict[int, list[float]] = defaultdict(list)
    bound: dict[int, list[float]] = defaultdict(list)
    held: dict[int, tuple[float, float]] = {}
    for _ in range(rounds):
        model, seconds, begin = Items(), 0.0, 0
        for size in sizes:
            seconds += at_once(model, part(wide, begin, size))
            spent[size].append(seconds / size * 1e9)
            held[size] = model.nbytes["pairs"] / model.stats()["pairs"], sum(model.nbytes.values()) / size
            if yardstick:
                bound[size].append(yardstick.seconds(stream, size) / size * 1e9)
            begin = size
    for size in sizes:
        name = f"growth: first {size:,} events"
        base = Base("yardstick", statistics.median(bound[size])) if yardstick else None
        table.line(stream.name, f"{name}, observe_many", spent[size], "ns/event", base)
        table.line(stream.name, f"{name}, pairs", [held[size][0]], "B/pair")
        table.line(stream.name, f"{name}, all", [held[size][1]], "B/event")
