"""The export: all that is held about a person, whatever they sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from test_operator import line

from shopguide.cli.export import exported
from shopguide.cli.operator import operated

ODD = (1e12, 1e15, 1e17, -1e17, 1e300, -5, 0, float("inf"), "9999-12-31T23:59:59Z", 3e11, 5e10)


def test_a_person_gets_every_row_of_theirs_and_of_nobody_else(tmp_path: Path) -> None:
    view: dict[str, Any] = {"user": "u1", "item": "i1", "kind": "view"}
    with operated(running := line(tmp_path)):
        running.collector.collect([{**view, "time": 1_700_000_000 + at, "value": 5} for at in range(4)])
        running.collector.collect([{**view, "time": time} for time in ODD])
        running.collector.collect([{"user": "u1", "kind": "search", "query": "\ud800 é"}, {**view, "user": "u2"}])
        running.learn_all()
    held = json.loads(json.dumps(exported(tmp_path, "u1")))
    assert held["user"] == "u1" and held["identities"] == 1
    told = [row["kind"] for row in held["rows"]]
    assert told.count("search") == 1 and told.count("view") >= 4 and len(held["learned"]) >= 4
    assert held["rows"][0] == {"kind": "view", "item": "i1", "time": "2023-11-14T22:13:20+00:00", "value": 5.0}
    assert len(held["rejected"]) + len(held["learned"]) == len(told)
    assert exported(tmp_path, "u2")["rows"][0]["item"] == "i1" and len(exported(tmp_path, "u2")["rows"]) == 1
    assert exported(tmp_path, "nobody")["rows"] == exported(tmp_path, "nobody")["rejected"] == []
