"""``shopguide run --engine beside``: the stages in a process of their own come to what they come to in one, whoever is
killed, and end with their line."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import Running

from shopguide import tasks
from shopguide.cli import beside
from shopguide.cli.beside import BesideLine
from shopguide.cli.health import Health
from shopguide.cli.line import RunningLine
from shopguide.cli.numbers import samples
from shopguide.cli.outcomes import Outcomes
from shopguide.collect.chunk import Chunk, columns_of
from shopguide.errors import ShopguideError
from shopguide.settings import Settings, load
from shopguide.state import StateDir
from shopguide.topologies.recommend import Recommend

START = 1_700_000_000


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same users in every directory."""
    monkeypatch.setenv("SHOPGUIDE_SECRET", "of all directories of this test")


def settings(**flags: Any) -> Settings:
    return load("shop", flags={"log.partitions": 3, "state.every": 0.3, **flags})


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rows(seed: int, number: int = 300) -> list[dict[str, Any]]:
    """What shoppers do; one logs in, some events are taken back."""
    chance = random.Random(seed)
    kinds = ("view", "view", "cart", "purchase", "remove")
    done: list[dict[str, Any]] = []
    for at in range(number):
        said = {"user": f"u{chance.randrange(12)}", "time": START + 1000 * seed + at, "event": f"{seed}-{at}"}
        if at == 200:
            done.append({**said, "kind": "alias", "user": f"visitor{seed}", "account": said["user"]})
        elif at % 50 == 49:
            done.append({**said, "kind": "retract", "user": done[-1]["user"], "target": done[-1]["event"]})
        else:
            user = f"visitor{seed}" if at % 7 == 0 and at < 200 else said["user"]
            done.append({**said, "kind": chance.choice(kinds), "user": user, "item": f"i{chance.randrange(15)}"})
    return done


def learned(path: Path, make: type[RunningLine | BesideLine], kill: bool = False) -> tuple[str, dict[str, int]]:
    """What a line comes to; ``kill``: its worker time and again."""
    line = make(StateDir(path), settings(), push=False)
    line.start()
    for seed in range(6):
        line.collector.load(as_source(rows(seed)))
        if kill:
            assert isinstance(line, BesideLine)
            victim = line._worker
            victim.kill()
            until(lambda victim=victim: line._worker is not victim)  # type: ignore[misc]
        line.learn_all()  # what a login causes comes before what is done next
    line.snapshot()
    found = line.stage("score").checksum(), dict(line.stage("featurize").counts)
    line.stop()
    assert line.restarts == 6 * kill
    return found


def as_source(said: list[dict[str, Any]]) -> Chunk:
    return Chunk(len(said), columns_of(said), lambda row: json.dumps(said[row]).encode())


def test_it_comes_to_the_model_of_one_process_whoever_is_killed(tmp_path: Path) -> None:
    one = learned(tmp_path / "one", RunningLine)
    assert learned(tmp_path / "beside", BesideLine) == one
    assert learned(tmp_path / "killed", BesideLine, kill=True) == one


def test_lists_come_from_there_and_it_ends_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    where = Path(tmp_path.name)
    with Running(where, "--engine", "beside") as running:
        running.post("/v1/events", [{"kind": "purchase", "user": "bob", "item": item} for item in ("tea", "honey")])
        running.post("/v1/events", [{"kind": "view", "user": "ann", "item": "tea"}])
        assert similar(running, "tea") == ["honey"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            similar(running, "coffee")
        first = worker_of(running.process.pid)
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        until(lambda: not Path(f"/proc/{first}").exists())
    with Running(where, "--engine", "beside") as running:
        second = worker_of(running.process.pid)
        assert similar(running, "tea") == ["honey"]
        assert len(running.stop().splitlines()) == 1, "but where it serves it has nothing to say"
        assert not Path(f"/proc/{second}").exists()


def similar(running: Running, item: str) -> list[str]:
    with urllib.request.urlopen(f"{running.where['http']}/v1/similar?item={item}", timeout=20) as answer:
        return [one["item"] for one in json.load(answer)["items"]]


def worker_of(pid: int) -> int:
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    (found,) = [one for one in children if b"shopguide.storm.worker" in Path(f"/proc/{one}/cmdline").read_bytes()]
    return found


def test_a_worker_that_cannot_go_on_ends_the_run_and_says_why(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    small = settings(**{"log.partitions": 1, "log.segment_bytes": 4096})
    line = RunningLine(StateDir(tmp_path), small, push=False)
    for seed in range(3):
        line.collector.load(as_source(rows(seed)))
    line.log.close()
    line.state.release()
    first = min((tmp_path / "log" / "p0000").glob("*.seg"))
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)
    assert ended(BesideLine(StateDir(tmp_path), small, push=False))
    assert f"{first} at byte" in capfd.readouterr().err


def test_where_no_worker_comes_up_the_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "COMMAND", [sys.executable, "-c", "raise SystemExit('not today')"])
    assert ended(BesideLine(StateDir(tmp_path), settings(), push=False))
    assert not StateDir(tmp_path).in_use()


def test_a_run_whose_directory_has_gone_ends_when_told_to(tmp_path: Path) -> None:
    with Running(tmp_path / "s", "--engine", "beside") as run:
        run.post("/v1/events", [{"user": "ann", "item": "pot", "kind": "view"}])
        (tmp_path / "s").rename(tmp_path / "gone")
        run.process.terminate()
        err = run.process.communicate(timeout=30)[1]
        assert run.process.returncode == 2 and err.splitlines()[-1].startswith(
            f"shopguide: {tmp_path / 's'} is no state"
        ), err


def ended(line: BesideLine) -> bool:
    """By itself, with one line for its user."""
    line.start()
    until(line.failed)
    for step in (line.catch_up, line.stop):
        with pytest.raises(ShopguideError, match=r"^the stages' process ended; it has said why$"):
            step()
    return True


def test_stages_of_which_nothing_is_heard_are_counted_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert on their number has nothing to compare where a metric is missing."""
    monkeypatch.setattr(tasks, "LATELY", 3.0)
    line = BesideLine(StateDir(tmp_path), settings(**{"push.endpoint": "tcp://127.0.0.1:*"}))
    line.start()

    def counted() -> dict[str, float]:
        push = line.push
        assert push is not None
        found = samples(line, push, Outcomes(line.secret, push.latest_of), Health(line, push), 1.0)
        return {sample.labels[0]: sample.value for sample in found if sample.name == "shopguide_tasks"}

    stages = {spec.name for spec in Recommend.specs}
    until(lambda: counted() == dict.fromkeys(stages, 1))
    line._worker.send_signal(signal.SIGSTOP)
    until(lambda: counted() == dict.fromkeys(stages, 0))
    line._worker.send_signal(signal.SIGCONT)
    until(lambda: counted() == dict.fromkeys(stages, 1))
    line.stop()
