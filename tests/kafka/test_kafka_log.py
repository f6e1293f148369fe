"""A topic as the log, on a real broker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import msgpack
import numpy as np
import orjson
import pytest
from broker import Broker, until
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from shopguide.collect.collector import Collector
from shopguide.errors import StateError
from shopguide.kafka import log as kafka_log
from shopguide.kafka import reader
from shopguide.kafka.log import KafkaLog
from shopguide.kafka.source import Spec
from shopguide.keys import Secret, item_key
from shopguide.records import Batch, Events, Kind, Names
from shopguide.relay import source_of

pytestmark = pytest.mark.kafka
SECRET = Secret(b"0123456789abcdef")
NOW = time.time()
LAST = 0xFFFF


@pytest.fixture
def opened(broker: Broker, topic: str) -> Iterator[Callable[[], KafkaLog]]:
    """Opens the test's topic as a log, any number of times."""
    logs: list[KafkaLog] = []

    def open_log() -> KafkaLog:
        logs.append(KafkaLog(Spec(broker.servers, topic, "g", "", ""), 4, SECRET))
        return logs[-1]

    yield open_log
    for log in logs:
        if not log._group._closing.is_set():
            log.close()


def read_all(log: KafkaLog, partition: int, offset: int = 0, limit: int = 100, rows: int = 0) -> list[Batch]:
    """Batches up to the end of the partition, at least that many rows."""
    batches: list[Batch] = []
    deadline = time.monotonic() + 30
    while offset < log.end(partition) or sum(len(b.events) for b in batches) < rows:
        assert time.monotonic() < deadline
        batch = log.read(partition, offset, limit)
        if batch is None:
            log.appended.wait(0.05)
            log.appended.clear()
            continue
        assert batch.first == offset and batch.last & LAST == LAST
        assert ((batch.events.offset >= batch.first) & (batch.events.offset <= batch.last)).all()
        assert (np.diff(batch.events.offset) > 0).all()
        batches.append(batch)
        offset = batch.last + 1
    return batches


def rows_of(batches: list[Batch]) -> Events:
    return Events.join([b.events for b in batches])


def event(user: int, item: int, **more: object) -> bytes:
    return orjson.dumps({"user": f"u{user}", "item": f"i{item}", "kind": "view", "time": NOW, **more})


