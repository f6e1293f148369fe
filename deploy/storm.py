"""A Storm cluster on this machine, for tests and trials.

    storm.py up [--supervisors N]        start what does not run of it, wait until it answers (1)
    storm.py down                        end it, its topologies first; nothing of it stays but its jars
    storm.py status                      what runs, and where (exit code 1: not all of it does)

ZooKeeper, Nimbus and supervisors of four slots each, from Maven's artefacts (jvm/storm/pom.xml). Workers run Python
with this script's interpreter. ZooKeeper listens on this machine only; the others cannot be told to. The environment
says where:

    SHOPGUIDE_STORM                      the folder of its state, logs and pids   .cluster/storm
    SHOPGUIDE_STORM_JARS                 the folder of its jars                   .cluster/storm-jars
    SHOPGUIDE_STORM_PORT                 Nimbus's Thrift port; ZooKeeper's is the next one, the supervisors' ten each
                                         from 10 further on                       16627
    SHOPGUIDE_STATE                      the state directory of topologies        .shopguide
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from daemon import ROOT, Daemon, FetchError, answers, began, fetch, is_free

from shopguide.errors import ClusterError
from shopguide.storm.nimbus import Nimbus

FOLDER = Path(os.environ.get("SHOPGUIDE_STORM", ROOT / ".cluster" / "storm")).resolve()
JARS = Path(os.environ.get("SHOPGUIDE_STORM_JARS", ROOT / ".cluster" / "storm-jars")).resolve()
PORT = int(os.environ.get("SHOPGUIDE_STORM_PORT", "16627"))
LOGS = FOLDER / "logs"
ZOOKEEPER = PORT + 1
SLOTS = 4  # of each supervisor
START = 120.0  # seconds that a start may take
STOP = 15.0  # seconds that the topologies, and then each daemon, may take to end
QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
STORM_YAML = {
    "storm.zookeeper.servers": ["127.0.0.1"],
    "storm.zookeeper.port": ZOOKEEPER,
    "storm.zookeeper.session.timeout": 10_000,  # what a daemon that was killed holds is free after so many ms
    "storm.zookeeper.connection.timeout": 10_000,
    "nimbus.seeds": ["127.0.0.1"],
    "nimbus.thrift.port": PORT,
    "storm.local.hostname": "127.0.0.1",
    "storm.log.dir": str(LOGS),
    "storm.log4j2.conf.dir": str(ROOT / "jvm" / "storm" / "log4j2"),
    "storm.health.check.dir": "healthchecks",
    "storm.metricstore.class": "org.apache.storm.metricstore.NoOpMetricStore",
    "worker.heap.memory.mb": 256,
    "worker.childopts": f"-Xmx%HEAP-MEM%m {' '.join(QUICK)}",
    "topology.worker.logwriter.childopts": f"-Xmx32m {' '.join(QUICK)}",
    "topology.component.resources.onheap.memory.mb": 32.0,
    "topology.worker.max.heap.size.mb": 4096.0,  # what all components of a topology may ask for together
    "executor.metrics.frequency.secs": 2,  # how often Nimbus hears that a component lives
    "supervisor.worker.start.timeout.secs": 60,
    "supervisor.worker.timeout.secs": 10,
    "supervisor.worker.shutdown.sleep.secs": 1,
    "supervisor.monitor.frequency.secs": 1,
    "supervisor.heartbeat.frequency.secs": 2,
    "nimbus.task.timeout.secs": 10,
    "nimbus.supervisor.timeout.secs": 20,
    "nimbus.monitor.freq.secs": 1,
}
ZOO_CFG = f"""\
dataDir={FOLDER / "zookeeper" / "state"}
clientPort={ZOOKEEPER}
clientPortAddress=127.0.0.1
maxClientCnxns=0
admin.enableServer=false
"""


def up(supervisors: int) -> None:
    cluster = daemons(max(supervisors, len(known_supervisors())))
    down = [daemon for daemon in cluster if not daemon.running()]
    if not down:
        print(f"the cluster runs already, Nimbus at 127.0.0.1:{PORT}")
        return
    if shutil.which("java") is None:
        sys.exit("storm: java is missing; a cluster needs Java 17")
    for port in [port for daemon in down for port in needed_ports(daemon)]:
        if not is_free(port):
            sys.exit(f"storm: port {port} is in use; choose others with SHOPGUIDE_STORM_PORT")
    try:
        fetch("storm", JARS, "daemon", "worker")
    except FetchError as e:
        sys.exit(f"storm: {e}")
    state = os.environ.get("SHOPGUIDE_STATE", str(ROOT / ".shopguide"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SHOPGUIDE_STATE": state}
    for daemon in down:
        configure(daemon)
        daemon.start(environment)
    wait_until_ready(cluster, down, environment)
    print(f"the cluster runs, Nimbus at 127.0.0.1:{PORT}; its logs are in {LOGS}")


def down() -> None:
    """Topologies first, then their supervisors, Nimbus and ZooKeeper, then what is left of them."""
    cluster = daemons(len(known_supervisors()))
    if not any(daemon.folder.exists() for daemon in cluster) and not any(workers()):
        print("no cluster runs")
        return
    kill_topologies()
    for daemon in reversed(cluster):
        daemon.stop(STOP)
    while left := list(workers()):
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    for folder in (*(daemon.folder for daemon in cluster), LOGS):
        shutil.rmtree(folder, ignore_errors=True)
    if FOLDER.is_dir() and not any(FOLDER.iterdir()):
        FOLDER.rmdir()
    print("the cluster is stopped")


def status() -> None:
    cluster = daemons(max(1, len(known_supervisors())))
    for daemon in cluster:
        pid = daemon.running()
        print(f"{daemon.name:<14}{f'process {pid}, port {port_of(daemon)}' if pid else 'does not run'}")
    if not all(daemon.running() for daemon in cluster):
        sys.exit(1)


def daemons(supervisors: int) -> list[Daemon]:
    """In the order of their start. Each has a home with its configuration and state."""
    main = "org.apache.storm.shade.org.apache.zookeeper.server.ZooKeeperServerMain"
    return [
        daemon("zookeeper", 96, main, str(FOLDER / "zookeeper" / "zoo.cfg")),
        daemon("nimbus", 192, "org.apache.storm.daemon.nimbus.Nimbus"),
        *(
            daemon(f"supervisor-{number}", 128, "org.apache.storm.daemon.supervisor.Supervisor")
            for number in range(1, supervisors + 1)
        ),
    ]


def daemon(name: str, heap: int, main: str, *arguments: str) -> Daemon:
    home = FOLDER / name
    properties = {
        "daemon.name": name,
        "storm.home": home,
        "storm.log.dir": LOGS,
        "storm.conf.file": "",
        "log4j.configurationFile": ROOT / "jvm" / "storm" / "log4j2" / "cluster.xml",
        "java.deserialization.disabled": "true",
    }
    options = [f"-Xmx{heap}m", *QUICK, *(f"-D{name}={value}" for name, value in properties.items())]
    command = ["java", *options, "-cp", f"{home}/lib/*:{home}/conf", main, *arguments]
    return Daemon(name, home, LOGS / f"{name}.log", command)


def configure(daemon: Daemon) -> None:
    """Its home. JSON is YAML."""
    home = daemon.folder
    (home / "conf").mkdir(parents=True, exist_ok=True)
    for name, jars in (("lib", "daemon"), ("lib-worker", "worker")):
        (home / name).unlink(missing_ok=True)
        (home / name).symlink_to(JARS / jars)
    own = {"storm.local.dir": str(home / "state")}
    if daemon.name.startswith("supervisor"):
        own |= {"supervisor.thrift.port": port_of(daemon), "supervisor.slots.ports": slots_of(daemon)}
    (home / "conf" / "storm.yaml").write_text(json.dumps({**STORM_YAML, **own}, indent=1))
    if daemon.name == "zookeeper":
        (home / "zoo.cfg").write_text(ZOO_CFG)


def port_of(daemon: Daemon) -> int:
    if daemon.name.startswith("supervisor"):
        return PORT + 10 * int(daemon.name.rpartition("-")[2])
    return ZOOKEEPER if daemon.name == "zookeeper" else PORT


def slots_of(daemon: Daemon) -> list[int]:
    return [port_of(daemon) + slot for slot in range(1, SLOTS + 1)]


def needed_ports(daemon: Daemon) -> list[int]:
    """Those that must be free. The workers of a supervisor that was killed live on in their slots."""
    new = daemon.name.startswith("supervisor") and not daemon.folder.exists()
    return [port_of(daemon), *(slots_of(daemon) if new else [])]


def known_supervisors() -> list[Path]:
    return list(FOLDER.glob("supervisor-*"))


def wait_until_ready(cluster: list[Daemon], started: list[Daemon], environment: dict[str, str]) -> None:
    """Every daemon lives and answers, and Nimbus leads and sees all supervisors.

    One that ran before and ends meanwhile is started too: they end by themselves where ZooKeeper was away for long.
    """
    deadline = time.monotonic() + START
    while not is_ready(cluster):
        ended = [daemon for daemon in cluster if not daemon.running()]
        silent = next((daemon for daemon in ended if daemon in started), None)
        if silent or time.monotonic() > deadline:
            for daemon in reversed(started):
                daemon.stop(STOP)
            why = "ended" if silent else f"does not answer after {START:.0f} s"
            silent = silent or started[-1]
            sys.exit(f"storm: {silent.name} {why}; the end of {silent.log}:\n{silent.end_of_log()}")
        for daemon in ended:
            daemon.start(environment)
            started.append(daemon)
        time.sleep(0.2)


def is_ready(cluster: list[Daemon]) -> bool:
    if not all(answers(port_of(daemon)) for daemon in cluster):
        return False
    try:
        seen = Nimbus("127.0.0.1", PORT).cluster()
    except ClusterError:
        return False
    return seen.version is not None and len(seen.supervisors) >= len(cluster) - 2


def kill_topologies() -> None:
    """So far as Nimbus and the supervisors are there to do it."""
    nimbus = Nimbus("127.0.0.1", PORT)
    try:
        for topology in nimbus.cluster().topologies:
            nimbus.kill(topology.name)
    except ClusterError:
        return
    deadline = time.monotonic() + STOP
    while any(workers()) and time.monotonic() < deadline:
        time.sleep(0.2)


def workers() -> Iterator[int]:
    """The processes of topologies: JVMs under one of our homes, and Python components that work there."""
    ours = {daemon.running() for daemon in daemons(len(known_supervisors()))}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            folder = (process / "cwd").readlink()
        except OSError:
            continue
        is_java = any(word.startswith(f"-Dstorm.home={FOLDER}/".encode()) for word in words)
        is_python = folder.is_relative_to(FOLDER) and any(word.endswith(b"streamparse_run") for word in words)
        pid = int(process.name)
        if (is_java or is_python) and pid not in ours and began(pid) is not None:
            yield pid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("up", "down", "status"))
    parser.add_argument("--supervisors", type=int, default=1, metavar="N")
    given = parser.parse_args()
    if given.verb == "up":
        up(given.supervisors)
    else:
        {"down": down, "status": status}[given.verb]()


if __name__ == "__main__":
    main()
