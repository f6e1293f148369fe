"""The bolts: each unpacks a tuple, calls its stage, and emits plain values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
from streamparse import Stream

from shopguide import catalogue, lists
from shopguide.clean import clean
from shopguide.featurize import Featurizer
from shopguide.metrics import reason_word
from shopguide.rank import Ranker
from shopguide.records import Batch, Events, Names
from shopguide.score import Scorer
from shopguide.storm.carried import carried, record_of
from shopguide.storm.stage import MeasuredBolt, ModelBolt, PartitionsBolt, RetryingBolt, StageBolt, TellingBolt

CATALOGUE = "catalogue"
NAMES = "names"  # and nothing else that catalogues learn from: most batches
RELAY = "relay"
GONE = "gone"
EVERYBODY = "everybody"  # lists for a topic, whoever watches
BATCH = ["partition", "batch"]
LISTS, ITEMS = ["partition", "recommendations"], ["partition", "items"]


class CleanBolt(TellingBolt):
    """Passes on events that make sense, says why for the others, and tells catalogues what concerns them."""

    outputs = [
        Stream(fields=BATCH),
        *(Stream(fields=BATCH, name=name) for name in (CATALOGUE, NAMES)),
        Stream(fields=["partition", "offsets", "reasons", "raws"], name="rejected"),
    ]

    def process(self, tup: Any) -> None:
        batch, rejects = clean(record_of(tup))
        if rejects.reason:
            for offset, reason in zip(rejects.offset.tolist(), map(reason_word, rejects.reason), strict=True):
                self.meter.count("events_rejected_total", label=reason)
                self.trace(f"rejected: {reason}", batch.partition, offset=offset)
            self.emit([batch.partition, rejects.offset.tolist(), rejects.reason, rejects.raw], stream="rejected")
        if catalogue.concerns(news := self.news(batch)):
            told = catalogue.extract(news)
            self.emit([batch.partition, carried(self, told)], stream=CATALOGUE if len(told.events) else NAMES)
        self.trace("clean", batch.partition, offset=batch.first, last=batch.last, rows=len(batch.events))
        self.emit([batch.partition, carried(self, batch)])


class RejectBolt(RetryingBolt):
    """Keeps rejected rows with their reasons."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        super().initialize(storm_conf, context)
        self.stage = self.deployment.rejects()

    def handle(self, tup: Any) -> None:
        self.stage.write(*tup.values)


class FeaturizeBolt(PartitionsBolt):
    """Turns events into lessons and looks."""

    outputs = [Stream(fields=["partition", "update"]), Stream(fields=["partition", "rows"], name=RELAY)]

    def make(self) -> Featurizer:
        return Featurizer(self.deployment.settings)

    def handle(self, tup: Any) -> None:
        update = self.stage.featurize(record_of(tup))
        if len(update.relay):
            rows = Batch(update.partition, update.relayed + 1, update.last, update.relay, Names())
            self.emit([update.partition, carried(self, rows)], stream=RELAY)
            update = replace(update, relay=Events())
        self.trace("learned", update.partition, offset=update.first, last=update.last, rows=len(update.lessons))
        self.emit([update.partition, carried(self, update)])


class RelayBolt(RetryingBolt):
    """Puts rows that concern another partition back into the log."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        super().initialize(storm_conf, context)
        self.stage = self.deployment.relay()

    def handle(self, tup: Any) -> None:
        self.stage.send(record_of(tup))


class ScoreBolt(ModelBolt):
    """Learns every update and scores candidates for its share of those who look."""

    outputs = ["partition", "slate"]

    def make(self) -> Scorer:
        deployment = self.deployment
        return Scorer(deployment.settings, deployment.index, deployment.width, deployment.state.models)

    def handle(self, tup: Any) -> None:
        if tup.stream == CATALOGUE:
            self.stage.learn_catalogue(record_of(tup))
            return
        slate = self.stage.score(record_of(tup))
        self.trace("scored", slate.partition, offset=slate.first, last=slate.last, lists=len(slate.looks))
        if len(slate.looks):
            self.emit([slate.partition, carried(self, slate)])


class RankBolt(StageBolt):
    """Turns candidates into lists to show, each packed for good, and says which items are in none from now on."""

    outputs = [Stream(fields=LISTS), Stream(fields=LISTS, name=EVERYBODY), Stream(fields=ITEMS, name=GONE)]

    def make(self) -> Ranker:
        self.packer = msgpack.Packer()  # msgpack.packb makes room for a megabyte each time
        return Ranker(self.deployment.settings)

    def handle(self, tup: Any) -> None:
        if tup.stream in (CATALOGUE, NAMES):
            gone = self.stage.learn(record_of(tup))
            if gone:
                self.emit([tup.values[0], gone], stream=GONE)
            return
        packed = self.stage.packed(slate := record_of(tup))
        self.meter.count("lists_total", len(packed))
        self.trace_lists("ranked", tup.values[0], packed)
        for stream, told in zip(("default", EVERYBODY), lists.parted(slate.looks, packed), strict=True):
            if told:
                self.emit([tup.values[0], self.packer.pack(told)], stream=stream)


class PushBolt(MeasuredBolt):
    """Hands lists to the push server, and which items are in none any more."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        super().initialize(storm_conf, context)
        self.stage = self.deployment.intake()

    def process(self, tup: Any) -> None:
        said = [msgpack.packb({"gone": tup.values[1]})] if tup.stream == GONE else msgpack.unpackb(tup.values[1])
        dropped = self.stage.send(said)
        self.meter.count("lists_dropped_total", dropped)
        if dropped:
            self.logger.warning("the push server is slow: dropped %s lists of partition %s", dropped, tup.values[0])
        self.trace_lists("handed to the push server", tup.values[0], said)

    def process_tick(self, tup: Any) -> None:
        super().process_tick(tup)
        self.deployment.follow(self.stage)

    def close(self) -> None:
        self.stage.close()


class PublishBolt(MeasuredBolt):
    """Gives lists and rejected rows to the topics of what comes out, where there are any."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        super().initialize(storm_conf, context)
        self.publisher = self.deployment.publisher
        self.lists = EVERYBODY if self.publisher and self.deployment.settings.push.everybody else "default"

    @property
    def listens(self) -> bool:
        return self.publisher is not None

    def process(self, tup: Any) -> None:
        if self.publisher is None:
            return
        if tup.stream == "rejected":
            self.publisher.reject(*tup.values)
        elif tup.stream == self.lists:
            self.publisher.recommend(tup.values[0], list(map(lists.unpack, msgpack.unpackb(tup.values[1]))))
