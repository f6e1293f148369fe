"""What bolts share: a tuple that comes too early, or that the disk does not take now, has to come again; and a stage
begins from the newest snapshot."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgpack
from streamparse import Bolt

from shopguide.errors import GapError, LostError, StateError
from shopguide.records import Batch
from shopguide.snapshot import Columns
from shopguide.storm.deployment import Deployment
from shopguide.storm.member import Member, Part
from shopguide.storm.meter import Meter
from shopguide.storm.told import Told
from shopguide.tasks import FEATURIZE, POSITION, SCORE, Due, Offsets

SYSTEM = -1  # the task that ticks and heartbeats come from
PAUSE = 0.2  # seconds before what a full disk refused is asked for again


class MeasuredBolt(Bolt):
    """Knows how long its tuples take. Its numbers are taken at its ticks."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.deployment = Deployment(storm_conf, context)
        self.meter = Meter(self.deployment)

    def _run(self) -> None:
        """As pystorm's, in one call for what carries a record."""
        tup = self.read_tuple()
        self._current_tups = [tup]
        began = time.perf_counter()
        if tup.task != SYSTEM:
            self.process(tup)
            if self.auto_ack:
                self.ack(tup)
            self.meter.took(time.perf_counter() - began)
        elif self.is_heartbeat(tup):
            self.send_message({"command": "sync"})
        else:
            self.process_tick(tup)
            if self.auto_ack:
                self.ack(tup)
        self._current_tups = []

    def trace(self, said: str, partition: int, **places: Any) -> None:
        """Say what became of events, by their places in the log, where anybody asks."""
        if self.logger.isEnabledFor(logging.DEBUG):
            self.logger.debug(said, extra={"task": self.deployment.name, "partition": partition, **places})

    def trace_lists(self, said: str, partition: int, packed: list[bytes]) -> None:
        """The same of packed lists."""
        for one in map(msgpack.unpackb, packed if self.logger.isEnabledFor(logging.DEBUG) else ()):
            if "offset" in one:
                self.trace(said, partition, offset=one["offset"])

    def process_tick(self, tup: Any) -> None:
        self.deployment.ready()
        self.meter.tell(getattr(self, "stage", None))


