"""Commands as real processes, killed, starved of disk, and started again with the same command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shopguide.log import Log

COMMAND = [sys.executable, "-c", "from shopguide.cli import main; main()"]
ENVIRONMENT = {**os.environ, "SHOPGUIDE_LOG_PARTITIONS": "4"}  # of which a kill finds each somewhere else


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, **environment},
        start_new_session=True,
    )


def said(*arguments: object, **environment: str) -> str:
    """What a command that must succeed prints."""
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0 and "Traceback" not in err, err
    return out


def serve(state: Path, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """A line that waits for events over HTTP, and where. After a crash it may say first what it had to mend."""
    where = ("--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*")
    serving = start("run", "--source", "http:", "--state", state, *where, **environment)
    assert serving.stderr is not None
    mended = []
    while not (line := serving.stderr.readline()).startswith("serving "):
        mended.append(line)
        assert line, mended
    return serving, line.split()[1]


def end(serving: subprocess.Popen[str]) -> None:
    """Stop it; it has nothing to complain of."""
    serving.terminate()
    _, err = serving.communicate(timeout=60)
    assert serving.returncode == 0 and "Traceback" not in err, err


def kill(process: subprocess.Popen[str], after: float = 0.0) -> None:
    """SIGKILL, unless it has ended by itself."""
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err


class State:
    """What a state directory at rest says; equal for equal runs."""

    def __init__(self, path: Path) -> None:
        self.checksum = said("state", "checksum", path).strip()
        partitions = Log.partitions_of(path / "log", 0)
        log = Log(path / "log", partitions, readonly=True)
        self.rows = [log.end(p) for p in range(partitions)]
        log.close()
        rejects = [json.loads(line) for f in sorted(path.glob("rejects/*")) for line in f.read_bytes().splitlines()]
        self.rejected = Counter(row["reason"] for row in rejects)
        self.events = json.loads(said("state", "info", path, "--json"))["events"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return repr(vars(self))

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture(scope="session")
def retail(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, State]:
    """The source, and what an undisturbed run over it comes to."""
    source = f"file:{data / 'online_retail'}?speed=max"
    path = tmp_path_factory.mktemp("calm") / "state"
    said("run", "--source", source, "--state", path)
    return source, State(path)


def run(source: str, path: Path, **environment: str) -> dict[str, Any]:
    """Run to the end; its summary."""
    return dict(json.loads(said("run", "--source", source, "--state", path, "--json", **environment)))
