"""Snapshots that tasks fill: whoever waits for one gets one that was begun after they asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shopguide.cli.gather import Gatherer
from shopguide.log import Log
from shopguide.rejects import RejectFiles
from shopguide.settings import load
from shopguide.state import StateDir, names
from shopguide.tasks import POSITION, Due, Progress


def fill(state: StateDir, acked: list[int]) -> str:
    """All parts of the snapshot that is due; its name."""
    folder = state.begun()
    assert folder is not None
    due = Due(folder)
    due.position(acked, {})
    for part in names(1):
        if part != POSITION:
            due.write(part, {"a": np.arange(3)})
    return folder.name.lstrip(".")


def test_a_snapshot_that_was_begun_before_somebody_asked_is_not_theirs(tmp_path: Path) -> None:
    state, settings = StateDir(tmp_path), load("shop", flags={"log.partitions": 1, "state.every": 1e-6})
    log = Log(tmp_path / "log", 1)
    gatherer = Gatherer(state, log, RejectFiles(state.rejects), settings)
    progress = Progress("a life", [5], [5])
    gatherer.step(progress)
    fill(state, [5])
    asked = gatherer.want([5], only=True)
    gatherer.step(progress)
    assert not asked.done()
    gatherer.step(progress)
    newest = fill(state, [5])
    gatherer.step(progress)
    assert asked.done() and [s["name"] for s in state.snapshots()] == [newest]
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [newest]
    log.close()
