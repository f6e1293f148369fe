"""The wheel and the source distribution, made and tried: `make dist`.

    dist.py             both into dist/, the wheel made from the source distribution; then each is installed into an
                        environment of its own and used outside of the repository
    dist.py --no-try    made and looked through only

What a new user does is what is tried: README's commands as they stand, its Python, and a line that serves its pages.
Needs a C compiler and what pip downloads.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from pathlib import Path
from urllib.request import urlopen
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
NOT_IN_A_WHEEL = (".c", ".h", ".pyx", ".pxi", ".pxd")
PAGES = ("/", "/desk", "/sg.js", "/static/shop.html", "/v1/openapi.json", "/healthz")
ASKED = "shopguide --version; shopguide config check; shopguide run --help\n"  # beside what README does
ADVANCED = re.compile(r"%[yz]mm|\tv[a-z]")  # an instruction beyond x86-64's own set
SECRET = {"SHOPGUIDE_SECRET": "a secret for the trial only"}


def make_sdist(folder: Path, root: Path = ROOT) -> Path:
    """The source distribution of the project at ``root``, in ``folder``; compiles nothing."""
    command = [sys.executable, "-c", SDIST, str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"dist: no source distribution: {done.stderr}")
    (made,) = folder.glob("shopguide-*.tar.gz")
    return made


def make_wheel(folder: Path, sdist: Path) -> Path:
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, sdist], check=True)
    (made,) = folder.glob("shopguide-*.whl")
    return made


def faults_of_names(names: list[str]) -> list[str]:
    """What a wheel of these files should not have, or lacks."""
    found = [f"{name} is in the wheel" for name in names if name.endswith(NOT_IN_A_WHEEL)]
    cores = [name for name in names if re.fullmatch(r"shopguide/_core\.[^/]*so", name)]
    wanted = ("py.typed", "_core.pyi", "presets/shop.toml", "display/static/index.html", "report/page.html")
    found += [f"{name} is missing" for name in wanted if f"shopguide/{name}" not in names]
    return found + ([] if cores else ["the compiled core is missing"])


def faults_of_core(disassembly: str) -> list[str]:
    """Functions that need more than any x86-64 has, but for those that are chosen at run time (`csrc/sg_simd.h`)."""
    counts: Counter[str] = Counter()
    function = ""
    for line in disassembly.splitlines():
        head = re.fullmatch(r"[0-9a-f]+ <(.*)>:", line)
        if head:
            function = head[1]
        elif ADVANCED.search(line):
            counts[function] += 1
    return [
        f"{name} has {n} instructions that not every processor has" for name, n in counts.items() if "_avx" not in name
    ]


def look_through(wheel: Path) -> None:
    with ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        names = archive.namelist()
        faults = faults_of_names(names)
        for core in (name for name in names if name.endswith(".so")):
            command = ["objdump", "-d", "--no-show-raw-insn", archive.extract(core, folder)]
            faults += faults_of_core(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if faults:
        sys.exit("dist: " + "\n      ".join(faults))
    print(f"dist: {wheel.name}: {len(names)} files, {wheel.stat().st_size / 1e6:.1f} MB")


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.S))


def serve(shopguide: Path, folder: Path, environment: dict[str, str]) -> None:
    """A simulated shop on free ports: every page is there, and it stops when told to."""
    where = ["--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*", "--state", "served"]
    command = [shopguide, "run", "--source", "sim:", *where]
    line = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        running, end = folder / "served" / "run.json", time.monotonic() + 60
        while not (running.exists() and "http" in json.loads(running.read_text())):
            assert line.poll() is None and time.monotonic() < end, "the line does not come up"
            time.sleep(0.1)
        address = json.loads(running.read_text())["http"]
        for page in PAGES:
            with urlopen(f"{address}{page}", timeout=10) as answer:
                assert answer.status == 200 and answer.read(), page
    finally:
        line.terminate()
        assert line.wait(60) == 0, "the line does not end well"


def attempt(package: Path) -> None:
    """Install it where nothing else is, and use it in an empty folder."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        binaries = folder / "venv" / "bin"
        subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", package], check=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SHOPGUIDE", "VIRTUAL_ENV"))}
        environment = kept | SECRET | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
        for command in (
            ["bash", "-euo", "pipefail", "-c", ASKED + blocks("sh")],
            [binaries / "python", "-c", blocks("python")],
        ):
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"dist: {package.name}: {done.stdout}{done.stderr}")
        serve(binaries / "shopguide", folder, environment)
    print(f"dist: {package.name}: installed and tried in {time.monotonic() - begin:.0f} s", flush=True)


def main() -> None:
    DIST.mkdir(exist_ok=True)
    for old in DIST.glob("shopguide-*"):
        old.unlink()
    sdist = make_sdist(DIST)
    wheel = make_wheel(DIST, sdist)
    look_through(wheel)
    for package in () if "--no-try" in sys.argv else (wheel, sdist):
        attempt(package)


if __name__ == "__main__":
    main()
