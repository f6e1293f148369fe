"""A copy of a state directory that a process can go on from, made at rest or while another one works on it.

It holds what the directory is worth: secret, keys, settings, the newest snapshot, models, rejects, and the log as far
as it was when its turn came. The snapshot comes first, so that the log has all of its rows. Files that nothing writes
to again (complete segments, snapshots, models) are linked where both folders are on one file system, which takes no
room until the directory replaces them; what grows is copied.

To restore is to put it in the directory's place: what stands behind the last whole frame of a partition is cut off
then, as after a crash (:mod:`shopguide.partition`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from shopguide import durable
from shopguide.errors import StateError
from shopguide.state import StateDir

TRIES = 10  # compaction, a new snapshot or a training may take files away meanwhile
NAMED = ("secret", "token-keys", "revoked", "settings.json", "kafka.json", "push-epoch", "forgetting.json")


class Copied(NamedTuple):
    files: int
    bytes: int
    linked: int  # of the files


def backup(directory: Path, to: Path) -> Copied:
    """Make ``to``, whole or not at all. Raises StateError where there is no state directory, ``to`` is there, or the
    disk refuses."""
    StateDir(directory).settings()
    if to.exists():
        raise StateError(f"{to} is there already; a backup is a folder of its own")
    begun = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        for tries_left in reversed(range(TRIES)):
            try:
                shutil.rmtree(begun, ignore_errors=True)
                made = _fill(directory, begun)
                begun.rename(to)
                durable.sync(to.parent)
                return made
            except FileNotFoundError:
                if not tries_left:
                    raise
    except OSError as e:
        raise StateError(f"no backup in {to}: {e.strerror or e}") from None
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    raise AssertionError("unreachable")


def _fill(directory: Path, begun: Path) -> Copied:
    begun.mkdir(mode=0o700, parents=True)
    files = size = linked = 0
    for path, grows in _files(directory):
        target = begun / path.relative_to(directory)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        linked += _put(path, target, grows)
        files, size = files + 1, size + target.stat().st_size
    for folder in (begun, *(path for path in begun.rglob("*") if path.is_dir())):
        durable.sync(folder)
    return Copied(files, size, linked)


def _files(directory: Path) -> Iterator[tuple[Path, bool]]:
    """What is to be kept, in this order, and whether somebody may write to it."""
    for name in (*NAMED, "log/meta.json"):
        if (directory / name).exists():
            yield directory / name, True
    if snapshots := StateDir(directory).snapshots():
        yield from _within(directory / "snapshots" / snapshots[-1]["name"])
    if (directory / "models").exists():
        yield from _within(directory / "models")
    yield from ((path, True) for path in sorted((directory / "rejects").glob("*.jsonl")))
    for partition in sorted((directory / "log").glob("p*")):
        *complete, last = sorted(partition.glob("*.seg"))
        yield from ((path, False) for path in complete)
        yield last, True


def _within(folder: Path) -> Iterator[tuple[Path, bool]]:
    """All files but those of what is being made, which has a name that begins with a dot."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path, False


def _put(path: Path, target: Path, grows: bool) -> bool:
    """Whether a link was enough. Raises FileNotFoundError where the file is gone."""
    if not grows:
        with suppress(OSError):  # another file system, or one without links
            target.hardlink_to(path)
            return True
    durable.write(target, path.read_bytes())
    target.chmod(path.stat().st_mode & 0o777)
    return False
