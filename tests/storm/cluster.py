"""A Storm cluster for the tests, and what they do with topologies on it."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shopguide.storm.nimbus import Nimbus, Topology

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
SHOPGUIDE = [sys.executable, "-c", "from shopguide.cli import main; main()"]
PROJECT = Path(__file__).parent / "project"
LAUNCHED = r"Thread-\d+-(\S+)-executor\S* ?\S* Launched subprocess with pid (\d+)"

Done = subprocess.CompletedProcess[str]


@dataclass
class Worker:
    """A worker JVM and the Python processes of each component in it."""

    pid: int
    port: int
    components: dict[str, list[int]] = field(default_factory=dict)


class Cluster:
    """deploy/storm.py on ports and in a folder of its own; the jars are those of `make storm-up`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_ports()
        self.nimbus = Nimbus("127.0.0.1", self.port)
        self.environment = {
            **os.environ,
            "SHOPGUIDE_STORM": str(folder),
            "SHOPGUIDE_STORM_PORT": str(self.port),
            "STREAMPARSE_NIMBUS": str(self.nimbus),
            "SHOPGUIDE_STATE": str(folder / "state"),
            "LEIN_ROOT": "1",  # any value lets root use sparse
            "PYTHONWARNINGS": "ignore",
        }

    def run(self, *arguments: str, **environment: str) -> Done:
        """deploy/storm.py."""
        return self._call([sys.executable, str(ROOT / "deploy" / "storm.py"), *arguments], ROOT, environment)

    def up(self, supervisors: int = 1) -> str:
        done = self.run("up", "--supervisors", str(supervisors))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def down(self) -> None:
        done = self.run("down")
        assert done.returncode == 0 and not list(self.processes()), done.stdout + done.stderr

    def dismiss(self, supervisor: str) -> None:
        """One that has no workers; the cluster forgets it."""
        os.kill(self.daemons()[supervisor], signal.SIGTERM)
        until(lambda: len(self.nimbus.cluster().supervisors) < len(list(self.folder.glob("supervisor-*"))))
        shutil.rmtree(self.folder / supervisor)

    def sparse(self, project: Path, *arguments: str) -> Done:
        return self._call([str(BIN / "sparse"), *arguments], project, {})

    def shopguide(self, *arguments: str) -> Done:
        return self._call([*SHOPGUIDE, *arguments], ROOT, {})

    def submit(
        self,
        project: Path,
        name: str,
        options: dict[str, object] | None = None,
        *,
        jar: Path,
        topology: str | None = None,
        config: str = "config.json",
    ) -> None:
        """``topology``.py (else ``name``.py) of a project, with options on top of those in its configuration."""
        flags = [part for key, value in (options or {}).items() for part in ("-o", f"{key}={value}")]
        names = ["-n", topology or name, "-N", name]
        done = self.sparse(project, "submit", *names, "-j", str(jar), "--config", config, *flags)
        assert done.returncode == 0 and "done" in done.stdout, done.stdout + done.stderr

    def wait(self, name: str, *flags: str) -> Done:
        return self.shopguide("storm", "wait", "--name", name, "--steady", "5", *flags)

    def kill(self, name: str) -> None:
        """Gone when it returns, its name free and no process left."""
        topology = self.topology(name)
        self.nimbus.kill(name)
        until(lambda: not list(self.processes(topology.id)) and not self.nimbus.cluster().named(name))

    def topology(self, name: str) -> Topology:
        topology = self.nimbus.cluster().named(name)
        assert topology is not None, f"no topology {name}"
        return topology

    def workers(self, name: str) -> list[Worker]:
        """Those that live, in order of their ports."""
        found = []
        for pid, words in self.processes(self.topology(name).id):
            if "org.apache.storm.daemon.worker.Worker" in words and "org.apache.storm.LogWriter" not in words:
                port = int(words[-2])
                found.append(Worker(pid, port, self._components(self._log(name, port), pid)))
        return sorted(found, key=lambda worker: worker.port)

    def daemons(self) -> dict[str, int]:
        """The processes that were started, by name."""
        return {pid.parent.name: int(pid.read_text().split()[0]) for pid in self.folder.glob("*/pid")}

    def logs(self, name: str) -> str:
        """All that the topology's workers have logged."""
        folder = self.folder / "logs" / "workers-artifacts" / self.topology(name).id
        return "".join(log.read_text(errors="replace") for log in sorted(folder.glob("*/worker.log*")))

    def processes(self, topology_id: str = "") -> Iterator[tuple[int, list[str]]]:
        """Numbers and command lines of the cluster's processes, or of one topology's, its Python included."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text(errors="replace").split("\0")[:-1]
                folder = str((process / "cwd").readlink())
            except OSError:
                continue
            ours = any(word.startswith(f"-Dstorm.home={self.folder}/") for word in words)
            python = folder.startswith(f"{self.folder}/") and any(word.endswith("streamparse_run") for word in words)
            if (ours or python) and (topology_id in folder or topology_id in words):
                yield int(process.name), words

    def _log(self, name: str, port: int) -> str:
        folder = self.folder / "logs" / "workers-artifacts" / self.topology(name).id / str(port)
        return "".join(log.read_text(errors="replace") for log in sorted(folder.glob("worker.log*"), reverse=True))

    @staticmethod
    def _components(log: str, worker: int) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for component, pid in re.findall(LAUNCHED, log):
            if parent(int(pid)) == worker:
                found.setdefault(component, []).append(int(pid))
        return found

    def _call(self, command: list[str], folder: Path, environment: dict[str, str]) -> Done:
        environment = {**self.environment, **environment}
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=170, check=False
        )


def build_jar(project: Path, jar: Path) -> Path:
    """A topology jar of a project's src/, without a serializer of its own."""
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n")
        for file in sorted((project / "src").rglob("*.py")):
            archive.write(file, f"resources/{file.relative_to(project / 'src')}")
    return jar


def until(true: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return None


def free_ports() -> int:
    """The first of those that a cluster of two supervisors uses, below those that the kernel hands out."""
    while True:
        first = random.randrange(20_000, 30_000, 30)
        if all(is_free(first + offset) for offset in (0, 1, *range(10, 15), *range(20, 25))):
            return first


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
