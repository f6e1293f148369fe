"""How fast is the core: events learned, lists read, events taken back, bytes held; beside a plain Python dict, and
beside the yardstick (bound.c and gen.py in a directory of their own) where --yardstick names it.

    python bench/bench_core.py [--events N] [--rounds N] [--yardstick DIR]
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shopguide.recommenders import Items

Stream = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float64]]


def stream(n: int) -> Stream:
    """Sessions of 8 events in the mean, items by Zipf's law in clusters, interleaved; a fixed seed."""
    random = np.random.default_rng(7)
    items, clusters = 50_000, 500
    sessions = max(n // 8, 1)
    session = np.sort(random.integers(0, sessions, n) + random.integers(0, 500, n)) % sessions
    cluster = random.integers(0, clusters, sessions)[session]
    rank = np.minimum(random.zipf(1.2, n), items) - 1
    item = np.where(random.random(n) < 0.8, (rank % (items // clusters)) * clusters + cluster, rank)
    return session.astype(np.uint64), item.astype(np.uint64), np.arange(n, dtype=np.float64)


def yardstick(directory: Path, n: int, into: Path) -> tuple[Stream, Callable[[], float]]:
    """The yardstick's own stream (unit = session), and a run of it: CPU seconds."""
    command = ["gcc", "-O3", "-march=native", "-o", str(into / "bound"), str(directory / "bound.c"), "-lm"]
    subprocess.run(command, check=True, capture_output=True)
    command = [sys.executable, str(directory / "gen.py"), str(n), str(into / "stream")]
    subprocess.run(command, check=True, capture_output=True)
    rows = np.fromfile(into / "stream_s.bin", "<u4").reshape(-1, 3)
    columns = rows[:, 0].astype(np.uint64), rows[:, 1].astype(np.uint64), rows[:, 2].astype(np.float64)

    def run() -> float:
        command = [str(into / "bound"), "rsq", str(into / "stream_s.bin"), "50", "uniq", "topk"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = re.search(r"cpu ([\d.]+)", out)
        assert found, out
        return float(found.group(1))

    return columns, run


def cpu(call: Callable[[], object]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def learned(columns: Stream, half_life: float | None = None, lists: bool = False) -> tuple[float, Items]:
    """CPU seconds to learn the stream. ``lists``: with the lists of all long rows made at half of it, and kept."""
    model, half = Items(half_life=half_life), len(columns[0]) // 2
    spent = cpu(lambda: model.observe_many(*(c[:half] for c in columns)))
    if lists:
        model.neighbours(np.unique(columns[1]), 50)
    return spent + cpu(lambda: model.observe_many(*(c[half:] for c in columns))), model


def plain(columns: Stream) -> None:
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


def spread(samples: list[float]) -> str:
    return f"{min(samples):.3g}..{max(samples):.3g}"


def percentiles(model: Items, items: list[int]) -> tuple[float, float]:
    spent = []
    for item in items:
        begin = time.perf_counter_ns()
        model.similar(item, 50)
        spent.append((time.perf_counter_ns() - begin) / 1e3)
    return float(np.percentile(spent, 50)), float(np.percentile(spent, 99))


class Table:
    """One aligned line a result."""

    def __init__(self) -> None:
        print(f"{'what':<52} {'median':>10} {'spread':>16}  {'unit':<14} note")

    def line(self, what: str, samples: list[float], unit: str, note: str = "") -> float:
        median = statistics.median(samples)
        print(f"{what:<52} {median:>10.3g} {spread(samples):>16}  {unit:<14} {note}".rstrip())
        return median


def learning(table: Table, columns: Stream, rounds: int, bound: Callable[[], float] | None) -> Items:
    """Rates of learning, each round side by side; the model with lists."""
    n = len(columns[0]) / 1e6
    samples: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        if bound:
            samples["yardstick"].append(bound())
        samples["observe_many"].append(learned(columns)[0])
        spent, model = learned(columns, lists=True)
        samples["observe_many, lists of all long rows live"].append(spent)
        samples["observe_many, half-life of a week"].append(learned(columns, 7 * 86400.0)[0])
    few = tuple(c[: len(c) // 10] for c in columns)
    one_by_one = Items()
    rows = list(zip(*(c.tolist() for c in few), strict=True))
    samples["observe, one call an event (first tenth)"].append(
        10 * cpu(lambda: [one_by_one.observe(*row) for row in rows])
    )
    samples["plain dict of dicts, no lists (first tenth)"].append(10 * cpu(lambda: plain(few)))  # type: ignore[arg-type]
    base = statistics.median(samples["yardstick"]) if bound else None
    for what, seconds in samples.items():
        note = f"{statistics.median(seconds) / base:.2f}x the yardstick's time" if base else ""
        table.line(what, [n / s for s in seconds], "M events/s", note)
    if not bound:
        print("yardstick: not run, --yardstick names its directory")
    return model


def reading(table: Table, model: Items, columns: Stream) -> None:
    random = np.random.default_rng(1)
    wanted = random.choice(columns[1], 20_000).tolist()
    for name in ("similar, k = 50, p50 and p99: first read of each", "similar, k = 50, p50 and p99: later reads"):
        p50, p99 = percentiles(model, wanted)
        print(f"{name:<52} {p50:>10.3g} {p99:>16.3g}  us")
    items = np.array(wanted, np.uint64)
    seconds = [cpu(lambda: model.neighbours(items, 50)) for _ in range(5)]
    table.line("neighbours of 20,000 at once, k = 50", [s / len(items) * 1e6 for s in seconds], "us an item")


def taking_back(table: Table, model: Items, columns: Stream) -> None:
    random = np.random.default_rng(2)
    order = random.permutation(len(columns[0]))
    batches = [order[x : x + 2000] for x in range(0, 10_000, 2000)]
    seconds = [cpu(lambda b=b: model.retract_many(*(c[b] for c in columns))) for b in batches]  # type: ignore[misc]
    table.line("retract_many, events drawn at random", [s / 2000 * 1e6 for s in seconds], "us an event")
    seconds = [cpu(lambda: model.similar(int(columns[1][0]), 50))]
    table.line("similar, k = 50, the first read after them", [s * 1e6 for s in seconds], "us")


def holding(model: Items) -> None:
    held, stats = model.nbytes, model.stats()
    for what, value, unit in (
        ("pairs", held["pairs"] / stats["pairs"], "bytes a pair"),
        ("events", held["events"] / stats["events"], "bytes an event"),
        ("lists", held["lists"] / max(stats["lists"], 1), "bytes a list"),
        ("tables", held["tables"] / (stats["units"] + stats["items"]), "bytes a key"),
        ("all", sum(held.values()) / 1e6, "MB"),
    ):
        print(f"{'held: ' + what:<52} {value:>10.3g} {'':>16}  {unit}")
    print(", ".join(f"{name} {value}" for name, value in stats.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--yardstick", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        there = given.yardstick and (given.yardstick / "bound.c").exists()
        columns, bound = yardstick(given.yardstick, given.events, Path(directory)) if there else (None, None)
        columns = columns or stream(given.events)
        table = Table()
        model = learning(table, columns, given.rounds, bound)
    reading(table, learned(columns)[1], columns)
    holding(model)
    taking_back(table, model, columns)


if __name__ == "__main__":
    main()
