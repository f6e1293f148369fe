"""A disk that is full: one clear line, nothing lost, and on it goes when there is room."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import COMMAND, ENVIRONMENT, State, end, run, serve

from shopguide.log import Log

pytestmark = [pytest.mark.timeout(600)]


@pytest.mark.data
@pytest.mark.parametrize("limit", [700_000, 3_000_000])
def test_a_run_ends_in_one_line_and_goes_on_when_there_is_room(
    tmp_path: Path, retail: tuple[str, State], limit: int
) -> None:
    source, calm = retail
    full = subprocess.run(
        [*COMMAND, "run", "--source", source, "--state", tmp_path],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=200,
        env=ENVIRONMENT,
        check=False,
    )
    assert full.returncode == 2 and "Traceback" not in full.stderr, full.stderr
    assert re.search(r"^shopguide: the log in .*: File too large$", full.stderr, re.M), full.stderr
    run(source, tmp_path)
    assert State(tmp_path) == calm


def post(url: str, events: list[dict[str, object]]) -> int:
    request = urllib.request.Request(url + "/v1/events", json.dumps(events).encode())
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as e:
        assert "takes no more" in json.load(e)["error"]
        return e.code


def test_a_server_refuses_what_it_cannot_keep_and_goes_on(tmp_path: Path) -> None:
    serving, url = serve(tmp_path, SHOPGUIDE_STATE_EVERY="1")
    _, hard = resource.prlimit(serving.pid, resource.RLIMIT_FSIZE)
    accepted = refused = 0
    for at in range(60):
        if at in (20, 40):
            room = 20_000 if at == 20 else hard
            resource.prlimit(serving.pid, resource.RLIMIT_FSIZE, (room, hard))
        rows = [{"user": f"u{at}", "item": f"i{k}", "kind": "view" if k % 9 else "nonsense"} for k in range(40)]
        status = post(url, rows)  # type: ignore[arg-type]
        accepted += 40 * (status == 202)
        refused += status == 503
    end(serving)
    assert refused > 0 and accepted >= 40 * 40
    log = Log(tmp_path / "log", 4, readonly=True)
    assert sum(log.end(p) for p in range(4)) == accepted
    log.close()
    state = State(tmp_path)
    assert sum(state.rejected.values()) + state.events["view"] == accepted
