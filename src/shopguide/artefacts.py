"""Artefacts of training: versioned folders, each whole or not there, and which of their models are in force.

    DIR/models/VERSION/manifest.json    {"format": 1, "version": "9f2c…", "made": epoch s, "models": {"rnn": {…}, …},
                                         "read": {partition: offset after the last row read}, "run": {…},
                                         "files": {name: hash}, "at": {name: where it lies since it was replaced}}
    DIR/models/VERSION/blend.json       of shopguide.weights; and rnn.onnx, rnn.npz, … of shopguide.networks

The version is a hash of the files as they were made, so equal trainings have equal versions. What is in force is a
function of the log: ACTIVATE rows name a version and the models that it is of from then on; an earlier version's row
again is the way back. A row with a ``share`` puts a version of the blend on trial: so many of the users get their lists
by it, the others by the version before, until the next row about the blend.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash

from shopguide import chance, durable
from shopguide.errors import StateError
from shopguide.records import Events, Kind

logger = logging.getLogger(__name__)

FORMAT = 1
OFF = "off"  # the version that switches a model off
BLEND = "blend"  # the model that may be on trial
TRIAL = "trial"  # what a version of it that is on trial is called beside the models
NEWEST_FORGET = ".forgotten"  # when somebody was forgotten last (epoch s)
FORGOTTEN = "holds-forgotten"  # marks a version whose training read somebody who is forgotten since


@dataclass(frozen=True)
class Artefact:
    """``models``: what each is made from and how well it did; ``read``: of a log's partitions, the offsets up to which
    it was; empty: files were read. ``run``: what the training was like."""

    path: Path
    version: str
    made: float
    models: Mapping[str, Any]
    read: Mapping[int, int]
    run: Mapping[str, Any]
    files: Mapping[str, Path]

    @property
    def holds_forgotten(self) -> bool:
        return (self.path / FORGOTTEN).exists()

    def mark(self) -> None:
        """It holds somebody who is forgotten. Raises StateError where the disk refuses."""
        _write(self.path / FORGOTTEN, b"")


class Artefacts:
    """The artefacts in a folder, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self) -> float:
        """The moment (epoch s) that a training begins; from then on a forget is noted here. Raises StateError where
        the disk refuses."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise StateError(f"cannot make {self.folder}: {e.strerror}") from None
        return time.time()

    def write(
        self, files: Mapping[str, bytes], models: Mapping[str, Any], read: Mapping[int, int], run: Mapping[str, Any]
    ) -> Artefact:
        """A new version. Raises StateError, and leaves nothing behind, where the disk refuses."""
        hashes = {name: xxhash.xxh3_64_hexdigest(files[name]) for name in sorted(files)}
        version = xxhash.xxh3_64_hexdigest(json.dumps(hashes).encode())
        manifest = {"format": FORMAT, "version": version, "made": time.time(), "models": dict(models), "files": hashes}
        manifest["run"], manifest["read"] = dict(run), {str(partition): end for partition, end in read.items()}
        begun = self.folder / f".{version}.{os.getpid()}"
        try:
            begun.mkdir(mode=0o700, parents=True)
            for name, data in files.items():
                durable.write(begun / name, data)
            durable.write(begun / "manifest.json", json.dumps(manifest, indent=1).encode())
            durable.sync(begun)
            self._put(begun, self.folder / version)
            durable.sync(self.folder)
        except OSError as e:
            raise StateError(f"cannot write {self.folder / version}: {e.strerror}") from None
        finally:
            shutil.rmtree(begun, ignore_errors=True)
        return self.open(version)

    def _put(self, begun: Path, final: Path) -> None:
        """In the place of an equal one, which may be in force, only when it was made and what it read are new."""
        with suppress(StateError):
            self.open(final.name)
            durable.replace(final / "manifest.json", (begun / "manifest.json").read_bytes())
            (final / FORGOTTEN).unlink(missing_ok=True)
            return
        shutil.rmtree(final, ignore_errors=True)
        begun.rename(final)

    def open(self, version: str) -> Artefact:
        """Raises StateError where there is no such version, or one of its files is not as it was written."""
        path = self.folder / version
        try:
            found = json.loads((path / "manifest.json").read_bytes())
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']}; this program reads {FORMAT}")
            files = {name: path / found.get("at", {}).get(name, name) for name in found["files"]}
            for name, written in found["files"].items():
                if xxhash.xxh3_64_hexdigest(files[name].read_bytes()) != written:
                    raise ValueError(f"{name} is not as it was written")
            read = {int(partition): int(end) for partition, end in found["read"].items()}
            return Artefact(
                path,
                str(found["version"]),
                float(found["made"]),
                dict(found["models"]),
                read,
                dict(found["run"]),
                files,
            )
        except OSError as e:
            raise StateError(f"there is no version {version!r} in {self.folder}: {e.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            raise StateError(f"{path} is no artefact of `shopguide train`: {e}") from None

    def replace(self, artefact: Artefact, files: Mapping[str, bytes]) -> None:
        """Other content for these files of a version, which stays that version; nothing of what they held is left, nor
        of an attempt before that a crash ended. Raises StateError where the disk refuses."""
        path = artefact.path
        try:
            manifest = json.loads((path / "manifest.json").read_bytes())
            for name, data in files.items():
                written = xxhash.xxh3_64_hexdigest(data)
                manifest["files"][name], at = written, f"{written}-{name}"
                manifest.setdefault("at", {})[name] = at
                durable.write(path / at, data)
            durable.replace(path / "manifest.json", json.dumps(manifest, indent=1).encode())
            named = {
                FORGOTTEN,
                "manifest.json",
                *(manifest.get("at", {}).get(name, name) for name in manifest["files"]),
            }
            for file in path.iterdir():
                if file.name not in named:
                    file.unlink()
            durable.sync(path)
        except OSError as e:
            raise StateError(f"cannot change {path}: {e.strerror}") from None

    def all(self) -> list[Artefact]:
        """The oldest first; what is broken is passed over with a warning."""
        return sorted(self._whole(), key=lambda artefact: artefact.made)

    def _whole(self) -> Iterator[Artefact]:
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if (path / "manifest.json").exists() and not path.name.startswith("."):
                try:
                    yield self.open(path.name)
                except StateError as e:
                    logger.warning("%s", e)

    def note_forgotten(self, offsets: Mapping[int, Any]) -> list[str]:
        """The versions whose training read one of these rows, by partition: marked, so that the next training replaces
        them; and the moment, for trainings that are under way. Raises StateError where the disk refuses."""
        if self.folder.is_dir():
            _write(self.folder / NEWEST_FORGET, json.dumps(time.time()).encode())
        found = []
        for artefact in self.all():
            if any((np.asarray(rows) < artefact.read.get(partition, 0)).any() for partition, rows in offsets.items()):
                artefact.mark()
                found.append(artefact.version)
        return found

    def forgotten_since(self, moment: float) -> bool:
        """Whether somebody was forgotten after that (epoch s)."""
        path = self.folder / NEWEST_FORGET
        return path.exists() and float(json.loads(path.read_bytes())) >= moment

    def drop_forgotten(self, but: set[str]) -> list[str]:
        """Remove the marked versions, but for these; those that went."""
        gone = [artefact for artefact in self.all() if artefact.holds_forgotten and artefact.version not in but]
        for artefact in gone:
            shutil.rmtree(artefact.path)
        return [artefact.version for artefact in gone]


def _write(path: Path, data: bytes) -> None:
    try:
        durable.replace(path, data)
    except OSError as e:
        raise StateError(f"cannot write {path}: {e.strerror}") from None


class Trial(NamedTuple):
    """A version of the blend that a share (0..1) of the users gets, since a moment (epoch s)."""

    since: float
    version: str
    share: float

    def has(self, user: int) -> bool:
        """Whether a user (key) is among them. Of one version, who is of a share is of every larger one; other versions
        have others. Nobody (0) is of none."""
        return user != 0 and chance.number(xxhash.xxh3_64_intdigest(self.version.encode()), user) < self.share


NO_TRIAL = Trial(0.0, "", 0.0)


class InForce:
    """Which version each model is of, and what is on trial, by what ACTIVATE rows say: in any order and any number of
    times."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self._since: dict[str, tuple[float, str]] = {}
        self._tried = NO_TRIAL

    @property
    def trial(self) -> Trial | None:
        return self._tried if self._tried[:2] > self._since.get(BLEND, (0.0, "")) else None

    @property
    def models(self) -> list[str]:
        """Those that a row switched on or off, in order."""
        return sorted({*self.versions, *([BLEND] if self.trial else [])})

    @property
    def named(self) -> dict[str, str]:
        """The versions, and that on trial as TRIAL's."""
        return self.versions | ({TRIAL: self.trial.version} if self.trial else {})

    def said(self) -> dict[str, Any]:
        """``in_force``: the versions; ``trial``: None, or its fields."""
        return {"in_force": dict(self.versions), "trial": self.trial._asdict() if self.trial else None}

    def learn(self, events: Events) -> list[str]:
        """Take rows in; the models whose version is another now, and TRIAL where that is."""
        before, tried = dict(self.versions), self.trial
        for row in np.flatnonzero(events.kind == Kind.ACTIVATE).tolist():
            said = events.details(row)
            newer = float(events.arrived[row]), str(said["version"])
            if "share" in said:
                self._tried = max(self._tried, Trial(*newer, float(said["share"])))
                continue
            for model in said["models"]:
                if newer > self._since.get(model, (0.0, "")):
                    self._since[model], self.versions[model] = newer, newer[1]
        changed = [model for model, version in self.versions.items() if before.get(model) != version]
        return changed + [TRIAL] * (self.trial != tried)

    def dump(self) -> list[tuple[Any, ...]]:
        return [(model, *since) for model, since in self._since.items()] + [(TRIAL, *self._tried)]

    def load(self, state: list[tuple[Any, ...]]) -> None:
        said = {model: since for model, *since in state}
        self._tried = Trial(*said.pop(TRIAL, NO_TRIAL))
        self._since = {model: (since, version) for model, (since, version) in said.items()}
        self.versions = {model: version for model, (_, version) in said.items()}
