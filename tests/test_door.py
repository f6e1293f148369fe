"""The door on a real line: what it keeps of a browser, and when it puts events off."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from shopguide.cli.serve import ServedLine
from shopguide.collect.collector import Collector
from shopguide.display.group_commit import GroupCommit
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.settings import Settings
from shopguide.state import StateDir

COMMAND = [sys.executable, "-c", "from shopguide.cli import main; main()"]
ADDRESSES = ("203.0.113.77", "2001:db8:77::9")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Starts a line on ``tmp_path / "s"`` under settings of [http], and says where it is."""
    started: list[subprocess.Popen[str]] = []

    def start(**settings: object) -> str:
        for name, value in settings.items():
            monkeypatch.setenv(f"SHOPGUIDE_HTTP_{name.upper()}", str(value))
        where = ["--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*", "--state", str(tmp_path / "s")]
        command = [*COMMAND, "run", "--source", "http:", *where]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        deadline = time.monotonic() + 60
        while "http" not in StateDir(tmp_path / "s").running():
            assert started[-1].poll() is None, started[-1].communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return str(StateDir(tmp_path / "s").running()["http"])

    yield start
    for process in started:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in err, err


def post(url: str, body: Any, **headers: str) -> dict[str, Any]:
    with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=10) as answer:
        return dict(json.load(answer))


def test_no_address_is_in_any_file(run: Callable[..., str], tmp_path: Path) -> None:
    url = run(address_rate=1000, shop="all")
    token = post(f"{url}/v1/visitor", {})["token"]
    for address in ADDRESSES:
        headers = {"x-forwarded-for": address}  # believed, since it comes from a proxy on this machine
        good, bad = {"item": "i1", "id": address[:5]}, {"kind": "search", "ip": address, "client_ip": address}
        assert post(f"{url}/v1/events", {"token": token, "events": [good, bad]}, **headers)["accepted"] == 2
        shops = {"user": "u", "item": [], "remote_addr": address, "ip": address}
        assert post(f"{url}/v1/events", [shops], **headers)["accepted"] == 1
        with urlopen(Request(f"{url}/v1/pixel.gif?item=i2&ip={address}", headers=headers), timeout=10) as answer:
            assert answer.status == 200
    time.sleep(1)  # rejects are written by the line
    files = [file for file in (tmp_path / "s").rglob("*") if file.is_file()]
    assert any("rejects" in file.parts and file.stat().st_size for file in files)
    for file in files:
        content = file.read_bytes()
        for address in ADDRESSES:
            packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
            assert address.encode() not in content and packed not in content, file


def test_a_disk_that_is_nearly_full_puts_events_off(run: Callable[..., str]) -> None:
    url = run(min_free=2**60)
    with pytest.raises(HTTPError) as error:
        post(f"{url}/v1/events", [{"user": "u", "item": "i"}])
    assert error.value.code == 429 and int(error.value.headers["retry-after"]) > 0
    assert json.load(error.value) == {"error": "the log's disk is nearly full"}
    with urlopen(f"{url}/healthz", timeout=10) as answer:
        assert json.load(answer)["refused"] == {"busy": 1}


def test_a_line_that_is_behind_says_so_and_is_asked_now_and_then(tmp_path: Path) -> None:
    behind = [11]
    line = SimpleNamespace(
        push=SimpleNamespace(latest_of=None),
        secret=Secret(b"0123456789abcdef"),
        settings=Settings.model_validate({"http": {"max_behind": 10, "min_free": 0}}),
        state=SimpleNamespace(path=tmp_path),
        behind=lambda: behind[0],
    )
    served = ServedLine(line)  # type: ignore[arg-type]
    assert served.busy() == "the line is 11 rows behind"
    behind[0] = 10
    assert served.busy() is not None
    time.sleep(0.3)
    assert served.busy() is None


class SlowLog(Log):
    """Its disk is done when it is told so."""

    done = threading.Event()

    def commit(self) -> None:
        assert self.done.wait(60)
        super().commit()


async def test_requests_that_come_during_a_commit_share_an_append(tmp_path: Path) -> None:
    log, secret = SlowLog(tmp_path / "log", 1), Secret(b"a secret for the tests")
    line = SimpleNamespace(
        push=SimpleNamespace(latest_of=lambda users: {}),
        secret=secret,
        collector=Collector(log, secret),
        raise_error=lambda: None,
    )
    group = GroupCommit(ServedLine(line))  # type: ignore[arg-type]
    first = group.collect([{"user": "u", "item": "i0"}])
    while not log.end(0):
        await asyncio.sleep(0.001)
    rest = [group.collect([{"user": "u", "item": f"i{n}"}] * n) for n in range(1, 5)]
    await asyncio.sleep(0.05)
    assert log.end(0) == 1 and not first.done()
    log.done.set()
    assert [receipt.accepted for receipt in await asyncio.gather(first, *rest)] == [1, 1, 2, 3, 4]
    log.roll(0)
    ((begin, end),) = log.complete(0)
    assert [header.rows for header, _ in log.frames(0, begin, end)] == [1, 10]
    log.close()
