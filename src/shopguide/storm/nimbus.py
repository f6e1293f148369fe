"""Nimbus over Thrift: what runs on a Storm cluster and how it fares, as plain records; kill and rebalance.

The client is made as ``streamparse.util.get_nimbus_client`` does, without the SSH libraries which that module loads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamparse.thrift import GetInfoOptions, KillOptions, NumErrorsChoice, RebalanceOptions
from streamparse.thrift import Nimbus as Service
from thriftpy2.rpc import make_client
from thriftpy2.thrift import TException
from thriftpy2.transport import TFramedTransportFactory

from shopguide.errors import ClusterError, SettingError

DEFAULT = "127.0.0.1:16627"  # deploy/storm.py's
STORM_PORT = 6627  # where an address names none
ALL_TIME = ":all-time"
PATIENCE = 7000  # ms that Nimbus may take for an answer


@dataclass(frozen=True)
class Topology:
    id: str
    name: str
    status: str
    uptime: int  # seconds
    workers: int
    executors: int
    tasks: int


@dataclass(frozen=True)
class Supervisor:
    host: str
    slots: int
    used: int
    uptime: int


@dataclass(frozen=True)
class Cluster:
    version: str | None  # the leader's; None: no Nimbus leads yet
    supervisors: list[Supervisor]
    topologies: list[Topology]

    def named(self, name: str) -> Topology | None:
        return next((t for t in self.topologies if t.name == name), None)

    @property
    def slots(self) -> int:
        return sum(s.slots for s in self.supervisors)

    @property
    def used(self) -> int:
        return sum(s.used for s in self.supervisors)


@dataclass(frozen=True)
class Executor:
    """One thread of a worker, for one or more tasks of a component."""

    component: str
    tasks: tuple[int, int]  # first and last
    host: str
    port: int
    uptime: int  # seconds since its worker started, as far as Nimbus has heard


@dataclass(frozen=True)
class Error:
    component: str
    text: str  # a Java stack trace; where Python raised, its traceback is in there
    time: int  # seconds since the epoch
    host: str | None
    port: int | None


@dataclass(frozen=True)
class Component:
    """Sums over all time, sampled as Storm does. ``latency`` in ms: a spout's until the ack, a bolt's until it acks."""

    name: str
    tasks: int
    emitted: int
    acked: int
    failed: int
    latency: float


class Nimbus:
    """One cluster's Nimbus. Every call raises ClusterError where it does not answer, or refuses."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def cluster(self) -> Cluster:
        with self._client() as client:
            summary = client.getClusterInfo()
        leaders = [n.version for n in summary.nimbuses if n.isLeader]
        return Cluster(
            leaders[0] if leaders else None,
            [Supervisor(s.host, s.num_workers, s.num_used_workers, s.uptime_secs) for s in summary.supervisors],
            [
                Topology(t.id, t.name, t.status, t.uptime_secs, t.num_workers, t.num_executors, t.num_tasks)
                for t in summary.topologies
            ],
        )

    def executors(self, topology: Topology) -> tuple[list[Executor], list[Error]]:
        """Those that have a place, and the newest errors of all components, oldest first."""
        with self._client() as client:
            every = GetInfoOptions(num_err_choice=NumErrorsChoice.ALL)
            info = client.getTopologyInfoWithOpts(topology.id, every)
        executors = [
            Executor(
                e.component_id, (e.executor_info.task_start, e.executor_info.task_end), e.host, e.port, e.uptime_secs
            )
            for e in info.executors
        ]
        errors = [
            Error(component, e.error, e.error_time_secs, e.host, e.port)
            for component, found in info.errors.items()
            for e in found
        ]
        return executors, sorted(errors, key=lambda e: e.time)

    def components(self, topology: Topology) -> list[Component]:
        """Spouts first."""
        with self._client() as client:
            page = client.getTopologyPageInfo(topology.id, ALL_TIME, False)
        found = [(name, s, "complete_latency_ms") for name, s in sorted((page.id_to_spout_agg_stats or {}).items())]
        found += [(name, s, "process_latency_ms") for name, s in sorted((page.id_to_bolt_agg_stats or {}).items())]
        return [
            Component(
                name,
                stats.common_stats.num_tasks or 0,
                stats.common_stats.emitted or 0,
                stats.common_stats.acked or 0,
                stats.common_stats.failed or 0,
                getattr(stats.specific_stats.spout or stats.specific_stats.bolt, latency) or 0.0,
            )
            for name, stats, latency in found
        ]

    def logs(self, topology: Topology, executors: list[Executor]) -> dict[str, Path]:
        """Where each worker of a topology, by host:port, writes its log: a path on that host."""
        with self._client() as client:
            conf = json.loads(client.getNimbusConf())
        artifacts = Path(conf.get("storm.log.dir") or "logs") / conf["storm.workers.artifacts.dir"] / topology.id
        return {
            f"{host}:{port}": artifacts / str(port) / "worker.log"
            for host, port in sorted({(e.host, e.port) for e in executors})
        }

    def kill(self, name: str, wait: int = 0) -> None:
        """Its spouts stop at once, its workers end after ``wait`` seconds."""
        with self._client() as client:
            client.killTopologyWithOpts(name, KillOptions(wait_secs=wait))

    def rebalance(
        self, name: str, workers: int | None = None, executors: dict[str, int] | None = None, wait: int = 0
    ) -> None:
        """Spread a topology over so many workers, a component over so many executors, at most one a task."""
        with self._client() as client:
            client.rebalance(name, RebalanceOptions(wait_secs=wait, num_workers=workers, num_executors=executors))

    @contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            client = make_client(
                Service,
                host=self.host,
                port=self.port,
                trans_factory=TFramedTransportFactory(),
                timeout=PATIENCE,
            )
            try:
                yield client
            finally:
                client.close()
        except (TException, OSError) as e:
            why = getattr(e, "msg", None) or getattr(e, "message", None) or e
            raise ClusterError(f"Nimbus at {self}: {why}") from None


def find(address: str | None = None) -> Nimbus:
    """The Nimbus of an address HOST[:PORT], else of STREAMPARSE_NIMBUS, else of ./config.json, else of this machine.

    Raises SettingError for an address that is none.
    """
    given = address or os.environ.get("STREAMPARSE_NIMBUS") or _configured(Path("config.json")) or DEFAULT
    host, _, port = given.partition(":")
    if not host or not (port or "0").isdecimal():
        raise SettingError(f"{given!r} is no address of a Nimbus; it looks like {DEFAULT}")
    return Nimbus(host, int(port or STORM_PORT))


def _configured(file: Path) -> str | None:
    """The first Nimbus that a streamparse project names."""
    try:
        environments = json.loads(file.read_text())["envs"].values()
        return next((str(e["nimbus"]) for e in environments if e.get("nimbus")), None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise SettingError(f"{file} names no environments of streamparse: {e}") from None
