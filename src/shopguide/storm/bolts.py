"""The bolts: each unpacks a tuple, calls its stage, and emits plain values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import msgpack
from streamparse import Bolt, Stream

from shopguide import catalogue
from shopguide.clean import clean
from shopguide.featurize import Featurizer
from shopguide.push import Intake
from shopguide.rank import Ranker
from shopguide.records import Batch, Events, Names, Slate, Update, pack, unpack
from shopguide.rejects import RejectFiles
from shopguide.relay import Relay
from shopguide.score import Scorer
from shopguide.storm.deployment import Deployment
from shopguide.storm.stage import RetryingBolt, StageBolt

CATALOGUE = "catalogue"
RELAY = "relay"
BATCH = ["partition", "batch"]


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


class RejectBolt(RetryingBolt):
    """Keeps rejected rows with their reasons."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.stage = RejectFiles(Deployment(storm_conf, context).state.rejects)

    def handle(self, tup: Any) -> None:
        self.stage.write(*tup.values)

    def close(self) -> None:
        self.stage.close()


class FeaturizeBolt(StageBolt):
    """Turns events into lessons and looks."""

    outputs = [Stream(fields=["partition", "update"]), Stream(fields=["partition", "rows"], name=RELAY)]

    def make(self, deployment: Deployment) -> Featurizer:
        return Featurizer(deployment.settings)

    def handle(self, tup: Any) -> None:
        update = self.stage.featurize(unpack(tup.values[1]))
        if len(update.relay):
            rows = Batch(update.partition, update.first, update.last, update.relay, Names())
            self.emit([update.partition, pack(rows)], stream=RELAY)
        self.emit([update.partition, pack(replace(update, relay=Events()))])


class RelayBolt(RetryingBolt):
    """Puts rows that concern another partition back into the log."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.stage = Relay(Deployment(storm_conf, context).log())

    def handle(self, tup: Any) -> None:
        self.stage.send(tup.values[0], cast(Batch, unpack(tup.values[1])).events)


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
    """Hands lists to the push server."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.stage = Intake(Deployment(storm_conf, context).intake)

    def process(self, tup: Any) -> None:
        dropped = self.stage.send(msgpack.unpackb(tup.values[1]))
        if dropped:
            self.logger.warning("the push server is slow: dropped %s lists of partition %s", dropped, tup.values[0])

    def close(self) -> None:
        self.stage.close()


class PublishBolt(Bolt):
    """Gives lists and rejected rows to the topics of what comes out, where there are any."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.publisher = Deployment(storm_conf, context).publisher

    def process(self, tup: Any) -> None:
        if self.publisher is None:
            return
        if tup.stream == "rejected":
            self.publisher.reject(*tup.values)
        else:
            self.publisher.recommend(tup.values[0], msgpack.unpackb(tup.values[1]))
