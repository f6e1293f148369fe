"""What is found for items and shoppers that nobody knows yet, by each recommender alone and by the blend?

    SHOPGUIDE_DATA=DIR python bench/bench_cold.py [--recommender NAME ...] [--json FILE]

online_retail: December 2010 is learned, then each row is, as it comes. Asked for is what a shopper of whom something is
known buys next, where it is one of the first three sales of an item that first sells later; and the second to fourth
event of a shopper. The catalogue has an item just before its first sale. amazon_beauty: each shopper's last item, by
how often it stands in what was learned, all but the last two of each; the catalogue has all of the attributes, which
are numbers, as words. 95 % intervals by bootstrap over shoppers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from table import machine

from shopguide.evaluate.arms import NOTHING, alone, best
from shopguide.evaluate.data import in_time, is_shoppers, open_dataset
from shopguide.evaluate.metrics import Bootstrap, rank_of
from shopguide.evaluate.protocols import by_session, last_of_each, without_newest
from shopguide.evaluate.store import Store
from shopguide.keys import item_key
from shopguide.records import EARLIEST, Events, Kind, Looks, Ragged
from shopguide.score import Scorer
from shopguide.settings import load
from shopguide.weights import Weights

DATA = Path(os.environ.get("SHOPGUIDE_DATA", "../shared/data"))
RECOMMENDERS = ("popular", "content", "items", "blend")
KNOWN_UNTIL = 1293840000.0  # 2011-01-01: what is older is learned first
K, FIRST, SHOPPERS = 20, 3, 4  # of new shoppers every fourth is asked
SEEN = ((0, 0), (1, 2), (3, 5), (6, 10**9))  # events of an item in what was learned
LAYOUT = "{:<15} {:<34} {:>7} {:<9} {:>20} {:>23} {:>25}"

Asked = dict[str, dict[str, list[float]]]  # ranks of the right item, by question and recommender


class Contest:
    """Each recommender's rank for each question, on one model."""

    def __init__(self, names: list[str], scorer: Scorer, weights: Weights, drop: bool) -> None:
        self._scorer, self._drop = scorer, drop
        self._blenders = {n: scorer.blender.under(weights if n == "blend" else alone(n)) for n in names}
        self.users: dict[str, list[int]] = {}
        self.ranks: Asked = {}

    def ask(self, what: str, looks: Looks, target: int) -> None:
        self._scorer.gather(looks, 0)
        left_out = looks.recent[0] if self._drop else NOTHING
        self.users.setdefault(what, []).append(int(looks.user[0]))
        for name, blender in self._blenders.items():
            items, scores, _ = best(blender, K, left_out)
            rank = rank_of(target, items, scores, K)
            self.ranks.setdefault(what, {}).setdefault(name, []).append(rank)


def told(data: str, contest: Contest) -> Iterator[dict[str, Any]]:
    """A line a recommender and question, and what it says."""
    for what in sorted(contest.ranks):
        users, bootstrap = contest.users[what], Bootstrap(contest.users[what])
        reciprocal = {name: np.where(np.array(r) <= K, 1 / np.array(r), 0.0) for name, r in contest.ranks[what].items()}
        hits = {name: (values > 0).astype(float) for name, values in reciprocal.items()}
        base = hits.get("popular")
        for name, hit in hits.items():
            one: dict[str, Any] = {
                "data": data, "asked": what, "questions": len(users), "recommender": name,
                "hr": hit.mean(), "hr_ci95": bootstrap.interval(hit),
                "mrr": reciprocal[name].mean(), "mrr_ci95": bootstrap.interval(reciprocal[name]),
            }  # fmt: skip
            more = ""
            if base is not None and name != "popular":
                apart = bootstrap.compare(hit, base)
                one |= {"more_hr": apart.difference, "more_hr_ci95": apart.ci95}
                more = "{:+.4f} ({:+.4f} … {:+.4f})".format(apart.difference, *apart.ci95)
            cells = ("{:.4f} ({:.4f}-{:.4f})".format(one[m], *one[f"{m}_ci95"]) for m in ("hr", "mrr"))
            print(LAYOUT.format(data, what, f"{len(users):,}", name, *cells, more).rstrip(), flush=True)
            yield one


