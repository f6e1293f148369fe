"""An import that is killed, by itself or with the line that does it, and done again: every row counts once."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import end, kill, said, serve, start

from shopguide.cli.at_rest import AtRest
from shopguide.keys import Secret
from shopguide.profile import Profile

pytestmark = pytest.mark.timeout(300)

ROWS = 40_000
STEP = 200_000  # bytes that the log grows between two kills
OFTEN = {"SHOPGUIDE_STATE_EVERY": "0.5"}
MAPPINGS = {
    "profile": 'user = "nr"\nconsent = "ok"\ninterests = ["likes"]\n[profile]\nage = "age"\n',
    "favourite": 'user = "nr"\nconsent = "ok"\n[social]\nitem = "likes"\ntime = "time"\n',
}

Command = Callable[[], subprocess.Popen[str]]


@pytest.fixture(params=MAPPINGS)
def given(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, list[object]]:
    """What rows become, and the command: a CSV file of users, each with values of their own, some without consent."""
    rows = "".join(f"c{at},{at},t{at},{1_700_000_000 + at},{'no' if at % 10 == 0 else 'yes'}\n" for at in range(ROWS))
    (tmp_path / "users.csv").write_text("nr,age,likes,time,ok\n" + rows)
    (tmp_path / "m.toml").write_text(MAPPINGS[request.param])
    mapping = ("--mapping", tmp_path / "m.toml", "--state", tmp_path / "state", "--json")
    return request.param, ["import", tmp_path / "users.csv", *mapping]


def logged(state: Path) -> int:
    return sum(segment.stat().st_size for segment in (state / "log").rglob("*.seg"))


def wait_for_growth(state: Path, process: subprocess.Popen[str]) -> None:
    """Until the log holds a good deal more than now."""
    goal = logged(state) + STEP
    while logged(state) < goal:
        assert process.poll() is None, "it was done before it could be killed"
        time.sleep(0.005)


def assert_each_once(state: Path, kind: str, last: dict[str, Any]) -> None:
    kept = ROWS - ROWS // 10
    assert (last["rows"], last["kept"], last["without_consent"]) == (ROWS, kept, ROWS // 10)
    assert 0 < last["new"] < kept - 1000, "nothing was left to do, or nothing had been done"
    assert json.loads(said("state", "info", state, "--json"))["events"] == {kind: kept}
    featurizer, secret = AtRest(state).featurizer, Secret.load(state)
    for at in range(ROWS):
        user, has = secret.user_key(f"c{at}"), at % 10 > 0
        if kind == "profile":
            assert featurizer.profile_of(user) == (Profile({"age": str(at)}, (f"t{at}",)) if has else Profile())
        else:
            assert len(featurizer.events_of(user)["item"]) == has


def test_an_import_killed_three_times_counts_each_row_once(tmp_path: Path, given: tuple[str, list[object]]) -> None:
    (kind, command), state = given, tmp_path / "state"
    for _ in range(3):
        importing = start(*command, **OFTEN)
        wait_for_growth(state, importing)
        kill(importing)
    last = json.loads(said(*command, **OFTEN))
    assert_each_once(state, kind, last)
    assert json.loads(said(*command))["new"] == 0


def test_a_line_killed_while_it_imports_goes_on_with_the_same_command(
    tmp_path: Path, given: tuple[str, list[object]]
) -> None:
    (kind, command), state = given, tmp_path / "state"
    for victim in ("the line", "who asked"):
        serving, _ = serve(state, **OFTEN)
        importing = start(*command)
        wait_for_growth(state, importing)
        if victim == "the line":
            kill(serving)
            _, err = importing.communicate(timeout=60)
            assert importing.returncode == 2 and err.count("\n") == 1 and "ended before it answered" in err
    kill(importing)
    last = json.loads(said(*command))
    end(serving)
    assert_each_once(state, kind, last)
