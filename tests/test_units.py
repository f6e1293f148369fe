"""The systemd units of deploy/systemd: systemd takes them, and what they start has these options."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shopguide.cli import cli

UNITS = Path(__file__).parent.parent / "deploy" / "systemd"
PROGRAM = "/opt/shopguide/venv/bin/shopguide"
FILES = sorted(path.relative_to(UNITS).as_posix() for path in UNITS.rglob("*") if path.is_file())
HARDENED = ("NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "PrivateTmp=yes", "UMask=0077")
NEEDED = ("LimitNOFILE=", "Restart=always", "TimeoutStopSec=", "StateDirectory=", "LoadCredential=")
AFTER = "After=network-online.target time-sync.target"


def started(file: str) -> list[list[str]]:
    lines = (UNITS / file).read_text().splitlines()
    return [shlex.split(line.partition("=")[2]) for line in lines if re.match(r"Exec\w+=.", line)]


@pytest.mark.parametrize("file", FILES)
def test_what_is_started_has_these_options(file: str) -> None:
    assert started(file)
    for program, *words in started(file):
        found: Any = cli
        while hasattr(found, "commands"):
            found = found.commands[words.pop(0)]
        known = {name: option.multiple or not option.is_flag for option in found.params for name in option.opts}
        assert program == PROGRAM and all(word in known for word in words if word.startswith("--")), words


@pytest.mark.parametrize("line", [*HARDENED, *NEEDED, AFTER])
def test_the_service_is_fenced_in_and_has_what_it_needs(line: str) -> None:
    assert re.search(rf"^{re.escape(line)}", (UNITS / "shopguide.service").read_text(), re.M)


def test_no_secret_is_on_a_command_line_or_in_the_environment() -> None:
    text = (UNITS / "shopguide.service").read_text()
    assert "SHOPGUIDE_SECRET=" not in text and "Environment=SHOPGUIDE_SECRET_FILE=%d/secret" in text
    assert "LoadCredential=secret:" in text


def test_the_user_of_the_service_can_read_its_settings() -> None:
    """Whose folder the documents have root make."""
    unit = (UNITS / "shopguide.service").read_text()
    (folder,) = {Path(file).parent for file in re.findall(r"--config (\S+)", unit)}
    (group,) = re.findall(r"^Group=(\w+)$", unit, re.M)
    commands = (UNITS.parent.parent / "docs" / "operations.md").read_text()
    (mode, words) = re.findall(rf"^install -d -m 0(\d+) (.*){folder}$", commands, re.M)[0]
    assert f"-g {group} " in words and int(mode, 8) & 0o050 == 0o050 and not int(mode, 8) & 0o007


def test_systemd_takes_them(tmp_path: Path) -> None:
    """Where systemd is; its own check wants the program to be there, so another stands in for it."""
    verify = shutil.which("systemd-analyze")
    for file in FILES:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text((UNITS / file).read_text().replace(PROGRAM, "/bin/true"))
    if verify:
        command = [verify, "verify", str(tmp_path / "shopguide.service")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr
    else:
        sections = re.findall(r"^\[(\w+)\]$", (UNITS / "shopguide.service").read_text(), re.M)
        assert sections == ["Unit", "Service", "Install"]
