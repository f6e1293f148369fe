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
from thriftpy2.protocol import TBinaryProtocolFactory
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
    text: str  # a Java stack trace; a Python one is in its message
    time: int  # seconds since the epoch
    host: str | None
    port: int | None


@dataclass(frozen=True)
class Component:
    """Sums over all time; latencies in ms. A spout's is until the ack, a bolt's until it acks."""

    name: str
    tasks: int
    emitted: int
    acked: int
    failed: int
    latency: float


class Nimbus:
    """One cluster's Nimbus. Every call raises ClusterError where it does not answer or refuses."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

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

    def kill(self, name: str, wait: int = 0) -> None:
        """Its spouts stop at once, its workers end after ``wait`` seconds."""
        with self._client() as client:
            client.killTopologyWithOpts(name, KillOptions(wait_secs=wait))

    @contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            client = make_client(
                Service,
                host=self.host,
                port=self.port,
                proto_factory=TBinaryProtocolFactory(),
                trans_factory=TFramedTransportFactory(),
                timeout=PATIENCE,
            )
            try:
                yield client
            finally:
                client.close()
        except (TException, OSError) as e:
            raise ClusterError(f"Nimbus at {self.host}:{self.port}: {e}") from None
