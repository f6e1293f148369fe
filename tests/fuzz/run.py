"""Fuzz every structure, the snapshot reader and all parsers, as many at a time as there are processors: a line each.

    run.py [--seconds N] [TARGET ...]

Programs, corpora, logs and what was found are in build/fuzz; a corpus is where the next run goes on. To see a finding
again: build/fuzz/bin/TARGET FILE, or fuzz_snapshot.py FILE, fuzz_parsers.py FILE.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OUT = ROOT / "build" / "fuzz"
PYTHON = ["snapshot", "parsers"]  # these are traced by atheris
TARGETS = [*PYTHON, *sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.c"))]

# NULL + 0, of a unit without a block, is defined since C2y, and by every compiler that we build with. Comparisons are
# not traced: that leads to magic numbers, of which there are none here, and takes half of the time.
CHECKED = ["-fsanitize=address,undefined", "-fno-sanitize=pointer-overflow", "-fno-sanitize-recover=all"]
COMMON = ["clang", "-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", f"-I{ROOT / 'csrc'}", *CHECKED]
STRICT = ["-Wall", "-Wextra", "-Werror", "-fsanitize=fuzzer", "-fno-sanitize-coverage=trace-cmp"]
WRAPPED = [f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "realloc", "mmap", "sg_pool_take")]
LIMITS = ["-max_len=4096", "-len_control=10", "-timeout=25", "-rss_limit_mb=2048", "-detect_leaks=1"]
SOURCES = [*sorted((ROOT / "csrc").glob("*.c")), ROOT / "tests" / "c" / "failing.c", HERE / "blocks.c"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "SHOPGUIDE_SIMD")}


def make(made: Path, sources: list[Path], command: list[str]) -> None:
    """Run the command unless what it makes is newer than all it is made from."""
    headers = [*(ROOT / "csrc").glob("*.h"), *HERE.glob("*.h"), Path(__file__)]
    if made.exists() and made.stat().st_mtime > max(path.stat().st_mtime for path in [*sources, *headers]):
        return
    made.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([*command, "-o", str(made)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"fuzz: {made.name} is not made\n{' '.join(command)}\n{done.stderr}")


def build_object(source: Path) -> None:
    made = OUT / "objects" / f"{source.stem}.o"
    make(made, [source], [*COMMON, *STRICT, "-c", str(source)])


def build(target: str) -> None:
    """The structure's program; every block of sg_pool is an allocation there, unless it is sg_pool itself."""
    if target == "parsers":
        return None  # Python as it is
    if target == "snapshot":
        return build_core()
    without = "blocks" if target == "pool" else "sg_pool"
    objects = [OUT / "objects" / f"{source.stem}.o" for source in SOURCES if source.stem != without]
    inputs = [HERE / f"fuzz_{target}.c", *objects]
    return make(OUT / "bin" / target, inputs, [*COMMON, *STRICT, *WRAPPED, *map(str, inputs), "-lm"])


def build_core() -> None:
    """The Python extension, traced and checked too."""
    sources = [ROOT / "src" / "shopguide" / "_core.c", *sorted((ROOT / "csrc").glob("*.c"))]
    headers = [f"-I{sysconfig.get_paths()['include']}", f"-I{np.get_include()}"]
    flags = ["-w", "-fPIC", "-shared", "-fsanitize=fuzzer-no-link", *headers]
    make(OUT / "bin" / "_core.so", sources, [*COMMON, *flags, *map(str, sources), "-lm"])


def command_of(target: str) -> tuple[list[str], dict[str, str]]:
    if target == "parsers":
        return [sys.executable, str(HERE / "fuzz_parsers.py")], ENVIRONMENT
    if target != "snapshot":
        return [str(OUT / "bin" / target)], ENVIRONMENT
    spec = importlib.util.find_spec("atheris")
    assert spec and spec.origin
    runtime = Path(spec.origin).parent.parent / "asan_with_fuzzer.so"
    more = {"LD_PRELOAD": str(runtime), "ASAN_OPTIONS": "detect_leaks=0", "FUZZ_CORE": str(OUT / "bin" / "_core.so")}
    return [sys.executable, str(HERE / "fuzz_snapshot.py")], {**ENVIRONMENT, **more}


def fuzz(target: str, seconds: int) -> bool:
    """Run one target and print its line; whether it found nothing."""
    for name in ("corpus", "found", "logs"):
        (OUT / name).mkdir(parents=True, exist_ok=True)
    corpus, log, begun = OUT / "corpus" / target, OUT / "logs" / f"{target}.log", time.time()
    corpus.mkdir(exist_ok=True)
    command, environment = command_of(target)
    command += [f"-max_total_time={seconds}", f"-artifact_prefix={OUT / 'found' / target}-", *LIMITS, str(corpus)]
    with log.open("w") as file:
        done = subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(errors="replace")
    found = re.findall(r"Test unit written to (\S+)", text)
    runs, edges, size = [("0", "0", "0"), *re.findall(r"^#(\d+)\s.*cov: (\d+) .*corp: (\d+)", text, re.M)][-1]
    verdict = "no finding" if done.returncode == 0 else str(Path(found[-1] if found else log).relative_to(ROOT))
    took = round(time.time() - begun)
    print(f"{target:<10}{took:>8}{int(runs):>11,}{int(edges):>8,}{int(size):>8,}  {verdict}", flush=True)
    return done.returncode == 0


def missing() -> str | None:
    """Why nothing can be fuzzed."""
    if not shutil.which("clang"):
        return "fuzz: there is no clang; on Debian: apt-get install clang"
    where = subprocess.run(["clang", "-print-runtime-dir"], capture_output=True, text=True, check=False).stdout.strip()
    if not list(Path(where).glob("libclang_rt.fuzzer*")):
        return "fuzz: clang has no libFuzzer; on Debian: apt-get install libclang-rt-VERSION-dev"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(prog="run.py", description="Fuzz every structure and parser.")
    parser.add_argument("--seconds", type=int, default=60, help="of each target (default: %(default)s)")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    arguments = parser.parse_args()
    targets = arguments.targets or TARGETS
    if unknown := sorted(set(targets) - set(TARGETS)):
        raise SystemExit(f"fuzz: there is no target {unknown[0]}; there are {', '.join(TARGETS)}")
    if why := missing():
        raise SystemExit(why)
    if set(PYTHON) & set(targets) and not importlib.util.find_spec("atheris"):
        if os.environ.get("SHOPGUIDE_NO_SKIP"):
            raise SystemExit(f"fuzz: atheris is not installed, so {' and '.join(PYTHON)} cannot be fuzzed")
        print(f"{' and '.join(PYTHON)} are not fuzzed: atheris is not installed")
        targets = [target for target in targets if target not in PYTHON]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(build_object, SOURCES))
        list(pool.map(build, targets))
        print(f"{'':<10}{'seconds':>8}{'runs':>11}{'edges':>8}{'corpus':>8}")
        fine = list(pool.map(lambda target: fuzz(target, arguments.seconds), targets))
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
