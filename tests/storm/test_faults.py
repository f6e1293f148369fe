"""Processes of a cluster killed while events flow: lists go on, and the model is that of the log."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from cluster import Cluster, until
from guide import WATCHER, Holder, Shoppers, checksums, deployed
from local import make_jar

BOLTS = ("log", "clean", "featurize", "score", "rank", "push", "reject", "relay")
DAEMONS = ("supervisor-1", "nimbus", "zookeeper")
COMPONENTS = 9
PATIENCE = 90.0  # seconds until lists have to flow again

pytestmark = [pytest.mark.storm, pytest.mark.timeout(900)]


class Listener:
    """Notes when each list of a user was pushed, and when the event that caused it was logged, until it is closed."""

    def __init__(self, holder: Holder) -> None:
        self._lists = holder.watch(WATCHER)
        self._closing = threading.Event()
        self.heard: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def silence(self, since: float) -> float:
        """The longest time without a list from then on, until one of an event that is still to come."""
        now = time.time()
        until(lambda: any(logged > now for _, logged in self.heard), PATIENCE)
        pushed = sorted(at for at, _ in self.heard if at > since)
        return max(after - before for before, after in zip([since, *pushed], pushed, strict=False))

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._lists.close()

    def _listen(self) -> None:
        while not self._closing.is_set():
            update = self._lists.receive(0.2)
            if update is not None:
                times = update.message["times"]
                self.heard.append((times["pushed"], times["logged"]))


def killed(pid: int) -> float:
    os.kill(pid, signal.SIGKILL)
    return time.time()


def test_whatever_is_killed_lists_go_on_and_the_model_is_that_of_the_log(cluster: Cluster, tmp_path: Path) -> None:
    seconds: dict[str, float] = {}
    state = tmp_path / "state"
    with deployed(cluster, state, make_jar()) as holder, Shoppers(holder) as shoppers:
        listener = Listener(holder)
        listener.silence(time.time())
        for victim in (*BOLTS, "worker"):
            (worker,) = cluster.workers("recommend")
            since = killed(worker.components[victim][0] if victim in BOLTS else worker.pid)
            until(partial(is_whole, cluster, worker.pid))
            seconds[victim] = listener.silence(since)
        for daemon in DAEMONS:
            since = killed(cluster.daemons()[daemon])
            cluster.up()
            seconds[daemon] = listener.silence(since)
        listener.close()
    for victim, silence in seconds.items():
        print(f"{victim:12} {silence:5.1f} s without lists")
    assert shoppers.sent > 0
    ours, replayed = checksums(state, tmp_path)
    assert ours == replayed


def is_whole(cluster: Cluster, gone: int) -> bool:
    """One worker with all its processes, and not the one that was."""
    workers = cluster.workers("recommend")
    return [len(worker.components) for worker in workers] == [COMPONENTS] and workers[0].pid != gone
