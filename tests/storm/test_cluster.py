"""deploy/storm.py and ``shopguide storm`` on a real cluster: what comes up, what does not, and that nothing stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import BIN, PROJECT, ROOT, Cluster, Done, Worker, free_ports, until

pytestmark = pytest.mark.storm


@pytest.fixture(scope="module")
def squares(cluster: Cluster, jar: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A topology that is up, submitted with the project's configuration for production."""
    project = copy(tmp_path_factory.mktemp("project"))
    config = json.loads((ROOT / "config.prod.json").read_text())
    del config["serializer"], config["envs"]["prod"]["options"]["topology.multilang.serializer"]  # not in this jar
    config["envs"]["prod"] |= {"virtualenv_root": str(BIN.parent.parent), "virtualenv_name": BIN.parent.name}
    (project / "config.prod.json").write_text(json.dumps(config))
    cluster.submit(project, "squares", jar=jar, config="config.prod.json")
    done = cluster.wait("squares")
    assert done.returncode == 0, done.stderr
    yield "squares"
    cluster.kill("squares")


def test_up_twice_changes_nothing(cluster: Cluster) -> None:
    before = cluster.daemons()
    assert "runs already" in cluster.up()
    assert cluster.daemons() == before and set(before) == {"zookeeper", "nimbus", "supervisor-1"}
    assert cluster.run("status").returncode == 0


def test_a_topology_that_is_up(cluster: Cluster, squares: str) -> None:
    until(lambda: [count_of(worker) for worker in cluster.workers(squares)] == [{"numbers": 1, "squares": 2}])
    (worker,) = cluster.workers(squares)
    topology = cluster.topology(squares)
    until(lambda: [c.acked for c in cluster.nimbus.components(topology)] > [0, 0])
    (found,) = json.loads(cluster.shopguide("storm", "status", "--json").stdout)["topologies"]
    assert [c["name"] for c in found["components"]] == ["numbers", "squares"] and not found["errors"]
    assert found["workers"] == 1 and found["executors"] == 4 and found["status"] == "ACTIVE"
    ((address, log),) = found["logs"].items()
    assert address == f"127.0.0.1:{worker.port}" and "Launched subprocess" in Path(log).read_text()
    words = cluster.shopguide("storm", "status", "--name", squares).stdout
    assert "1 of 4 slots in use" in words and topology.id in words and log in words


def test_sparse_lists_it(cluster: Cluster, squares: str) -> None:
    """In a table that breaks words."""
    rows = cluster.sparse(PROJECT, "list").stdout.splitlines()
    assert squares in "".join(row.split("|")[2].strip() for row in rows if row.startswith("|"))


def test_rebalance(cluster: Cluster, squares: str) -> None:
    cluster.nimbus.rebalance(squares, workers=2, executors={"squares": 1})
    until(lambda: cluster.topology(squares).executors == 3 and len(cluster.workers(squares)) == 2)
    assert cluster.wait(squares).returncode == 0  # a worker that is to go while it starts would stay
    assert cluster.shopguide("storm", "rebalance", "--name", squares, "--workers", "1").returncode == 0
    until(lambda: len(cluster.workers(squares)) == 1)


def test_daemons_that_were_killed_come_back(cluster: Cluster, squares: str) -> None:
    before = cluster.daemons()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: cluster.run("status").returncode == 1)
    assert "the cluster runs" in cluster.up()
    assert set(cluster.daemons()) == set(before) and not set(cluster.daemons().values()) & set(before.values())
    assert cluster.wait(squares).returncode == 0


def test_what_is_not_there(cluster: Cluster) -> None:
    done = cluster.wait("nothing")
    assert done.returncode == 1 and said(done).startswith("shopguide: nothing: no such topology")
    done = cluster.wait("nothing", "--nimbus", f"127.0.0.1:{free_ports()}")
    assert done.returncode == 2 and "Could not connect" in said(done) and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ("config.json", "broken: ValueError: it cannot begin"),
        ("pair.json", "TypeError: 'int' object is not subscriptable"),
        ("missing.json", 'Cannot run program "/nowhere/venv/bin/streamparse_run"'),
    ],
)
def test_wait_finds_what_does_not_come_up(cluster: Cluster, jar: Path, tmp_path: Path, config: str, error: str) -> None:
    """A component that raises, two serializers that do not match, no streamparse_run."""
    copy(tmp_path)
    configure(tmp_path, "pair.json", serializer="msgpack")
    configure(tmp_path, "missing.json", use_virtualenv=True, virtualenv_root="/nowhere", virtualenv_name="venv")
    cluster.submit(tmp_path, "broken", jar=jar, config=config)
    done = cluster.wait("broken", "--steady", "15")
    log = cluster.logs("broken")
    assert cluster.sparse(tmp_path, "kill", "-n", "broken", "--wait", "0").returncode == 0
    until(lambda: not cluster.nimbus.cluster().named("broken"))
    assert done.returncode == 1 and error in said(done), log
    assert "again and again" in said(done) and "; see /" in said(done)


def test_a_daemon_that_does_not_start(tmp_path: Path) -> None:
    """The end of its log says why, and the others do not stay."""
    other = Cluster(tmp_path / "storm")
    (tmp_path / "jars" / "daemon").mkdir(parents=True)
    done = other.run("up", SHOPGUIDE_STORM_JARS=str(tmp_path / "jars"))
    assert done.returncode == 1 and "ended; the end of" in done.stderr and "ClassNotFoundException" in done.stderr
    assert not list(other.processes())


def test_a_port_that_is_in_use(tmp_path: Path) -> None:
    other = Cluster(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", other.port + 11))
        taken.listen()
        done = other.run("up")
    assert done.returncode == 1 and said(done).startswith(f"storm: port {other.port + 11} is in use")
    assert not list(other.processes()) and not other.daemons()


def test_down_leaves_nothing_whoever_was_killed_before(tmp_path: Path, jar: Path) -> None:
    """Two supervisors, a topology, Nimbus gone: what it cannot end is ended all the same, and so is what hangs."""
    other = Cluster(tmp_path / "storm")
    try:
        other.up(supervisors=2)
        assert len(other.nimbus.cluster().supervisors) == 2 and other.nimbus.cluster().slots == 8
        other.submit(PROJECT, "squares", jar=jar)
        until(lambda: (w := other.workers("squares")) and len(w[0].components) == 2)
        os.kill(other.workers("squares")[0].components["squares"][0], signal.SIGSTOP)
        os.kill(other.daemons()["nimbus"], signal.SIGKILL)
    finally:
        other.down()
    assert not other.folder.exists()
    assert "no cluster runs" in other.run("down").stdout


def count_of(worker: Worker) -> dict[str, int]:
    return {name: len(pids) for name, pids in worker.components.items()}


def copy(folder: Path) -> Path:
    return shutil.copytree(PROJECT, folder, dirs_exist_ok=True)


def configure(project: Path, name: str, serializer: str | None = None, **environment: object) -> None:
    config = json.loads((project / "config.json").read_text())
    config["envs"]["test"] |= {"install_virtualenv": False, **environment}
    (project / name).write_text(json.dumps({**config, "serializer": serializer}))


def said(done: Done) -> str:
    """The last line on stderr."""
    return done.stderr.splitlines()[-1]
