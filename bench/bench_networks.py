"""What networks cost the line: a step, what it says of candidates, many at once, a title, and a list that has them.

    python bench/bench_networks.py [--json FILE]

One thread, wall time. The cost does not depend on what was learned: weights are random, of the shapes that `shopguide
train` makes. Baselines of the same run: the step alone, and the list without networks.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from bench_lists import DATA, LISTS, N
from reading import microseconds, percentiles
from table import Base, Table, machine

from shopguide.evaluate.data import open_dataset
from shopguide.evaluate.protocols import by_session, reveal
from shopguide.evaluate.store import Store
from shopguide.networks import titles
from shopguide.networks.learning import export
from shopguide.networks.loading import load
from shopguide.networks.serving import Recurrent, Sequential, Titles
from shopguide.networks.training import DILATIONS, KERNEL, KINDS, WIDTH
from shopguide.networks.visits import Visits
from shopguide.recommenders.title import ASKED, Vectors
from shopguide.records import U64
from shopguide.settings import load as load_settings

ITEMS, CANDIDATES, TOGETHER = 3_000, 100, 512
TITLED, NEAR = 4_000, 50  # items with a vector, and how many near ones a look is told


def network(kind: str, keys: U64) -> Sequential:
    """Of these items, ascending, with random weights."""
    chance = np.random.default_rng(1)
    shapes = {
        "embedding/embeddings": (len(keys) + 1, WIDTH),
        "bias/embeddings": (len(keys) + 1, 1),
        "gru/gru_cell/kernel": (WIDTH, 3 * WIDTH),
        "gru/gru_cell/recurrent_kernel": (WIDTH, 3 * WIDTH),
        "gru/gru_cell/bias": (2, 3 * WIDTH),
        **{f"conv{d}/kernel": (KERNEL, WIDTH, WIDTH) for d in DILATIONS},
        **{f"conv{d}/bias": (WIDTH,) for d in DILATIONS},
    }
    weights = {name: chance.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}
    nothing = Visits(keys, np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0))
    return load(kind, export(kind, nothing, weights))


def steps(table: Table) -> None:
    found = network("rnn", np.arange(1, ITEMS + 1, dtype=np.uint64))
    assert isinstance(found, Recurrent)
    chance = np.random.default_rng(2)
    ids = chance.integers(1, ITEMS + 1, TOGETHER)
    states = chance.normal(size=(TOGETHER, WIDTH)).astype(np.float32)
    rows = chance.integers(0, ITEMS, CANDIDATES)

    def scored(at: int) -> None:
        found.layer.scores(found.step(ids[at : at + 1], states[at : at + 1]), rows)

    ones = [(at,) for at in range(TOGETHER)] * 8
    single = [(ids[at : at + 1], states[at : at + 1]) for (at,) in ones]
    alone = percentiles(table, "rnn", "a step", [microseconds(found.step, single)])
    what = f"a step and the scores of {CANDIDATES} of {ITEMS:,} items"
    percentiles(table, "rnn", what, [microseconds(scored, ones)], (60.0, None), Base("step", alone))
    together = np.array(microseconds(found.step, [(ids, states)] * 20)) / TOGETHER
    table.line("rnn", f"each of {TOGETHER} steps in one call", together, "us", Base("step", alone), ratio_at_most=1 / 3)


def called(table: Table) -> None:
    """Titles of six words; their pieces are remembered, as those of most words are."""
    chance = np.random.default_rng(3)
    shapes = {
        "embedding/embeddings": (titles.BUCKETS + 1, titles.EMBEDDED),
        **{f"conv{w}/kernel": (w, titles.EMBEDDED, titles.KERNELS) for w in titles.WIDTHS},
        **{f"conv{w}/bias": (titles.KERNELS,) for w in titles.WIDTHS},
        "largest/kernel": (titles.KERNELS * len(titles.WIDTHS), titles.WIDTH),
        "together/kernel": (titles.EMBEDDED, titles.WIDTH),
    }
    weights = {name: chance.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}
    found = Titles(titles.export(weights)["title.onnx"])
    described = [tuple(f"word{at}" for at in chance.integers(0, 2_000, 6)) for _ in range(TITLED)]
    vectors, kept = found.vectors(described), Vectors(found.width)
    for item, vector in enumerate(vectors, 1):
        kept.put(item, vector)
    ones = [([one],) for one in described]
    alone = percentiles(
        table,
        "title",
        "an item's vector",
        [microseconds(found.vectors, ones)],
        (100.0, None),
    )
    together = np.array(microseconds(found.vectors, [(described[:TOGETHER],)] * 20)) / TOGETHER
    table.line("title", f"each of {TOGETHER} vectors in one call", together, "us", Base("alone", alone))
    asked = [(chance.integers(1, TITLED + 1, ASKED).astype(np.uint64), np.ones(ASKED, np.float32), NEAR)] * 4_000
    what = f"the {NEAR} items of {TITLED:,} that are nearest to {ASKED}, and why"
    percentiles(table, "title", what, [microseconds(kept.near, asked)], (150.0, None))


def lists(table: Table, name: str) -> None:
    dataset, settings = open_dataset(DATA / name, None), load_settings("shop")
    store = Store(settings)
    store.bulk(dataset.train)
    looks = [q.looks for q in islice(reveal(store, by_session(dataset.test)[::7], N), LISTS)]
    scorer, asked = store.scorer, [(each,) for each in looks]
    keys = np.unique(dataset.train.item)
    base: Base | None = None
    for kinds in ((), ("rnn",), ("cnn",), KINDS):
        for kind in KINDS:
            scorer.use({kind: network(kind, keys)} if kind in kinds else {})
        with_them = f"a list with {' and '.join(kinds)}" if kinds else "a list without networks"
        found = percentiles(table, name, with_them, [microseconds(scorer.answer, asked)], base=base)
        base = base or Base("without", found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    table = Table(judged=True)
    steps(table)
    called(table)
    for name in ("yoochoose_100k", "diginetica_gcegnn"):
        if (DATA / name).is_dir():
            lists(table, name)
        else:
            table.skip(name, "lists", f"no {DATA / name}; set SHOPGUIDE_DATA")
    print(f"\n{machine()}\n{table.summary()}")
    if given.json:
        table.save(given.json, machine=machine())


if __name__ == "__main__":
    main()
