"""Files for their owner only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shopguide import private
from shopguide.errors import SettingError


def test_is_private_from_the_first_byte_on_and_whole(tmp_path: Path) -> None:
    path, before = tmp_path / "key", os.umask(0)
    try:
        private.write(path, b"one")
        (tmp_path / ".key").write_text("left by a crash, for all to read")
        private.write(path, b"another")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600 and private.read(path) == b"another"
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o602, 0o620])
def test_what_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"one")
    path.chmod(mode)
    with pytest.raises(SettingError, match=f"mode {mode:o}.*chmod 600"):
        private.read(path)


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot read"):
        private.read(tmp_path / "nothing")
    with pytest.raises(SettingError, match="cannot write"):
        private.write(tmp_path / "nowhere" / "key", b"")
