"""`shopguide run` on a topic, as processes: brokers and processes are killed, and nothing is lost or learned twice."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from broker import ROOT, Broker, Guide, Sent, checksum, checksum_of_a_file, shopguide, until
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from shopguide.collect.collector import Collector
from shopguide.kafka.log import KafkaLog
from shopguide.kafka.source import Spec
from shopguide.keys import Secret
from shopguide.records import Kind

pytestmark = pytest.mark.kafka
EVENTS = 3000

Run = Callable[..., Guide]
OFTEN = {"SHOPGUIDE_STATE_EVERY": "0.7"}  # so that snapshots fall between what is killed
SNAPSHOTS = pytest.mark.parametrize("every", [{}, OFTEN], ids=["at the end", "often"])


def shop_events(seed: int = 1) -> Sent:
    """Events with ids, keyed by their users, with returns; every fiftieth is rubbish."""
    chance = random.Random(seed)
    sent: Sent = []
    for at in range(EVENTS):
        user = f"u{chance.randint(1, 40)}"
        row = {
            "user": user,
            "item": f"i{min(int(chance.paretovariate(0.9)), 60)}",
            "kind": chance.choice(["view", "view", "view", "cart", "purchase", "remove"]),
            "time": 1_700_000_000 + at * 20,
            "id": f"{seed}-{at}",
        }
        sent.append((user, b"rubbish %d" % at if at % 50 == 49 else json.dumps(row).encode()))
    return sent


@pytest.fixture(scope="module")
def sent() -> Sent:
    return shop_events()


@pytest.fixture(scope="module")
def undisturbed(sent: Sent, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checksum of the same events from a file."""
    return checksum_of_a_file(tmp_path_factory.mktemp("calm"), sent)


def rejected(broker: Broker, topic: str) -> set[str]:
    """The keys of the rubbish in a topic."""
    consumer = Consumer({"bootstrap.servers": broker.servers, "group.id": "t", "log_level": 2})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(4)])
    keys, seen = set(), 0
    while seen < EVENTS:
        message = consumer.poll(10)
        assert message is not None and message.error() is None
        seen += 1
        if (message.value() or b"").startswith(b"rubbish"):
            keys.add(f"{message.partition()}:{((message.offset() or 0) << 16) + 1}")
    consumer.close()
    assert len(keys) == EVENTS // 50
    return keys


