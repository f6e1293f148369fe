"""docs/threat-model.md tells of tests that are there, and of every parser."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from parsers import parsers

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "threat-model.md").read_text()
THREATS, PARSERS = (re.split(r"^## ", DOCUMENT, flags=re.M)[at] for at in (4, 5))
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py::[\w:]+)`", DOCUMENT)))


def names(file: Path) -> set[str]:
    """Tests of a file as pytest names them, without parameters."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if hasattr(each, "name")}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


@pytest.mark.parametrize("test", NAMED)
def test_each_test_that_is_named_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert name in names(ROOT / file)


def test_each_threat_names_a_test() -> None:
    assert THREATS.startswith("Threats") and len(NAMED) > 30
    rows = re.findall(r"^\| (?!threat |---).*$", THREATS, re.M)
    assert len(rows) > 20 and all("`tests/" in row.split("|")[3] for row in rows)


def test_each_parser_is_listed(tmp_path: Path) -> None:
    assert PARSERS.startswith("Parsers")
    assert re.findall(r"^\| (?!parser |---)(.+?) \|", PARSERS, re.M) == list(parsers(tmp_path))


def test_each_file_that_is_named_is_there() -> None:
    for name in re.findall(r"`((?:tests|bench)/[\w/.]+)", DOCUMENT):
        assert (ROOT / name).exists(), name
