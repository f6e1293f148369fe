"""Simulated shoppers at a real line: what they say they were shown was in their list, and the desk counts it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.cli.outcomes import Outcomes
from shopguide.cli.shoppers import history
from shopguide.cli.viewers import ON_SCREEN, PAUSE, VIEWERS, Viewers
from shopguide.push import PushProcess
from shopguide.settings import load
from shopguide.simulate import SCENES, Shop
from shopguide.state import StateDir

TURNS = 60


def settled(push: PushProcess, users: list[int]) -> None:
    """The lists that were made have come to the push server."""
    before = None
    while (now := push.latest_of(users)) != before:
        before = now
        time.sleep(0.01)


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_viewers_fill_the_desk_with_what_they_saw(tmp_path: Path, scene: Any) -> None:
    settings = load(scene.name, flags={"push.endpoint": "tcp://127.0.0.1:*"})
    line = RunningLine(StateDir(tmp_path), settings)
    assert line.push is not None
    latest = line.push.latest
    outcomes = Outcomes(line.secret, line.push.latest_of)
    said: list[dict[str, Any]] = []

    def note(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["kind"] == "impression":
                newest = latest(line.secret.user_key(row["user"])) or {}
                assert row["item"] in [item["item"] for item in newest["items"][:ON_SCREEN]]
        said.extend(rows)
        outcomes.note(rows)

    with operated(line):
        start = time.time()
        shop = Shop(7, products=scene.products, start=start, regime=scene.regime, scene=scene)
        events = history(line, shop, lambda rows: None)
        viewers = Viewers(line, shop, note)
        for turn in range(TURNS):
            there = next(events)["time"]
            viewers.turn(start + turn * PAUSE, there)
            viewers.turn(start + turn * PAUSE + PAUSE / 2, there)  # not yet
            line.learn_all()
            settled(line.push, [line.secret.user_key(visit.shopper.user) for visit in viewers._visits])
    kinds = [row["kind"] for row in said]
    assert TURNS < kinds.count("impression") <= TURNS * VIEWERS * ON_SCREEN and kinds.count("click") > 0
    assert kinds.count("view") <= TURNS * VIEWERS
    assert scene.sells or not {"cart", "purchase", "remove"} & set(kinds)
    found = outcomes.rates()
    assert sum(one["shown"] for one in found) == kinds.count("impression")
    assert 0 < sum(one["clicks"] for one in found) <= kinds.count("click")
