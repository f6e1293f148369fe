"""/healthz and /readyz: each check is made to fail for real."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from logs import full_disk
from running import Running

from shopguide.cli import door
from shopguide.cli.cluster import ClusterLine
from shopguide.cli.health import Health
from shopguide.cli.line import RunningLine
from shopguide.cli.operator import Operator
from shopguide.collect.chunk import Chunk, columns_of
from shopguide.errors import StateError
from shopguide.push import process
from shopguide.records import Kind
from shopguide.settings import Settings, load
from shopguide.state import StateDir
from shopguide.tasks import LATELY, Tasks
from shopguide.topologies.recommend import Recommend

ROW = {"user": "u", "item": "i", "kind": "view"}


def settings(**flags: Any) -> Settings:
    return load("shop", flags={"push.endpoint": "tcp://127.0.0.1:*", "log.partitions": 2, **flags})


def bad(checks: dict[str, Any]) -> dict[str, str]:
    return {name: check["said"] for name, check in checks.items() if not check["ok"]}


@pytest.fixture
def line(tmp_path: Path) -> Iterator[RunningLine]:
    running = RunningLine(StateDir(tmp_path / "s"), settings())
    running.start()
    yield running
    if running._thread.is_alive():
        running.stop()


def health(line: Any) -> Health:
    assert line.push is not None
    return Health(line, line.push)


def test_a_line_at_work_is_fine(line: RunningLine) -> None:
    line.collector.collect([ROW])
    line.learn_all()
    assert bad(health(line).ready()) == {} and {"line", "log", "push"} == health(line).alive().keys()


def test_a_runner_that_does_not_come_back(line: RunningLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "STUCK", 0.5)
    go_on = threading.Event()
    waiting = threading.Thread(target=line.call, args=(go_on.wait,))
    waiting.start()
    deadline = time.monotonic() + 10
    while not bad(health(line).alive()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "nothing has moved for" in bad(health(line).alive())["line"]
    go_on.set()
    waiting.join()
    line.learn_all()
    assert bad(health(line).alive()) == {}


def test_a_runner_that_ended(line: RunningLine) -> None:
    def fail() -> bool:
        raise StateError("the disk is on fire")

    line.runner.step = fail  # type: ignore[method-assign]
    line._thread.join(10)
    assert bad(health(line).alive()) == {"line": "the work ended: the disk is on fire"}
    with pytest.raises(StateError):
        line.stop()


def test_a_log_that_cannot_be_made_durable(line: RunningLine, monkeypatch: pytest.MonkeyPatch) -> None:
    line.collector.collect([ROW])
    monkeypatch.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(StateError):
        line.collector.commit()
    assert "could not be made durable" in bad(health(line).alive())["log"]
    monkeypatch.undo()
    with pytest.raises(StateError):
        line.stop()


def test_a_push_server_that_ended(line: RunningLine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert line.push is not None
    monkeypatch.setattr(process, "COMMAND", ["false"])  # nor does another begin
    line.push._process.kill()
    line.push._process.wait(10)
    assert bad(health(line).alive()) == {"push": "the push server has ended"} == bad(health(line).ready())


def test_a_state_directory_that_has_gone(line: RunningLine, tmp_path: Path) -> None:
    (tmp_path / "s").rename(tmp_path / "t")
    assert bad(health(line).ready()).keys() == {"log", "disk"}
    (tmp_path / "t").rename(tmp_path / "s")


@pytest.mark.parametrize(
    ("flags", "name", "words"),
    [({"http.min_free": 2**60}, "disk", "nearly full"), ({"http.max_behind": 5}, "behind", "20 rows behind")],
)
def test_no_room_and_no_pace(tmp_path: Path, flags: dict[str, Any], name: str, words: str) -> None:
    late = RunningLine(StateDir(tmp_path / "s"), settings(**flags))
    late.collector.collect([{**ROW, "user": f"u{at}"} for at in range(20)])
    assert words in bad(health(late).ready())[name]
    late.start()
    late.learn_all()
    late.stop()


def test_a_model_in_force_that_has_gone(tmp_path: Path, line: RunningLine) -> None:
    line.collector.control(Kind.ACTIVATE, 0, partition=0, version="20260101-000000", models=["rnn"])
    line.learn_all()
    deadline = time.monotonic() + 10
    while not bad(health(line).ready()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert bad(health(line).ready()) == {"models": "cannot be loaded: rnn"}
    Operator(line).activate("off", ["rnn"])
    while bad(health(line).ready()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert bad(health(line).ready()) == {}


def test_tasks_of_a_topology_that_are_not_there(tmp_path: Path) -> None:
    holder = ClusterLine(StateDir(tmp_path / "s"), settings())
    holder.start()
    tasks, names = Tasks(tmp_path / "s"), [spec.name for spec in Recommend.specs]
    assert "nothing is heard of clean-0, featurize-0" in bad(health(holder).ready())["tasks"]
    assert bad(health(holder).alive()) == {}
    (tmp_path / "s" / "tasks").mkdir()
    for name in names:
        tasks.tell(f"{name}-0", 1, [])
    assert bad(health(holder).ready()) == {}
    tasks.tell("score-0", 2, [["shopguide_items", ["items", "score-0"], 7]])
    assert bad(health(holder).ready()) == {"tasks": "nothing is heard of score-1"}
    assert holder.numbers()["score-0"].numbers == [["shopguide_items", ["items", "score-0"], 7]]
    file = tmp_path / "s" / "tasks" / "numbers" / "rank-0.json"
    for times, there in ((1.1, True), (2.1, False)):
        os.utime(file, (time.time() - times * LATELY,) * 2)
        assert "rank-0" in bad(health(holder).ready())["tasks"] and "rank-0" not in holder.numbers()
        assert file.exists() is there
    holder.stop()


def test_a_full_disk_takes_no_numbers_and_ends_no_task(tmp_path: Path) -> None:
    tasks = Tasks(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        tasks.tell("score-0", 1, [])
    (tmp_path / "tasks").mkdir()
    with full_disk(0), pytest.raises(OSError, match="File too large"):
        tasks.tell("score-0", 1, [])
    assert tasks.told() == {}


def test_a_clock_that_is_set_ahead_dates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: RunningLine
) -> None:
    """One row of a year from now, and under a retention all that is held would go."""
    real, set_by = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + set_by[0])
    for seconds in (0.0, 80_000.0, -1e9):  # within a day; or it was ahead when the process began
        set_by[0] = seconds
        line.collector.collect([ROW])
        assert bad(health(line).ready()) == {}
    ends = [line.log.end(p) for p in range(2)]
    set_by[0] = 400 * 86_400.0
    for take in (
        lambda: line.collector.collect([ROW]),
        lambda: line.collector.control(Kind.WATCH, 7, expires=0.0),
        lambda: line.collector.load(Chunk(1, columns_of([ROW]), lambda row: b"")),
    ):
        with pytest.raises(StateError, match=r"clock was set 400\.0 days ahead"):
            take()
    assert "400.0 days ahead" in bad(health(line).ready())["clock"] and bad(health(line).alive()) == {}
    assert ends == [line.log.end(p) for p in range(2)]
    set_by[0] = 0.0
    line.collector.collect([ROW])
    assert bad(health(line).ready()) == {}


FAILING_DISK = """
import os, pathlib
real = os.fdatasync
def fdatasync(descriptor):
    if pathlib.Path(__file__).with_name("fails").exists():
        raise OSError(5, "Input/output error")
    real(descriptor)
os.fdatasync = fdatasync
"""


@pytest.mark.parametrize("engine", ["local", "beside"])
def test_a_process_whose_log_takes_nothing_more_ends_for_a_supervisor_to_start_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILING_DISK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *os.environ.get("PYTHONPATH", "").split(":")]))
    with Running(tmp_path / "s", "--engine", engine) as running:
        assert running.post("/v1/events", [ROW])["accepted"] == 1
        (tmp_path / "fails").touch()
        with pytest.raises(HTTPError) as refused:
            running.post("/v1/events", [ROW])
        with refused.value as answer:
            assert answer.code == 503
        _, said = running.process.communicate(timeout=30)
        assert running.process.returncode == 2
    assert "error shopguide.log: the log could not be made durable: Input/output error; start again" in said
    assert "Traceback" not in said
    (tmp_path / "fails").unlink()
    with Running(tmp_path / "s", "--engine", engine) as running:
        assert running.post("/v1/events", [ROW])["accepted"] == 1
