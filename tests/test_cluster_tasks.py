"""Tasks as on a cluster, beside the process that holds the state directory."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logs import full_disk

from shopguide.log import Log
from shopguide.records import Events, Kind, Names
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.storm import deployment, spouts, stage
from shopguide.storm.bolts import ScoreBolt
from shopguide.storm.runner import MemorySerializer
from shopguide.storm.spouts import LogSpout
from shopguide.tasks import Tasks

TASKS = {"1": "log", "2": "score"}


@pytest.fixture
def spout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogSpout:
    """Of a log of one row; it attends at once each time."""
    monkeypatch.setattr(spouts, "ATTEND", 0)
    monkeypatch.setattr(spouts, "SIGN", 0)
    StateDir(tmp_path).keep_settings(load("shop", flags={"log.partitions": 1}))
    log = Log(tmp_path / "log", 1)
    log.append(0, Events(kind=[Kind.VIEW], user=np.array([1], np.uint64), item=np.array([1], np.uint64)), Names())
    log.close()
    return task(LogSpout, tmp_path, 1)


def task(component: Any, state: Path, number: int) -> Any:
    found = component(None, None, rdb_signal=None, serializer="msgpack")
    found.serializer = MemorySerializer(deque(), lambda message: None)
    context = {"taskid": number, "componentid": TASKS[str(number)], "task->component": TASKS}
    conf = {deployment.STATE: str(state)}
    found._setup_component(conf, context)
    found.initialize(conf, context)
    return found


def test_a_full_disk_and_a_snapshot_that_is_given_up_do_not_end_it(tmp_path: Path, spout: LogSpout) -> None:
    state, tasks = StateDir(tmp_path), Tasks(tmp_path)
    with full_disk(0):
        spout.next_tuple()
    assert tasks.progress() is None
    spout.next_tuple()
    progress = tasks.progress()
    assert progress is not None and (progress.read, progress.acked) == ([1], [0])
    state.begun = lambda: tmp_path / "gone"  # type: ignore[method-assign]
    spout.deployment.state = state
    spout.next_tuple()
    assert tasks.silent() < 60


def test_it_goes_back_once_for_a_task_that_begins(tmp_path: Path, spout: LogSpout) -> None:
    spout.next_tuple()
    tasks = Tasks(tmp_path)
    life = tasks.begin("score-0", [0], [0]).life
    for _ in range(3):
        spout.next_tuple()
    assert spout.heard == {"score-0": life} and spout.rewinds == {0: [0]}


def test_a_task_begins_when_the_disk_takes_that(
    tmp_path: Path, spout: LogSpout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "PAUSE", 0)
    with full_disk(0):
        score = task(ScoreBolt, tmp_path, 2)
    assert score.stage is score.member is None and not Tasks(tmp_path).beginnings()
    assert score.open() and Tasks(tmp_path).beginnings().keys() == {"score-0"}
