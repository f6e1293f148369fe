"""A real process that serves, for tests that ask it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

from shopguide.state import StateDir


class Running:
    """``shopguide run --source http:`` on a state directory."""

    def __init__(self, state: Path, *more: str, **settings: object) -> None:
        command = [sys.executable, "-c", "from shopguide.cli import main; main()", "run", "--source", "http:"]
        where = ["--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*", "--state", str(state), *more]
        environment = os.environ | {f"SHOPGUIDE_{name.upper()}": str(value) for name, value in settings.items()}
        self.process = subprocess.Popen(
            [*command, *where], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        )
        while "http" not in StateDir(state).running():
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            time.sleep(0.05)
        self.where = StateDir(state).running()

    def post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(self.where["http"] + path, json.dumps(body).encode())
        return json.load(urllib.request.urlopen(request, timeout=10))

    def scrape(self, **headers: str) -> str:
        request = urllib.request.Request(self.where["http"] + "/metrics", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
            return str(response.read().decode())

    def until(self, *lines: str) -> str:
        """The first scrape that has all of these lines."""
        deadline = time.monotonic() + 15
        while not set(lines) <= set((text := self.scrape()).splitlines()):
            assert time.monotonic() < deadline, set(lines) - set(text.splitlines())
            time.sleep(0.2)
        return text

    def stop(self) -> str:
        """What it said on stderr."""
        self.process.terminate()
        assert self.process.stderr is not None
        err = self.process.stderr.read()
        self.process.wait(60)
        assert self.process.returncode == 0 and "Traceback" not in err, err
        return err

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever went wrong, it ends."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