def send(broker: Broker, topic: str, *values: bytes | None, key: str | None = None, partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": broker.servers, "log_level": 2})
    for value in values:
        producer.produce(topic, value, key, partition=partition, timestamp=int(NOW * 1000))
    assert producer.flush(30) == 0


def test_what_is_sent_is_read_whatever_it_is(broker: Broker, topic: str, opened: Callable[[], KafkaLog]) -> None:
    array = orjson.dumps([{"item": "i1", "title": "Lamp"}, 7, {"item": "i2", "consent": False}, {"item": "i3"}])
    send(broker, topic, event(1, 1), array, b"\x00rubbish", None, b"[]", b'"text"', key="u9")
    log = opened()
    events = rows_of(read_all(log, 0, rows=8))
    at = [(int(o) >> 16, int(o) & LAST) for o in events.offset]
    assert at == [(0, 1), (1, 0), (1, 1), (1, 3), (1, 7), (2, 1), (3, 1), (5, 1)]
    view, bad = int(Kind.VIEW), int(Kind.MALFORMED)
    assert events.kind.tolist() == [view, int(Kind.ITEM), view, bad, view, bad, bad, bad]
    assert events.user.tolist() == [SECRET.user_key(u) if u else 0 for u in ("u1", "", *["u9"] * 6)]
    assert set(events.arrived.tolist()) == {int(NOW * 1000) / 1000}
    why = [msgpack.unpackb(events.data.bytes_at(row)) for row in np.flatnonzero(events.kind == bad).tolist()]
    assert [(w["reason"], w["raw"]) for w in why] == [
        ("no JSON object", b"7"),
        ("no JSON object", b"\x00rubbish"),
        ("message without a value", b""),
        ("no JSON object", b'"text"'),
    ]


def test_what_we_append_comes_back(opened: Callable[[], KafkaLog]) -> None:
    log = opened()
    collector = Collector(log, SECRET)
    rows = [{"user": f"u{n % 50}", "item": f"i{n % 30}", "title": "Lamp", "time": NOW} for n in range(4000)]
    assert collector.collect(rows).accepted == 4000
    collector.control(Kind.WATCH, SECRET.user_key("u1"), expires=NOW + 60, slot="home", n=5)
    collector.commit()
    until(lambda: sum(log.end(p) for p in range(4)) >> 16 >= 5)
    read = [read_all(log, p) for p in range(4)]
    events = Events.join([rows_of(batches) for batches in read])
    counts = {kind: int((events.kind == kind).sum()) for kind in (Kind.VIEW, Kind.ITEM, Kind.WATCH)}
    assert counts == {Kind.VIEW: 4000, Kind.ITEM: 30, Kind.WATCH: 1} and len(events) == 4031
    assert set(Names.join([b.names for batches in read for b in batches]).key) >= {item_key("i3")}


def test_reading_again_from_anywhere_gives_the_same_rows(
    broker: Broker, topic: str, opened: Callable[[], KafkaLog]
) -> None:
    values = [event(n % 7, n % 5, title=f"t{n % 3}", id=str(n % 90)) for n in range(400)]
    send(broker, topic, *values, b"rubbish", orjson.dumps([{"user": "u", "item": "i"}] * 50), *values)
    log = opened()
    first = rows_of(read_all(log, 0, rows=850))
    for offset, limit in ((0, 1), (399, 7), (100, 64), (401, 1000), (3, 13)):
        again = rows_of(read_all(log, 0, offset << 16, limit))
        assert again == first.take(first.offset >= offset << 16)
    assert rows_of(read_all(opened(), 0, limit=33)) == first


def test_a_reader_that_rests_is_not_flooded(
    broker: Broker, topic: str, opened: Callable[[], KafkaLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MOST_WAITING", 200)
    monkeypatch.setattr(reader, "FETCH", 50)
    send(broker, topic, *[event(n, n) for n in range(5000)])
    log = opened()
    log.read(0, 0, 1)
    feed = log._reader._feeds[0]
    until(lambda: feed.paused)
    time.sleep(0.5)
    assert 200 < len(feed.waiting) <= 251
    assert rows_of(read_all(log, 0)).item.tolist() == [item_key(f"i{n}") for n in range(5000)]


def test_transactions_leave_holes_and_nothing_aborted(
    broker: Broker, topic: str, opened: Callable[[], KafkaLog]
) -> None:
    producer = Producer({"bootstrap.servers": broker.servers, "transactional.id": topic, "log_level": 2})
    producer.init_transactions(30)
    for number in range(4):
        producer.begin_transaction()
        producer.produce(topic, event(number, number), partition=0)
        producer.flush()
        if number % 2:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    log = opened()
    batches = read_all(log, 0, rows=2)
    assert rows_of(batches).item.tolist() == [item_key("i0"), item_key("i2")]
    assert batches[-1].last == (8 << 16) - 1 == log.end(0) - 1


def test_what_has_expired_is_said_and_passed_over(
    broker: Broker, topic: str, opened: Callable[[], KafkaLog], caplog: pytest.LogCaptureFixture
) -> None:
    send(broker, topic, *[event(n, n) for n in range(20)])
    place, admin = TopicPartition(topic, 0, 12), AdminClient({"bootstrap.servers": broker.servers})
    admin.delete_records([place])[place].result()
    batches = read_all(opened(), 0, rows=8)
    assert batches[0].first == 0 and rows_of(batches).item.tolist() == [item_key(f"i{n}") for n in range(12, 20)]
    assert f"topic {topic} no longer holds 0..11 of partition 0" in caplog.text


def test_it_is_asked_how_far_the_topic_goes(broker: Broker, topic: str, opened: Callable[[], KafkaLog]) -> None:
    log = opened()
    send(broker, topic, event(1, 1), event(2, 2), partition=3)
    log.look()
    assert log.end(3) == 2 << 16


def test_an_offset_beyond_the_end_is_another_topic(opened: Callable[[], KafkaLog]) -> None:
    log = opened()
    with pytest.raises(StateError, match="ends at 0 in partition 2, before 7 was reached"):
        until(lambda: log.read(2, 7 << 16, 10) is not None or log.raise_error())


def committed(broker: Broker, topic: str) -> dict[int, int]:
    """The offsets of the group "g"; -1001: none yet."""
    admin = AdminClient({"bootstrap.servers": broker.servers})
    request = ConsumerGroupTopicPartitions("g", [TopicPartition(topic, p) for p in range(4)])
    found = admin.list_consumer_group_offsets([request])["g"].result().topic_partitions
    return {place.partition: place.offset for place in found}


def test_who_takes_over_begins_where_the_answers_were_delivered(
    broker: Broker, topic: str, opened: Callable[[], KafkaLog]
) -> None:
    send(broker, topic, *[event(n, n) for n in range(10)])
    first = opened()
    until(lambda: len(first.publisher._owned()) == 4)
    assert len(rows_of(read_all(first, 0, rows=10))) == 10
    first.follow({0: (4 << 16) - 1})  # the runner has not heard yet that it has to answer
    assert sorted(first.rewinds(0)) == [(number, number - 1, 0) for number in (1, 2, 3, 4)] and not first.rewinds(4)
    first.follow({0: (4 << 16) - 1, 1: -1})
    until(lambda: committed(broker, topic)[0] == 4)
    first.close()
    second = opened()
    assert {second.last_row(source_of(0), p) for p in range(4)} == {(4 << 16) - 1}  # what these caused was relayed
    assert second.last_row(source_of(1), 0) == -1
    until(lambda: len(second.publisher._owned()) == 4)
    assert len(rows_of(read_all(second, 0, rows=10))) == 10
    assert {(p, offset) for _, p, offset in second.rewinds(0)} == {(0, 4 << 16), (1, 0), (2, 0), (3, 0)}
    until(lambda: second.read(0, 4 << 16, 1) is not None)
    second.follow({0: (10 << 16) - 1})  # all ten are learned, and one more answered
    until(lambda: committed(broker, topic)[0] == 5)


def test_an_outage_is_waited_out_and_said_once(
    broker: Broker,
    topic: str,
    opened: Callable[[], KafkaLog],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_log, "DELIVERY", 1500)
    send(broker, topic, event(1, 1))
    log = opened()
    assert len(rows_of(read_all(log, 0, rows=1))) == 1
    broker.kill()
    collector = Collector(log, SECRET)
    collector.collect([{"user": "u", "item": "i"}])
    with pytest.raises(StateError, match="did not take what was sent"):
        collector.commit()
    relayed = Events(offset=[7], user=np.array([9], np.uint64), kind=[int(Kind.FORGET)])
    log.append(1, relayed, Names(), source=3, row=7)  # nobody would send it again: it waits for the broker
    time.sleep(2)
    broker.up()
    send(broker, topic, event(2, 2))
    assert rows_of(read_all(log, 1, rows=1)).user.tolist() == [9] and log.last_row(3, 1) == 7
    assert rows_of(read_all(log, 0, 1 << 16, rows=1)).item.tolist() == [item_key("i2")]
    said = [r.message for r in caplog.records if r.levelno >= logging.WARNING and "Kafka broker answers" in r.message]
    assert said == [
        f"no Kafka broker answers at {broker.servers}; waiting for one",
        f"a Kafka broker answers at {broker.servers} again",
    ]
    collector.collect([{"user": "u", "item": "i"}])
    collector.commit()


def test_of_partitions_that_are_added_nothing_is_read_and_that_is_said(
    broker: Broker,
    topic: str,
    opened: Callable[[], KafkaLog],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "LOOK", 0.2)
    log = opened()
    assert log.trouble() == ""
    admin = AdminClient({"bootstrap.servers": broker.servers})
    admin.create_partitions([NewPartitions(topic, 6)])[topic].result(30)
    until(lambda: log.trouble() != "")
    assert log.trouble() == f"topic {topic!r} has 6 partitions now, of which the first 4 are read"
    assert caplog.text.count("learns the topic anew") == 1
    log.close()
    log = opened()
    until(lambda: len(log._group.owned()) == 6)
    assert {partition for _, partition, _ in log.rewinds(0)} == {0, 1, 2, 3}
