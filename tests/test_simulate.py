"""The simulated shop: the same for a seed, in order of time, readable, and with a structure that counts can find."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from itertools import combinations, islice
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from shopguide.clean import clean
from shopguide.cli.simulate import simulate
from shopguide.collect.collector import Collector
from shopguide.collect.files import open_source
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.records import Kind
from shopguide.simulate import CATEGORIES, REGIMES, SCENES, START, Regime, Scene, Shop
from shopguide.simulate.goods import STYLES
from shopguide.simulate.truth import DAY, HOUR, NOVEL


def test_the_same_seed_is_the_same_shop() -> None:
    one, two, other = Shop(3), Shop(3), Shop(4)
    assert one.catalogue() == two.catalogue() != other.catalogue()
    events = list(one.events(2000))
    assert events == list(two.events(2000)) == list(islice(one.events(), 2000)) != list(other.events(2000))
    assert len({row["event"] for row in events}) == 2000


def test_the_catalogue_is_plausible() -> None:
    rows = Shop(1).catalogue()
    assert len(rows) == 600 == len({row["item"] for row in rows}) == len({row["title"] for row in rows})
    assert {row["category"] for row in rows} == {c.name for c in CATEGORIES} and 8 <= len(CATEGORIES) <= 12
    assert all(0 < row["price"] < 1000 and row["brand"] for row in rows)
    for row in rows:
        head, _, svg = row["image"].partition(",")
        assert head == "data:image/svg+xml" and len(svg) < 1000
        assert ElementTree.fromstring(unquote(svg)).tag.endswith("svg")


@pytest.mark.parametrize("products", [1, 7, 5000])
def test_shops_of_any_size(products: int) -> None:
    shop = Shop(2, products=products, shoppers=3)
    assert len({p.title for p in shop.products}) == len(shop.products) == products
    assert len(list(shop.events(300))) == 300
    with pytest.raises(ValueError, match="at least one"):
        Shop(1, products=0)


def test_events_are_in_order_and_visits_make_sense() -> None:
    rows = list(Shop(5, start=1000.0).events(20_000))
    times = [row["time"] for row in rows]
    assert times == sorted(times) and times[0] == 1000.0
    counts = Counter(row["kind"] for row in rows)
    assert counts["view"] > counts["search"] > counts["cart"] > counts["purchase"] > counts["remove"] > 0
    visits = defaultdict(list)
    for row in rows:
        visits[row["session"]].append(row)
    for visit in visits.values():
        assert len({row["user"] for row in visit}) == 1
        in_cart: Counter[str] = Counter()
        for row in visit:
            in_cart[row.get("item", "")] += row["kind"] == "cart"
            if row["kind"] in ("purchase", "remove"):
                in_cart[row["item"]] -= 1
                assert in_cart[row["item"]] >= 0


def test_items_of_a_style_are_seen_together() -> None:
    shop = Shop(6)
    style = {p.item: p.style for p in shop.products}
    seen = defaultdict(set)
    for row in shop.events(40_000):
        if "item" in row:
            seen[row["session"]].add(row["item"])
    together: Counter[tuple[str, str]] = Counter()
    for items in seen.values():
        together.update(combinations(sorted(items), 2))
    neighbours = defaultdict(list)
    for (a, b), count in together.items():
        neighbours[a].append((count, b))
        neighbours[b].append((count, a))
    right = [
        style[item] == style[near] for item, found in neighbours.items() for _, near in sorted(found, reverse=True)[:5]
    ]
    assert np.mean(right) > 0.8  # by chance one in twelve


def test_what_it_writes_is_read_back_whole(tmp_path: Path) -> None:
    out = tmp_path / "shop.jsonl"
    result = CliRunner().invoke(simulate, ["--events", "3000", "--seed", "7", "--out", str(out)])
    assert result.exit_code == 0, result.output
    log = Log(tmp_path / "log", 2)
    collector = Collector(log, Secret(b"a secret for the tests"))
    chunks = list(open_source(f"file:{out}").chunks())
    assert sum(collector.load(chunk).accepted for chunk in chunks) == 3600
    kinds: Counter[int] = Counter()
    for partition in range(2):
        batch = log.read(partition, 0, 10_000)
        assert batch is not None
        kept, rejects = clean(batch)
        assert not rejects.reason
        kinds.update(kept.events.kind.tolist())
    log.close()
    assert kinds.total() == 3600 and kinds[Kind.ITEM] == 600


def test_the_command_writes_the_same_for_a_seed() -> None:
    first, second = (CliRunner().invoke(simulate, ["--events", "50", "--seed", "2"]).stdout_bytes for _ in range(2))
    assert first == second and first.count(b"\n") == 650


def test_the_seed_decides_alone_whatever_the_hash_seed() -> None:
    code = "import zlib; from shopguide.simulate import Shop; "
    code += "print(zlib.crc32(repr([Shop(1).catalogue(), *Shop(1).events(500)]).encode()))"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_products_appear_before_anybody_looks_at_them() -> None:
    shop = Shop(8, regime=REGIMES["young"], rate=0.002)
    there = {row["item"] for row in shop.catalogue()}
    assert len(there) == 300 == len(shop.launches()) and not there & {row["item"] for row in shop.launches()}
    rows = list(shop.events(8000))
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    for row in rows:
        if row["kind"] == "item":
            there.add(row["item"])
        assert row.get("item") is None or row["item"] in there
    assert len(there) > 400 and len({row["event"] for row in rows if row["kind"] != "item"}) == 8000
    assert rows == list(Shop(8, regime=REGIMES["young"], rate=0.002).events(8000))


def test_a_style_is_looked_at_most_in_its_season() -> None:
    regime = Regime("seasons", history=0, season=1.5, season_days=12)
    shop = Shop(9, regime=regime, rate=0.01)
    style = {p.item: p.style for p in shop.products}
    first_day = Counter(
        style[row["item"]] for row in shop.events(6000) if row["time"] < shop.start + DAY if "item" in row
    )
    best, worst = STYLES[0], STYLES[6]  # season 0 begins at its height, season 6 half a year off
    assert shop.truth.season(best, shop.start) == pytest.approx(np.exp(1.5))
    assert shop.truth.season(worst, shop.start) == pytest.approx(np.exp(-1.5))
    assert first_day[best] > 2 * first_day[worst]


def test_heat_by_its_definition() -> None:
    regime = Regime("all", history=0, season=0.5, season_days=10, trend=0.3, trend_days=3, new=0.5, novelty=2)
    shop, still = Shop(10, regime=regime), Shop(10)
    truth = shop.truth
    assert {still.truth.heat(p, START + 5 * DAY) for p in shop.products} == {1.0}
    item = next(p for p in shop.products if truth.launch.get(p.item, START) > START)
    launch = truth.launch[item.item]
    assert truth.heat(item, launch - 1) == 0.0 < truth.heat(item, launch + 1)
    for hour in (7, 60):
        now = (launch // HOUR + hour) * HOUR
        trend = np.exp(0.3 * np.cos(2 * np.pi * ((now - START) / (3 * DAY) + truth._phase[item.item])))
        novelty = 1 + 2 * np.exp(-(now - launch) / (NOVEL * DAY))
        assert truth.heat(item, now) == pytest.approx(truth.season(item.style, now) * trend * novelty)


def test_a_seeds_events_stay_what_they_were() -> None:
    rows = [*Shop(1).catalogue(), *Shop(1).events(3000)]
    assert zlib.crc32(repr(rows).encode()) == 718937349


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_a_scene_has_things_of_its_own_and_the_same_visitors(scene: Scene) -> None:
    shop = Shop(5, products=scene.products, regime=scene.regime, scene=scene)
    rows = [*shop.catalogue(), *shop.launches()]
    events = list(shop.events(3000))
    assert len(rows) == scene.products
    assert len({(row["title"], row["category"], row.get("brand")) for row in rows}) == scene.products
    assert len({row["category"] for row in rows}) == 10
    assert all(row["image"].startswith("data:image/svg+xml,%3Csvg") for row in rows)
    assert ({"cart", "purchase"} <= {row["kind"] for row in events}) == scene.sells
    words = " ".join(f"{row['title']} {row['category']} {row.get('brand')}" for row in rows).lower()
    asked = [row["query"] for row in events if row["kind"] == "search"]
    assert asked and all(word in words for query in asked for word in query.split())


def test_news_come_all_the_time_and_are_wanted_while_they_are_new() -> None:
    scene = SCENES["news"]
    shop = Shop(5, products=scene.products, regime=scene.regime, scene=scene)
    events = list(shop.events(20_000))
    came = {row["item"]: row["time"] for row in events if row["kind"] == "item"}
    ages = [row["time"] - came[row["item"]] for row in events if row["kind"] == "view" and row["item"] in came]
    assert len(came) > 40 and len(ages) > 1000 and min(ages) >= 0
    article = next(product for product in shop.products if product.item in came)
    new, later = (shop.truth.heat(article, came[article.item] + age * HOUR) for age in (0.5, 6))
    assert new > 4 * later > 0


def test_what_cannot_be_had_comes_back_and_nobody_finds_it_meanwhile() -> None:
    shop = Shop(5, products=240, scene=SCENES["live"])
    shop.open_stock(START)
    stock = shop.stock
    assert stock is not None
    gone = set(stock.out)
    said = {row["item"]: row["stock"] for row in stock.all(START)}
    assert said == {product.item: int(product.item not in gone) for product in shop.products}
    assert 0.4 < len(gone) / 240 < 0.8
    found = [row["item"] for row in shop.events(2000) if row["kind"] == "view"]
    assert sum(item in gone for item in found) < len(found) / 100
    changed = [row for second in range(0, 3600, 10) for row in stock.changes(START + second)]
    for row in changed:
        assert (row["item"] in gone) == (row["stock"] == 1), "each change is one"
        gone ^= {row["item"]}
    assert gone == stock.out and len(changed) > 500
