"""The recommend topology on a cluster, the process beside it that holds the state directory, and shoppers."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster import ROOT, SHOPGUIDE, Cluster

from shopguide.client import Subscriber
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.state import StateDir, fits
from shopguide.tasks import Tasks
from shopguide.tokens import KeyRing, mint

WATCHER = "shopper-0"
SHOPPERS, ITEMS = 40, 60
PACE = 0.1  # seconds between requests of BATCH events
BATCH = 20


class Holder:
    """`shopguide run --engine storm --source http:` on a state directory; ``engine`` local: its stages too."""

    def __init__(self, state: Path, engine: str = "storm", **settings: str) -> None:
        self.state, self._engine, self._environment = state, engine, {**os.environ, **settings}
        self.start()

    def start(self) -> None:
        """Again, where it was killed; it may say first what it had to mend."""
        where = ["--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*", "--state", str(self.state)]
        self._process = subprocess.Popen(
            [*SHOPGUIDE, "run", "--engine", self._engine, "--source", "http:", *where],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        assert self._process.stderr is not None
        mended = []
        while not (said := self._process.stderr.readline()).startswith("serving "):
            mended.append(said)
            assert said, mended
        self.url = said.split()[1]

    def post(self, events: list[dict[str, Any]]) -> None:
        """Until they are taken, whoever is killed meanwhile: the ids make it harmless."""
        while True:
            request = urllib.request.Request(f"{self.url}/v1/events", json.dumps(events).encode())
            try:
                urllib.request.urlopen(request, timeout=5).read()
                return
            except urllib.error.HTTPError as e:
                assert e.code == 503, e.read()
            except (OSError, http.client.HTTPException):  # it is killed
                pass
            time.sleep(0.2)

    def health(self) -> dict[str, Any]:
        return dict(json.load(urllib.request.urlopen(f"{self.url}/healthz", timeout=5)))

    def watch(self, user: str) -> Subscriber:
        secret = Secret.load(self.state)
        running = json.loads((self.state / "run.json").read_text())
        return Subscriber(mint(KeyRing.of(secret), secret.user_key(user), 3600), running["push"], running["gap"])

    def stop(self) -> None:
        """In order: it waits for the topology, and for a snapshot."""
        self._process.terminate()
        _, err = self._process.communicate(timeout=120)
        assert self._process.returncode == 0 and "Traceback" not in err, err

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


class Shoppers:
    """Send events at a steady pace while it is entered."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._shop, daemon=True)
        self.sent = 0

    def __enter__(self) -> Shoppers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _shop(self) -> None:
        while not self._stopping.wait(PACE):
            self._holder.post([self._event(self.sent + at) for at in range(BATCH)])
            self.sent += BATCH

    @staticmethod
    def _event(number: int) -> dict[str, Any]:
        user = f"shopper-{number * 7919 % SHOPPERS}" if number % BATCH else WATCHER
        kind = ("view", "view", "cart", "purchase", "view", "remove")[number % 6]
        item = f"item-{number * number % ITEMS}"
        return {"id": f"event-{number}", "kind": kind, "user": user, "item": item, "time": time.time()}


@contextmanager
def deployed(
    cluster: Cluster, state: Path, jar: Path, project: Path = ROOT, name: str = "recommend", **options: object
) -> Iterator[Holder]:
    """The topology on the cluster and its holder; at the end both have gone, and the state is at rest."""
    topology = {"shopguide.state": str(state), "topology.message.timeout.secs": 5, **options}
    holder = Holder(state, SHOPGUIDE_STATE_EVERY="3")
    try:
        cluster.submit(project, name, topology, jar=jar)
        waited = cluster.wait(name)
        assert waited.returncode == 0, waited.stderr + cluster.logs(name)[-3000:]
        yield holder
        holder.stop()
    finally:
        holder.kill()
        cluster.up()  # where a test failed with one of its daemons dead
        cluster.kill(name)


def caught_up(state: Path) -> bool:
    """Whether the topology has learned all that the log holds."""
    progress = Tasks(state).progress()
    return progress is not None and progress.acked == ends(state)


def snapshot_of_all(state: Path) -> bool:
    """Whether the newest snapshot holds all that the log does."""
    directory = StateDir(state)
    parts = directory.newest(fits(directory.settings()))
    return parts is not None and parts["position"]["position"].tolist() == ends(state)


def ends(state: Path) -> list[int]:
    """The offset that the next row of each partition will get."""
    log = Log(state / "log", Log.partitions_of(state / "log", 0), readonly=True)
    try:
        return [log.end(p) for p in range(log.partitions)]
    finally:
        log.close()


def checksums(state: Path, folder: Path) -> tuple[str, str]:
    """Of the model that the topology's snapshot and the log give, and of the log alone."""
    shutil.copytree(state, folder / "replayed", ignore=shutil.ignore_patterns("snapshots", "tasks", "control.sock"))
    return said("state", "checksum", str(state)), said("state", "checksum", str(folder / "replayed"))


def said(*arguments: str, **settings: str) -> str:
    environment = {**os.environ, **settings}
    done = subprocess.run([*SHOPGUIDE, *arguments], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
