"""What trained profiles are worth: the blend with the signal and without, weights trained on the training part each.

    python bench/bench_profiles.py [--only amazon | retail]

amazon_beauty (leave-one-out, its attributes, which are numbers, given as words) and the first four months of
online_retail (prequential, the last fifth is asked); paired over users. One thread.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
from bench_lists import DATA

from shopguide.evaluate.arms import Arm, Contest, alone
from shopguide.evaluate.data import LEAVE_ONE_OUT, PREQUENTIAL, STATIC, Dataset, open_dataset
from shopguide.evaluate.metrics import Bootstrap
from shopguide.evaluate.protocols import learned
from shopguide.evaluate.training import HeldOut
from shopguide.keys import item_key
from shopguide.records import EARLIEST, Events, Kind, Ragged
from shopguide.settings import Settings

WARM_UP, MONTHS = 0.8, 4


def amazon() -> Dataset:
    folder = DATA / "amazon_beauty"
    dataset = open_dataset(folder, None)
    said = json.loads(gzip.decompress((folder / "Beauty_item2attributes.json.gz").read_bytes()))
    details = [msgpack.packb({"op": "upsert", "title": " ".join(f"a{n}" for n in words)}) for words in said.values()]
    items = Events(
        offset=np.arange(len(said)),
        kind=np.full(len(said), Kind.ITEM),
        item=np.array([item_key(item) for item in said], np.uint64),
        time=np.full(len(said), EARLIEST),
        data=Ragged.of_bytes(details),
    )
    return replace(dataset, train=Events.join([items, dataset.train]))


def retail() -> Dataset:
    months = sorted((DATA / "online_retail").glob("*.csv.gz"))[:MONTHS]
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "online_retail.csv"
        with whole.open("wb") as f:
            for number, month in enumerate(months):
                lines = gzip.decompress(month.read_bytes()).split(b"\n", 1)
                f.write(lines[1] if number else b"\n".join(lines))
        return open_dataset(whole, None)


def judge(dataset: Dataset, settings: Settings) -> None:
    by_user = dataset.protocol == LEAVE_ONE_OUT
    k, seen = (10, "drop") if by_user else (20, "keep")
    mode = STATIC if by_user else PREQUENTIAL
    held = HeldOut.of(learned(dataset, WARM_UP), settings, seen, profiles=True)
    blends = [("with", held.train("linear")), ("without", held.without("profile").train("linear"))]
    arms = [Arm(name, "linear", weights) for name, weights in blends] + [Arm("profile alone", "", alone("profile"))]
    contest = Contest(dataset, settings, mode, k, seen, arms, WARM_UP, profiles=True)
    contest.run()
    bootstrap = Bootstrap(contest.arms[0].ranks.session)
    print(f"{dataset.name}: {len(contest.arms[0].ranks.rank):,} questions, weight {arms[0].weights.linear['profile']}")
    for arm in contest.arms:
        spent = np.percentile(np.array(arm.ranks.seconds) * 1e6, 50)
        hr, mrr = arm.ranks.hits().mean(), arm.ranks.reciprocal().mean()
        print(f"  {arm.recommender}: HR {hr:.4f} MRR {mrr:.4f}, {spent:.0f} us")
    for name, values in (("HR", "hits"), ("MRR", "reciprocal")):
        one, other = (getattr(arm.ranks, values)() for arm in contest.arms[:2])
        found = bootstrap.compare(one, other)
        print(f"  {name} with less without: {found.difference:+.4f} ({found.ci95[0]:.4f}–{found.ci95[1]:.4f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=("amazon", "retail"))
    given = parser.parse_args()
    for name, read in (("amazon", amazon), ("retail", retail)):
        if given.only in (None, name):
            dataset = read()
            judge(dataset, dataset.settings("shop", None))


if __name__ == "__main__":
    main()
