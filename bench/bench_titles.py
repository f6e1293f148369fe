"""What a catalogue's words are worth for items that hardly anybody has bought: `title` against `content`, and blends.

    python bench/bench_titles.py [--learned 2011-04-01] [--until 2012-01-01] [--network FILE]

Online Retail in order of time, each event learned after it was asked for. The network over titles knows what is older
than ``--learned``; FILE: keep it there, or take it from there. *Cold*: items first sold in 2011, in the first three
baskets that have them, by what was put into the basket before; *all*: one in 40 of all items that go on with a basket.
What the basket has already is not in a list. Intervals by bootstrap over baskets.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.evaluate.arms import alone
from shopguide.evaluate.data import in_time, is_shoppers, open_dataset
from shopguide.evaluate.metrics import Bootstrap, Ranks, rank_of
from shopguide.evaluate.store import Store
from shopguide.networks.learning import Learner
from shopguide.networks.serving import Titles
from shopguide.records import Events
from shopguide.settings import load
from shopguide.weights import Weights

DATA = Path(os.environ.get("SHOPGUIDE_DATA", "../shared/data"))
NEW_FROM, BASKETS = "2011-01-01", 3
K, DEPTH, EVERY = 20, 150, 40
WEIGHTS = (0.0, 0.1, 0.2, 0.4)  # of title, in the untrained blend; the first is compared with
LOUDER = (0.5, 0.7)  # weights of content, in its place


def second(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def network(store: Store, file: Path | None) -> Titles:
    """Of what the store has learned."""
    if file is not None and file.exists():
        return Titles(file)
    graph = Learner(["title"], print).learn(store.featurizer.lessons(), store.described())["title.onnx"]
    if file is not None:
        file.write_bytes(graph)
    return Titles(graph)


def questions(events: Events, begin: int) -> Iterator[tuple[int, str]]:
    """The rows that are asked for, and whether as a cold item or as one of all."""
    chance, new_from = np.random.default_rng(5), second(NEW_FROM)
    baskets: dict[int, list[int]] = {}
    since: dict[int, float] = {}
    begun: set[int] = set()
    columns = (events.item.tolist(), events.session.tolist(), events.time.tolist(), is_shoppers(events).tolist())
    for row, (item, basket, time, counts) in enumerate(zip(*columns, strict=True)):
        if not counts:
            continue
        before, first = baskets.setdefault(item, []), since.setdefault(item, time)
        if row >= begin and basket in begun and basket not in before:
            if first >= new_from and len(before) < BASKETS:
                yield row, "cold"
            elif chance.random() < 1 / EVERY:
                yield row, "all"
        begun.add(basket)
        if basket not in before and len(before) < BASKETS:
            before.append(basket)


def ask(store: Store, events: Events, begin: int, arms: dict[str, Weights]) -> dict[tuple[str, str], Ranks]:
    found = {(of, arm): Ranks(K) for of in ("cold", "all") for arm in arms}
    blenders = {arm: store.scorer.blender.under(weights) for arm, weights in arms.items()}
    learned = begin
    for row, of in questions(events, begin):
        store.scorer.learn(store.see(events.slice(learned, row)))
        learned = row
        looks = store.look(int(events.user[row]), K, float(events.time[row]))
        store.scorer.gather(looks, 0)
        for arm, blender in blenders.items():
            items, scores = blender.order(DEPTH)
            stay = ~np.isin(items, looks.recent[0])
            rank = rank_of(int(events.item[row]), items[stay], scores[stay], K)
            found[of, arm].add(int(events.session[row]), rank, items[:0], 0.0)
    return found


def said(values: NDArray[np.float64], bootstrap: Bootstrap) -> str:
    low, high = bootstrap.interval(values)
    return f"{values.mean():+.4f} ({low:+.4f}..{high:+.4f})"


def tell(found: dict[tuple[str, str], Ranks], arms: list[str]) -> None:
    for of in ("cold", "all"):
        bootstrap = Bootstrap(found[of, arms[0]].session)
        print(f"\n{of}: {len(found[of, arms[0]].rank):,} questions; HR@{K}, MRR@{K}")
        for arm in arms:
            ranks, against = found[of, arm], "content" if arm == "title" else f"title {WEIGHTS[0]}"
            line = f"  {arm:11} {said(ranks.hits(), bootstrap)}  {said(ranks.reciprocal(), bootstrap)}"
            if arm not in ("popular", "content", against):
                other = found[of, against]
                less: Any = (ranks.hits() - other.hits(), ranks.reciprocal() - other.reciprocal())
                line += f"   less {against}: {said(less[0], bootstrap)}  {said(less[1], bootstrap)}"
            print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--learned", default="2011-04-01")
    parser.add_argument("--until", default="2012-01-01")
    parser.add_argument("--network", type=Path)
    given = parser.parse_args()
    events, settings = in_time(open_dataset(DATA / "online_retail", None).train), load("shop")
    begin, end = np.searchsorted(events.time, [second(given.learned), second(given.until)]).tolist()
    store = Store(settings)
    store.bulk(events.slice(0, begin))
    store.scorer.use({"title": network(store, given.network)})
    own = Weights.of(settings.score).linear
    arms = {name: alone(name) for name in ("popular", "content", "title")}
    arms |= {f"title {weight}": Weights({**own, "title": weight}) for weight in WEIGHTS}
    arms |= {f"content {weight}": Weights({**own, "title": 0.0, "content": weight}) for weight in LOUDER}
    tell(ask(store, events.slice(0, end), begin, arms), list(arms))


if __name__ == "__main__":
    main()
