"""``shopguide run --engine storm`` where no topology answers: it goes when it is asked to, and what looks at the stages
leaves no file open."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from shopguide.cli import cluster
from shopguide.cli.cluster import ClusterLine
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.tasks import Progress, Tasks

EVENT = {"kind": "view", "user": "u", "item": "i", "time": 1.0}
RUN = [sys.executable, "-c", "from shopguide.cli import main; main()", "run", "--engine", "storm", "--source", "http:"]


def test_it_stops_where_no_topology_ever_came(tmp_path: Path) -> None:
    where = ["--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*", "--state", str(tmp_path / "state")]
    process = subprocess.Popen([*RUN, *where], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        url = process.stderr.readline().split()[1]
        urllib.request.urlopen(f"{url}/v1/events", json.dumps([EVENT]).encode(), timeout=10).read()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0 and not err and "kept" in out
    finally:
        process.kill()


def test_it_stops_where_the_topology_has_just_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cluster, "SILENCE", 1.0)
    line = ClusterLine(StateDir(tmp_path / "state"), load(), push=False)
    line.start()
    line.collector.collect([EVENT], [json.dumps(EVENT).encode()])
    line.collector.commit()
    none = [0] * line.log.partitions
    Tasks(tmp_path / "state").report(Progress("a life", none, none))
    began = time.monotonic()
    line.stop()
    assert time.monotonic() - began > 0.5
    assert "the topology has gone" in caplog.text
    assert not StateDir(tmp_path / "state").in_use()


def open_segments() -> int:
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found += descriptor.readlink().suffix == ".seg"
    return found


def test_who_looks_at_the_stages_leaves_no_segment_open(tmp_path: Path) -> None:
    line = ClusterLine(StateDir(tmp_path / "state"), load(), push=False)
    line.start()
    line.collector.collect([{**EVENT, "time": 1.7e9}])
    line.collector.commit()
    before = open_segments()
    featurizer, _ = line.stage("featurize"), line.stage("score")
    assert featurizer.counts == {"view": 1} and open_segments() == before > 0
    line.stop()


def test_a_catalogue_that_was_asked_for_once_keeps_up(tmp_path: Path) -> None:
    line = ClusterLine(StateDir(tmp_path / "state"), load(), push=False)
    line.start()
    catalogue = line.catalogue()
    line.collector.collect([{**EVENT, "time": 1.7e9}])
    deadline = time.monotonic() + 10
    while not catalogue.names or line._follower._heard:
        assert time.monotonic() < deadline, "rows pile up until somebody asks again"
        time.sleep(0.01)
    line.stop()
