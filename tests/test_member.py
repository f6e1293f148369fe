"""A task on a cluster beside its work."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from shopguide.state import StateDir
from shopguide.storm.member import Member
from shopguide.tasks import Tasks


def member(path: Path, name: str) -> Member:
    deployment: Any = SimpleNamespace(state=StateDir(path), name=name)
    return Member(deployment, [0], [0])


def test_only_tasks_that_have_begun_since_are_told(tmp_path: Path) -> None:
    """Else two tasks of featurize would begin again and again: each because the other did, for a score of long ago."""
    tasks = Tasks(tmp_path)
    tasks.begin("score-0", [1], [2])
    ours = member(tmp_path, "featurize-0")
    assert ours.began() == {}
    tasks.begin("featurize-1", [5], [6])
    assert ours.began() == {"featurize-1": [6]} and ours.began() == {}
    tasks.begin("score-0", [7], [8])
    tasks.begin("rank-0", [9], [9])
    assert ours.began() == {"score-0": [8], "rank-0": [9]} and ours.began() == {}
