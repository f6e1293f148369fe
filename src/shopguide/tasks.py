"""What the tasks of a topology and the process that holds the state directory tell each other, in ``DIR/tasks/``.

    began/score-0.json    a task's newest beginning: a name of its own (``life``), and from where on it needs rows
    progress.json         the spout: how far it has read, and up to where everything is acked
    numbers/score-0.json  a task's own numbers, for operators (shopguide.storm.meter), and how many such tasks there are
    epoch                 the holder: where it changes, all tasks begin anew (the log has lost rows that they learned)

A task that begins, because its worker died or its snapshot did not fit any more, holds what the newest snapshot holds.
It says so, and the spout goes back to there: the others learn nothing twice (shopguide.frontier). A snapshot is a
folder (:meth:`shopguide.state.StateDir.begin`) that fills in an order that makes its parts fit together:

1. the spout writes ``position``: up to where everything is acked, and the beginnings that it has gone back for;
2. tasks that are among them write their parts: featurize one of each partition, when it has learned up to there, and
   rank;
3. score does when it has learned all that the parts of featurize hold: those give no lessons for it again.

Whoever begins from it gets rows from ``position`` on, and lacks none. The process that holds the directory begins the
folder and completes it.
"""

from __future__ import annotations

import json
import math
import os
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shopguide import __version__, snapshot
from shopguide.errors import StateError
from shopguide.snapshot import Columns

POSITION = "position"
FEATURIZE = "featurize-"
SCORE = "score-"

LATELY = 30.0  # seconds without new numbers after which a task counts as gone

Offsets = list[int]  # of each partition


@dataclass(frozen=True)
class Beginning:
    """A task has begun, and needs the rows from these offsets on. ``learned``: the next row to learn from lessons."""

    life: str
    offsets: Offsets
    learned: Offsets


@dataclass(frozen=True)
class Progress:
    """Of the spout of one life: the next offset that it reads, and up to which everything is acked."""

    life: str
    read: Offsets
    acked: Offsets
    heard: dict[str, str] = field(default_factory=dict)  # task -> its life


@dataclass(frozen=True)
class Told:
    """Of one task: ``width`` tasks there are of its component; its ``numbers``; its ``version``."""

    width: int
    numbers: list[Any]
    version: str = __version__


class Tasks:
    """Reads give what is there; what cannot be read now is as if it were not. OSError where the disk refuses."""

    def __init__(self, state: Path) -> None:
        self._path = state / "tasks"
        self._began = self._path / "began"
        self._numbers = self._path / "numbers"

    def begin(self, task: str, offsets: Offsets, learned: Offsets) -> Beginning:
        """Say that a task has begun."""
        beginning = Beginning(uuid.uuid4().hex, offsets, learned)
        self._began.mkdir(parents=True, exist_ok=True)
        _replace(self._began / f"{task}.json", asdict(beginning))
        return beginning

    def beginnings(self) -> dict[str, Beginning]:
        """The newest beginning of each task that ever was."""
        found = {file.stem: _read(file) for file in self._began.glob("*.json")}
        return {task: Beginning(**beginning) for task, beginning in found.items() if beginning}

    def stamp(self) -> frozenset[tuple[str, int, int]]:
        """Changes whenever a task begins; times alone would not, where two begin in the same few milliseconds."""
        files = ((file.name, file.stat()) for file in self._began.glob("*.json"))
        return frozenset((name, stat.st_ino, stat.st_mtime_ns) for name, stat in files)

    def report(self, progress: Progress) -> None:
        self._path.mkdir(exist_ok=True)
        _replace(self._path / "progress.json", asdict(progress))

    def renew(self) -> None:
        """All tasks are to begin anew."""
        self._path.mkdir(exist_ok=True)
        (self._path / "progress.json").unlink(missing_ok=True)
        (self._path / "epoch").write_text(uuid.uuid4().hex)

    def epoch(self) -> bytes:
        try:
            return (self._path / "epoch").read_bytes()
        except FileNotFoundError:
            return b""

    def alive(self) -> None:
        """The spout has nothing new to report."""
        os.utime(self._path / "progress.json")

    def silent(self) -> float:
        """Seconds since the spout was heard of; infinite: it never was."""
        try:
            return time.time() - (self._path / "progress.json").stat().st_mtime
        except FileNotFoundError:
            return math.inf

    def tell(self, task: str, width: int, numbers: list[Any]) -> None:
        """A task's numbers."""
        self._numbers.mkdir(exist_ok=True)
        _replace(self._numbers / f"{task}.json", asdict(Told(width, numbers)))

    def told(self) -> dict[str, Told]:
        """The numbers of each task that was heard of lately."""
        found = {}
        for file in self._numbers.glob("*.json"):
            with suppress(OSError, TypeError):  # it goes in this moment, or is another version's
                if _age(file) < LATELY and (said := _read(file)):
                    found[file.stem] = Told(**said)
        return found

    def drop_silent(self) -> None:
        """The files of tasks that are gone go."""
        for file in self._numbers.glob("*.json"):
            with suppress(OSError):
                if _age(file) > 2 * LATELY:
                    file.unlink()

    def progress(self) -> Progress | None:
        """What the spout reported last; None: there never was one."""
        found = _read(self._path / "progress.json")
        return Progress(**found) if found else None


class Due:
    """A snapshot that fills, as a task sees it. ``offsets`` and ``heard`` are what the spout has written. Writing
    raises OSError where the disk refuses, or the snapshot was given up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        position: Columns | None = None
        with suppress(OSError, StateError):  # it is not there, or not any more
            position = snapshot.read(folder / POSITION, POSITION)
        self.offsets: Offsets | None = position["position"].tolist() if position else None
        self.heard: dict[str, str] = heard(position) if position else {}

    def has(self, part: str) -> bool:
        return (self.folder / part).exists()

    def learned(self, partition: int) -> int | None:
        """The next row to learn in featurize's part of a partition; None: it is not there yet."""
        found = _read(self.folder / f"{FEATURIZE}{partition}.json") if self.has(f"{FEATURIZE}{partition}") else None
        return int(found["learned"]) if found else None

    def position(self, offsets: Offsets, heard: dict[str, str]) -> None:
        """The spout's part: up to where everything is acked, and the beginnings that it has gone back for."""
        said = np.frombuffer(json.dumps(heard).encode(), np.uint8)
        snapshot.write(self.folder / POSITION, POSITION, {"position": np.array(offsets, np.int64), "heard": said})

    def write(self, part: str, columns: Columns, learned: int | None = None) -> None:
        if learned is not None:
            _replace(self.folder / f"{part}.json", {"learned": learned})
        snapshot.write(self.folder / part, part, columns)


def heard(position: Columns) -> dict[str, str]:
    """The beginnings that a snapshot's position has gone back for; of one process's own snapshot there are none."""
    return dict(json.loads(position["heard"].tobytes())) if "heard" in position else {}


def _replace(path: Path, said: dict[str, Any]) -> None:
    """Readers see the old or the new, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(said))
    temporary.replace(path)


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None
