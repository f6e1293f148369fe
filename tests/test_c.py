"""Each tests/c/test_*.c, compiled with all of csrc/ under ASan and UBSan, and run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = sorted((ROOT / "tests" / "c").glob("test_*.c"))
FLAGS = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
FLAGS += ["-fno-sanitize-recover=all", "-fno-omit-frame-pointer", f"-I{ROOT / 'csrc'}"]
WRAPPED = [f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "realloc", "mmap", "sg_pool_take")]


def run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "SHOPGUIDE_SIMD")}


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an object file of each source that tests are linked with."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    directory = tmp_path_factory.mktemp("core")
    sources = [*sorted((ROOT / "csrc").glob("*.c")), ROOT / "tests" / "c" / "failing.c"]
    run(["gcc", *FLAGS, "-c", *map(str, sources)], directory)
    return directory


@pytest.mark.parametrize("test", TESTS, ids=lambda test: str(test.stem))
def test_c(test: Path, core: Path) -> None:
    objects = sorted(str(path) for path in core.glob("*.o"))
    run(["gcc", *FLAGS, *WRAPPED, str(test), *objects, "-lm", "-o", test.stem], core)
    run([str(core / test.stem)], core)
