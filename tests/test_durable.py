"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from logs import content, full_disk

from shopguide import durable


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    for data in (b"one", b"", b"three"):
        durable.replace(tmp_path / "a", data)
        assert content(tmp_path) == {"a": data}


def test_on_a_full_disk_the_old_content_stays(tmp_path: Path) -> None:
    durable.replace(tmp_path / "a", b"old")
    with full_disk(100), pytest.raises(OSError):
        durable.replace(tmp_path / "a", b"x" * 101)
    assert content(tmp_path) == {"a": b"old"}
