"""A push server in a process of its own, for benches: the parent gives the key and reads what it costs.

python bench/push_server.py        the first line in is the signing key (hex), the first line out where it listens
                                   (JSON); a further line is "figures" (answered as JSON), or a user whose tokens
                                   are to be void from now on; it ends with its input
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shopguide.push import Guard, PushServer
from shopguide.settings import PushSettings


def raise_limits(descriptors: int = 16_384) -> None:
    """As many open files as are needed, and as the machine lets us have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(descriptors, hard) if hard != resource.RLIM_INFINITY else descriptors
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def resident() -> float:
    """MB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def figures(server: PushServer, watched: set[int]) -> dict[str, Any]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "resident": resident(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "cpu": used.ru_utime + used.ru_stime,
        "watched": len(watched),
        **server.counts,
    }


def serve() -> None:
    raise_limits()
    guard, watched = Guard(bytes.fromhex(sys.stdin.readline())), set[int]()
    settings = PushSettings(endpoint="tcp://127.0.0.1:*")
    server = PushServer(
        settings, guard, None, lambda user, _: watched.add(user), watched.discard, intake="tcp://127.0.0.1:*"
    )
    server.start()
    where = {"push": server.endpoint, "gap": server.gap_endpoint, "intake": server.intake}
    print(json.dumps(where), flush=True)
    for line in sys.stdin:
        if line.strip() == "figures":
            print(json.dumps(figures(server, watched)), flush=True)
        else:
            guard.revoke(int(line))
            server.forget(int(line))
    server.stop()


class Child:
    """The server as its parent sees it."""

    def __init__(self, process: subprocess.Popen[str], key: bytes) -> None:
        self._process = process
        self._say(key.hex())
        where = self._hear()
        self.push, self.gap, self.intake = where["push"], where["gap"], where["intake"]

    def figures(self) -> dict[str, Any]:
        """resident (MB), descriptors, threads, cpu (s), watched, and the server's running counts."""
        self._say("figures")
        return self._hear()

    def revoke(self, user: int) -> None:
        self._say(str(user))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the push server has ended: {self._process.wait()}"
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def push_server(key: bytes, in_order: bool = True) -> Iterator[Child]:
    """Up until the block ends. ``in_order``: then its end has to be a clean one, which takes as long as all of its
    subscribers take to leave."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Child(process, key)
            assert process.stdin is not None
            if in_order:
                process.stdin.close()
                assert process.wait(120) == 0, f"the push server ended with {process.returncode}"
        finally:
            process.kill()


if __name__ == "__main__":
    serve()
