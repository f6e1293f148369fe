"""Files that are whole or not there, also after a power cut. All raise OSError where the disk refuses."""

from __future__ import annotations

import os
from pathlib import Path

CHUNK = 1 << 20  # bytes that are written at once


def write(path: Path, data: bytes, mode: int = 0o666) -> None:
    """A file with this content, on the disk; ``mode`` is that of a new one, before the umask."""
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def rewrite(path: Path) -> None:
    """What a file reads as, written over itself and durable."""
    with path.open("r+b", buffering=0) as file:
        at = 0
        while data := os.pread(file.fileno(), CHUNK, at):
            at += os.pwrite(file.fileno(), data, at)
        os.fsync(file.fileno())


def replace(path: Path, data: bytes, mode: int = 0o666) -> None:
    """The content in the place of what the file held; on OSError that stays."""
    temporary = path.with_name(f".{path.name}")
    try:
        temporary.unlink(missing_ok=True)  # of a crash; its mode may be another
        write(temporary, data, mode)
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
