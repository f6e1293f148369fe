"""Processes of a cluster killed while events flow: lists go on, and the model is that of the log."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from cluster import Cluster, until
from guide import WATCHER, Shoppers, checksums, deployed
from local import make_jar

from shopguide.client import Subscriber

BOLTS = ("log", "clean", "featurize", "score", "rank", "push", "reject", "relay")
DAEMONS = ("supervisor-1", "nimbus", "zookeeper")
PATIENCE = 90.0  # seconds until lists have to flow again

pytestmark = [pytest.mark.storm, pytest.mark.timeout(900)]


def until_lists(lists: Subscriber, after: float) -> float:
    """Seconds from a time on until a list came that an event after it caused."""
    while time.time() < after + PATIENCE:
        update = lists.receive(1.0)
        if update is not None and update.message["times"]["logged"] > after:
            return time.time() - after
    raise AssertionError("lists do not flow any more")


def killed(pid: int) -> float:
    os.kill(pid, signal.SIGKILL)
    return time.time()


def test_whatever_is_killed_lists_go_on_and_the_model_is_that_of_the_log(cluster: Cluster, tmp_path: Path) -> None:
    seconds: dict[str, float] = {}
    state = tmp_path / "state"
    with deployed(cluster, state, make_jar()) as holder, Shoppers(holder) as shoppers:
        lists = holder.watch(WATCHER)
        until_lists(lists, time.time())
        for bolt in BOLTS:
            (worker,) = cluster.workers("recommend")
            seconds[bolt] = until_lists(lists, killed(worker.components[bolt][0]))
            settled(cluster)
        (worker,) = cluster.workers("recommend")
        seconds["worker"] = until_lists(lists, killed(worker.pid))
        settled(cluster)
        for daemon in DAEMONS:
            seconds[daemon] = until_lists(lists, killed(cluster.daemons()[daemon]))
            cluster.up()
            until_lists(lists, time.time())
        lists.close()
    for victim, gap in seconds.items():
        print(f"{victim:12} {gap:5.1f} s")
    assert shoppers.sent > 0
    ours, replayed = checksums(state, tmp_path)
    assert ours == replayed


def settled(cluster: Cluster) -> None:
    """One worker with all its processes."""
    until(lambda: [len(worker.components) for worker in cluster.workers("recommend")] == [9])
