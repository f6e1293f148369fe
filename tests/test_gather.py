"""Snapshots that tasks fill: whoever waits for one gets one that was begun after they asked, and what is beyond
retention leaves the log with no shopper loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shopguide.cli import gather
from shopguide.cli.gather import Gatherer
from shopguide.errors import StateError
from shopguide.featurize import Featurizer
from shopguide.featurize.shoppers import Shoppers
from shopguide.log import Log
from shopguide.records import Events, Kind, Names
from shopguide.rejects import RejectFiles
from shopguide.settings import load
from shopguide.snapshot import Columns
from shopguide.state import StateDir, names
from shopguide.tasks import FEATURIZE, POSITION, Due, Progress


def fill(state: StateDir, acked: list[int], featurize: Columns | None = None) -> str:
    """All parts of the snapshot that is due; its name."""
    folder = state.begun()
    assert folder is not None
    due = Due(folder)
    due.position(acked, {})
    for part in names(1):
        if part != POSITION:
            due.write(part, (part == f"{FEATURIZE}0" and featurize) or {"a": np.arange(3)})
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


def test_parts_that_do_not_come_are_a_failure_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose disk takes no part cannot say so: whoever waits would wait for ever, and nobody would know."""
    monkeypatch.setattr(gather, "PATIENCE", 0.0)
    state, settings = StateDir(tmp_path), load("shop", flags={"log.partitions": 1})
    log = Log(state.log, 1)
    gatherer = Gatherer(state, log, RejectFiles(state.rejects), settings)
    future = gatherer.want([3], only=True)
    for _ in range(2):
        gatherer.step(Progress("life", [3], [3]))
    with pytest.raises(StateError, match="position, featurize-0, score, rank did not come within 0 s"):
        future.result(0)
    assert (gatherer.saved.failed, gatherer.saved.written) == (1, 0)
    log.close()


def test_the_log_is_compacted_and_no_shopper_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {"log.partitions": 1, "state.every": 1e-6, "learn.retention_events": 1024}
    state, settings = StateDir(tmp_path), load("shop", flags=flags)
    log, featurizer = Log(tmp_path / "log", 1), Featurizer(settings)
    for _ in range(100):
        log.append(0, Events(kind=[Kind.VIEW] * 20, user=np.full(20, 7, np.uint64), time=np.arange(20.0)), Names())
        log.roll(0)
    while (batch := log.read(0, featurizer.reached(0), 50)) is not None:
        featurizer.learn(batch)
    monkeypatch.setattr(Shoppers, "load", None)
    gatherer, progress = Gatherer(state, log, RejectFiles(state.rejects), settings), Progress("a life", [2000], [2000])
    gatherer.step(progress)
    fill(state, [2000], featurizer.dump(0))
    gatherer.step(progress)
    gatherer.finish()
    found = log.read(0, 0, 2000)
    assert found is not None and found.events.offset.tolist() == list(range(featurizer.kept_from(0), 2000))
    log.close()
