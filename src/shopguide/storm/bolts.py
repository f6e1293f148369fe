"""The bolts: each unpacks a tuple, calls its stage, and emits plain values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, cast

import msgpack
import zmq
from streamparse import Bolt, Stream

from shopguide import catalogue
from shopguide.clean import clean
from shopguide.errors import GapError
from shopguide.featurize import Featurizer
from shopguide.rank import Ranker
from shopguide.records import Batch, Slate, Update, pack, unpack
from shopguide.rejects import RejectFiles
from shopguide.score import Scorer
from shopguide.storm.deployment import Deployment

CATALOGUE = "catalogue"
BATCH = ["partition", "batch"]


class StageBolt(Bolt, ABC):
    """Makes its stage, gives it its part of the newest snapshot, and fails a tuple that comes too early."""

    auto_ack = False

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        deployment = Deployment(storm_conf, context)
        self.stage = self.make(deployment)
        part = deployment.part()
        if part is not None:
            self.stage.load(part)

    @abstractmethod
    def make(self, deployment: Deployment) -> Any:
        """The stage object."""

    @abstractmethod
    def handle(self, tup: Any) -> None:
        """Call the stage and emit. Raises GapError for a tuple that has to come again."""

    def process(self, tup: Any) -> None:
        try:
            self.handle(tup)
        except GapError as e:
            self.logger.info("%s; asking for them", e)
            self.fail(tup)
        else:
            self.ack(tup)


class CleanBolt(Bolt):
    """Passes on events that make sense, says why for the others, and tells catalogues what concerns them."""

    outputs = [
        Stream(fields=BATCH),
        Stream(fields=BATCH, name=CATALOGUE),
        Stream(fields=["partition", "offsets", "reasons", "raws"], name="rejected"),
    ]

    def process(self, tup: Any) -> None:
        batch, rejects = clean(cast(Batch, unpack(tup.values[1])))
        if rejects.reason:
            self.emit([batch.partition, rejects.offset.tolist(), rejects.reason, rejects.raw], stream="rejected")
        if catalogue.concerns(batch):
            self.emit([batch.partition, pack(catalogue.extract(batch))], stream=CATALOGUE)
        self.emit([batch.partition, pack(batch)])


class RejectBolt(Bolt):
    """Keeps rejected rows with their reasons."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.stage = RejectFiles(Deployment(storm_conf, context).state.rejects)

    def process(self, tup: Any) -> None:
        self.stage.write(*tup.values)

    def close(self) -> None:
        self.stage.close()


class FeaturizeBolt(StageBolt):
    """Turns events into lessons and looks."""

    outputs = ["partition", "update"]

    def make(self, deployment: Deployment) -> Featurizer:
        return Featurizer(deployment.settings)

    def handle(self, tup: Any) -> None:
        update = self.stage.featurize(unpack(tup.values[1]))
        self.emit([update.partition, pack(update)])


class ScoreBolt(StageBolt):
    """Learns every update and scores candidates for its share of those who look."""

    outputs = ["partition", "slate"]

    def make(self, deployment: Deployment) -> Scorer:
        return Scorer(deployment.settings, deployment.index, deployment.width)

    def handle(self, tup: Any) -> None:
        if tup.stream == CATALOGUE:
            self.stage.learn_categories(unpack(tup.values[1]))
            return
        slate = self.stage.score(cast(Update, unpack(tup.values[1])))
        if len(slate.looks):
            self.emit([slate.partition, pack(slate)])


class RankBolt(StageBolt):
    """Turns candidates into lists to show."""

    outputs = ["partition", "recommendations"]

    def make(self, deployment: Deployment) -> Ranker:
        return Ranker(deployment.settings)

    def handle(self, tup: Any) -> None:
        if tup.stream == CATALOGUE:
            self.stage.learn(unpack(tup.values[1]))
            return
        self.emit([tup.values[0], msgpack.packb(self.stage.rank(cast(Slate, unpack(tup.values[1]))))])


class PushBolt(Bolt):
    """Hands lists to the push server. What it cannot take at once is dropped: a newer list is on its way."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        intake = Deployment(storm_conf, context).intake
        self.socket = zmq.Context.instance().socket(zmq.PUSH) if intake else None
        if self.socket is not None:
            self.socket.set(zmq.LINGER, 0)
            self.socket.connect(intake)

    def process(self, tup: Any) -> None:
        if self.socket is None:
            return
        for recommendation in msgpack.unpackb(tup.values[1]):
            try:
                self.socket.send(msgpack.packb(recommendation), zmq.DONTWAIT)
            except zmq.Again:
                self.logger.warning("the push server is slow: dropped a list of partition %s", tup.values[0])

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
