"""A state directory: lock, settings, snapshots.

    DIR/lock, DIR/run.json       held and written by the process that runs on it
    DIR/settings.json            the settings in force at the last run
    DIR/secret                   see shopguide.keys
    DIR/token-keys               see shopguide.signing
    DIR/revoked                  see shopguide.push.guard
    DIR/log/                     see shopguide.log
    DIR/rejects/                 see shopguide.rejects
    DIR/forgetting.json          users whom a crash kept from being forgotten wholly: done at the next start
    DIR/snapshots/00000042/      its parts (shopguide.snapshot), and manifest.json, written last
    DIR/models/                  see shopguide.artefacts
    DIR/tasks/                   see shopguide.tasks
    DIR/worker                   see shopguide.storm.worker

A snapshot is whole or not there: it is written under another name, made durable, and renamed. The manifest names the
parts and what they depend on (``fits``): a snapshot made under other settings is passed over, since the log can always
be learned again. Parts are those of a partition, or of a stage of which each task holds all, so that any number of
tasks can begin from them.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from shopguide import durable, snapshot
from shopguide.errors import SettingError, StateError
from shopguide.log import Log
from shopguide.settings import Settings, of_another_run
from shopguide.snapshot import Columns

logger = logging.getLogger(__name__)


class StateDir:
    """Paths and files of one state directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log"
        self.rejects = path / "rejects"
        self.models = path / "models"
        self._snapshots = path / "snapshots"
        self._lock: int | None = None
        self._where: dict[str, Any] = {}

    def take(self) -> None:
        """Make the directory if need be and hold it until the process ends.

        Raises StateError where another process holds it or it cannot be written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (self.path / "run.json").unlink(missing_ok=True)  # of a process that was killed
        except BlockingIOError:
            raise StateError(f"{self.path} is in use by process {self.running().get('pid', '?')}") from None
        except OSError as e:
            raise StateError(f"cannot use {self.path} as a state directory: {e.strerror}") from None

    def release(self) -> None:
        if self._lock is not None:
            (self.path / "run.json").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def announce(self, **where: Any) -> None:
        """Say where the running process can be reached, beside what it has said already."""
        self._where |= where
        self._replace("run.json", json.dumps({"pid": os.getpid(), **self._where}).encode())

    def running(self) -> dict[str, Any]:
        """What the running process announced; empty where none runs."""
        return self.announced() if self.in_use() else {}

    def in_use(self) -> bool:
        """Whether a process holds the directory."""
        try:
            lock = os.open(self.path / "lock", os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def announced(self) -> dict[str, Any]:
        """What the last process to run announced; empty where it ended in order."""
        try:
            return dict(json.loads((self.path / "run.json").read_text()))
        except (OSError, ValueError):
            return {}

    def settings(self) -> Settings:
        """The settings of the last run, by whatever version.

        Raises StateError where the directory has never been run on, SettingError where they are none here.
        """
        path = self.path / "settings.json"
        try:
            settings, unknown = of_another_run(path.read_bytes())
        except OSError:
            raise StateError(f"{self.path} is no state directory: nothing was ever run on it") from None
        except SettingError as e:
            raise SettingError(f"{path} does not fit this version: {e}; `shopguide run` writes it anew") from None
        if unknown:
            logger.warning("%s is of another version, which had %s besides", path, ", ".join(unknown))
        return settings

    def divided(self, settings: Settings) -> Settings:
        """The settings with as many partitions as the log here has, unless they name a number themselves."""
        if "partitions" in settings.log.model_fields_set:
            return settings
        partitions = Log.partitions_of(self.log, settings.log.partitions)
        return settings.model_copy(update={"log": settings.log.model_copy(update={"partitions": partitions})})

    def keep_settings(self, settings: Settings) -> None:
        self._replace("settings.json", settings.model_dump_json(indent=2).encode())

    def save(self, parts: dict[str, Columns], fits: str, keep: int = 3) -> Path:
        """Write a snapshot of all tasks' states and drop those beyond the newest ``keep``.

        Raises StateError, and leaves nothing behind, where the disk refuses.
        """
        begun = self.begin()
        try:
            for name, columns in parts.items():
                snapshot.write(begun / name, name, columns)
        except OSError as e:
            raise self._given_up(begun, e) from None
        return self.complete(begun, list(parts), fits, keep)

    def begin(self) -> Path:
        """A folder for the parts of a new snapshot; one that was begun before is given up. Raises StateError."""
        given_up = list(self._snapshots.glob(".*"))
        number = 1 + max((int(p.name.lstrip(".")) for p in [*self.folders(), *given_up]), default=0)
        begun = self._snapshots / f".{number:08d}"
        try:
            begun.mkdir(parents=True)
            for old in given_up:  # a task may still be writing into it
                shutil.rmtree(old, ignore_errors=True)
        except OSError as e:
            raise self._given_up(begun, e) from None
        return begun

    def begun(self) -> Path | None:
        """The folder of a snapshot that is being written."""
        newest = max((p for p in self._snapshots.glob(".*")), default=None, key=lambda p: p.name)
        complete = self.folders()
        return newest if newest and (not complete or newest.name[1:] > complete[-1].name) else None

    def complete(self, begun: Path, parts: list[str], fits: str, keep: int) -> Path:
        """All parts are written: the folder becomes a snapshot; those beyond the newest ``keep`` go."""
        final = begun.with_name(begun.name[1:])
        try:
            durable.write(begun / "manifest.json", json.dumps({"fits": fits, "parts": parts}).encode())
            begun.rename(final)
            durable.sync(self._snapshots)
        except OSError as e:
            raise self._given_up(begun, e) from None
        for old in [*self.folders()[:-keep], *self._snapshots.glob(".*")]:
            shutil.rmtree(old, ignore_errors=True)
        return final

    def _given_up(self, begun: Path, why: OSError) -> StateError:
        shutil.rmtree(begun, ignore_errors=True)
        return StateError(f"no snapshot in {self._snapshots}: {why.strerror}; the log holds everything")

    def newest(
        self,
        fits: str,
        holds: Callable[[Sequence[int]], bool] = lambda positions: True,
        wanted: Container[str] | None = None,
    ) -> dict[str, Columns] | None:
        """The parts of the newest snapshot that is whole and fits; None: learn from the log.

        ``holds`` says whether the log has all rows up to some positions, a partition each: else it lost rows that the
        snapshot has. What is broken or does not fit is passed over with a warning. ``wanted``: only these parts are
        kept; all are read, so that whoever wants others finds the same snapshot.
        """
        tried: set[Path] = set()
        while untried := [path for path in self.folders() if path not in tried]:  # newer ones may come meanwhile
            tried.add(path := untried[-1])
            try:
                parts = _read(path, fits, wanted)
                if "position" in parts and not holds(parts["position"]["position"].tolist()):
                    raise ValueError("it is ahead of the log")
                return parts
            except (OSError, KeyError, ValueError, StateError) as e:
                logger.warning("snapshot %s is passed over: %s", path.name, e)
        return None

    def fitting(self, fits: str) -> list[str]:
        """The names of the snapshots that were made under such settings, the oldest first."""
        found = []
        for path in self.folders():
            with suppress(OSError, KeyError, ValueError):
                if json.loads((path / "manifest.json").read_text())["fits"] == fits:
                    found.append(path.name)
        return found

    def drop_ahead(self, holds: Callable[[Sequence[int]], bool]) -> bool:
        """Remove snapshots that hold rows which the log has lost. Whether there were any."""
        ahead = []
        for path in self.folders():
            with suppress(OSError, KeyError, StateError):
                if not holds(snapshot.read(path / "position", "position")["position"].tolist()):
                    ahead.append(path)
        for path in ahead:
            logger.warning("snapshot %s is ahead of the log: it goes", path.name)
            shutil.rmtree(path, ignore_errors=True)
        return bool(ahead)

    def forgets(self) -> list[str | int]:
        """Users, by id or key, whose forgetting has begun and is not finished."""
        path = self.path / "forgetting.json"
        return list(json.loads(path.read_text())) if path.exists() else []

    def note_forgets(self, users: list[str | int]) -> None:
        """Remember whom to go on forgetting after a crash."""
        if users:
            self._replace("forgetting.json", json.dumps(users).encode())
        else:
            (self.path / "forgetting.json").unlink(missing_ok=True)

    def snapshots(self) -> list[dict[str, Any]]:
        """Name, bytes, and time (epoch s) of each snapshot, oldest first."""
        return [
            {
                "name": path.name,
                "bytes": sum(f.stat().st_size for f in path.iterdir()),
                "time": path.stat().st_mtime,
            }
            for path in self.folders()
        ]

    def _replace(self, name: str, data: bytes) -> None:
        try:
            durable.replace(self.path / name, data)
        except OSError as e:
            raise StateError(f"cannot write {self.path / name}: {e.strerror}") from None

    def folders(self) -> list[Path]:
        """Those of the snapshots, oldest first."""
        found = self._snapshots.iterdir() if self._snapshots.exists() else ()
        return sorted(p for p in found if p.name.isdigit())


def fits(settings: Settings) -> str:
    """What a snapshot depends on: how the model learns, and how the log is divided."""
    learn = settings.learn.model_dump()
    return json.dumps({"format": 7, "learn": learn, "partitions": settings.log.partitions})


def names(partitions: int) -> list[str]:
    """The parts of a snapshot of all stages."""
    return ["position", *(f"featurize-{p}" for p in range(partitions)), "score", "rank"]


def _read(path: Path, fits: str, wanted: Container[str] | None) -> dict[str, Columns]:
    manifest = json.loads((path / "manifest.json").read_text())
    if manifest["fits"] != fits:
        theirs, ours = json.loads(manifest["fits"])["format"], json.loads(fits)["format"]
        raise ValueError("made under other settings" if theirs == ours else "another version made it")
    parts: dict[str, Columns] = {}
    for name in manifest["parts"]:
        keep = wanted is None or name in wanted
        columns = snapshot.read(path / name, name, None if keep else ())
        if keep:
            parts[name] = columns
    return parts
