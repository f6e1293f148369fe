"""The state directory: one holder, whole snapshots or none, the newest that fits."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shopguide.errors import SettingError, StateError
from shopguide.settings import load
from shopguide.state import StateDir, fits


def parts(value: int) -> dict[str, dict[str, np.ndarray]]:
    return {"score-0": {"a": np.arange(value), "b": np.array([value], np.uint64)}, "rank-0": {"c": np.zeros(3)}}


def test_a_snapshot_comes_back_and_the_newest_are_kept(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    assert state.newest("x") is None
    for value in (1, 2, 3, 4, 5):
        state.save(parts(value), "x")
    found = state.newest("x")
    assert (
        found is not None
        and found["score-0"]["b"].tolist() == [5]
        and found["score-0"]["a"].tolist() == [0, 1, 2, 3, 4]
    )
    assert [s["name"] for s in state.snapshots()] == ["00000003", "00000004", "00000005"]
    state.save(parts(6), "x", keep=1)
    assert [s["name"] for s in state.snapshots()] == ["00000006"]


def test_whom_to_go_on_forgetting_survives(tmp_path: Path) -> None:
    assert StateDir(tmp_path).forgets() == []
    StateDir(tmp_path).note_forgets(["u1", "ü"])
    assert StateDir(tmp_path).forgets() == ["u1", "ü"]
    StateDir(tmp_path).note_forgets([])
    assert StateDir(tmp_path).forgets() == [] and not list(tmp_path.iterdir())


def test_one_made_under_other_settings_is_passed_over(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.save(parts(1), "x")
    state.save(parts(2), "y")
    assert state.newest("x")["score-0"]["b"].tolist() == [1]  # type: ignore[index]
    assert state.newest("z") is None
    one, two = load("shop"), load("shop", flags={"learn.history": 7})
    assert fits(one) != fits(two)
    assert fits(one) == fits(load("shop", flags={"rank.n": 3}))


@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "manifest", "unfinished"])
def test_a_broken_snapshot_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    state = StateDir(tmp_path)
    state.save(parts(1), "x")
    newest = state.save(parts(2), "x")
    file = newest / "score-0"
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "gone":
        file.unlink()
    elif damage == "manifest":
        (newest / "manifest.json").write_text("{")
    else:
        newest.rename(newest.with_name("." + newest.name))
    assert state.newest("x")["score-0"]["b"].tolist() == [1]  # type: ignore[index]


def test_one_process_holds_it(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.take()
    state.announce(http="http://127.0.0.1:1")
    code = (
        "import sys; from pathlib import Path; from shopguide.state import StateDir; from shopguide.errors import *\n"
        "try: StateDir(Path(sys.argv[1])).take()\n"
        "except StateError as e: print(e)"
    )
    said = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True).stdout
    assert f"{tmp_path} is in use by process" in said and state.in_use()
    state.release()
    assert state.running() == {} and not state.in_use()
    assert not subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True).stdout


def test_settings_are_kept_and_checked(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    with pytest.raises(StateError, match="is no state directory"):
        state.settings()
    state.keep_settings(load("news"))
    assert state.settings() == load("news")
    (tmp_path / "settings.json").write_text('{"rank": 1}')
    with pytest.raises(SettingError, match="does not fit this version"):
        state.settings()


def test_those_of_another_version_do_for_this_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A setting that is not known here is in force nowhere: after an upgrade or back, all commands go on."""
    state = StateDir(tmp_path)
    mine = load("news", flags={"state.every": 7})
    state.keep_settings(mine)
    said = json.loads((tmp_path / "settings.json").read_text())
    said["score"]["session"] = 1.0
    said["rank"]["slots"] = {"cart": {"glow": True, "fatigue": 3}}
    said["weather"] = {"rain": {"most": 3}}
    (tmp_path / "settings.json").write_text(json.dumps(said))
    found = state.settings()
    assert found.rank.slots["cart"].fatigue == 3
    assert found.model_copy(update={"rank": mine.rank}) == mine
    (record,) = caplog.records
    assert record.getMessage().count("\n") == 0
    for name in ("score.session", "rank.slots.cart.glow", "weather"):
        assert name in record.getMessage()


@pytest.mark.parametrize(
    ("damage", "words"),
    [('{"log":', "it is damaged"), ("[3]", "damaged|table"), ('{"rank": {"n": "many"}}', "rank.n = 'many': should be")],
)
def test_settings_that_are_none_are_one_line_that_says_what_to_do(tmp_path: Path, damage: str, words: str) -> None:
    (tmp_path / "settings.json").write_text(damage)
    with pytest.raises(SettingError, match=words) as error:
        StateDir(tmp_path).settings()
    assert "`shopguide run` writes it anew" in str(error.value) and "\n" not in str(error.value)


def test_a_directory_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"cannot use .* as a state directory"):
        StateDir(tmp_path / "file" / "below").take()


def test_a_full_disk_leaves_the_snapshots_that_were(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.save(parts(1), "x")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
        with pytest.raises(StateError, match=r"no snapshot in .*: File too large; the log holds everything"):
            state.save(parts(1000), "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert [p.name for p in (tmp_path / "snapshots").iterdir()] == ["00000001"]
    assert state.newest("x")["score-0"]["b"].tolist() == [1]  # type: ignore[index]
