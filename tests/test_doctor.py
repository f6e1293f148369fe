"""The doctor: every check is made to fail for real, nothing is changed, nothing raises."""

from __future__ import annotations

import importlib.metadata
import json
import os
import random
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from logs import content
from running import Running

from shopguide import __version__
from shopguide.artefacts import Artefacts
from shopguide.cli import cli, endpoints
from shopguide.cli.checkup import Checkup, Finding
from shopguide.cli.control import Control
from shopguide.cli.doctor import CHECKS, examine
from shopguide.cli.line import RunningLine
from shopguide.kafka.binding import Bound, bind
from shopguide.log import Log
from shopguide.records import Events, Kind, Names
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.tasks import Progress, Tasks

SETTINGS = load("shop", flags={"log.partitions": 2})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves."""
    path = tmp_path_factory.mktemp("made") / "s"
    line = RunningLine(StateDir(path), SETTINGS, push=False)
    line.start()
    for start in range(0, 200, 20):
        line.collector.collect(
            [{"user": f"u{at % 9}", "item": f"i{at % 5}", "kind": "view"} for at in range(start, start + 20)]
        )
    line.learn_all()
    line.stop()
    (path / "secret").touch(mode=0o600)
    (path / "secret").write_text("a secret that a file has")
    return path


@pytest.fixture
def state(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "s")
    (tmp_path / "s").chmod(0o700)
    return tmp_path / "s"


def found(name: str, path: Path | None, **more: Any) -> Finding | None:
    return CHECKS[name](Checkup(path, **more))


def status(name: str, path: Path | None, **more: Any) -> tuple[str, str]:
    finding = found(name, path, **more)
    assert finding is not None and (finding.status == "ok") == (not finding.mend)
    return finding.status, finding.said


def not_installed(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name == lacking:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    not_installed(monkeypatch, "orjson")
    assert status("software", None) == ("fail", "not installed: orjson")


def test_what_a_run_leaves_is_well_and_stays_as_it_is(state: Path) -> None:
    before, entries = content(state), sorted(map(str, state.rglob("*")))
    told = examine(Checkup(state))
    assert {name: finding for name, finding in told.items() if finding.status != "ok"} == {}
    assert {
        "software",
        "core",
        "settings",
        "directory",
        "disk",
        "fsync",
        "secret",
        "log",
        "clock",
        "snapshot",
    } <= told.keys()
    assert content(state) == before and sorted(map(str, state.rglob("*"))) == entries


def test_the_command_says_it_in_lines_and_in_json(state: Path) -> None:
    done = CliRunner().invoke(cli, ["doctor", "--state", str(state)])
    assert done.exit_code == 0 and all(line.startswith("ok ") for line in done.output.splitlines())
    (state / "secret").chmod(0o644)
    done = CliRunner().invoke(cli, ["doctor", "--state", str(state), "--json"])
    checks = {check.pop("check"): check for check in json.loads(done.output)["checks"]}
    assert done.exit_code == 1 and checks["secret"]["status"] == "fail" and "chmod 600" in checks["secret"]["mend"]
    said = CliRunner().invoke(cli, ["doctor", "--state", str(state)]).output
    assert "\n                   mend: chmod 600" in said
    assert CliRunner().invoke(cli, ["doctor", "--state", str(state / "none")]).exit_code == 1


def test_without_a_directory_nothing_is_said_of_one() -> None:
    assert set(examine(Checkup(None))) == {"software", "core", "extras", "descriptors"}


def test_settings(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPGUIDE_HTTP_PORT", "x")
    assert status("settings", state)[0] == "fail" and "http.port = 'x'" in status("settings", state)[1]
    monkeypatch.undo()
    (state / "settings.json").write_text('{"learn": {"history": "x"}}')
    assert "does not fit this version" in status("settings", state)[1]


def test_directory(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status("directory", state / "none")[0] == "fail"
    state.chmod(0o750)
    assert status("directory", state)[0] == "warn"
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # root may all
    assert "cannot be written" in status("directory", state)[1]


def test_disk_and_its_pace(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(state).free
    for least, said in ((2**60, "fail"), (free // 2, "warn"), (0, "ok")):
        StateDir(state).keep_settings(load("shop", flags={"http.min_free": least}))
        assert status("disk", state)[0] == said
    monkeypatch.setattr("os.fdatasync", lambda _: time.sleep(0.03))
    assert status("fsync", state)[0] == "warn"


def test_secret(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOPGUIDE_SECRET")
    assert status("secret", state) == ("ok", "a file for its owner alone")
    (state / "secret").chmod(0o640)
    assert status("secret", state)[0] == "fail"
    (state / "secret").chmod(0o600)
    (state / "secret").write_text("short")
    assert "at least 16" in status("secret", state)[1]
    (state / "secret").unlink()
    assert status("secret", state)[0] == "fail"
    monkeypatch.setenv("SHOPGUIDE_SECRET", "a secret of an environment")
    assert status("secret", state) == ("ok", "it comes from the environment")


@pytest.mark.parametrize("frame", [0, 3, -1])
def test_log(state: Path, frame: int) -> None:
    file = max((state / "log").rglob("*.seg"), key=lambda path: path.stat().st_size)
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])  # as a crash leaves it
    assert status("log", state)[0] == "ok"
    at = [found.start() for found in re.finditer(b"SGF1", whole)][frame] + 60  # in what the frame carries
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    kind, said = status("log", state)
    assert kind == "fail" and str(file) in said


def test_a_damaged_header_in_the_middle(state: Path) -> None:
    file = max((state / "log").rglob("*.seg"), key=lambda path: path.stat().st_size)
    whole = file.read_bytes()
    at = whole.index(b"SGF1", 8)
    file.write_bytes(whole[: at + 5] + b"?" + whole[at + 6 :])
    assert "is damaged after byte" in status("log", state)[1]


def test_clock(state: Path) -> None:
    (state / "rejects").mkdir(exist_ok=True)
    (state / "rejects" / "p0000.jsonl").write_text('{"offset": 1, "reason": "time is in the future", "raw": ""}\n')
    assert status("clock", state) == ("warn", "1 events were rejected: their time is in the future")
    log = Log(state / "log", 2)
    row = {"kind": [Kind.VIEW], "user": np.array([1], np.uint64), "item": np.array([1], np.uint64)}
    log.append(1, Events(**row, arrived=[time.time() + 1000], time=[time.time()]), Names())
    log.close()
    assert status("clock", state)[0] == "fail"


def test_snapshot(state: Path) -> None:
    StateDir(state).keep_settings(load("shop", flags={"log.partitions": 2, "learn.history": 7}))
    assert status("snapshot", state)[0] == "warn" and "does not fit" in status("snapshot", state)[1]
    older = max(path for path in (state / "snapshots").iterdir() if path.name.isdigit())
    shutil.copytree(older, newer := older.with_name(f"{int(older.name) + 1:08d}"))
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps({**manifest, "fits": "others"}))
    StateDir(state).keep_settings(SETTINGS)
    assert f"{older.name} does" in status("snapshot", state)[1]
    shutil.rmtree(state / "snapshots")
    assert "there is none" in status("snapshot", state)[1]


def test_models_and_what_they_need(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("models", state) is None
    artefact = Artefacts(state / "models").write({"rnn.onnx": b"?"}, {"rnn": {}}, {}, {})
    assert status("models", state)[0] == "ok" and status("extras", state)[0] == "ok"
    not_installed(monkeypatch, "onnxruntime")
    assert status("extras", state)[0] == "fail"
    assert status("extras", None)[0] == "ok" and "not here" in status("extras", None)[1]
    artefact.mark()
    assert status("models", state)[0] == "warn"
    (artefact.path / "rnn.onnx").write_bytes(b"!")
    assert "1 of 1 trained versions" in status("models", state)[1]


def test_process(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "PATIENCE", 0.3)
    assert status("process", state)[0] == "ok"
    (state / "run.json").write_text('{"pid": 1}')
    assert "was killed" in status("process", state)[1]
    one = StateDir(state)
    one.take()
    one.announce()
    assert status("process", state)[0] == "fail"
    verbs: list[tuple[Callable[[], Any], str]] = [
        (lambda: __version__, "ok"),
        (lambda: "0.0.1", "warn"),
        (lambda: time.sleep(1), "fail"),
    ]
    for verb, said in verbs:
        with Control(state, {"version": verb}):
            assert status("process", state)[0] == said
    one.release()


class Answers(BaseHTTPRequestHandler):
    status, body = 200, b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def answers() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_http(answers: str) -> None:
    checks = {"line": {"ok": True, "said": "works"}, "disk": {"ok": False, "said": "the log's disk is nearly full"}}
    for code, body, words in (
        (503, json.dumps({"checks": checks}).encode(), "disk: the log's disk is nearly full"),
        (503, b"[]", "/readyz answers 503"),
        (404, b"{}", "/readyz answers 404"),
        (200, b"<html>", "does not answer"),
    ):
        Answers.status, Answers.body = code, body
        kind, said = status("http", None, connect=answers)
        assert kind == "fail" and words in said
    assert status("http", None, connect="http://127.0.0.1:1")[0] == "fail"


def announced(path: Path, **where: Any) -> StateDir:
    one = StateDir(path)
    one.take()
    one.announce(**where)
    return one


def test_push_that_nobody_serves(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "PATIENCE", 0.3)
    one = announced(state, push="tcp://127.0.0.1:1", gap="tcp://127.0.0.1:2")
    assert status("push", state)[0] == "fail"
    one.release()
    assert found("push", state) is None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"push.endpoint": "tcp://0.0.0.0:7201"}, "fail"),
        ({"push.endpoint": "tcp://0.0.0.0:7201", "push.curve": True}, "ok"),
        ({"http.host": "0.0.0.0"}, "warn"),
        ({"http.host": "10.1.2.3", "http.metrics": "all"}, "warn"),
        ({"http.host": "::1", "push.endpoint": "ipc:///tmp/x"}, "ok"),
    ],
)
def test_doors(state: Path, flags: dict[str, Any], said: str) -> None:
    StateDir(state).keep_settings(load("shop", flags=flags))
    assert status("doors", state)[0] == said


def test_descriptors(state: Path) -> None:
    assert status("descriptors", state, subscribers=10**7)[0] == "fail"
    one = announced(state)
    assert "in the process" in status("descriptors", state)[1]
    one.release()


def test_kafka(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("kafka", state) is None
    shutil.rmtree(state / "log")
    bind(state, Bound("events", "id", 2))
    assert "no process reads it" in status("kafka", state)[1]
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        one = announced(state, kafka=f"127.0.0.1:1,127.0.0.1:{port}")
        assert status("kafka", state)[0] == "ok"
    assert status("kafka", state)[0] == "fail"
    one.release()
    not_installed(monkeypatch, "confluent-kafka")
    assert "shopguide[kafka]" in str(found("extras", state))


def test_storm(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMPARSE_NIMBUS", "127.0.0.1:1")
    one = announced(state, rows="tcp://127.0.0.1:1")
    assert "no topology reads" in status("storm", state)[1]
    tasks = Tasks(state)
    life = tasks.begin("score-0", [0, 0], [0, 0]).life
    tasks.tell("score-0", 1, [])
    tasks.report(Progress("life", [0, 0], [0, 0], {}))
    assert status("storm", state) == ("warn", "the spout has not gone back for score-0")
    tasks.report(Progress("life", [0, 0], [0, 0], {"score-0": life}))
    assert status("storm", state)[0] == "ok"
    file = state / "tasks" / "numbers" / "score-0.json"
    file.write_text(file.read_text().replace(__version__, "0.0.1"))
    assert "tasks of version 0.0.1" in status("storm", state)[1]
    one.release()


def test_stages_in_a_process_of_their_own(state: Path) -> None:
    one = announced(state, rows="tcp://127.0.0.1:1", worker=4711)
    assert status("storm", state) == ("fail", "nothing is heard of the stages in process 4711")
    tasks = Tasks(state)
    life = tasks.begin("score-0", [0], [0]).life
    tasks.tell("score-0", 1, [])
    tasks.report(Progress("life", [0], [0], {"score-0": life}))
    assert status("storm", state) == ("ok", "1 tasks work; in process 4711")
    one.release()


def test_a_running_process_is_well(tmp_path: Path) -> None:
    with Running(tmp_path / "s") as running:
        told = examine(Checkup(tmp_path / "s"))
        assert {name: told[name].status for name in ("process", "http", "push")} == dict.fromkeys(
            ("process", "http", "push"), "ok"
        )
        done = CliRunner().invoke(cli, ["doctor", "--connect", running.where["http"], "--json"])
        assert done.exit_code == 0 and "http" in [check["check"] for check in json.loads(done.output)["checks"]]
        running.stop()


def test_rubbish_is_no_traceback(state: Path) -> None:
    chance = random.Random(7)
    files = [path for path in state.rglob("*") if path.is_file()]
    for _ in range(12):
        file = chance.choice(files)
        file.write_bytes(chance.randbytes(chance.choice((0, 10, 5000))))
        done = CliRunner().invoke(cli, ["doctor", "--state", str(state)])
        assert done.exit_code in (0, 1) and isinstance(done.exception, SystemExit | None), done.exception
        assert "Traceback" not in done.output
