"""A topology over two workers: what dies takes only its half along, and the state stays that of the log."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import numpy as np
import pytest
import widths
from cluster import Cluster, Worker, until
from guide import SHOPPERS, WATCHER, Holder, Shoppers, caught_up, checksums, deployed, snapshot_of_all
from local import make_jar

from shopguide.cli.at_rest import AtRest
from shopguide.keys import Secret, item_key
from shopguide.log import Log
from shopguide.records import Events, Kind, Names, Ragged
from shopguide.rejects import RejectFiles

NAME = "wide"
PATIENCE = 120.0  # seconds in which lists have to flow again
LOOK = 1.0  # seconds between looks at the processes

pytestmark = [pytest.mark.storm, pytest.mark.timeout(900)]


class Ear:
    """Hears the lists of two shoppers whom different replicas of score answer."""

    def __init__(self, cluster: Cluster, holder: Holder) -> None:
        self._cluster, self._holder = cluster, holder
        self.subscribe()

    def subscribe(self) -> None:
        secret = Secret.load(self._holder.state)
        other = next(u for u in map(_shopper, range(SHOPPERS)) if _replica(secret, u) != _replica(secret, WATCHER))
        self._lists = [self._holder.watch(user) for user in (WATCHER, other)]

    def close(self) -> None:
        for one in self._lists:
            one.close()

    def silence(self, is_over: Callable[[list[Worker]], bool]) -> float:
        """The longest time that either shopper was without lists, until both have one of after the end of a fault."""
        longest, ended = 0.0, math.inf
        next_look = time.time()
        heard = dict.fromkeys(self._lists, next_look)
        logged = dict.fromkeys(self._lists, 0.0)
        while min(logged.values()) < ended:
            for one in self._lists:
                update = one.receive(0.1)
                if update is not None:
                    longest = max(longest, time.time() - heard[one])
                    heard[one], logged[one] = time.time(), update.message["times"]["logged"]
            assert time.time() < min(heard.values()) + PATIENCE, "lists do not flow any more"
            if ended == math.inf and time.time() > next_look:
                ended = time.time() if is_over(self._cluster.workers(NAME)) else math.inf
                next_look = time.time() + LOOK
        return longest

    def until_whole(self, gone: int = 0, workers: int = widths.WORKERS) -> float:
        """Until all processes are there, in so many workers, and a worker that was killed is not among them."""
        return self.silence(lambda found: gone not in [w.pid for w in found] and is_whole(found, workers))


def _shopper(number: int) -> str:
    return f"shopper-{number}"


def _replica(secret: Secret, user: str) -> int:
    return (secret.user_key(user) & 0xFFFFFFFF) % widths.PAR["score"]


def is_whole(found: list[Worker], workers: int = widths.WORKERS) -> bool:
    return len(found) == workers and sum(map(processes, found)) == widths.COMPONENTS


def processes(worker: Worker) -> int:
    return sum(map(len, worker.components.values()))


def kill(cluster: Cluster, component: str) -> int:
    """One process of a component; the number of its worker."""
    worker = next(w for w in cluster.workers(NAME) if component in w.components)
    os.kill(worker.components[component][0], signal.SIGKILL)
    return worker.pid


def kill_worker(cluster: Cluster, at: int) -> int:
    pid = cluster.workers(NAME)[at].pid
    os.kill(pid, signal.SIGKILL)
    return pid


@pytest.fixture(scope="module")
def running(pair: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holder]:
    """On a state directory whose log holds 512 rows already; a worker on each supervisor."""
    folder = tmp_path_factory.mktemp("workers")
    put_into_log(folder / "state")
    project = widths.make_project(folder / "project")
    with deployed(pair, folder / "state", make_jar(), project, NAME) as holder:
        until(lambda: is_whole(pair.workers(NAME)))
        assert len({worker.port // 10 for worker in pair.workers(NAME)}) == 2, "one supervisor has both workers"
        yield holder


def test_three_poisonous_rows_among_512_are_rejected_and_nothing_restarts(pair: Cluster, running: Holder) -> None:
    """Of one request, and of rows that got into the log without a door."""
    state, before = running.state, pair.workers(NAME)
    running.post(request())
    until(lambda: caught_up(state))
    assert running.health()["rejected"] == 6
    assert pair.workers(NAME) == before
    assert AtRest(state).featurizer.counts == {"view": 2 * 509}
    assert RejectFiles(state / "rejects").counts == {
        "time is not finite": 2,
        "time is in the future": 1,
        "item is no id": 1,
        "account makes no sense": 1,
        "data is no map": 1,
    }


def test_whatever_dies_lists_go_on_and_the_model_is_that_of_the_log(
    pair: Cluster, running: Holder, tmp_path: Path
) -> None:
    seconds: dict[str, float] = {}
    with Shoppers(running) as shoppers:
        ear = Ear(pair, running)
        ear.until_whole()
        for at in range(widths.WORKERS):
            seconds[f"worker {at + 1}"] = ear.until_whole(kill_worker(pair, at))
        for component in ("score", "featurize"):
            seconds[component] = ear.until_whole(kill(pair, component))
        for workers in (1, widths.WORKERS):
            pair.nimbus.rebalance(NAME, workers=workers)
            seconds[f"to {workers} workers"] = ear.until_whole(workers=workers)
        seconds["holder"] = killed_and_started(running, ear)
        ear.close()
    for victim, silence in seconds.items():
        print(f"{victim:14} {silence:5.1f} s without lists")
    running.stop()
    assert shoppers.sent > 0 and snapshot_of_all(running.state)
    ours, replayed = checksums(running.state, tmp_path)
    assert ours == replayed


def killed_and_started(holder: Holder, ear: Ear) -> float:
    """The process on the state directory is killed; who subscribes again gets lists."""
    began = time.time()
    holder.kill()
    ear.close()
    holder.start()
    ear.subscribe()
    gone = time.time() - began
    return gone + ear.until_whole()


def request() -> list[dict[str, object]]:
    """512 events of which 3 are poisonous."""
    events = [
        {"id": f"e{at}", "kind": "view", "user": _shopper(at % 40), "item": f"item-{at % 60}"} for at in range(512)
    ]
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    events[100] |= {"time": "-Infinity"}
    events[200] |= {"time": 1e13}
    events[300] |= {"item": deep}
    return events


def put_into_log(state: Path) -> None:
    """512 rows of one partition, of which 3 are poisonous."""
    now = time.time()
    events = Events(
        kind=np.full(512, Kind.VIEW),
        user=np.arange(1, 513, dtype=np.uint64) % np.uint64(40) + np.uint64(1),
        item=np.full(512, item_key("item-1"), np.uint64),
        time=np.full(512, now),
        arrived=np.full(512, now),
    )
    events.time[7] = np.nan
    events.kind[70] = Kind.ALIAS
    data = [b""] * 512
    data[70] = msgpack.packb({"account": {"of": ["somebody"]}})
    data[170] = b"\x91" * 100_000 + b"\xc0"  # nested deeper than any parser goes
    events.data = Ragged.of_bytes(data)
    state.mkdir()
    log = Log(state / "log", 4)
    log.append(2, events, Names(key=np.array([item_key("item-1")], np.uint64), text=Ragged.of_bytes([b"item-1"])))
    log.close()
