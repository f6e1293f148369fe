"""The spout: reads the log in order, batch by batch, and rewinds a partition to a batch that failed."""

from __future__ import annotations

from typing import Any

from streamparse import Spout

from shopguide.records import pack
from shopguide.storm.deployment import Deployment


class LogSpout(Spout):
    """Emits what is waiting in its partitions, at most ``log.batch`` rows a tuple, in turn."""

    outputs = ["partition", "batch"]

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        deployment = Deployment(storm_conf, context)
        self.log_read = deployment.log()
        self.limit = deployment.settings.log.batch
        start = deployment.part("position")
        mine = range(deployment.index, self.log_read.partitions, deployment.width)
        self.positions = {p: int(start["position"][p]) if start else 0 for p in mine}
        self.epochs = dict.fromkeys(mine, 0)  # grows with every rewind: fails of an older one are stale
        self.turn = list(mine)

    def next_tuple(self) -> None:
        for _ in self.turn:
            partition = self.turn.pop(0)
            self.turn.append(partition)
            batch = self.log_read.read(partition, self.positions[partition], self.limit)
            if batch is not None:
                self.positions[partition] = batch.last + 1
                self.emit([partition, pack(batch)], tup_id=f"{partition}:{batch.first}:{self.epochs[partition]}")
                return

    def fail(self, tup_id: str) -> None:
        partition, first, epoch = map(int, tup_id.split(":"))
        if epoch == self.epochs[partition]:
            self.positions[partition] = first
            self.epochs[partition] += 1