def questions(events: Events) -> dict[int, str]:
    """Which rows are asked for, and as what; every row of the first month counts."""
    asked: dict[int, str] = {}
    sales, of_user = Counter[int](), Counter[int]()
    first_sale: dict[int, float] = {}
    columns = zip(events.user.tolist(), events.item.tolist(), events.time.tolist(), is_shoppers(events), strict=True)
    for row, (user, item, time, done) in enumerate(columns):
        if not done:
            continue
        later = first_sale.setdefault(item, time) >= KNOWN_UNTIL
        if time >= KNOWN_UNTIL and of_user[user]:
            if later and sales[item] < FIRST:
                asked[row] = f"new item, sale {sales[item] + 1}"
            elif of_user[user] <= FIRST and user % SHOPPERS == 0:
                asked[row] = f"new shopper, after {of_user[user]}"
        sales[item] += 1
        of_user[user] += 1
    return asked


def online_retail(names: list[str]) -> Iterator[dict[str, Any]]:
    """In order of time; what was learned before a question is all that came before it."""
    events = in_time(open_dataset(DATA / "online_retail", None).train)
    settings = load("shop")
    store, at = Store(settings), int(np.searchsorted(events.time, KNOWN_UNTIL))
    store.bulk(events.slice(0, at))
    contest = Contest(names, store.scorer, Weights.of(settings.score), drop=False)
    asked = questions(events)
    for begin, row in pairwise([at, *sorted(asked)]):
        store.scorer.learn(store.see(events.slice(begin, row)))
        looks = store.look(int(events.user[row]), K, float(events.time[row]))
        contest.ask(asked[row], looks, int(events.item[row]))
    yield from told("online_retail", contest)


def attributes(folder: Path) -> Events:
    """The catalogue's rows."""
    with gzip.open(folder / "Beauty_item2attributes.json.gz") as file:
        said = {item: " ".join(f"a{number}" for number in numbers) for item, numbers in json.load(file).items()}
    return Events(
        kind=[Kind.ITEM] * len(said),
        item=np.array([item_key(item) for item in said], np.uint64),
        time=[EARLIEST] * len(said),
        data=Ragged.of_bytes([msgpack.packb({"title": title}) for title in said.values()]),
    )


def amazon_beauty(names: list[str]) -> Iterator[dict[str, Any]]:
    """The model learns all but the last two events of each shopper; seen items are dropped."""
    dataset = open_dataset(DATA / "amazon_beauty", None)
    settings = dataset.settings("shop", None)
    users = [events for events in by_session(dataset.train) if len(events) > 2]
    learned = without_newest(users, 2)
    store = Store(settings)
    store.bulk(Events.join([attributes(DATA / "amazon_beauty"), learned]))
    contest = Contest(names, store.scorer, Weights.of(settings.score), drop=True)
    times = Counter(learned.item.tolist())
    for question in last_of_each(store.stranger(), users, K):
        seen = times[question.target]
        low, high = next((low, high) for low, high in SEEN if low <= seen <= high)
        said = str(low) if low == high else f"{low} to {high}" if high < SEEN[-1][1] else f"{low} or more"
        contest.ask(f"item of {said} events", question.looks, question.target)
    yield from told("amazon_beauty", contest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recommender", nargs="+", default=list(RECOMMENDERS), help="signals, or blend")
    parser.add_argument("--data", nargs="+", default=["online_retail", "amazon_beauty"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(machine())
    head = ("data", "asked", "n", "", f"HR@{K}", f"MRR@{K}", "HR more than popular")
    print(LAYOUT.format(*head).rstrip())
    found: list[dict[str, Any]] = []
    for contest in (online_retail, amazon_beauty):
        if contest.__name__ in given.data and (DATA / contest.__name__).is_dir():
            found += contest(given.recommender)
    if not found:
        print(f"not run: no data in {DATA}; SHOPGUIDE_DATA names the directory of the data sets")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
