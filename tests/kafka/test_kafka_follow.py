"""A topic of others, read into the log once, whatever happens to either."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broker import SHOPGUIDE, Broker, shopguide, until
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from shopguide.collect.collector import Collector
from shopguide.collect.foreign import load_foreign
from shopguide.errors import SourceError
from shopguide.kafka.cluster import Cluster
from shopguide.kafka.follow import FollowedTopic
from shopguide.keys import Secret
from shopguide.log import Log

pytestmark = pytest.mark.kafka
SECRET = Secret(b"0123456789abcdef")
MAPPING = """
user = "who.id"
item = "what"
id = "@key"
kind = "type"
[kinds]
seen = "view"
scrolled = "ignore"
"""
Open = Callable[[], "Reading"]


class Reading:
    """A log of two partitions that follows a topic."""

    def __init__(self, broker: Broker, topic: str, folder: Path) -> None:
        (folder / "m.toml").write_text(MAPPING)
        self.log = Log(folder / "log", 2)
        self.collector = Collector(self.log, SECRET)
        self.topic = FollowedTopic(Cluster(broker.servers), topic, "g", load_foreign(folder / "m.toml"))

    def read(self, rows: int) -> int:
        """Until the log has at least so many rows; how many it has."""

        def step() -> bool:
            for chunk in self.topic.chunks(lambda source: max(self.log.last_row(source, p) for p in range(2))):
                self.collector.load(chunk)
                self.collector.commit()
            return self.rows() >= rows

        until(step)
        step()
        return self.rows()

    def rows(self) -> int:
        return self.log.end(0) + self.log.end(1)

    def close(self) -> None:
        self.topic.close()
        self.log.close()


@pytest.fixture
def opened(broker: Broker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    monkeypatch.setattr("shopguide.kafka.follow.LOOK", 0.2)
    readings: list[Reading] = []

    def open_() -> Reading:
        readings.append(Reading(broker, topic, tmp_path))
        return readings[-1]

    yield open_
    readings[-1].close()


def message(number: int) -> tuple[str, bytes]:
    said = {"type": "seen", "who": {"id": f"u{number % 37}"}, "what": f"i{number % 11}", "time": number}
    return f"e{number}", json.dumps(said).encode()


def test_a_topic_is_read_once_over_restarts(broker: Broker, topic: str, opened: Open) -> None:
    broker.send(topic, [message(number) for number in range(9000)])
    broker.send(topic, [("x", b'{"type":"scrolled"}'), ("x", b"rubbish"), ("x", None)])
    reading = opened()
    assert reading.read(9002) == 9002  # two are malformed rows
    reading.close()
    reading = opened()
    broker.send(topic, [message(number) for number in range(9000, 9100)])
    assert reading.read(9102) == 9102
    until(lambda: reading.read(0) and sum(reading.topic.lags().values()) == 0)


def test_a_dry_run_shows_what_a_mapping_makes_of_a_topic_and_leaves_no_trace(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    broker.send(topic, [message(number) for number in range(300)] + [("x", b"rubbish")])
    (tmp_path / "m.toml").write_text(MAPPING)
    spec = f"follow:kafka://{broker.servers}/{topic}?group=mine&mapping={tmp_path / 'm.toml'}"
    done = shopguide("run", "--source", spec, "--dry-run", "--json", "--state", str(tmp_path / "s"))
    (said,) = json.loads(done.stdout)["sources"]
    assert (said["rows"], said["kept"], said["rejected"]) == (301, 300, {"no JSON object": 1})
    assert said["examples"] == {"no JSON object": "rubbish"}
    assert len(said["shown"]) == 10
    for row in said["shown"]:
        number = int(row["event"][1:])
        assert (row["user"], row["kind"], row["item"]) == (f"u{number % 37}", "view", f"i{number % 11}")
    groups = AdminClient({"bootstrap.servers": broker.servers}).list_consumer_groups().result(30).valid
    assert "mine" not in {group.group_id for group in groups} and not (tmp_path / "s").exists()


def test_what_was_cut_short_between_partitions_of_the_log_is_read_again(
    broker: Broker, topic: str, opened: Open
) -> None:
    broker.send(topic, [message(number) for number in range(5000)])
    reading = opened()
    append, broken = reading.log.append, []

    def breaks(partition: int, *rows: object) -> int:
        if partition == 1 and reading.rows() > 600:
            broken.append(partition)
            raise KeyboardInterrupt
        return append(partition, *rows)  # type: ignore[arg-type]

    reading.log.append = breaks  # type: ignore[assignment, method-assign]
    with pytest.raises(KeyboardInterrupt):
        reading.read(5000)
    reading.close()
    assert broken and opened().read(5000) == 5000


def test_partitions_that_are_added_are_read(broker: Broker, topic: str, opened: Open) -> None:
    reading = opened()
    broker.send(topic, [message(number) for number in range(100)])
    assert reading.read(100) == 100
    admin = AdminClient({"bootstrap.servers": broker.servers})
    admin.create_partitions([NewPartitions(topic, 9)])[topic].result(30)
    producer = Producer({"bootstrap.servers": broker.servers})
    for number in range(100, 200):
        key, value = message(number)
        producer.produce(topic, value, key, 4 + number % 5)
    producer.flush()
    assert reading.read(200) == 200


def test_a_topic_that_was_made_again_is_read_from_its_beginning(
    broker: Broker, topic: str, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    reading = opened()
    broker.send(topic, [message(number) for number in range(100)])
    assert reading.read(100) == 100
    admin = AdminClient({"bootstrap.servers": broker.servers})
    admin.delete_topics([topic])[topic].result(30)
    until(lambda: topic not in admin.list_topics(timeout=10).topics)
    reading.read(0)
    admin.create_topics([NewTopic(topic, 4, 1)])[topic].result(30)
    time.sleep(0.5)
    broker.send(topic, [message(number) for number in range(100, 300)])
    assert reading.read(300) == 300
    assert "was deleted and made again" in caplog.text


def test_what_retention_took_is_said(
    broker: Broker, topic: str, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    broker.send(topic, [message(number) for number in range(400)])
    opened().read(400)
    broker.send(topic, [message(number) for number in range(400, 800)])
    admin = AdminClient({"bootstrap.servers": broker.servers})
    places = [TopicPartition(topic, partition, 150) for partition in range(4)]
    for done in admin.delete_records(places).values():
        done.result(30)
    before = caplog.text
    found = opened().read(600)
    assert 400 < found < 800 and "no longer holds" not in before and "no longer holds" in caplog.text


def test_a_mapping_under_which_nothing_can_be_kept_is_told_of(
    broker: Broker, topic: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for wrong, said in (('consent = "no.such.place"', 1), ("", 0)):
        caplog.clear()
        broker.send(topic, [message(number) for number in range(900)])
        (tmp_path / "m.toml").write_text(f"{wrong}\n{MAPPING}")
        followed = FollowedTopic(Cluster(broker.servers), topic, "", load_foreign(tmp_path / "m.toml"))
        deadline = time.monotonic() + 30
        while followed.position < 900 and time.monotonic() < deadline:
            list(followed.chunks(lambda source: -1))
        assert caplog.text.count("is its mapping right?") == said
        followed.close()


def test_no_topic_and_no_spec_are_one_line(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no topic 'nowhere'"):
        FollowedTopic(Cluster(broker.servers), "nowhere", "g", None)
    for spec, line in (
        (f"follow:kafka://{broker.servers}/", "should be follow:kafka://HOST:PORT/TOPIC"),
        (f"follow:kafka://{broker.servers}/t?maping=x", "no option maping; there are mapping, client, group"),
        (f"follow:kafka://{broker.servers}/t?mapping=nowhere", "cannot read the mapping nowhere"),
    ):
        done = shopguide("run", "--source", spec, "--state", tmp_path / "s")
        assert done.returncode == 2 and line in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_line_that_is_killed_loses_and_doubles_nothing(broker: Broker, topic: str, tmp_path: Path) -> None:
    events = 6000
    (tmp_path / "m.toml").write_text(MAPPING)
    source = f"follow:kafka://{broker.servers}/{topic}?mapping={tmp_path / 'm.toml'}"
    command = [*SHOPGUIDE, "run", "--source", source, "--state", str(tmp_path / "s"), "--json"]
    sent = [(key, value.replace(b'"time"', b'"was"')) for key, value in map(message, range(events))]
    sender = threading.Thread(target=broker.send, args=(topic, sent, 0.1))
    sender.start()
    log = tmp_path / "s" / "log" / "p0000"
    size = -1
    for _ in range(3):
        process = subprocess.Popen(command, env=os.environ)
        until(lambda: sum(file.stat().st_size for file in log.glob("*")) > size + 20_000)  # noqa: B023
        process.kill()
        process.wait()
        size = sum(file.stat().st_size for file in log.glob("*"))
    sender.join()
    process = subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE)
    time.sleep(6)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    info = shopguide("state", "info", tmp_path / "s").stdout
    assert f"log        {events:,} rows" in info and f"{events:,} view" in info, info