class TellingBolt(MeasuredBolt):
    """Knows what catalogues were told, where they are in this process and forget nothing."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        super().initialize(storm_conf, context)
        self.told = Told() if self.deployment.local and not self.deployment.settings.learn.forgets else None

    def news(self, batch: Batch) -> Batch:
        """The batch, without names that all of them have."""
        return batch if self.told is None else self.told.news(batch)


class RetryingBolt(MeasuredBolt, ABC):
    """Acks what it could handle and fails the rest: the spout goes back to it."""

    auto_ack = False

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        super().initialize(storm_conf, context)
        self.meter.count("tuples_failed_total", 0, self.deployment.component)

    @abstractmethod
    def handle(self, tup: Any) -> None:
        """Raises GapError or StateError for a tuple that has to come again."""

    def process(self, tup: Any) -> None:
        try:
            self.handle(tup)
        except GapError as e:
            self.logger.info("%s; asking for them", e)
            self.again(tup)
        except StateError as e:
            self.logger.warning("%s; trying again", e)
            time.sleep(PAUSE)
            self.again(tup)
        else:
            self.ack(tup)

    def again(self, tup: Any) -> None:
        """The tuple has to come again."""
        self.meter.count("tuples_failed_total", label=self.deployment.component)
        self.fail(tup)

    def process_tick(self, tup: Any) -> None:
        super().process_tick(tup)
        self.ack(tup)


class StageBolt(RetryingBolt):
    """Makes its stage and gives it what the newest snapshot holds: as soon as the state directory is there."""

    stage: Any = None
    member: Member | None = None  # on a cluster

    @abstractmethod
    def make(self) -> Any:
        """The stage object, empty."""

    def names(self) -> list[str]:
        """The parts of a snapshot that the stage begins from."""
        return [self.deployment.component]

    def restore(self, parts: dict[str, Columns]) -> None:
        """Give them to the stage, where there are any."""
        for name in self.names():
            if name in parts:
                self.stage.load(parts[name])

    def learned(self, offsets: Offsets) -> Offsets:
        """The next row to learn of each partition."""
        return offsets

    def parts(self, due: Due) -> Iterator[Part]:
        """The parts that this task has for a snapshot: the first one writes what all hold."""
        if self.deployment.index == 0:
            yield Part(self.deployment.component, self.stage.dump)

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        super().initialize(storm_conf, context)
        self.open()

    def open(self) -> bool:
        """Begin from the newest snapshot. False: there is no directory yet."""
        if not self.deployment.ready():
            return False
        parts = self.deployment.parts([POSITION, *self.names()])
        self.stage = self.make()
        self.restore(parts)
        self.meter.begin(self.stage)
        if not self.deployment.local:
            none = [0] * self.deployment.settings.log.partitions
            offsets = parts[POSITION]["position"].tolist() if POSITION in parts else none
            return self.join(offsets)
        return True

    def join(self, offsets: Offsets) -> bool:
        """Say that the task has begun. False: the disk does not take that now."""
        try:
            self.member = Member(self.deployment, offsets, self.learned(offsets))
        except OSError as e:
            self.logger.warning("cannot say that %s has begun: %s; trying again", self.deployment.name, e)
            self.stage = self.member = None
            time.sleep(PAUSE)
        return self.member is not None

    def process(self, tup: Any) -> None:
        if self.stage is None and not self.open():
            self.again(tup)
            return
        try:
            super().process(tup)
        except LostError as e:
            if self.deployment.local:
                raise
            self.logger.warning("%s; beginning again from the newest snapshot", e)
            self.open()
            self.again(tup)

    def process_tick(self, tup: Any) -> None:
        if self.member is not None:
            self.attend(self.member)
        elif not self.deployment.local:
            self.open()
        super().process_tick(tup)

    def attend(self, member: Member) -> None:
        """See to snapshots."""
        self.deployment.check()
        member.contribute(self.parts)


class PartitionsBolt(StageBolt):
    """Of featurize: its state is a part of each of its partitions."""

    def names(self) -> list[str]:
        return [f"{FEATURIZE}{partition}" for partition in self.deployment.mine()]

    def restore(self, parts: dict[str, Columns]) -> None:
        for partition, name in zip(self.deployment.mine(), self.names(), strict=True):
            if name in parts:
                self.stage.load(partition, parts[name])

    def parts(self, due: Due) -> Iterator[Part]:
        """One of each partition that has learned what is acked."""
        for partition in self.deployment.mine():
            learned, acked = self.stage.reached(partition), due.offsets[partition] if due.offsets else 0
            if learned >= acked:
                yield Part(f"{FEATURIZE}{partition}", partial(self.stage.dump, partition, acked), learned)

    def attend(self, member: Member) -> None:
        """A task of score that began lacks lessons: where they are not held any more, begin where it did."""
        scores = [learned for task, learned in member.began().items() if task.startswith(SCORE)]
        if any(learned[p] < self.stage.held(p) for learned in scores for p in self.deployment.mine()):
            self.logger.info("a task of score began: beginning again with it")
            self.open()
        else:
            super().attend(member)


class ModelBolt(StageBolt):
    """Of score: each task has all of the state."""

    def learned(self, offsets: Offsets) -> Offsets:
        return [self.stage.reached(partition) for partition in range(len(offsets))]

    def parts(self, due: Due) -> Iterator[Part]:
        """The model, when it has learned all that the parts of featurize hold."""
        theirs = [due.learned(partition) for partition in range(self.deployment.settings.log.partitions)]
        if all(at is not None and self.stage.reached(partition) >= at for partition, at in enumerate(theirs)):
            yield from super().parts(due)
