"""The documents do not lie: README's commands run, every command and flag named exists, every link leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from shopguide.cli import cli
from shopguide.settings import Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def blocks(document: Path) -> str:
    return "\n".join(re.findall(r"```sh\n(.*?)```", document.read_text(), re.S))


def test_the_readme_runs(tmp_path: Path) -> None:
    """Its shell block as it stands, in an empty folder, with the command on the path."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", blocks(ROOT / "README.md")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (
        "20,000" in done.stdout and "3 items for shopper-00000" in done.stdout and "trending in Garden" in done.stdout
    )
    assert "nothing is known" not in done.stdout


def test_the_readmes_python_says_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    with np.printoptions(precision=4):
        exec(compile(code, "README.md", "exec"), {})
    promised = [
        re.findall(r"\[[\d. ]+\]", line.partition("#")[2]) for line in code.splitlines() if line.startswith("print")
    ]
    printed = [re.findall(r"\[[\d., ]+\]", line) for line in capsys.readouterr().out.splitlines()]
    numbers = [[[float(x) for x in re.findall(r"[\d.]+", a)] for a in line] for line in (*promised, *printed)]
    assert len(promised) == 3 and numbers[:3] == numbers[3:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_commands_and_flags_exist(document: Path) -> None:
    for line in re.findall(r"shopguide [a-z][^`|\n]*", document.read_text()):
        words = line.split("#")[0].split()[1:]
        found: Any = cli
        while words and isinstance(found, click.Group) and words[0] in found.commands:
            found = found.commands[words.pop(0)]
        if found is cli:
            continue
        flags = {name for option in found.params for name in (*option.opts, *option.secondary_opts)}
        for flag in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(words)):
            assert flag in flags, f"{document.name}: {line}: {flag}"


def test_every_command_is_documented() -> None:
    text = "".join(d.read_text() for d in DOCUMENTS)
    for name in cli.commands:
        assert f"shopguide {name}" in text, name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_code_that_is_linked_to_is_there(document: Path) -> None:
    for name, target in re.findall(r"\[`([\w.]+)`\]\(([^)#]+)\)", document.read_text()):
        code = document.parent / target
        if code.name != name and code.suffix in {".py", ".pxi", ".js", ".c", ".h"}:
            for word in name.split("."):
                assert re.search(rf"\b(def|class|const|int|struct) {word}\b", code.read_text()), f"{name} in {target}"


def test_files_named_in_the_readme_exist() -> None:
    for target in re.findall(r"`((?:src|topologies|csrc|docs)/[^`]*)`", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def test_settings_named_in_documents_exist() -> None:
    names = {f"{s}.{k}" for s, f in Settings.model_fields.items() for k in f.annotation.model_fields}  # type: ignore[union-attr]
    for document in DOCUMENTS:
        for name in re.findall(r"`((?:log|state|learn|score|rank|push|http)\.[a-z_]+)`", document.read_text()):
            assert name in names or name.endswith(".py"), f"{document.name}: {name}"


def test_make_help_names_every_verb() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert verbs == set(re.findall(r"make ([a-z-]+)", said))
