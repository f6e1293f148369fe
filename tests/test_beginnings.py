"""Tasks as on a cluster, and the process that holds the directory: whichever of them begin anew, and whenever, the
model is that of the log. The messages are the local runner's, so that a run is quick and its faults are many."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from streamparse import Topology
from test_topology import by_definition, fill, rows, topology, with_logins

from shopguide.clean import clean
from shopguide.cli import cluster as cluster_module
from shopguide.cli.at_rest import AtRest
from shopguide.cli.cluster import ClusterLine
from shopguide.errors import SettingError
from shopguide.log import Log
from shopguide.records import Kind
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.storm import deployment, spouts
from shopguide.storm import stage as stage_module
from shopguide.storm.deployment import Deployment, task_of
from shopguide.storm.runner import LocalRunner, Task
from shopguide.storm.spouts import LogSpout
from shopguide.tasks import Progress, Tasks
from shopguide.topologies.recommend import Recommend

VICTIMS = ("log", "featurize", "score", "rank", "relay", "clean", "reject")


class Workers(LocalRunner):
    """Every task is a worker of its own, that can die: what lies in its inbox is lost, and fails later."""

    def kill(self, task: Task) -> None:
        lost, task.component = list(task.inbox), self._component(task)
        task.inbox.clear()
        for _ in lost:
            self._waiting.remove(task)
        if task in self.spouts:
            self._trees.clear()
            task.pending = 0
        else:
            for tup in lost:
                self._fail(tup)
        self.set_up(task)

    def task(self, name: str, chance: Random) -> Task:
        return chance.choice(self._by_name[name])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spouts, "ATTEND", 0.0)
    monkeypatch.setattr(stage_module, "PAUSE", 0.0)
    monkeypatch.setattr(cluster_module, "TURN", 0.001)
    monkeypatch.setattr(cluster_module, "SILENCE", 0.0)


@contextmanager
def line(path: Path, batch: int) -> Iterator[ClusterLine]:
    settings = load("shop", flags={"log.batch": batch, "state.every": 0.02})
    running = ClusterLine(StateDir(path), settings, push=False)
    running.start()
    yield running
    running.stop()


def workers(path: Path, wired: Any, seed: int) -> Workers:
    return Workers(wired, lambda: {deployment.STATE: str(path), "topology.tick.tuple.freq.secs": 0.05}, seed, 5)


def learned_all(running: ClusterLine, runner: Workers) -> bool:
    return all(running.learned()[p] >= running.log.end(p) for p in range(running.log.partitions))


def settle(running: ClusterLine, runner: Workers) -> None:
    """Until all is learned, relayed rows too, and a snapshot holds it."""
    deadline = time.monotonic() + 20
    for _ in range(3):
        while not learned_all(running, runner):
            assert time.monotonic() < deadline, "it does not come to an end"
            runner.step()
        for _ in range(50):
            runner.step()
    future = running._gatherer.want(running._reached().acked, only=False)
    while not future.done():
        assert time.monotonic() < deadline, "no snapshot comes about"
        runner.step()
    future.result()


def rejects_of(log: Log) -> Counter[str]:
    batches = [log.read(p, 0, 10**6) for p in range(log.partitions)]
    return Counter(why for batch in batches if batch for why in clean(batch)[1].reason)


@pytest.mark.parametrize("seed", range(10))
def test_whichever_tasks_begin_anew_the_model_is_that_of_the_log(tmp_path: Path, seed: int) -> None:
    events, _ = with_logins(seed)
    events.kind[5::17] = Kind.MALFORMED
    chance = Random(seed)
    wired = topology(1, 1 + seed % 2)
    with line(tmp_path / "state", [1, 7, 64][seed % 3]) as running:
        runner = workers(tmp_path / "state", wired, seed)
        for start in range(0, len(events), 60):
            fill(running.log, events.slice(start, start + 60))
            for _ in range(chance.randrange(300)):
                runner.step()
            victim = chance.choice(VICTIMS)
            runner.kill(runner.task(victim, chance))
        settle(running, runner)
        live = {stage.checksum() for name, stage in runner.stages().items() if name.startswith("score")}
        rejected, want = running.stage("reject").counts, rejects_of(running.log)
    found = AtRest(tmp_path / "state")
    found.featurizer.check()
    found.scorer.check()
    (tmp_path / "state" / "snapshots").rename(tmp_path / "gone")
    assert live == {found.scorer.checksum()} == {AtRest(tmp_path / "state").scorer.checksum()}
    assert rejected == want and want["malformed"]


@pytest.mark.parametrize(("before", "after"), [((1, 1), (3, 2)), ((3, 2), (2, 1))])
def test_another_width_goes_on_from_the_snapshot(
    tmp_path: Path, before: tuple[int, int], after: tuple[int, int]
) -> None:
    events = rows(4)
    with line(tmp_path / "state", 16) as running:
        for part, widths in ((events.slice(0, 200), before), (events.slice(200, 400), after)):
            fill(running.log, part)
            runner = workers(tmp_path / "state", one_spout(*widths), 3)
            runner.spouts[0].component.attend()
            begun = dict(runner.spouts[0].component.positions)
            settle(running, runner)
        assert sum(begun.values()) == 200
    assert {s.checksum() for n, s in runner.stages().items() if n.startswith("score")} == {by_definition(events)}


def one_spout(width: int, replicas: int) -> Any:
    wired = topology(width, replicas)
    next(spec for spec in wired.specs if spec.name == "log").par = 1
    return wired


def context(width: int = 1) -> dict[str, Any]:
    names = {str(task): "score" for task in range(3, 3 + width)}
    return {"taskid": 3, "task->component": {"1": "log", "2": "__acker", **names}}


def test_a_topology_of_another_version_is_refused(tmp_path: Path) -> None:
    conf = {deployment.STATE: str(tmp_path), deployment.VERSION: "0.0.1"}
    with pytest.raises(SettingError, match=r"submitted by shopguide 0\.0\.1, and this worker has .*: install the same"):
        Deployment(conf, context())
    Deployment({**conf, **Recommend.config}, context())


@pytest.mark.parametrize("state", [None, "", "relative"])
def test_the_state_directory_has_to_be_named(state: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOPGUIDE_STATE", raising=False)
    with pytest.raises(SettingError, match=r"shopguide\.state = .*: should be the absolute path"):
        Deployment({deployment.STATE: state}, context())


def test_other_settings_or_a_log_that_lost_rows_make_tasks_begin_anew(tmp_path: Path) -> None:
    with line(tmp_path / "state", 16):
        one, other = (Deployment({deployment.STATE: str(tmp_path / "state")}, context()) for _ in range(2))
        assert one.ready() and other.ready()
        one.check()
    with line(tmp_path / "state", 17), pytest.raises(SettingError, match="have changed: beginning again"):
        one.check()
    assert other.ready()
    (tmp_path / "state" / "tasks").mkdir()
    Tasks(tmp_path / "state").report(Progress("a life", [9, 0, 0, 0], [9, 0, 0, 0]))
    with line(tmp_path / "state", 16), pytest.raises(SettingError, match="have changed: beginning again"):
        other.check()


def test_several_spouts_are_refused_on_a_cluster(tmp_path: Path) -> None:
    class Two(Topology):
        log = LogSpout.spec(par=2)

    with pytest.raises(SettingError, match=r"par = 2 of the log's spout: should be 1"):
        workers(tmp_path, Two, 0)


def test_a_fields_grouping_chooses_as_storm_does() -> None:
    """Java: Arrays.deepHashCode([partition]) mod tasks."""
    assert [task_of([p], 3) for p in range(6)] == [1, 2, 0, 1, 2, 0]
