"""The shape of the project: imports point downward, tests mirror modules, files stay readable in one go."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "shopguide"
STAGES = {"collect", "clean", "featurize", "score", "rank", "push", "display"}
NOUNS = {
    "agents",
    "artefacts",
    "blend",
    "chance",
    "durable",
    "records",
    "columns",
    "context",
    "errors",
    "settings",
    "tastes",
    "intent",
    "keys",
    "lists",
    "metrics",
    "models",
    "networks",
    "private",
    "probabilities",
    "frontier",
    "catalogue",
    "picks",
    "profile",
    "signing",
    "tokens",
    "trees",
    "weights",
    "wire",
    "_core",
    "recommenders",
}
ALSO = {  # edges beside the nouns, each for a reason
    "collect": {"log"},  # it writes the log
    "display": {"client"},  # browsers get what a subscriber gets
}
TESTED_ELSEWHERE = {
    "__init__": "nothing in it",
    "__main__": "by test_cli",
    "errors": "by the tests of who raises them",
    "columns": "by test_records",
}


def imports(file: Path) -> set[str]:
    """The shopguide modules that a file imports, by their first name below the package."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "shopguide":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("shopguide.")}
    return found


def files(name: str) -> list[Path]:
    single = PACKAGE / f"{name}.py"
    return [single] if single.exists() else sorted((PACKAGE / name).rglob("*.py"))


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_imports_nouns_and_no_other_stage(stage: str) -> None:
    assert files(stage)
    for file in files(stage):
        beyond = imports(file) - NOUNS - ALSO.get(stage, set()) - {stage}
        assert not beyond, f"{file.relative_to(ROOT)} imports {sorted(beyond)}"


@pytest.mark.parametrize("noun", sorted(NOUNS - {"_core"}))
def test_a_noun_imports_nouns_only(noun: str) -> None:
    for file in files(noun):
        assert not imports(file) - NOUNS, f"{file.relative_to(ROOT)} imports {sorted(imports(file) - NOUNS)}"


def test_batch_is_the_stages_over_the_log_and_nothing_of_the_line() -> None:
    for file in files("batch"):
        beyond = imports(file) - NOUNS - STAGES - {"batch", "log", "rejects", "relay", "snapshot"}
        assert not beyond, f"{file.relative_to(ROOT)} imports {sorted(beyond)}"


def test_only_the_storm_layer_knows_streamparse() -> None:
    for file in PACKAGE.rglob("*.py"):
        knows = any(word in file.read_text() for word in ("import streamparse", "from streamparse", "from pystorm"))
        assert not knows or file.parent.name == "storm", f"{file.relative_to(ROOT)} imports streamparse"


def test_only_the_kafka_package_knows_its_client() -> None:
    for file in PACKAGE.rglob("*.py"):
        knows = "confluent_kafka" in file.read_text()
        assert not knows or file.parent.name == "kafka", f"{file.relative_to(ROOT)} knows confluent_kafka"


def test_a_wheel_has_every_package() -> None:
    found = {".".join(file.parent.relative_to(PACKAGE.parent).parts) for file in PACKAGE.rglob("__init__.py")}
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert set(listed) == found | {"shopguide.topologies"}


def test_every_module_has_its_test() -> None:
    for file in PACKAGE.glob("*.py"):
        if file.stem not in TESTED_ELSEWHERE:
            assert (ROOT / "tests" / f"test_{file.stem}.py").exists(), f"no tests/test_{file.stem}.py"
    for file in (ROOT / "csrc").glob("sg_*.c"):
        assert (ROOT / "tests" / "c" / f"test_{file.stem[3:]}.c").exists(), f"no C test for {file.name}"


def test_modules_are_readable_in_one_go() -> None:
    for pattern, limit in (("src/**/*.py", 330), ("csrc/*.[ch]", 500), ("topologies/*.py", 30)):
        for file in ROOT.glob(pattern):
            assert len(file.read_text().splitlines()) <= limit, f"{file.relative_to(ROOT)} is over {limit} lines"


def test_bolts_are_adapters() -> None:
    tree = ast.parse((PACKAGE / "storm" / "bolts.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            assert node.end_lineno is not None and node.end_lineno - node.lineno <= 20, node.name


def test_no_junk_drawers() -> None:
    assert not [p for p in PACKAGE.rglob("*") if p.stem in ("utils", "util", "common", "helpers", "misc")]
