"""What the doctor looks at on this machine and in the state directory: a function a check, which changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import zmq

from shopguide import __version__
from shopguide._core import simd_levels
from shopguide.artefacts import Artefacts
from shopguide.errors import ShopguideError
from shopguide.kafka.binding import bound
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.networks.loading import NETWORKS
from shopguide.rejects import RejectFiles
from shopguide.segment import Segment
from shopguide.settings import Settings, load
from shopguide.state import StateDir, fits

NEEDED = ("numpy", "msgpack", "pyzmq", "orjson", "xxhash", "pydantic", "starlette", "uvicorn", "streamparse")
EXTRAS = {"parquet": "pyarrow", "kafka": "confluent-kafka", "networks": "onnxruntime", "train": "lightgbm"}
TAIL = 65536  # newest rows of a partition whose times are looked at
SLOW = 0.02  # seconds that a disk may take to make a page durable
AHEAD = 5.0  # seconds that the newest row may be ahead of this clock


@dataclass(frozen=True)
class Finding:
    status: Literal["ok", "warn", "fail"]
    said: str
    mend: str = ""


def ok(said: str) -> Finding:
    return Finding("ok", said)


def warn(said: str, mend: str) -> Finding:
    return Finding("warn", said, mend)


def fail(said: str, mend: str) -> Finding:
    return Finding("fail", said, mend)


@dataclass
class Checkup:
    """A deployment: its state directory, or the address of a process, or both; how many subscribers it is to have."""

    path: Path | None
    connect: str | None = None
    subscribers: int = 1000

    @cached_property
    def state(self) -> StateDir | None:
        """The directory, where there is one."""
        return StateDir(self.path) if self.path is not None and self.path.is_dir() else None

    @cached_property
    def settings(self) -> Settings | None:
        """Of the last run; None where there was none, or they cannot be read."""
        try:
            return self.state.settings() if self.state else None
        except ShopguideError:
            return None

    @cached_property
    def running(self) -> dict[str, Any]:
        """What the process on the directory has announced."""
        return self.state.running() if self.state else {}


def software(_: Checkup) -> Finding:
    versions = {name: _version(name) for name in NEEDED}
    if missing := [name for name, version in versions.items() if not version]:
        return fail(f"not installed: {', '.join(missing)}", "pip install shopguide anew, with its dependencies")
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return ok(f"shopguide {__version__}, Python {platform.python_version()}, libzmq {zmq.zmq_version()}, {named}")


def core(_: Checkup) -> Finding:
    """Which instructions the C core has found here."""
    best = simd_levels()[-1]
    if best == "scalar":
        return warn("the C core runs without vector instructions", "on a processor with AVX2 it learns faster")
    return ok(f"the C core works with {best}")


def settings(what: Checkup) -> Finding | None:
    try:
        load()
        if what.state is not None and (what.state.path / "settings.json").exists():
            what.state.settings()
            return ok("those of the last run are right, and so is the environment")
    except ShopguideError as e:
        return fail(str(e), "`shopguide config explain KEY` says what is allowed")
    return ok("the environment is right; nothing was run on the directory yet") if what.path else None


def directory(what: Checkup) -> Finding | None:
    if what.path is None:
        return None
    if what.state is None:
        return fail(f"{what.path} is no directory", "name it with --state, or make it: shopguide run --state DIR")
    if not os.access(what.path, os.R_OK | os.W_OK | os.X_OK):
        return fail(
            f"{what.path} cannot be written by this user", f"run as its owner, {_owner(what.path)}, or chown it"
        )
    if what.path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return warn(f"others on this machine can look into {what.path}", f"chmod 700 {what.path}")
    return ok(f"{what.path} is ours")


def disk(what: Checkup) -> Finding | None:
    if what.state is None:
        return None
    found = shutil.disk_usage(what.state.path)
    least = (what.settings or Settings()).http.min_free
    said = f"{found.free / 1e9:,.1f} GB of {found.total / 1e9:,.1f} are free"
    if found.free < least:
        return fail(f"{said}, events are put off", "make room, set learn.retention, or lower http.min_free")
    if found.free < 10 * least or found.free < found.total / 50:
        return warn(said, "make room, or set learn.retention: then the log is compacted")
    return ok(said)


def fsync(what: Checkup) -> Finding | None:
    """An unnamed file: nothing stays."""
    if what.state is None or not os.access(what.state.path, os.W_OK):
        return None
    took = []
    with tempfile.TemporaryFile(dir=what.state.path) as file:
        for _ in range(5):
            file.write(b"\0" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    middle = sorted(took)[2]
    said = f"the disk makes a page durable in {middle * 1e3:.1f} ms"
    return ok(said) if middle <= SLOW else warn(said, "each answer to POST /v1/events waits for it: use a faster disk")


def secret(what: Checkup) -> Finding | None:
    if what.state is None:
        return None
    try:
        Secret.load(what.state.path)
    except (ShopguideError, OSError) as e:
        return fail(str(e), "put the deployment's secret back: with another one every user is a stranger")
    file = what.state.path / "secret"
    if not file.exists():
        return ok("it comes from the environment")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return fail(f"{file} can be read by others ({mode:o})", f"chmod 600 {file}, and think of who may have it")
    return ok("a file for its owner alone")


def log(what: Checkup) -> Finding | None:
    """The checksums of the newest segment of each partition."""
    if what.state is None or bound(what.state.path) or not (what.state.log / "meta.json").exists():
        return None
    frames = 0
    for folder in sorted(what.state.log.glob("p*")):
        for path in sorted(folder.glob("*.seg"))[-1:]:
            segment, position = Segment(path), 0
            try:
                for at, header in segment.frames():
                    segment.batch(at, header)
                    frames, position = frames + 1, at + 1
                if segment.goes_on(position):
                    return fail(f"{path} is damaged after byte {position}", "restore the directory from a backup")
            except ShopguideError as e:
                return fail(str(e), "restore the directory from a backup")
            finally:
                segment.close()
    return ok(f"{frames:,} frames of the newest segments are as they were written")


def clock(what: Checkup) -> Finding | None:
    if what.state is None or what.settings is None or bound(what.state.path):
        return None
    newest = 0.0
    opened = Log(what.state.log, Log.partitions_of(what.state.log, what.settings.log.partitions), readonly=True)
    try:
        for partition in range(opened.partitions):
            batch = opened.read(partition, max(0, opened.end(partition) - TAIL), TAIL)
            newest = max(newest, float(batch.events.arrived.max(initial=0.0)) if batch is not None else 0.0)
    finally:
        opened.close()
    if newest > time.time() + AHEAD:
        return fail(f"the newest row is {newest - time.time():,.0f} s ahead of this clock", "set the clock (NTP)")
    ahead = RejectFiles(what.state.rejects).counts["time is in the future"]
    if ahead:
        return warn(f"{ahead:,} events were rejected: their time is in the future", "set the clocks of the senders")
    return ok("no row is ahead of it")


def snapshot(what: Checkup) -> Finding | None:
    if what.state is None or what.settings is None:
        return None
    found = what.state.snapshots()
    if not found:
        return warn(
            "there is none: a start learns all of the log", "let it run for state.every seconds, or stop it in order"
        )
    newest = found[-1]
    fitting = what.state.fitting(fits(what.settings))
    age = (
        f"{newest['name']}, {newest['bytes'] / 1e6:,.1f} MB, is {(time.time() - newest['time']) / 60:,.0f} minutes old"
    )
    if newest["name"] in fitting:
        return ok(f"{age} and fits the settings")
    if fitting:
        return warn(f"{age} and does not fit the settings; {fitting[-1]} does", "the next start begins from that one")
    return warn(f"{age} and does not fit the settings", "the next start learns all of the log: plan time for it")


def models(what: Checkup) -> Finding | None:
    if what.state is None or not what.state.models.is_dir():
        return None
    found = Artefacts(what.state.models).all()
    there = len([path for path in what.state.models.glob("[!.]*/manifest.json")])
    if there > len(found):
        return fail(
            f"{there - len(found)} of {there} trained versions are broken", "shopguide train anew, or restore them"
        )
    forgotten = [one.version for one in found if one.holds_forgotten]
    if forgotten:
        return warn(f"{', '.join(forgotten)} was trained with somebody who is forgotten since", "shopguide train anew")
    return ok(f"{len(found)} trained versions are whole") if found else None


def extras(what: Checkup) -> Finding:
    lacking = {extra: name for extra, name in EXTRAS.items() if not _version(name)}
    needed = set()
    if what.state is not None:
        trained = {model for one in Artefacts(what.state.models).all() for model in one.models}
        needed |= {"networks"} if trained & {*NETWORKS, "dbn"} else set()
        needed |= {"kafka"} if bound(what.state.path) else set()
    if missing := sorted(needed & lacking.keys()):
        names = ", ".join(lacking[extra] for extra in missing)
        return fail(
            f"{names} is not there, and this directory needs it", f"pip install 'shopguide[{','.join(missing)}]'"
        )
    there = [name for name in EXTRAS.values() if name not in lacking.values()]
    rest = f"; not here, and not needed: {', '.join(lacking.values())}" if lacking else ""
    return ok(f"{', '.join(there) or 'none'}{rest}")


def _version(distribution: str) -> str:
    """Of what is installed; empty: it is not."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)
