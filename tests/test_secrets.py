"""A line under a marked secret: neither it nor a token is in a log, in a file or on a command line. What is revoked
stays so over kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from shopguide.client import Subscriber
from shopguide.keys import Secret
from shopguide.signing import KeyFile, load_ring
from shopguide.state import StateDir
from shopguide.tokens import mint, mint_admin

SECRET = "a-marked-secret-of-this-test"
COMMAND = [sys.executable, "-c", "from shopguide.cli import main; main()"]


class Running:
    """``shopguide run`` with an encrypted push channel, and what it printed."""

    def __init__(self, state: Path, log: Path) -> None:
        where = ["--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*", "--state", str(state)]
        environment = {**os.environ, "SHOPGUIDE_SECRET": SECRET, "SHOPGUIDE_PUSH_CURVE": "true"}
        self.log = log.open("ab")
        self.process = subprocess.Popen(
            [*COMMAND, "run", "--source", "http:", *where], stdout=self.log, stderr=self.log, env=environment
        )
        end = time.monotonic() + 60
        while "http" not in StateDir(state).running() or StateDir(state).running()["pid"] != self.process.pid:
            assert self.process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        self.where: dict[str, Any] = StateDir(state).running()

    def family(self) -> list[int]:
        """The process and its children."""
        found = [self.process.pid]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            fields = stat.read_text().rpartition(")")[2].split()
            found += [int(stat.parent.name)] if int(fields[1]) == self.process.pid else []
        return found

    def status(self, token: str) -> str:
        answer = httpx.get(f"{self.where['http']}/v1/why", params={"token": token, "item": "i"}, timeout=20)
        return str(answer.json().get("error", answer.status_code))

    def end(self, how: int) -> None:
        family = self.family()
        self.process.send_signal(how)
        self.process.wait(60)
        self.log.close()
        end = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in family):
            assert time.monotonic() < end, "its push server outlives it"
            time.sleep(0.02)


def test_what_is_secret_is_nowhere_and_what_is_revoked_stays_so(tmp_path: Path) -> None:
    state, log, secret = tmp_path / "state", tmp_path / "log", Secret(SECRET.encode())
    line = Running(state, log)
    ann, bob = secret.user_key("ann"), secret.user_key("bob")
    tokens = {name: mint(load_ring(secret, state), key, 600) for name, key in (("ann", ann), ("bob", bob))}
    tokens |= {
        "expired": mint(load_ring(secret, state), bob, -5),
        "admin": mint_admin(load_ring(secret, state), "Ada", 60),
    }
    rows = [{"user": u, "item": f"i{k}", "kind": "view"} for u in ("ann", "bob") for k in range(4)]
    assert httpx.post(f"{line.where['http']}/v1/events", content=json.dumps(rows), timeout=20).status_code == 202
    with Subscriber(tokens["ann"], line.where["push"], line.where["gap"], 20, line.where["server_key"]) as lists:
        assert lists.receive(20) is not None
    for token in tokens.values():
        line.status(token)
    forgotten = httpx.post(f"{line.where['http']}/v1/forget", content=json.dumps({"token": tokens["ann"]}), timeout=60)
    assert forgotten.status_code == 200, forgotten.text
    assert line.status(tokens["ann"]) == "the token is revoked" and "token" not in line.status(tokens["bob"])
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in line.family()]
    assert len(commands) == 2
    key = line.where["server_key"]
    line.end(signal.SIGKILL)
    line = Running(state, log)
    assert line.status(tokens["ann"]) == "the token is revoked" and "token" not in line.status(tokens["bob"])
    KeyFile(secret.token, state).rotate()
    assert "token" not in line.status(mint(load_ring(secret, state), bob, 600)), "known without a restart"
    assert line.where["server_key"] == key, "no rotation changes it"
    line.end(signal.SIGTERM)
    (state / "token-keys").unlink()
    traces = [SECRET, *tokens.values(), secret.token.hex(), secret.receipt.hex(), f"{ann:016x}", str(ann)]
    said = [*commands, log.read_bytes(), *(file.read_bytes() for file in state.rglob("*") if file.is_file())]
    for trace in traces:
        assert not [one for one in said if trace.encode() in one], trace
    assert b"Traceback" not in log.read_bytes()
