"""run --dry-run: what a source's rows would become, before anything is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shopguide.cli import cli, dry
from shopguide.errors import SourceError
from shopguide.settings import load

ROWS = [
    {"user": "a", "item": "i1", "time": 1764000000, "kind": "addtocart", "title": "Red [b]mug", "price": 3.5},
    {"user": "a", "item": "i2", "time": "2026-11-01T10:00:00+02:00", "amount": 7},
    {"user": "b", "item": "i2", "time": "yesterday"},
    {"user": "b", "item": "i2", "time": "the day before"},
    {"user": "b", "item": "i2", "time": 1764000000, "consent": False},
]


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)) + "\nrubbish\x1b[31m\n")
    return path


def told(*arguments: str) -> str:
    answer = CliRunner().invoke(cli, ["run", *arguments, "--dry-run"], catch_exceptions=False, standalone_mode=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_rows_are_shown_as_they_are_understood_and_nothing_is_kept(events: Path) -> None:
    lines = [line.split() for line in told("--source", f"file:{events}").splitlines()]
    assert lines[0] == [f"file:{events}"]
    assert lines[1] == ["user", "kind", "item", "time", "value", "price", "title"]
    assert lines[2] == ["a", "cart", "i1", "2025-11-24T16:00:00Z", "3.5", "Red", "[b]mug"]
    assert lines[3] == ["a", "view", "i2", "2026-11-01T08:00:00Z", "7"]
    assert lines[4:7] == [["rows", "6"], ["kept", "2"], ["without", "consent", "1"]]
    assert "rejected 2 time cannot be read: " + json.dumps(ROWS[2]) in [" ".join(line) for line in lines]
    assert "rejected 1 no JSON object: rubbish?[31m" in [" ".join(line) for line in lines]
    assert lines[-1] == ["nothing", "was", "kept:", "a", "dry", "run"]
    assert [path.name for path in events.parent.iterdir()] == ["events.jsonl"]


def test_for_machines_each_source_has_a_report(events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = events.parent / "access.log"
    log.write_text(
        '203.0.113.9 - - [01/Nov/2026:10:00:00 +0000] "GET /product/i1 HTTP/1.1" 200 1 "-" "Mozilla/5.0"\nx\n'
    )
    monkeypatch.setattr(dry, "PATIENCE", 0.3)
    said: dict[str, Any] = json.loads(told("--source", f"file:{events}?speed=1", "--source", f"follow:{log}", "--json"))
    file, followed = said["sources"]
    assert file["kept"] == 2 and file["shown"][1]["value"] == 7 and file["examples"]["no JSON object"].startswith("rub")
    assert followed["rows"] == 2 and sum(followed["rejected"].values()) + followed["kept"] == 2
    assert "203.0.113.9" not in json.dumps(followed)


def test_no_more_than_the_first_rows_are_read(events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry, "MOST", 3)
    report = dry.tried_source(f"file:{events}", events.parent, load("shop"))
    assert (report["rows"], report["kept"], report["rejected"]) == (3, 2, {"time cannot be read": 1})


@pytest.mark.parametrize("spec", ["http:", "sim:", "log:elsewhere", "kafka://127.0.0.1:1/t", "nonsense"])
def test_what_gives_no_rows_ahead_is_refused(spec: str, events: Path) -> None:
    answer = CliRunner().invoke(cli, ["run", "--source", spec, "--dry-run"])
    assert isinstance(answer.exception, SourceError) and "a dry run reads file: and follow: sources" in str(
        answer.exception
    )
