"""Files that are whole or not there, also after a power cut. All raise OSError where the disk refuses."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """A file with this content, on the disk."""
    with path.open("wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def replace(path: Path, data: bytes) -> None:
    """The content in the place of what the file held; on OSError that stays."""
    temporary = path.with_name(f".{path.name}")
    try:
        write(temporary, data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def sync(directory: Path) -> None:
    """What was made, renamed and unlinked in the directory stays so."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
