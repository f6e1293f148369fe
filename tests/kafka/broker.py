"""A broker for the tests, and the line as a process that reads from it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from shopguide.keys import Secret, partition_of
from shopguide.state import StateDir

Sent = list[tuple[str | None, bytes | None]]  # (key, value) of messages

ROOT = Path(__file__).parent.parent.parent
SHOPGUIDE = [sys.executable, "-c", "from shopguide.cli import main; main()"]


class Broker:
    """deploy/kafka.py on ports and in a folder of its own; the jars are those of `make kafka-up`."""

    def __init__(self, folder: Path) -> None:
        self.folder, port = folder, two_free_ports()
        self.servers = f"127.0.0.1:{port}"
        self.environment = {**os.environ, "SHOPGUIDE_KAFKA": str(folder), "SHOPGUIDE_KAFKA_PORT": str(port)}

    def run(self, verb: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "deploy" / "kafka.py"), verb]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def up(self) -> None:
        done = self.run("up")
        assert done.returncode == 0, done.stderr

    def kill(self) -> None:
        os.kill(int((self.folder / "pid").read_text().split()[0]), signal.SIGKILL)

    def topic(self, name: str, partitions: int = 4) -> str:
        """A topic with those of what comes out."""
        topics = [NewTopic(topic, partitions, 1) for topic in (name, f"{name}.recommendations", f"{name}.rejects")]
        admin = AdminClient({"bootstrap.servers": self.servers})
        for made in admin.create_topics(topics).values():
            made.result(30)
        return name

    def send(self, topic: str, messages: Iterable[tuple[str | None, bytes | None]], pause: float = 0) -> None:
        """(key, value) of each, in the partition that the client gives the key; delivered when it returns. ``pause``
        seconds after every hundredth."""
        producer = Producer({"bootstrap.servers": self.servers, "enable.idempotence": True, "log_level": 2})
        for at, (key, value) in enumerate(messages):
            producer.produce(topic, value, key)
            producer.poll(0)
            if pause and at % 100 == 99:
                time.sleep(pause)
        assert producer.flush(60) == 0

    def send_home(self, topic: str, messages: Sent, partitions: int = 4) -> None:
        """(key, value) of each, in the partition that we give the user who is its key."""
        secret = Secret.load(None)
        producer = Producer({"bootstrap.servers": self.servers, "enable.idempotence": True, "log_level": 2})
        for key, value in messages:
            producer.produce(topic, value, key, partition_of(secret.user_key(key or ""), partitions))
        assert producer.flush(60) == 0

    def count(self, topic: str, partitions: int = 4) -> int:
        """How many messages were sent to a topic."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "t", "log_level": 2})
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, p), 10) for p in range(partitions)]
        consumer.close()
        return sum(high for _, high in ends)

    def everything(self, topic: str) -> list[tuple[str, dict[str, Any]]]:
        """(key, value) of all messages of a topic of JSON."""
        consumer = Consumer(
            {"bootstrap.servers": self.servers, "group.id": "t", "enable.partition.eof": True, "log_level": 2}
        )
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        found, ended = [], 0
        while ended < len(partitions):
            message = consumer.poll(10)
            assert message is not None
            if (error := message.error()) is None:
                found.append((message.key().decode(), json.loads(message.value() or b"null")))
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended += 1
        consumer.close()
        return found


class Guide:
    """``shopguide run`` on a topic, in the group of the same name, served, so that it can be asked how far it is."""

    def __init__(self, broker: Broker, topic: str, state: Path, **environment: str) -> None:
        self.state = state
        source = f"kafka://{broker.servers}/{topic}?group={topic}"
        command = [*SHOPGUIDE, "run", "--source", source, "--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*"]
        self.process = subprocess.Popen(
            [*command, "--state", str(state), "--json"],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        until(lambda: self._alive() and self._serves())
        self.http = StateDir(state).running()["http"]

    def _serves(self) -> bool:
        running = StateDir(self.state).running()
        return running.get("pid") == self.process.pid and "http" in running

    def counts(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.http + "/healthz", timeout=10) as response:
            return dict(json.load(response))

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.http + "/readyz", timeout=10) as response:
                return bool(response.status == 200)
        except urllib.error.HTTPError as e:
            assert json.load(e)["checks"]["log"] == {"ok": False, "said": "no Kafka broker answers"}
            return False

    def post(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        data = json.dumps(rows).encode()
        request = urllib.request.Request(self.http + "/v1/events", data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return dict(json.load(response))

    def learn(self, messages: int) -> None:
        """Wait until it has read that many messages."""
        until(lambda: self._alive() and (now := self.counts())["rows"] >= messages and now["behind"] == 0)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> dict[str, Any]:
        """Stop it; its summary."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0 and b"Traceback" not in err, err.decode()
        return dict(json.loads(out))

    def _alive(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        return True


def shopguide(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*SHOPGUIDE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def checksum(state: Path) -> str:
    done = shopguide("state", "checksum", state)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def checksum_of_a_file(folder: Path, sent: Sent) -> str:
    """The checksum of the same messages from a file, in which each event names its user."""
    folder.mkdir(exist_ok=True)
    (folder / "a.jsonl").write_bytes(b"\n".join(named(value or b"", key) for key, value in sent))
    source = f"file:{folder / 'a.jsonl'}?format=events"
    done = shopguide("run", "--source", source, "--state", folder / "s", "--json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["checksum"])


def named(value: bytes, key: str | None) -> bytes:
    try:
        return json.dumps({"user": key, **json.loads(value)}).encode()
    except ValueError:
        return value


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def two_free_ports() -> int:
    """The first of two neighbouring ports that nobody uses."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
