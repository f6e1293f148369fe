"""Kill it anywhere, break what a crash can break, start it again: the model, the log and the rejects are the same."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from conftest import State, kill, run, said, start

pytestmark = [pytest.mark.data, pytest.mark.timeout(900)]

KILLS = 50
OFTEN = {"SHOPGUIDE_STATE_EVERY": "0.7"}  # seconds between snapshots, so that kills meet them being written


def test_fifty_kills_change_nothing(tmp_path: Path, retail: tuple[str, State]) -> None:
    source, calm = retail
    chance = random.Random(50)
    for _ in range(KILLS):
        kill(start("run", "--source", source, "--state", tmp_path, **OFTEN), chance.uniform(0.2, 4.0))
    run(source, tmp_path, **OFTEN)
    assert State(tmp_path) == calm
    again = run(source, tmp_path)
    assert again["rows"] == 0 and again["checksum"] == calm.checksum
    assert State(tmp_path) == calm


def test_kills_of_a_line_and_of_the_stages_beside_it_change_nothing(tmp_path: Path, retail: tuple[str, State]) -> None:
    source, calm = retail
    chance = random.Random(54)
    command = ["run", "--engine", "beside", "--source", source, "--state", tmp_path]
    for _ in range(12):
        line = start(*command, **OFTEN)
        time.sleep(chance.uniform(1.5, 4.0))
        for worker in Path(f"/proc/{line.pid}/task/{line.pid}/children").read_text().split():
            os.kill(int(worker), signal.SIGKILL)
        kill(line, chance.uniform(0.1, 3.0))
    said(*command, **OFTEN)
    assert State(tmp_path) == calm


def test_a_broken_snapshot_falls_back_to_the_one_before(tmp_path: Path, retail: tuple[str, State]) -> None:
    source, calm = retail
    chance = random.Random(51)
    for _ in range(6):
        kill(start("run", "--source", source, "--state", tmp_path, **OFTEN), chance.uniform(3.0, 6.0))
        for snapshot in sorted((tmp_path / "snapshots").glob("[0-9]*"))[-1:]:
            part = snapshot / chance.choice(["featurize-0", "score", "rank", "position", "manifest.json"])
            part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    run(source, tmp_path)
    assert State(tmp_path) == calm


def test_torn_tails_are_written_again(tmp_path: Path, retail: tuple[str, State]) -> None:
    """The last frame of a segment half written, or bytes behind it that are none."""
    source, calm = retail
    chance = random.Random(52)
    for _ in range(6):
        kill(
            start("run", "--source", source, "--state", tmp_path, SHOPGUIDE_STATE_EVERY="600"), chance.uniform(1.0, 4.0)
        )
        for partition in (tmp_path / "log").glob("p*"):
            segment = max(partition.glob("*.seg"))
            data = segment.read_bytes()
            torn = data[: -chance.randint(1, 3000)] if chance.random() < 0.7 else data + chance.randbytes(700)
            segment.write_bytes(torn)
    run(source, tmp_path)
    assert State(tmp_path) == calm


def test_a_log_that_lost_rows_is_not_passed_by_an_older_snapshot(tmp_path: Path, retail: tuple[str, State]) -> None:
    """Rows that were durable are gone, with the disk's fault: the snapshot that is ahead of the log is not believed."""
    source, calm = retail
    run(source, tmp_path)
    for partition in (tmp_path / "log").glob("p*"):
        segment = max(partition.glob("*.seg"))
        segment.write_bytes(segment.read_bytes()[: segment.stat().st_size // 3])
    run(source, tmp_path)
    assert State(tmp_path) == calm
