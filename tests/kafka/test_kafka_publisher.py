"""What comes out, where the topic for it fails."""

from __future__ import annotations

import logging
import time

import pytest
from broker import Broker, until
from confluent_kafka.admin import AdminClient, NewTopic

from shopguide.kafka.client import Outage
from shopguide.kafka.cluster import Cluster
from shopguide.kafka.publisher import Publisher

pytestmark = pytest.mark.kafka


def publisher(broker: Broker, topic: str) -> Publisher:
    to = f"{topic}.recommendations", f"{topic}.rejects"
    return Publisher(Cluster(broker.servers), *to, lambda: range(4), Outage(broker.servers))


def delete(broker: Broker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.servers})
    admin.delete_topics([topic])[topic].result(30)
    until(lambda: topic not in admin.list_topics(timeout=10).topics)


def make(broker: Broker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.servers})
    admin.create_topics([NewTopic(topic, 4, 1)])[topic].result(30)


def test_what_a_topic_that_is_gone_did_not_take_is_delivered_when_it_is_back(
    broker: Broker, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    publishing = publisher(broker, topic)
    publishing.reject(0, [1], ["no item"], [b"{}"])
    assert publishing.flush(10)
    delete(broker, f"{topic}.rejects")
    for offset in range(2, 20):
        publishing.reject(0, [offset], ["no item"], [b"the words of a shopper"])
    until(lambda: not publishing.flush(0.1) and "takes no messages" in caplog.text)
    publishing.reject(0, [20], ["no item"], [b"{}"])
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1, said
    assert "trying again" in said[0] and "words of a shopper" not in caplog.text
    make(broker, f"{topic}.rejects")
    until(lambda: publishing.flush(1))
    assert {key for key, _ in broker.everything(f"{topic}.rejects")} == {f"0:{offset}" for offset in range(2, 21)}
    assert "takes messages again" in caplog.text


def test_while_too_much_waits_for_a_topic_the_line_waits_until_it_ends(
    broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopguide.kafka.publisher.MOST_WAITING", 3)
    publishing = publisher(broker, f"{topic}-not-there")
    for offset in range(3):
        publishing.reject(0, [offset], ["no item"], [b"{}"])
    until(lambda: not publishing.flush(0.1) and len(publishing._waiting) >= 3)
    publishing.give_up()
    began = time.monotonic()
    publishing.reject(0, [4], ["no item"], [b"{}"])
    assert time.monotonic() - began < 5 and not publishing.flush(0.1)


def test_of_what_waits_the_newest_of_each_key_counts(broker: Broker, topic: str) -> None:
    late = f"{topic}-late"
    publishing = Publisher(Cluster(broker.servers), late, "", lambda: range(4), Outage(broker.servers))
    publishing.recommend(0, [{"user": 7, "offset": 0, "items": []}])
    until(lambda: not publishing.flush(0.1) and publishing.undelivered() == 1 and len(publishing._waiting) == 1)
    for offset in range(1, 50):
        publishing.recommend(
            0, [{"user": 7, "offset": offset, "items": []}, {"user": 8, "offset": offset, "items": []}]
        )
    until(lambda: not publishing.flush(0.1) and publishing.undelivered() == 2)
    make(broker, late)
    until(lambda: publishing.flush(0.1))
    found = broker.everything(late)
    assert [(key, message["offset"]) for key, message in sorted(found)] == [(f"{7:016x}", 49), (f"{8:016x}", 49)]


def test_a_message_that_no_broker_takes_is_dropped_and_said(
    broker: Broker, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    publishing = publisher(broker, topic)
    publishing._send(f"{topic}.rejects", "0:1", b"x" * 9_000_000)
    publishing.reject(0, [2], ["no item"], [b"{}"])
    assert publishing.flush(10)
    assert "9000000 bytes: dropped" in caplog.text
    assert [key for key, _ in broker.everything(f"{topic}.rejects")] == ["0:2"]
