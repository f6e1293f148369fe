"""docs/operations.md does what it says: its shell blocks run, in order, in a folder where DIR is a shop's directory.

A block's fence marks it: `sh` runs here, `sh serve` is started, comes up and ends when told to, `sh host` needs a
machine's services, so its programs and files are looked at. Those of the cluster are run by tests/storm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
CLUSTER = "On a Storm cluster"
MARKS = {"", "serve", "host"}
PROGRAMS = {
    "systemctl",
    "journalctl",
    "useradd",
    "install",
    "echo",
    "head",
    "base64",
    "shopguide",
    "export",
    "runuser",
    "/opt/shopguide/venv/bin/pip",
}
CUSTOMERS = "customer_no,gdpr_ok,likes,favourite_brand,age_group,club\nshopper-00001,yes,tea,Orchard,30,gold\n"
ACCESS = '192.0.2.1 - ann [10/Oct/2023:13:55:36 -0700] "GET /shop/tea-pot-7.html HTTP/1.1" 200 7 "-" "Mozilla/5.0 X"\n'


class Block(NamedTuple):
    section: str
    mark: str
    commands: str


def blocks() -> list[Block]:
    found = []
    for section in re.split(r"^## ", DOCUMENT, flags=re.M)[1:]:
        heading, _, text = section.partition("\n")
        fences = re.findall(r"^```sh(.*)\n((?:.*\n)*?)```$", text, re.M)
        found += [Block(heading, mark.strip(), commands) for mark, commands in fences]
    return found


def toml(word: str) -> str:
    """The indented example with that word."""
    examples = re.findall(r"(?:^(?:    .*)?\n)+", DOCUMENT, re.M)
    (example,) = (text for text in examples if f"\n    {word}" in text)
    return textwrap.dedent(example)


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SHOPGUIDE_PUSH_ENDPOINT": "tcp://127.0.0.1:*",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """What the blocks find: a shop's directory, a model that was trained in it, and the files that they name."""
    folder = tmp_path_factory.mktemp("operations")
    (folder / "customers.csv").write_text(CUSTOMERS)
    (folder / "crm.toml").write_text(toml('user = "customer_no"'))
    (folder / "shop.toml").write_text(toml("[[collect.rules]]"))
    (folder / "access.log").write_text(ACCESS)
    (folder / "backups").mkdir()
    run("shopguide simulate --events 4000 --seed 1 --out day.jsonl", folder, environment)
    run("shopguide run --source file:day.jsonl?speed=max --state DIR", folder, environment)
    run("shopguide train --state DIR --model profiles", folder, environment)
    return folder


def run(commands: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


def here(commands: str) -> str:
    """As they stand, of the newest version; but for what another test has at greater length: networks take minutes to
    train."""
    newest = "$(shopguide activate --state DIR | tail -1 | cut -d ' ' -f 1)"
    return commands.replace("--model all", "--model profiles").replace(" VERSION --", f" {newest} --")


def test_every_mark_is_known_and_every_command_is_in_a_block() -> None:
    assert {block.mark for block in blocks()} == MARKS
    indented = re.findall(r"^    .*(?<![\w/])shopguide [a-z]+ .*", DOCUMENT, re.M)
    assert not [line for line in indented if "──" not in line]


def test_blocks_run_in_order(folder: Path, environment: dict[str, str]) -> None:
    ran = [block for block in blocks() if not block.mark and block.section != CLUSTER]
    said = {block.commands: run(here(block.commands), folder, environment) for block in ran}
    assert len(said) == 10
    (kept,) = (text for commands, text in said.items() if "state backup" in commands)
    (restored,) = (text for commands, text in said.items() if "cp -a" in commands)
    assert kept.split()[-1] == restored.split()[-1], "another checksum after the restore"
    (removed,) = (text for commands, text in said.items() if "rm -r" in commands)
    assert len(set(removed.split())) == 1, "another checksum without the newest snapshot"


@pytest.mark.parametrize("block", [b for b in blocks() if b.mark == "serve"], ids=lambda b: b.section)
def test_what_serves_comes_up_and_ends(block: Block, folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """On free ports, on a directory of its own."""
    changes = {"8080": "0", ":7201": ":*", "/var/log/nginx": str(folder), "shop.toml": str(folder / "shop.toml")}
    commands = block.commands
    for said, used in changes.items():
        commands = commands.replace(said, used)
    with subprocess.Popen(["bash", "-c", f"exec {commands}"], cwd=tmp_path, env=environment) as process:
        try:
            end = time.monotonic() + 60
            while not (tmp_path / "DIR" / "control.sock").exists():
                assert process.poll() is None and time.monotonic() < end, commands
                time.sleep(0.05)
            time.sleep(1)
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("block", [b for b in blocks() if b.mark == "host"], ids=lambda b: b.section)
def test_what_is_for_a_host_names_what_is_there(block: Block) -> None:
    """Options of our commands: tests/test_docs.py."""
    for line in block.commands.splitlines():
        assert {part.split()[0] for part in line.split(" | ")} <= PROGRAMS, line
        for file in re.findall(r"(?<!\S)deploy/\S+", line):
            assert (ROOT / file).exists(), file
