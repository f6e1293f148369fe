"""``shopguide state check``: a flipped bit is found wherever it is, also where the next start would not read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from shopguide.artefacts import Artefacts
from shopguide.cli import cli
from shopguide.cli.line import RunningLine
from shopguide.errors import StateError
from shopguide.settings import load
from shopguide.state import StateDir


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Several segments, two snapshots of which the newest has all of the log, a model, rejected rows."""
    flags = {"log.segment_bytes": 4096, "log.partitions": 2}
    line = RunningLine(StateDir(tmp_path), load("shop", flags=flags), push=False)
    line.start()
    for at in range(40):
        rows = [{"user": f"u{at}", "item": f"i{k}", "kind": "view" if k % 9 else "nonsense"} for k in range(20)]
        line.collector.collect(rows)
        if at == 20:
            line.learn_all()
            line.snapshot()
    line.stop()
    Artefacts(tmp_path / "models").write({"blend.json": b'{"a": 1}'}, {"blend": "blend.json"}, {0: 1}, {})
    return tmp_path


def checked(state: Path) -> tuple[str, str]:
    """The error that it ends with, and what it said."""
    done = CliRunner().invoke(cli, ["state", "check", str(state)])
    assert done.exception is None or isinstance(done.exception, StateError), done.exception
    return str(done.exception or ""), done.output


def test_what_is_whole_is_said_to_be(state: Path) -> None:
    assert len(list(state.glob("log/p0001/*.seg"))) > 2 and len(list(state.glob("snapshots/*"))) == 2
    assert checked(state) == ("", "all is as it was written, all invariants hold\n")


@pytest.mark.parametrize(
    "which",
    [
        "log/p0001/*.seg",
        "snapshots/00000001/score",
        "snapshots/00000001/position",
        "snapshots/00000002/featurize-1",
        "models/*/blend.json",
        "models/*/manifest.json",
        "rejects/p0001.jsonl",
    ],
)
@pytest.mark.parametrize("part", [0.1, 0.5])
def test_a_flipped_bit_is_found(state: Path, which: str, part: float) -> None:
    file = min(state.glob(which))
    content = bytearray(file.read_bytes())
    content[int(part * len(content))] ^= 0x80
    file.write_bytes(content)
    error, said = checked(state)
    assert f"{state} is damaged: " in error
    assert str(file) in said or str(file.parent) in said


def test_a_part_that_is_missing_is_named(state: Path) -> None:
    (state / "snapshots" / "00000001" / "score").unlink()
    assert "snapshots/00000001 lacks score" in checked(state)[1]
    (state / "snapshots" / "00000001" / "manifest.json").write_text(json.dumps([1]))
    assert "snapshots/00000001/manifest.json is damaged" in checked(state)[1]