def test_a_topic_teaches_what_a_file_does(
    broker: Broker, topic: str, run: Run, sent: Sent, undisturbed: str, tmp_path: Path
) -> None:
    state = tmp_path / "s"
    broker.send(topic, sent)
    guide = run(state)
    want = rejected(broker, topic)
    until(lambda: {key for key, _ in broker.everything(f"{topic}.rejects")} == want)
    guide.learn(EVENTS)
    summary = guide.end()
    assert summary["checksum"] == checksum(state) == undisturbed
    assert (summary["kept"], summary["rejected"]) == (EVENTS * 49 // 50, EVENTS // 50)
    found = broker.everything(f"{topic}.rejects")
    assert {(row["reason"], row["raw"][:8]) for _, row in found} == {("no JSON object", "rubbish ")}
    assert f"the Kafka topic {topic}, 4 partitions" in shopguide("state", "info", state).stdout
    guide = run(state)
    guide.learn(EVENTS)
    again = guide.end()
    assert (again["rows"], again["checksum"]) == (0, undisturbed)
    assert len(broker.everything(f"{topic}.rejects")) == len(found)


def test_a_broker_that_is_killed_under_the_line(
    broker: Broker, topic: str, run: Run, sent: Sent, undisturbed: str, tmp_path: Path
) -> None:
    guide = run(tmp_path / "s")
    sender = threading.Thread(target=broker.send, args=(topic, sent, 0.1))
    sender.start()
    until(lambda: guide.counts()["rows"] > EVENTS // 3)
    broker.kill()
    until(lambda: not guide.is_ready())
    broker.up()
    sender.join()
    until(guide.is_ready)
    guide.learn(EVENTS)
    want = rejected(broker, topic)
    until(lambda: {key for key, _ in broker.everything(f"{topic}.rejects")} == want)
    guide.learn(EVENTS)
    assert guide.end()["checksum"] == undisturbed


@SNAPSHOTS
def test_a_line_that_is_killed_goes_on(
    broker: Broker, topic: str, run: Run, sent: Sent, undisturbed: str, tmp_path: Path, every: dict[str, str]
) -> None:
    sender = threading.Thread(target=broker.send, args=(topic, sent, 0.1))
    sender.start()
    for part in (1, 2, 3):
        guide = run(tmp_path / "s", **every)
        guide.learn(EVENTS * part // 5)
        guide.kill()
    sender.join()
    guide = run(tmp_path / "s", **every)
    guide.learn(EVENTS)
    assert guide.end()["checksum"] == checksum(tmp_path / "s") == undisturbed


def test_a_producer_that_sends_again_is_heard_once(
    broker: Broker, topic: str, run: Run, sent: Sent, undisturbed: str, tmp_path: Path
) -> None:
    retried = [message for at, message in enumerate(sent) for _ in range(1 + (at % 10 == 0))]
    broker.send(topic, retried)
    guide = run(tmp_path / "s")
    guide.learn(len(retried))
    summary = guide.end()
    assert (summary["checksum"], summary["notes"]["doubles"]) == (undisturbed, EVENTS // 10)


def test_what_is_collected_goes_to_the_topic(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    rows = [{"user": f"u{n}", "item": f"i{n % 5}", "time": 1_700_000_000 + n, "id": str(n)} for n in range(50)]
    one, two = run(tmp_path / "one"), run(tmp_path / "two")
    assert one.post(rows)["accepted"] == two.post(rows)["accepted"] == 50
    for guide in (one, two):
        guide.learn(8)  # two posts, each to four partitions
    summaries = [guide.end() for guide in (one, two)]
    assert [(s["kept"], s["notes"]["doubles"]) for s in summaries] == [(50, 50), (50, 50)]
    assert summaries[0]["checksum"] == summaries[1]["checksum"]


def shares(broker: Broker, group: str) -> list[int]:
    """How many partitions each member of a group has."""
    admin = AdminClient({"bootstrap.servers": broker.servers, "log_level": 2})
    found = admin.describe_consumer_groups([group])[group].result()
    return sorted(len(member.assignment.topic_partitions) for member in found.members)


def watch(broker: Broker, topic: str, users: list[str]) -> set[str]:
    """Write that users' lists are wanted, as a push server does; the users' keys."""
    secret = Secret.load(None)
    log = KafkaLog(Spec(broker.servers, topic, "bystander", "", ""), 4, secret)
    collector = Collector(log, secret)
    for user in users:
        collector.control(Kind.WATCH, secret.user_key(user), expires=time.time() + 3600, slot="home", n=3)
    collector.commit()
    log.close()
    return {f"{secret.user_key(user):016x}" for user in users}


@SNAPSHOTS
def test_two_lines_divide_the_answers_and_take_over(
    broker: Broker, topic: str, run: Run, sent: Sent, tmp_path: Path, every: dict[str, str]
) -> None:
    third = EVENTS // 3
    broker.send(topic, sent[:third])
    one = run(tmp_path / "one", **every)
    until(lambda: shares(broker, topic) == [4])
    one.learn(third)
    two = run(tmp_path / "two", **every)
    until(lambda: shares(broker, topic) == [2, 2])
    broker.send(topic, sent[third : 2 * third])
    two.learn(2 * third)
    one.kill()
    broker.send(topic, sent[2 * third :])
    until(lambda: shares(broker, topic) == [4])
    want = rejected(broker, topic)
    users = watch(broker, topic, ["u1", "u2"])
    broker.send(topic, [("u1", b'{"item": "i3"}'), ("u2", b'{"item": "i3"}')])
    until(lambda: {key for key, _ in broker.everything(f"{topic}.rejects")} == want)
    until(lambda: {row["user"] for _, row in broker.everything(f"{topic}.recommendations")} == users)
    for key, row in broker.everything(f"{topic}.recommendations"):
        assert key == row["user"] and len(row["items"]) == 3
    one = run(tmp_path / "one", **every)
    until(lambda: shares(broker, topic) == [2, 2])
    one.learn(EVENTS + 4)
    one.end(), two.end()
    calm = run(tmp_path / "calm")
    calm.learn(EVENTS + 4)
    assert calm.end()["checksum"] == checksum(tmp_path / "one") == checksum(tmp_path / "two")
    assert {key for key, _ in broker.everything(f"{topic}.rejects")} == want


def test_a_directory_belongs_to_its_log(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    other = broker.topic(f"{topic}-other")

    def refused(source: str, state: Path) -> str:
        done = shopguide("run", "--source", source, "--state", state)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    guide = run(tmp_path / "s")
    assert "has no snapshot yet" in shopguide("state", "checksum", tmp_path / "s").stderr
    guide.end()
    address = f"kafka://{broker.servers}"
    assert f"was made from topic '{topic}', not" in refused(f"{address}/{other}", tmp_path / "s")
    assert f"was made from topic '{topic}': run it with" in refused("http:", tmp_path / "s")
    (tmp_path / "own" / "log").mkdir(parents=True)
    assert "has a log of its own" in refused(f"{address}/{topic}", tmp_path / "own")
    admin = AdminClient({"bootstrap.servers": broker.servers})
    admin.delete_topics([other])[other].result()
    until(lambda: other not in admin.list_topics(timeout=10).topics)
    assert f"there is no topic '{other}'" in refused(f"{address}/{other}", tmp_path / "o")


def test_the_readmes_commands_work(broker: Broker, tmp_path: Path) -> None:
    """Its block on Kafka, with this broker's address and another folder."""
    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"\n((?: {4}.*\n)*    make kafka-up.*\n(?: {4}.*\n)*)", text)
    for name, here in (
        ("127.0.0.1:19092", broker.servers),
        ("events.jsonl", str(tmp_path / "events.jsonl")),
        ("--state guide", f"--state {tmp_path / 'guide'}"),
    ):
        assert name in block
        block = block.replace(name, here)
    *commands, run = block.strip().splitlines()
    done = subprocess.run(
        ["bash", "-euc", "\n".join(commands)],
        cwd=ROOT,
        env=broker.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "20600 messages sent to topic events" in done.stdout, done.stderr
    process = subprocess.Popen(["bash", "-c", f"exec {run.strip()}"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    until(lambda: shares(broker, "guide") == [4])
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "kept" in out


def test_a_topic_that_goes_ends_the_line_in_one_line(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    guide = run(tmp_path / "s")
    guide.learn(0)
    admin = AdminClient({"bootstrap.servers": broker.servers, "log_level": 2})
    admin.delete_topics([topic])[topic].result()
    _, err = guide.process.communicate(timeout=90)
    assert guide.process.returncode == 2 and b"Traceback" not in err
    assert err.decode().splitlines()[-1] == f"shopguide: topic '{topic}': Broker: Unknown topic or partition"
