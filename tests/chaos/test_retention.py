"""Retention and compaction under kills: the model is that of the newest rows, and the log alone gives it again."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from conftest import State, kill, run, said, start

pytestmark = [pytest.mark.timeout(600)]

LIMITS = {
    "events": {"SHOPGUIDE_LEARN_RETENTION_EVENTS": "4096"},
    "time": {"SHOPGUIDE_LEARN_RETENTION": "40000"},
}
SMALL = {"SHOPGUIDE_LOG_SEGMENT_BYTES": "40000", "SHOPGUIDE_STATE_EVERY": "0.3"}


def write(path: Path) -> str:
    """Ever new visitors, some of whom log in; items that are given titles; returns; doubles; rubbish."""
    chance = random.Random(7)
    rows = []
    for at in range(30_000):
        user = f"v{at // 60 + chance.randrange(40)}"
        row = {"user": user, "item": f"i{chance.randrange(300)}", "time": 1_700_000_000 + 10 * at, "kind": "view"}
        if chance.random() < 0.2:
            row["kind"] = chance.choice(["cart", "purchase", "search", "dismiss"])
        if row["kind"] == "search":
            row["query"] = "lamp"
        if chance.random() < 0.3:
            row["id"] = f"e{at - chance.choice([0, 0, 60])}"
        if chance.random() < 0.02:
            row |= {"title": f"Title {at}", "price": at}
        if chance.random() < 0.01:
            row = {"kind": "alias", "user": user, "account": f"a{chance.randrange(50)}", "time": row["time"]}
        if chance.random() < 0.01:
            row["time"] = "never"
        rows.append(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"file:{path}?format=events"


def log_bytes(state: Path) -> int:
    return sum(f.stat().st_size for f in (state / "log").rglob("*.seg"))


@pytest.mark.parametrize("limit", LIMITS)
def test_the_compacted_log_gives_the_same_model(tmp_path: Path, limit: str) -> None:
    source = write(tmp_path / "events.jsonl")
    environment = {**SMALL, **LIMITS[limit]}
    run(source, tmp_path / "whole", **SMALL)
    chance = random.Random(8)
    for _ in range(6):
        kill(start("run", "--source", source, "--state", tmp_path / "state", **environment), chance.uniform(0.8, 2.5))
    run(source, tmp_path / "state", **environment)
    run(f"file:{tmp_path / 'events.jsonl'}?format=events", tmp_path / "state", **environment)
    assert log_bytes(tmp_path / "state") < 0.7 * log_bytes(tmp_path / "whole")
    kept = State(tmp_path / "state")
    titles = said("trending", "-n", 30, "--state", tmp_path / "state")
    shutil.rmtree(tmp_path / "state" / "snapshots")
    assert said("state", "checksum", tmp_path / "state").strip() == kept.checksum
    assert said("trending", "-n", 30, "--state", tmp_path / "state") == titles
    said("state", "check", tmp_path / "state")
    again = run(source, tmp_path / "state", **environment)
    assert again["rows"] == 0 or again["checksum"] == kept.checksum
