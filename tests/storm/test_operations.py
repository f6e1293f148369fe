"""The shell commands of docs/operations.md, section "On a Storm cluster", in order, in a project folder of their own.

As they stand, but for addresses and the folders of other hosts; other ports come from the environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import ROOT, free_ports, is_free
from local import fetch_jars, make_jar

DOCUMENT = ROOT / "docs" / "operations.md"
PROJECT = ("Makefile", "config.json", "config.prod.json", "deploy", "jvm", "pyproject.toml", "setup.py", "topologies")
SAID = "echo '== {}'\n"  # before each block's output

pytestmark = [pytest.mark.storm, pytest.mark.timeout(900)]


def blocks() -> dict[str, str]:
    """The shell blocks by the heading above them, those under one heading as one."""
    section = re.split(r"^## ", DOCUMENT.read_text(), flags=re.M)
    (storm,) = (text for text in section if text.startswith("On a Storm cluster"))
    parts = [part.partition("\n") for part in re.split(r"^### ", storm, flags=re.M)]
    found = {heading: "".join(re.findall(r"```sh\n(.*?)```", text, re.S)) for heading, _, text in parts}
    return {heading: commands for heading, commands in found.items() if commands}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What a clone has, with .venv and jars that are there already."""
    project = tmp_path / "project"
    project.mkdir()
    for name in PROJECT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, project / name)
    link_venv(project / ".venv")
    (project / ".cluster").mkdir()
    shutil.copy(make_jar(), project / ".cluster" / "recommend.jar")  # newer than its sources
    return project


def link_venv(folder: Path) -> None:
    """The environment of this Python, for `make` newer than all that it is built from."""
    (folder / "bin").mkdir(parents=True)
    for command in Path(sys.prefix, "bin").iterdir():
        (folder / "bin" / command.name).symlink_to(command)
    (folder / "lib").symlink_to(Path(sys.prefix, "lib"))
    shutil.copy(Path(sys.prefix, "pyvenv.cfg"), folder)
    (folder / ".built").touch()


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Another cluster for the same commands. At the end no process of it is left, however the test went."""
    port = free_ports()
    outside = ("SHOPGUIDE_STATE", "SHOPGUIDE_SECRET", "SHOPGUIDE_STORM", "SHOPGUIDE_STORM_JAR")  # as a new user has it
    environment = {name: value for name, value in os.environ.items() if name not in outside}
    environment |= {
        "SHOPGUIDE_STORM_JARS": str(fetch_jars().parent),
        "SHOPGUIDE_STORM_PORT": str(port),
        "STREAMPARSE_NIMBUS": f"127.0.0.1:{port}",
        "PYTHONWARNINGS": "ignore",
    }
    yield environment
    down = [sys.executable, str(tmp_path / "project" / "deploy" / "storm.py"), "down"]
    subprocess.run(down, env=environment, check=True)


def elsewhere(commands: str, folder: Path, nimbus: str) -> str:
    """With addresses and folders of this test, each of which has to be there."""
    http, push = free_pair(), free_pair()
    for ours, theirs in {
        "127.0.0.1:8080": f"127.0.0.1:{http}",
        "127.0.0.1:7201": f"127.0.0.1:{push}",
        "storm.example:6627": nimbus,
        "/srv/shopguide": str(folder / "project" / ".shopguide"),
    }.items():
        assert ours in commands
        commands = commands.replace(ours, theirs)
    return commands


def free_pair() -> int:
    """A port that is free, as the next one is."""
    first = free_ports()
    assert is_free(first + 1)
    return first


def processes(folder: Path) -> list[int]:
    """All that work there or name the folder on their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, cwd = (process / "cmdline").read_text(errors="replace"), str((process / "cwd").readlink())
        except OSError:
            continue
        if str(folder) in words or cwd.startswith(str(folder)):
            found.append(int(process.name))
    return found


def test_every_command_on_operating_a_cluster_runs(project: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """A second environment for production, whose hosts' folder is this Python's."""
    config = project / "config.prod.json"
    assert '"virtualenv_root": "/opt/shopguide"' in config.read_text()
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt" / "venv").symlink_to(sys.prefix)
    config.write_text(config.read_text().replace("/opt/shopguide", str(tmp_path / "opt")))
    commands = "".join(SAID.format(heading) + block for heading, block in blocks().items())
    script = elsewhere(commands, tmp_path, environment["STREAMPARSE_NIMBUS"])
    shell = subprocess.Popen(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = shell.communicate(timeout=600)
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, f"{out}\n{err}"
    said = dict(part.split("\n", 1) for part in out.split("== ")[1:])
    assert list(said) == list(blocks())
    assert "recommend is up" in said["From nothing to lists, on this machine"]
    assert re.search(r"\d+-\d+  home  [\d.]+ ms  honey", said["From nothing to lists, on this machine"])
    fares = said["How it fares"]
    assert "component  score" in fares and '"behind":0' in fares and "10 executors in 2 workers" in fares
    assert "event 'e2' is taken back" in said["Taking back"]
    assert re.search(r"the receipt is genuine: \d rows of 'bob'", said["Taking back"])
    assert json.loads((project / "held.json").read_text())["user"] == "anna"
    assert "recommend is up" in said["On a cluster that is there already"]
    assert "the cluster is stopped" in said["The end"]
    assert not (project / ".cluster" / "storm").exists() and list((project / ".shopguide" / "snapshots").iterdir())
    assert not [pid for pid in processes(tmp_path) if pid != os.getpid()]
