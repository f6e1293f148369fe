"""presets: what a video site and a newspaper promise their visitors, on the whole line."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from shopguide.context import packed
from shopguide.settings import load
from shopguide.simulate.arms import Front, Line
from shopguide.simulate.feed import Feed

NOW = 1_790_000_000.0
SHELVES = {"Games": range(40), "Music": range(40, 80)}
Row = dict[str, Any]


class Site:
    """A line under a preset, its rows a second apart from NOW on."""

    def __init__(self, preset: str) -> None:
        settings = load(preset)
        self.line = Line(settings, Front(settings))
        self.feed = Feed([self.line])
        self.now = NOW

    def tell(self, *rows: Row) -> None:
        self.feed.load([{"time": self.now + n, **row} for n, row in enumerate(rows)], self.now + len(rows))
        self.now += len(rows)

    def listed(self, user: str, region: str = "") -> list[Row]:
        looks = self.line.front.featurizer.look(self.feed.user_key(user), "home", 20, self.now)
        context = np.array([packed({"region": region})], np.uint32)
        slate = self.line.scorer.answer(looks.of({**looks.columns(), "context": context}))
        items: list[Row] = self.line.ranker.rank(slate)[0]["items"]
        return items


def room(number: int, shelf: str) -> Row:
    return {
        "kind": "item",
        "item": f"r{number}",
        "title": f"Show {number}",
        "brand": f"host{number}",
        "category": shelf,
    }


def watch(user: str, *rooms: int, **more: Any) -> list[Row]:
    return [{"kind": "view", "user": user, "item": f"r{number}", **more} for number in rooms]


@pytest.fixture
def live() -> Site:
    """Eighty streams; German viewers watch one half, Chinese viewers the other, and of each the first most."""
    site, random = Site("live"), Random(5)
    site.tell(*(room(number, shelf) for shelf, rooms in SHELVES.items() for number in rooms))
    for viewer in range(400):
        german = viewer % 2 == 0
        rooms = random.choices(SHELVES["Games" if german else "Music"], [1 / (1 + n) for n in range(40)], k=4)
        site.tell(*watch(f"v{viewer}", *rooms, region="DE" if german else "CN"))
    return site


def shown(items: list[Row]) -> list[int]:
    return [int(item["item"][1:]) for item in items]


def test_live_lists_are_not_the_same_for_everybody(live: Site) -> None:
    live.tell(*watch("anna", 4, 9, 12, region="DE"), *watch("bo", 44, 49, 52, region="CN"))
    anna, bo = (shown(live.listed(user))[:10] for user in ("anna", "bo"))
    assert sum(number < 40 for number in anna) >= 7 and sum(number >= 40 for number in bo) >= 7


def test_live_a_newcomer_sees_what_their_country_watches(live: Site) -> None:
    for region, low in (("DE", 0), ("CN", 40)):
        found = shown([item for item in live.listed("new", region) if not item.get("explored")])
        assert sum(low <= number < low + 40 for number in found[:10]) >= 6


def test_live_a_stream_that_has_just_begun_is_tried_though_nobody_has_watched_it(live: Site) -> None:
    live.now += 3600
    live.tell(*(row for viewer in range(40) for row in watch(f"w{viewer}", viewer, region="DE")))
    live.tell(room(99, "Chess"))
    tried = [99 in shown(live.listed(f"new{viewer}", "DE")) for viewer in range(10)]
    assert all(tried)
    live.now += 1800
    assert not any(99 in shown(live.listed(f"late{viewer}", "DE")) for viewer in range(10))


def test_live_who_has_given_a_gift_finds_the_stream_again(live: Site) -> None:
    live.tell(*watch("anna", 3), {"kind": "purchase", "user": "anna", "item": "r3", "value": 5}, *watch("anna", 8, 9))
    assert 3 in shown(live.listed("anna"))


def test_live_a_crowd_in_one_stream_takes_a_place_in_a_list_not_the_list(live: Site) -> None:
    live.tell(*watch("anna", 4, 9, 12, region="DE"))
    before = [shown(live.listed(user, "DE")) for user in ("anna", "new")]
    live.tell(*(row for viewer in range(1000) for row in watch(f"crowd{viewer}", 79, region="CN")))
    after = [shown(live.listed(user, "DE")) for user in ("anna", "new")]
    assert 79 in after[1]
    assert all(len(set(was) - set(now)) <= 4 for was, now in zip(before, after, strict=True))


def article(number: int, since: float, topic: str = "City") -> Row:
    return {"kind": "item", "item": f"r{number}", "title": f"Story {number}", "category": topic, "time": since}


def test_news_what_broke_an_hour_ago_is_before_what_was_read_all_day() -> None:
    site = Site("news")
    topics = ("City", "Sport", "World", "Arts", "Money")
    site.tell(*(article(number, NOW - 4 * 3600 + 60 * number, topics[number % 5]) for number in range(60)))
    for reader in range(300):
        site.tell(*watch(f"v{reader}", 50 + reader % 10, time=NOW - 2 * 3600 + 12 * reader))
    site.now = NOW
    site.tell(article(99, NOW - 3600, "World"))
    for reader in range(9):
        site.tell(*watch(f"w{reader}", 99, time=NOW - 60 * reader))
    assert shown(site.listed("new"))[0] == 99


def test_news_what_has_just_come_is_shown_to_somebody_though_nobody_has_read_it() -> None:
    site = Site("news")
    site.tell(*(article(number, NOW - 3600 + 60 * number, "Sport") for number in range(60)))
    site.tell(*(row for reader in range(300) for row in watch(f"v{reader}", reader % 60)))
    site.tell(article(99, site.now, "World"))
    assert any(99 in shown(site.listed(f"new{reader}")) for reader in range(20))
