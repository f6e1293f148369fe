"""The running line under a retention: what goes out of the model goes out of everything else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from logs import content

from shopguide.cli.line import RunningLine
from shopguide.keys import item_key
from shopguide.settings import load
from shopguide.state import StateDir

START = 1_700_000_000


def line(path: Path) -> RunningLine:
    flags = {"log.partitions": 2, "log.segment_bytes": 16384, "learn.retention_events": 1024}
    return RunningLine(StateDir(path), load("shop", flags=flags), push=False)


def season(number: int) -> list[dict[str, Any]]:
    """20 items come, are looked at by visitors of their own, and half of them are taken out of the shop."""
    items = [f"season-{number}-item-{at}" for at in range(20)]
    said = {"kind": "item", "time": START + 1000 * number}
    come = [{**said, "item": item, "title": item.upper(), "category": f"of {number}"} for item in items[:10]]
    looked = [
        {"user": f"u{number}-{at % 40}", "item": items[at % 20], "kind": "view", "time": START + 1000 * number + at}
        for at in range(600)
    ]
    return [*come, *looked, *({**said, "item": item, "op": "delete"} for item in items[:10])]


def test_items_that_have_gone_leave_nothing_behind(tmp_path: Path) -> None:
    running = line(tmp_path)
    running.start()
    named, sizes = [], []
    for number in range(10):
        running.collector.collect(season(number))
        running.learn_all()
        running.snapshot()
        named.append(len(running.stage("rank").catalogue.known()))
        sizes.append(running.log.nbytes())
    catalogue, popular = running.stage("rank").catalogue, running.stage("score").popular.model
    assert max(named) <= 4 * 21 and max(sizes[5:]) < 1.5 * max(sizes[:5])
    assert catalogue.name(item_key("season-0-item-0")) is None and not catalogue.product(item_key("season-0-item-0"))
    assert popular.category([item_key("season-0-item-0"), item_key("season-9-item-0")]).astype(bool).tolist() == [0, 1]
    live = {key for key in running.stage("score").items.model.dump()["item_keys"].tolist()}
    names = {key: catalogue.name(key) for key in live}
    products = {key: catalogue.product(key) for key in live}
    checksum = running.stage("score").checksum()
    running.stop()
    assert None not in names.values()
    old = [name for name, data in content(tmp_path).items() if b"season-0-" in data or b"SEASON-0-" in data]
    assert not [name for name in old if name.startswith("log/")]

    shutil.rmtree(tmp_path / "snapshots")
    again = line(tmp_path)
    again.start()
    again.learn_all()
    catalogue = again.stage("rank").catalogue
    assert {key: catalogue.name(key) for key in live} == names
    assert {key: catalogue.product(key) for key in live} == products
    assert again.stage("score").checksum() == checksum
    again.stop()
