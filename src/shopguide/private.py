"""Files for their owner only: secrets and keys."""

from __future__ import annotations

from pathlib import Path

from shopguide import durable
from shopguide.errors import SettingError

OTHERS = 0o077  # permissions of a group and of all


def read(path: Path) -> bytes:
    """What the file holds. Raises SettingError where others may read it too, or it cannot be read."""
    try:
        mode = path.stat().st_mode & 0o777
        if mode & OTHERS:
            raise SettingError(f"others can read {path} (mode {mode:o}): `chmod 600 {path}`, or make a new one")
        return path.read_bytes()
    except OSError as e:
        raise SettingError(f"cannot read {path}: {e.strerror}") from None


def write(path: Path, data: bytes) -> None:
    """Replace the file, whole or not at all; it is the owner's alone from the first byte on. Raises SettingError."""
    try:
        durable.replace(path, data, 0o600)
    except OSError as e:
        raise SettingError(f"cannot write {path}: {e.strerror}") from None
