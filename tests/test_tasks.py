"""What tasks and the process that holds the directory tell each other: whole, or as if it were not there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from shopguide.tasks import FEATURIZE, POSITION, Due, Progress, Tasks, heard


def test_a_beginning_is_heard_and_the_newest_counts(tmp_path: Path) -> None:
    tasks = Tasks(tmp_path)
    assert tasks.beginnings() == {} and tasks.stamp() == frozenset()
    first = tasks.begin("score-0", [1, 2], [3, 4])
    before = tasks.stamp()
    again = tasks.begin("score-0", [5, 6], [7, 8])
    assert first.life != again.life and tasks.stamp() != before
    folder = tmp_path / "tasks" / "began"
    os.utime(folder / "score-0.json", ns=(1, 1))
    before = tasks.stamp()
    tasks.begin("score-0", [5, 6], [7, 8])
    os.utime(folder / "score-0.json", ns=(1, 1))
    assert tasks.stamp() != before, "two in the same tick of the clock are one"
    again = tasks.beginnings()["score-0"]
    assert tasks.beginnings() == {"score-0": again} and again.offsets == [5, 6] and again.learned == [7, 8]
    (tmp_path / "tasks" / "began" / "rank-0.json").write_text('{"life": "cut')
    assert tasks.beginnings() == {"score-0": again}


def test_progress_comes_back_and_silence_is_counted(tmp_path: Path) -> None:
    tasks = Tasks(tmp_path)
    assert tasks.progress() is None and tasks.silent() == float("inf")
    progress = Progress("life", [5, 6], [4, 6], {"rank-0": "x"})
    tasks.report(progress)
    tasks.alive()
    assert tasks.progress() == progress and tasks.silent() < 60


def test_a_snapshot_fills_in_order(tmp_path: Path) -> None:
    due = Due(tmp_path)
    assert due.offsets is None and due.heard == {} and due.learned(0) is None
    due.position([7, 9], {"rank-0": "x"})
    due = Due(tmp_path)
    assert due.offsets == [7, 9] and due.heard == {"rank-0": "x"} and due.has(POSITION)
    due.write(f"{FEATURIZE}0", {"a": np.arange(3)}, 8)
    assert due.learned(0) == 8 and due.learned(1) is None
    due.write("rank", {"a": np.arange(3)})
    assert sorted(f.name for f in tmp_path.iterdir()) == ["featurize-0", "featurize-0.json", "position", "rank"]


def test_a_snapshot_of_one_process_has_heard_of_no_task() -> None:
    assert heard({"position": np.arange(3)}) == {}
