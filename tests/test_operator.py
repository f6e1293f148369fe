"""An operator's commands on a running line: done wholly, or refused in words and done when asked again."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from logs import content, full_disk, read

from shopguide import receipts
from shopguide.cli.control import NAME, ask
from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.errors import ShopguideError, StateError
from shopguide.records import Kind
from shopguide.settings import load
from shopguide.state import StateDir

USER = "customer-équokka"
MALFORMED = {"user": USER, "item": "i1", "time": "never"}


def line(path: Path) -> RunningLine:
    return RunningLine(StateDir(path), load("shop", flags={"log.partitions": 2, "log.segment_bytes": 4096}), push=False)


def collect(running: RunningLine) -> None:
    rows: list[dict[str, Any]] = [
        {"user": user, "item": f"i{at % 5}", "kind": "view", "id": f"{user}-{at}", "time": 1_700_000_000 + at}
        for at in range(60)
        for user in ("u1", USER)
    ]
    assert running.collector.collect([*rows, MALFORMED, {**MALFORMED, "user": "u1"}]).accepted == 122
    running.learn_all()


def traces(running: RunningLine) -> list[str]:
    """The files that still hold a byte of the user."""
    key = running.secret.user_key(USER)
    marks = [key.to_bytes(8, "little"), key.to_bytes(8, "big"), b"%016x" % key, b"quokka"]
    return [name for name, data in content(running.state.path).items() if any(mark in data for mark in marks)]


def test_no_file_holds_a_byte_of_a_forgotten_user_and_the_receipt_verifies(tmp_path: Path) -> None:
    running = line(tmp_path)
    with operated(running):
        collect(running)
        running.snapshot()
        assert {name.split("/")[0] for name in traces(running)} == {"log", "rejects", "snapshots"}
        receipt = ask(tmp_path, "forget", user=USER)
        assert receipts.verify(running.secret, receipt)
        assert receipt["kinds"] == {"forget": 1, "malformed": 1, "view": 60} and receipt["rows"] == 62
        assert not traces(running)
        again = ask(tmp_path, "forget", user=USER)
        assert again["kinds"] == {"forget": 1}
    assert not traces(running)


@pytest.mark.parametrize("user", [5, None, "", [], {}, ["u1"], True])
def test_a_user_that_is_none_is_refused_and_not_remembered(tmp_path: Path, user: Any) -> None:
    running = line(tmp_path)
    with operated(running):
        collect(running)
        with pytest.raises(ShopguideError, match="is no user id"):
            ask(tmp_path, "forget", user=user)
        assert not running.state.forgets()
        assert ask(tmp_path, "forget", user="u1")["kinds"]["view"] == 60
    with operated(line(tmp_path)):
        assert ask(tmp_path, "retract", event="none") == {"event": "none", "found": False}


@pytest.mark.parametrize("room", [0, 200, 1500, 3000])
def test_what_a_full_disk_refused_is_done_when_asked_again(tmp_path: Path, room: int) -> None:
    running = line(tmp_path)
    with operated(running):
        collect(running)
        with full_disk(room), pytest.raises(ShopguideError, match=r"^[^\n]*File too large[^\n]*$"):
            ask(tmp_path, "forget", user=USER)
        assert ask(tmp_path, "forget", user=USER)["kinds"]["view"] == 60
        assert not traces(running) and not running.state.forgets()
    assert not traces(running)


def test_what_a_crash_interrupted_is_done_at_the_next_start(tmp_path: Path) -> None:
    with operated(running := line(tmp_path)):
        collect(running)
        running.state.note_forgets([USER])
    assert traces(running)
    with operated(line(tmp_path)):
        assert traces(running) == [] == running.state.forgets()


def test_who_was_joined_to_them_goes_too_though_the_link_is_forgotten_first(tmp_path: Path) -> None:
    with operated(running := line(tmp_path)):
        collect(running)
        guest, account = running.secret.user_key("guest"), running.secret.user_key(USER)
        rows = [{"user": "guest", "item": f"i{at}", "kind": "view", "time": 1_700_000_000 + at} for at in range(9)]
        running.collector.collect(rows)
        running.collector.control(Kind.ALIAS, guest, account=account)
        running.learn_all()

        def refused(only: bool = False) -> None:
            raise StateError("interrupted before the snapshot")

        running.snapshot = refused  # type: ignore[method-assign]
        with pytest.raises(ShopguideError, match="interrupted"):
            ask(tmp_path, "forget", user=USER)
        assert running.stage("featurize").person(account) == {account}
    with operated(line(tmp_path)) as operator:
        assert not running.state.forgets()
        left = [key.to_bytes(8, "little") for key in (guest, account)]
        assert not [name for name, data in content(tmp_path).items() if any(key in data for key in left)]
        assert operator.forget("u1")["kinds"]["view"] == 60


def test_rows_of_others_and_of_who_comes_back_stay(tmp_path: Path) -> None:
    running = line(tmp_path)
    with operated(running):
        collect(running)
        ask(tmp_path, "forget", user=USER)
        collect(running)
        events = [read(running.log, p, 100)[0] for p in range(2)]
        views = {user: 0 for user in ("u1", USER)}
        for user in views:
            key = running.secret.user_key(user)
            views[user] = sum(int(((e.user == key) & (e.kind == Kind.VIEW)).sum()) for e in events)
        assert views == {"u1": 120, USER: 60}
        malformed = [json.dumps(repr(e.data.bytes_at(r))) for e in events for r in range(len(e)) if not e.kind[r]]
        assert len(malformed) == 3


def test_when_the_work_ends_in_an_error_nobody_serves_any_more(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), operated(line(tmp_path)):
        raise ZeroDivisionError
    assert not (tmp_path / NAME).exists()
    assert not [thread.name for thread in threading.enumerate() if thread.name in ("control", "runner")]
