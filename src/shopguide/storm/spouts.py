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
        self.rewinds: dict[int, list[int]] = {p: [] for p in mine}  # where to, in order
        self.turn = list(mine)
        self.heard = 0  # number of the newest rewind that the log asked for

    def next_tuple(self) -> None:
        for number, partition, offset in self.log_read.rewinds(self.heard):
            self.heard = number
            if offset < self.positions.get(partition, 0):
                self._rewind(partition, offset)
        for _ in self.turn:
            partition = self.turn.pop(0)
            self.turn.append(partition)
            batch = self.log_read.read(partition, self.positions[partition], self.limit)
            if batch is not None:
                self.positions[partition] = batch.last + 1
                self.emit([partition, pack(batch)], tup_id=f"{partition}:{batch.first}:{len(self.rewinds[partition])}")
                return

    def fail(self, tup_id: str) -> None:
        """Go back to the batch, unless a rewind since it was emitted went as far: then it comes again anyhow."""
        partition, first, rewinds = map(int, tup_id.split(":"))
        if all(first < to for to in self.rewinds[partition][rewinds:]):
            self._rewind(partition, first)

    def _rewind(self, partition: int, offset: int) -> None:
        self.positions[partition] = offset
        self.rewinds[partition].append(offset)
