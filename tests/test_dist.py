"""The source distribution is what the repository tracks, the wheel what runs. `make dist` builds and tries both."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "deploy"))
import dist  # noqa: E402

BUILT = ("src/shopguide/_core.c", "src/shopguide/_core.so", "tests/c/bin/test_table", ".cluster/storm/pid")
BUILT += ("jvm/multilang/target/classes/Wire.class", "build/lib/x.py", "src/shopguide/__pycache__/log.pyc", ".venv/x")
BUILT += ("deploy/__pycache__/dist.pyc", "src/shopguide/topologies/recommend.py", "bench/memory.svg", "dist/old.whl")
KEPT_BACK = {".ci/run"}


def tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository after a day's work: what is tracked, and what was built."""
    project = tmp_path_factory.mktemp("project")
    for name in tracked() | set(BUILT):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        if name in BUILT:
            (project / name).write_text("built")
        else:
            shutil.copy(ROOT / name, project / name)
    return project


def test_the_source_distribution_is_what_the_repository_tracks(project: Path, tmp_path: Path) -> None:
    with tarfile.open(dist.make_sdist(tmp_path, project)) as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in files if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    assert files - made == tracked() - KEPT_BACK


def test_the_wheel_has_what_runs_and_no_source_of_the_core(project: Path, tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    runs = (".py", ".pyi", ".toml", ".typed", ".html", ".js", ".css", ".svg", ".json", ".ts")
    expected = {name[4:] for name in tracked() if name.startswith("src/") and name.endswith(runs)}
    assert names == expected | {f"shopguide/{name}" for name in tracked() if name.startswith("topologies/")}
    assert dist.faults_of_names([*names, "shopguide/_core.cpython-311-x86_64-linux-gnu.so"]) == []


def test_what_a_wheel_should_not_have_is_found() -> None:
    names = ["shopguide/py.typed", "shopguide/_core.pyi", "shopguide/presets/shop.toml", "shopguide/report/page.html"]
    assert dist.faults_of_names([*names, "shopguide/_core.pyx"]) == [
        "shopguide/_core.pyx is in the wheel",
        "display/static/index.html is missing",
        "the compiled core is missing",
    ]


def test_instructions_that_not_every_processor_has_are_found() -> None:
    text = """
0000000000001000 <sg_table_find>:
    1000:\tmov    %rdi,%rax
    1004:\tmovdqu (%rdi),%xmm0
0000000000001010 <add_now_avx2>:
    1010:\tvpcmpeqq %ymm0,%ymm1,%ymm1
0000000000001020 <sg_topk_push>:
    1020:\tvmovdqu (%rdi),%xmm0
    1024:\tvmovdqu (%rdi),%zmm0
"""
    assert dist.faults_of_core(text) == ["sg_topk_push has 2 instructions that not every processor has"]


def test_the_core_is_built_for_every_processor_of_its_kind() -> None:
    flags = (ROOT / "setup.py").read_text()
    assert "-march" not in flags and "-mtune" not in flags and "-ffast-math" not in flags
