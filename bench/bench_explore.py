"""What do places for new items cost a shop, and how much sooner are its good new items found?

    python bench/bench_explore.py [--visits N] [--seeds N] [--json FILE]

The simulated shop, a closed loop: a shop of its own for each share of the list, with the same shoppers who come at the
same times (the same seed). New items are such for a day. In `newcomers` four items of ten arrive over four days, wanted
like any other; `silent` is the same, where the catalogue tells no likeness; in `young` half the shop arrives, wanted
more while it is new. Found: an item of the best quarter that was clicked in lists three times on its first day. 95 %
intervals by bootstrap over the shoppers, and items, of all seeds, paired; seeds are few.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from table import machine

from shopguide.evaluate.metrics import Bootstrap
from shopguide.keys import item_key
from shopguide.records import Batch, Kind
from shopguide.settings import Settings, load
from shopguide.simulate.arms import Front, Line
from shopguide.simulate.experiment import Experiment, opened
from shopguide.simulate.shop import Shop
from shopguide.simulate.truth import DAY, YOUNG, Regime

NEWCOMERS = Regime("newcomers", history=2, new=0.4, arrivals=4)
SCENES: dict[str, tuple[Regime, dict[str, Any]]] = {
    "newcomers": (NEWCOMERS, {}),
    "silent": (NEWCOMERS, {"score.content": 0.0, "score.search": 0.0}),
    "young": (YOUNG, {}),
}
SHARES = (0.0, 0.05, 0.1)
N, BEST, THRICE = 10, 0.75, 3
LAYOUT = "{:<10} {:>7} {:>8} {:>8} {:>26} {:>8} {:>8} {:>24}"


class Watched(Line):
    """A line that notes when each item was clicked."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, Front(settings))
        self.clicks: list[tuple[int, float]] = []

    def learn(self, batch: Batch, now: float) -> None:
        super().learn(batch, now)
        clicked = batch.events.kind == Kind.CLICK
        self.clicks += zip(batch.events.item[clicked].tolist(), batch.events.time[clicked].tolist(), strict=True)


def good(shop: Shop, end: float) -> dict[int, float]:
    """The good new items that had their first day, and when they came."""
    launch = shop.truth.launch
    bar = np.quantile([shop.truth.quality[item] for item in launch], BEST)
    return {item_key(item): at for item, at in launch.items() if shop.truth.quality[item] >= bar and at + DAY <= end}


def run(scene: str, seed: int, share: float, visits: int) -> dict[str, Any]:
    """Clicks and lists of each shopper; of each good new item whether it was found."""
    regime, more = SCENES[scene]
    shop = opened(seed, regime)
    arm = Watched(load("shop", None, {**more, "rank.explore": share, "rank.explore_age": DAY, "log.partitions": 1}))
    experiment = Experiment(shop, {"line": arm}, N)
    experiment.run(visits)
    came = good(shop, arm.clicks[-1][1])
    early = Counter(item for item, at in arm.clicks if item in came and at < came[item] + DAY)
    new = {item_key(item) for item in shop.truth.launch}
    counts = experiment.tallies["line"].of
    return {
        "scene": scene, "seed": seed, "share": share,
        "clicks": {user: one["clicks"] for user, one in counts.items()},
        "lists": {user: one["impressions"] for user, one in counts.items()},
        "new_clicks": sum(item in new for item, _ in arm.clicks) / len(arm.clicks),
        "found": {item: float(early[item] >= THRICE) for item in came},
    }  # fmt: skip


def paired(runs: list[dict[str, Any]], base: list[dict[str, Any]], part: str, whole: str | None) -> dict[str, Any]:
    """A ratio over all seeds, and how much more it is than the base's."""
    keys = [
        (at, key) for at, (one, other) in enumerate(zip(runs, base, strict=True)) for key in one[part] | other[part]
    ]
    columns = [
        [np.array([side[at][name].get(key, 0.0) if name else 1.0 for at, key in keys]) for name in (part, whole)]
        for side in (runs, base)
    ]
    (clicks, lists), (clicks0, lists0) = columns
    bootstrap = Bootstrap(list(range(len(keys))))
    low, high = np.percentile(bootstrap.ratios(clicks, lists) - bootstrap.ratios(clicks0, lists0), (2.5, 97.5))
    ratio, ratio0 = clicks.sum() / lists.sum(), clicks0.sum() / lists0.sum()
    return {"is": ratio, "more": ratio - ratio0, "ci95": [float(low), float(high)]}


def told(runs: list[dict[str, Any]], base: list[dict[str, Any]]) -> dict[str, Any]:
    """A line of the table, and what it says."""
    ctr, found = paired(runs, base, "clicks", "lists"), paired(runs, base, "found", None)
    one = {
        "scene": runs[0]["scene"], "share": runs[0]["share"], "seeds": len(runs),
        "lists": sum(sum(run["lists"].values()) for run in runs), "clicks_per_list": ctr,
        "new_clicks": float(np.mean([run["new_clicks"] for run in runs])), "found": found,
    }  # fmt: skip
    apart = ["{:+.4f} ({:+.4f} … {:+.4f})".format(m["more"], *m["ci95"]) if one["share"] else "" for m in (ctr, found)]
    cells = (f"{one['lists']:,.0f}", f"{ctr['is']:.4f}", apart[0], f"{one['new_clicks']:.3f}", f"{found['is']:.3f}")
    print(LAYOUT.format(one["scene"], f"{one['share']:.0%}", *cells, apart[1]).rstrip(), flush=True)
    return one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--visits", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(machine())
    head = ("scene", "share", "lists", "clicks", "more a list than without", "of new", "found", "more than without")
    print(LAYOUT.format(*head))
    results = []
    for scene in given.scene:
        runs = {share: [run(scene, 1 + s, share, given.visits) for s in range(given.seeds)] for share in SHARES}
        results += [told(runs[share], runs[0.0]) for share in SHARES]
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
