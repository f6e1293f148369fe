"""Tasks as on a cluster, beside the process that holds the state directory."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from logs import full_disk

from shopguide.log import Log
from shopguide.records import Events, Kind, Names
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.storm import deployment, meter, spouts, stage
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


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root, names = logging.getLogger(), list(logging.Logger.manager.loggerDict)
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in names}
    formatters = [handler.formatter for handler in handlers]
    yield
    root.handlers[:] = handlers
    for handler, formatter in zip(handlers, formatters, strict=True):
        handler.setFormatter(formatter)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def task(component: Any, state: Path, number: int, send: Any = lambda message: None) -> Any:
    found = component(None, None, rdb_signal=None, serializer="msgpack")
    found.serializer = MemorySerializer(send)
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


def test_a_task_tells_of_itself_as_the_settings_say(tmp_path: Path, restored_logging: None) -> None:
    StateDir(tmp_path).keep_settings(
        load("shop", flags={"log.partitions": 1, "run.logs": "json", "run.level": "debug"})
    )
    Log(tmp_path / "log", 1).close()
    sent: list[dict[str, Any]] = []
    score = task(ScoreBolt, tmp_path, 2, sent.append)
    score.trace("scored", 0, offset=3, last=5)
    (line,) = [message["msg"] for message in sent if "scored" in message.get("msg", "")]
    told = json.loads(line)
    assert (told["level"], told["task"], told["partition"], told["offset"], told["last"]) == (
        "debug",
        "score-0",
        0,
        3,
        5,
    )


def test_a_task_tells_its_numbers(tmp_path: Path, spout: LogSpout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "EVERY", 0)
    score = task(ScoreBolt, tmp_path, 2)
    spout.next_tuple()
    score.meter.tell(score.stage)
    told = Tasks(tmp_path).told()
    assert told.keys() == {"log-0", "score-0"} and {of.width for of in told.values()} == {1}
    numbers = {(name, *labels): value for of in told.values() for name, labels, value in of.numbers}
    assert numbers["shopguide_items", "items", "score-0"] == 0
    assert numbers["shopguide_batch_rows", "log-0"]["counts"][0] == 1
    with full_disk(0):
        score.meter.tell(score.stage)
        spout.next_tuple()
