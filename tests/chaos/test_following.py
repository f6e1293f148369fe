"""A real line follows a real log over two rotations and a kill: what the log of the state has is what was written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from conftest import said

sys.path.append(str(Path(__file__).parents[2] / "bench"))
from following import TAKEN, follow

LINES = 60_000


@pytest.mark.timeout(300)
def test_two_rotations_and_a_kill_lose_and_double_nothing(tmp_path: Path) -> None:
    found = follow(tmp_path, LINES)
    assert found["rows"] == LINES // 10 * sum(TAKEN.values())
    info = json.loads(said("state", "info", tmp_path / "state", "--json"))
    assert {kind: info["events"][kind] for kind in TAKEN} == {kind: LINES // 10 * n for kind, n in TAKEN.items()}
    assert sorted(path.name for path in tmp_path.glob("access.log*")) == [
        "access.log",
        "access.log.1.gz",
        "access.log.2",
    ]
