"""Processes that a script here starts and a later run of it ends, and the jars that they need."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class FetchError(Exception):
    """Jars are not there and cannot be fetched."""


class Daemon:
    """A process with a log, known from one run to the next by ``folder``/pid: its number, and when it began."""

    def __init__(self, name: str, folder: Path, log: Path, command: list[str]) -> None:
        self.name, self.folder, self.log = name, folder, log
        self._command = command
        self._pid = folder / "pid"

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            started = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self._pid.write_text(f"{started.pid} {began(started.pid)}")

    def running(self) -> int | None:
        """Its number while it lives; one that now belongs to another process does not count."""
        try:
            pid, start = self._pid.read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if began(int(pid)) == start else None

    def stop(self, seconds: float) -> None:
        """Asked first; killed where it takes longer."""
        pid = self.running()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while (pid := self.running()) is not None:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        self._pid.unlink(missing_ok=True)

    def end_of_log(self, lines: int = 15) -> str:
        return tail(self.log.read_text(errors="replace"), lines)


def began(pid: int) -> str | None:
    """When a process began, in ticks since boot; None: it does not live."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if state == "Z" else fields[18]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fetch(project: str, folder: Path, *profiles: str) -> None:
    """The jars of jvm/``project``, once, each profile's in a folder of its own; a fetch cut short leaves nothing.

    Raises FetchError where that fails.
    """
    if folder.exists():
        return
    if shutil.which("mvn") is None:
        raise FetchError(f"mvn is missing, and so are the jars in {folder}")
    part = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        for profile in profiles or (None,):
            _copy_dependencies(project, part / (profile or ""), profile)
        if not folder.exists():
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _copy_dependencies(project: str, folder: Path, profile: str | None) -> None:
    pom = ROOT / "jvm" / project / "pom.xml"
    command = ["mvn", "-B", "-q", "-f", str(pom), *(["-P", profile] if profile else [])]
    command += ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FetchError(f"jars cannot be fetched:\n{tail(done.stdout + done.stderr)}")


def tail(text: str, lines: int = 15) -> str:
    return "\n".join(text.splitlines()[-lines:])
