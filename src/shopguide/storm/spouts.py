"""The spout: reads the log in order, batch by batch, and rewinds a partition to a batch that failed."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

from streamparse import Spout

from shopguide import __version__
from shopguide.errors import SettingError
from shopguide.log import Log
from shopguide.storm.carried import carried
from shopguide.storm.deployment import Deployment
from shopguide.storm.meter import Meter
from shopguide.tasks import POSITION, Due, Progress, Tasks, heard

ATTEND = 0.05  # seconds between looks at what the tasks and the process that holds the directory say
SIGN = 1.0  # seconds between signs of life while nothing changes


class LogSpout(Spout):
    """Emits what is waiting in its partitions, at most ``log.batch`` rows a tuple, in turn.

    ``positions``: of each partition the next offset that it reads; ``rewinds``: where to it went back, in order.
    """

    outputs = ["partition", "batch"]

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.deployment = Deployment(storm_conf, context)
        if self.deployment.width > 1 and not self.deployment.local:
            raise SettingError(
                f"par = {self.deployment.width} of the log's spout: should be 1, it reads all partitions"
            )
        self.logger.info("shopguide %s on %s", __version__, self.deployment.state.path)
        self.log_read: Log | None = None
        self.next_attend = 0.0
        self.meter = Meter(self.deployment)
        if self.deployment.local:
            self.open()

    def open(self) -> None:
        """Begin where the newest snapshot ends."""
        position = self.deployment.parts([POSITION]).get(POSITION)
        self.log_read = self.deployment.log()
        self.limit = self.deployment.settings.log.batch
        mine = range(self.deployment.index, self.log_read.partitions, self.deployment.width)
        self.positions = {p: int(position["position"][p]) if position else 0 for p in mine}
        self.rewinds: dict[int, list[int]] = {p: [] for p in mine}
        self.pending: dict[int, dict[str, int]] = {p: {} for p in mine}  # tuple id -> first offset
        self.turn = list(mine)
        self.asked = 0  # number of the newest rewind that the log asked for
        self.heard = heard(position) if position else {}
        self.stamp: frozenset[Any] = frozenset()
        self.reported: Progress | None = None
        self.life = uuid.uuid4().hex

    def next_tuple(self) -> None:
        if not self.deployment.local and time.monotonic() >= self.next_attend:
            self.next_attend = time.monotonic() + ATTEND
            self.attend()
        if self.log_read is not None:
            self.emit_next(self.log_read)
        self.meter.tell(None)

    def emit_next(self, log: Log) -> None:
        for number, partition, offset in log.rewinds(self.asked):
            self.asked = number
            self.rewind(partition, offset)
        began = time.perf_counter()
        for _ in self.turn:
            partition = self.turn.pop(0)
            self.turn.append(partition)
            batch = log.read(partition, self.positions[partition], self.limit)
            if batch is not None:
                self.positions[partition] = batch.last + 1
                tup_id = f"{partition}:{batch.first}:{len(self.rewinds[partition])}"
                self.pending[partition][tup_id] = batch.first
                self.emit([partition, carried(self, batch)], tup_id=tup_id)
                self.meter.carried(len(batch.events))
                if self.logger.isEnabledFor(logging.DEBUG):
                    places = {"offset": batch.first, "last": batch.last, "rows": len(batch.events)}
                    self.logger.debug("read", extra={"task": self.deployment.name, "partition": partition, **places})
                self.meter.took(time.perf_counter() - began)
                return

    def ack(self, tup_id: str) -> None:
        self.pending[int(tup_id.split(":", maxsplit=1)[0])].pop(tup_id, None)

    def fail(self, tup_id: str) -> None:
        """Go back to the batch, unless a rewind since it was emitted went as far: then it comes again anyhow."""
        partition, first, rewinds = map(int, tup_id.split(":"))
        self.pending[partition].pop(tup_id, None)
        if all(first < to for to in self.rewinds[partition][rewinds:]):
            self.rewind(partition, first)

    def rewind(self, partition: int, offset: int) -> None:
        """Go back to an offset, where it lies before the position."""
        if offset < self.positions.get(partition, 0):
            self.positions[partition] = offset
            self.rewinds[partition].append(offset)

    def attend(self) -> None:
        """Go back for tasks that have begun, and say how far it is."""
        if self.log_read is None:
            if not self.deployment.ready():
                return
            self.open()
        self.deployment.check()
        tasks = Tasks(self.deployment.state.path)
        self.hear(tasks)
        try:
            self.say(tasks)
        except OSError as e:  # the disk is full, or the snapshot was given up in this moment
            self.logger.warning("cannot say how far the log is read: %s; trying again", e)
            self.next_attend = time.monotonic() + SIGN

    def say(self, tasks: Tasks) -> None:
        """How far it is, and the position of a snapshot that is due. OSError where the disk refuses."""
        acked = [min([self.positions[p], *self.pending[p].values()]) for p in self.positions]
        progress = Progress(self.life, list(self.positions.values()), acked, dict(self.heard))
        if progress != self.reported:
            tasks.report(progress)
            self.reported, self.next_sign = progress, time.monotonic() + SIGN
        elif time.monotonic() >= self.next_sign:
            tasks.alive()
            self.next_sign = time.monotonic() + SIGN
        folder = self.deployment.state.begun()
        if folder is not None and not (due := Due(folder)).has(POSITION):
            due.position(acked, self.heard)

    def hear(self, tasks: Tasks) -> None:
        """Tasks that have begun need the rows after what their snapshot holds."""
        stamp = tasks.stamp()
        if stamp == self.stamp:
            return
        self.stamp = stamp
        for task, beginning in tasks.beginnings().items():
            if task in self.deployment.tasks and self.heard.get(task) != beginning.life:
                self.heard[task] = beginning.life
                for partition, offset in enumerate(beginning.offsets):
                    self.rewind(partition, offset)
