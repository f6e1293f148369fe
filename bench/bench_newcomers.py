"""What a customer whom nobody knows is shown: popular, popular in their country, content, and the blend without and
with the signal ``segment``. Needs online_retail (its Country is the region).

    python bench/bench_newcomers.py DATA/online_retail [--from 0.6] [--to 1.0] [--weights 0.1,0.2] [--half-life DAYS]

Rows in order of time; the model learns each day's at its end. Of every customer who comes for the first time in the
asked part the first three items are asked for, each given those before it: the first given the country alone. Ranks are
compared by customer (bootstrap, 95 %).
"""

from __future__ import annotations

import argparse
import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path

import msgpack
import numpy as np

from shopguide.context import packed
from shopguide.evaluate.metrics import Bootstrap, Ranks, rank_of
from shopguide.evaluate.store import Store
from shopguide.keys import category_key, item_key
from shopguide.records import Events, Kind, Ragged
from shopguide.settings import load
from shopguide.weights import Weights

K, ASKED, DAY = 20, 3, 86400
CODES = {
    **{"United Kingdom": "GB", "Germany": "DE", "France": "FR", "EIRE": "IE", "Spain": "ES", "Netherlands": "NL"},
    **{"Belgium": "BE", "Switzerland": "CH", "Portugal": "PT", "Australia": "AU", "Norway": "NO", "Italy": "IT"},
    **{"Finland": "FI", "Cyprus": "CY", "Sweden": "SE", "Austria": "AT", "Denmark": "DK", "Japan": "JP"},
    **{"Poland": "PL", "Israel": "IL", "USA": "US", "Hong Kong": "HK", "Singapore": "SG", "Iceland": "IS"},
    **{"Canada": "CA", "Greece": "GR", "Malta": "MT", "United Arab Emirates": "AE", "RSA": "ZA", "Lebanon": "LB"},
    **{"Lithuania": "LT", "Brazil": "BR", "Czech Republic": "CZ", "Bahrain": "BH", "Saudi Arabia": "SA"},
}  # what is not here (Channel Islands, Unspecified, European Community) has no context


def read(folder: Path) -> tuple[Events, list[str]]:
    """Purchases in order of time, the region in their data, an ITEM row before each item's first; and countries."""
    rows: list[tuple[float, int, int, int, int, bytes]] = []
    countries, known = [], set()
    for path in sorted(folder.glob("*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                if row["InvoiceNo"].startswith("C") or float(row["Quantity"]) <= 0 or not row["StockCode"].strip():
                    continue
                time = datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=UTC).timestamp()
                item, country = item_key(row["StockCode"].strip()), row["Country"]
                if item not in known and row["Description"]:
                    known.add(item)
                    title = msgpack.packb({"op": "upsert", "title": row["Description"].strip()})
                    rows.append((time, Kind.ITEM, 0, 0, item, title))
                    countries.append("")
                customer = row["CustomerID"] or f"guest {row['InvoiceNo']}"
                said = {"region": CODES[country]} if country in CODES else {}
                rows.append(
                    (
                        time,
                        Kind.PURCHASE,
                        category_key(customer),
                        category_key(row["InvoiceNo"]),
                        item,
                        msgpack.packb(said) if said else b"",
                    )
                )
                countries.append(CODES.get(country, "") if row["CustomerID"] else "")
    order = sorted(range(len(rows)), key=lambda at: rows[at][0])
    time, kind, user, session, item, data = zip(*(rows[at] for at in order), strict=True)
    events = Events(
        time=time,
        arrived=time,
        kind=kind,
        user=np.array(user, np.uint64),
        session=np.array(session, np.uint64),
        item=np.array(item, np.uint64),
        data=Ragged.of_bytes(data),
    )
    return events, [countries[at] for at in order]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--from", dest="begin", type=float, default=0.6)
    parser.add_argument("--to", dest="end", type=float, default=1.0)
    parser.add_argument("--weights", default="0.01")
    parser.add_argument("--half-life", type=float, default=1.0)
    asked = parser.parse_args()
    settings = load("shop", flags={"learn.trend_half_life": asked.half_life * DAY})
    events, countries = read(asked.folder)
    own = Weights.of(settings.score).linear
    arms = {name: Weights({name: 1.0}) for name in ("popular", "segment", "content")}
    arms["blend"] = Weights({**own, "segment": 0.0})
    arms |= {f"blend, segment {w}": Weights({**own, "segment": float(w)}) for w in asked.weights.split(",")}
    begin, end = int(asked.begin * len(events)), int(asked.end * len(events))
    store = Store(settings)
    store.bulk(events.slice(0, begin))
    blenders = {name: store.scorer.blender.under(weights) for name, weights in arms.items()}
    ranks = {name: [Ranks(K) for _ in range(ASKED)] for name in arms}
    abroad: list[list[bool]] = [[] for _ in range(ASKED)]
    met = set(events.user[:begin].tolist())
    days = np.flatnonzero(np.diff(events.time[begin:end] // DAY)) + begin + 1
    for first, last in zip([begin, *days.tolist()], [*days.tolist(), end], strict=True):
        day = events.slice(first, last)
        theirs: dict[int, list[int]] = {}
        for row in np.flatnonzero(day.kind == Kind.PURCHASE).tolist():
            if countries[first + row] and int(day.user[row]) not in met:
                theirs.setdefault(int(day.user[row]), []).append(row)
        for user, rows in theirs.items():
            stranger = store.stranger()
            for step, row in enumerate(rows[:ASKED]):
                looks = stranger.look(user, K, float(day.time[row]))
                looks.context[:] = packed({"region": countries[first + row]})
                store.scorer.gather(looks, 0)
                for name, blender in blenders.items():
                    items, scores = blender.order(K + 10 + step)
                    new = ~np.isin(items, looks.recent[0])
                    rank = rank_of(int(day.item[row]), items[new], scores[new], K)
                    ranks[name][step].add(user, rank, items[:K], 0.0)
                abroad[step].append(countries[first + row] != "GB")
                stranger.see(day.slice(row, row + 1))
        met |= set(day.user.tolist())
        store.scorer.learn(store.see(day))
    for step in (*range(ASKED), None):
        tell(ranks, step, abroad)


def tell(ranks: dict[str, list[Ranks]], step: int | None, abroad: list[list[bool]]) -> None:
    """Of the questions of a step (None: all): HR and MRR by arm, and each blend less that without the signal."""
    steps = range(ASKED) if step is None else [step]
    far = np.concatenate([abroad[at] for at in steps])
    users = np.concatenate([ranks["blend"][at].session for at in steps]).astype(np.uint64)
    for what, part in (("all", np.ones(len(far), bool)), ("outside GB", far)):
        print(f"{'all' if step is None else step} items known, {what}: {part.sum()} questions")
        bootstrap, values = Bootstrap(users[part]), {}
        for name, of in ranks.items():
            joined = Ranks(K, [r for at in steps for r in of[at].rank], users.tolist())
            values[name] = joined.hits()[part], joined.reciprocal()[part]
            print(f"  {name:24} HR@{K} {values[name][0].mean():.4f}  MRR@{K} {values[name][1].mean():.4f}")
        for one, other in [("segment", "popular")] + [(n, "blend") for n in ranks if n.startswith("blend,")]:
            hr, mrr = (bootstrap.compare(a, b) for a, b in zip(values[one], values[other], strict=True))
            print(f"  {one} less {other}: HR {hr.difference:+.4f} {np.round(hr.ci95, 4).tolist()}", end="")
            print(f"  MRR {mrr.difference:+.4f} {np.round(mrr.ci95, 4).tolist()}")


if __name__ == "__main__":
    main()
