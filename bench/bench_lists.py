"""How long score takes for one live list: candidates and signals, blend, and the sums that are its reasons.

    python bench/bench_lists.py [--weights FILE] [--json FILE]

One thread, wall time, for prefixes of test sessions as `shopguide evaluate` asks for them. Baseline of the same run:
the core's own `Items.recommend`, 20 items from the same prefixes. FILE: weights with trees, to be measured too.
"""

from __future__ import annotations

import argparse
import os
from itertools import islice
from pathlib import Path

import numpy as np
from reading import microseconds, percentiles
from table import Base, Table, machine

from shopguide.evaluate.data import open_dataset
from shopguide.evaluate.protocols import by_session, reveal
from shopguide.evaluate.store import Store
from shopguide.records import Looks
from shopguide.settings import load
from shopguide.weights import Weights

DATA = Path(os.environ.get("SHOPGUIDE_DATA", "../shared/data"))
SETS = {"yoochoose_100k": 250.0, "diginetica_gcegnn": 600.0}  # with the most that the median of a list should take, us
LISTS = 4000
N = 20


def measure(table: Table, name: str, goal: float, weights: Path | None) -> None:
    dataset, settings = open_dataset(DATA / name, None), load("shop")
    store = Store(settings)
    store.bulk(dataset.train)
    sessions = by_session(dataset.test)[::7]
    looks = [question.looks for question in islice(reveal(store, sessions, N), LISTS)]
    scorer = store.scorer
    for each in looks[:300]:
        scorer.answer(each)
    decay = settings.score.decay ** np.arange(settings.score.recent)
    prefixes = [(each.recent[0][:10], decay[: len(each.recent[0][:10])], N, 50) for each in looks]
    median = percentiles(table, name, "Items.recommend alone", [microseconds(scorer.items.model.recommend, prefixes)])
    base = Base("Items.recommend", median)
    gathered = microseconds(scorer.gather, [(each, 0) for each in looks])
    percentiles(table, name, "candidates and signals", [gathered], base=base)
    asked = [(each,) for each in looks]
    percentiles(table, name, "a list, linear, with reasons", [microseconds(scorer.answer, asked)], (goal, None), base)
    if weights is not None:
        scorer.blender = scorer.blender.under(Weights.load(weights))

        def order(each: Looks) -> None:
            scorer.gather(each, 0)
            scorer.blender.order(N)

        percentiles(table, name, "a list, trees", [microseconds(order, asked)], base=base)
        percentiles(table, name, "a list, trees, with reasons", [microseconds(scorer.answer, asked[:500])], base=base)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"one live list of {N}; {machine()}")
    table = Table(judged=True)
    for name, goal in SETS.items():
        if (DATA / name).is_dir():
            measure(table, name, goal, given.weights)
        else:
            table.skip(name, "all", f"no data in {DATA}")
    print(table.summary())
    if given.json:
        table.save(given.json, machine=machine())


if __name__ == "__main__":
    main()
