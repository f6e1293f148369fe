"""docs/dependencies.md names what pyproject.toml asks for, with its range, and nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCUMENT = (ROOT / "docs" / "dependencies.md").read_text()
RUN, EXTRAS, DEVELOP = (re.split(r"^## ", DOCUMENT, flags=re.M)[at] for at in (1, 2, 3))


def asked(requirements: list[str]) -> dict[str, str]:
    """Name to range."""
    found = [re.fullmatch(r"([\w-]+)(.*)", requirement) for requirement in requirements]
    return {match[1]: match[2] for match in found if match}


def told(section: str) -> dict[str, str]:
    return dict(re.findall(r"^\| ([\w-]+) \| `(.+?)` \|", section, re.M))


def test_what_is_needed_to_run() -> None:
    assert told(RUN) == asked(PROJECT["project"]["dependencies"])


def test_extras_and_what_they_ask_for() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    named = re.findall(r"^\| ([\w-]+) \| `(.+?)` \| (\w+) \|", EXTRAS, re.M)
    told_of = {(extra, name, wanted) for name, wanted, extra in named}
    assert told_of == {(e, n, w) for e, listed in extras.items() if e != "dev" for n, w in asked(listed).items()}


def test_what_is_needed_to_develop() -> None:
    dev = asked(PROJECT["project"]["optional-dependencies"]["dev"])
    beside = {name: wanted for name, wanted in dev.items() if name not in told(EXTRAS)}
    assert told(DEVELOP) == beside
    assert all(told(EXTRAS)[name] == wanted for name, wanted in dev.items() if name in told(EXTRAS))


@pytest.mark.parametrize("section", [RUN, EXTRAS, DEVELOP], ids=["run", "extras", "develop"])
def test_each_has_a_reason_and_a_licence(section: str) -> None:
    for row in re.findall(r"^\| [\w-]+ \| `.*$", section, re.M):
        assert all(cell.strip() for cell in row.strip("|").split("|")), row
