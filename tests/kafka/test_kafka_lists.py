"""Everybody's lists to a topic, from a log of the directory's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from broker import SHOPGUIDE, Broker, shopguide, until
from confluent_kafka.admin import AdminClient, NewTopic

from shopguide.keys import Secret
from shopguide.state import StateDir

pytestmark = pytest.mark.kafka
USERS = 12
EPOCH = 1_700_000_000


class Line:
    """``shopguide run`` that follows a topic and sends lists to another."""

    def __init__(self, broker: Broker, topic: str, state: Path, *options: str, **environment: str) -> None:
        source = f"follow:kafka://{broker.servers}/{topic}"
        command = [
            *SHOPGUIDE,
            "run",
            "--source",
            source,
            "--lists",
            f"kafka://{broker.servers}/{topic}.recommendations",
        ]
        self.process = subprocess.Popen(
            [*command, "--state", str(state), "--json", *options],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def end(self) -> tuple[dict[str, Any], str]:
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err.decode()
        return dict(json.loads(out)), err.decode()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


Run = Callable[..., Line]


@pytest.fixture
def run(broker: Broker, topic: str, tmp_path: Path) -> Iterator[Run]:
    """Runs lines on the test's topic and directory; none outlives the test."""
    lines: list[Line] = []

    def run(*options: str, **environment: str) -> Line:
        lines.append(Line(broker, topic, tmp_path / "s", *options, **environment))
        return lines[-1]

    yield run
    for line in lines:
        if line.process.poll() is None:
            line.kill()


def shopping(begin: int, end: int) -> list[tuple[str | None, bytes | None]]:
    return [
        (f"u{at % USERS}", json.dumps({"id": f"e{at}", "item": f"i{at * at % 23}", "time": EPOCH + at}).encode())
        for at in range(begin, end)
    ]


def newest(broker: Broker, topic: str) -> dict[str, dict[str, Any]]:
    """Each user's newest list, as a consumer of docs/protocol.md keeps it; a user's are in one partition."""
    found: dict[str, dict[str, Any]] = {}
    for user, message in broker.everything(f"{topic}.recommendations"):
        assert user == message["user"] and message["slot"] == "topic"
        if user not in found or message["offset"] > found[user]["offset"]:
            found[user] = message
    return found


def keys(state: Path) -> set[str]:
    secret = Secret.load(state)
    return {f"{secret.user_key(f'u{number}'):016x}" for number in range(USERS)}


def up_to_date(broker: Broker, topic: str, events: int) -> bool:
    """Whether each user's newest list is of their newest event."""
    times = sorted(one["times"]["event"] - EPOCH for one in newest(broker, topic).values())
    return times == list(range(events - USERS, events))


def test_everybody_has_a_list_of_their_newest_event_over_kills(
    broker: Broker, topic: str, run: Run, tmp_path: Path
) -> None:
    broker.send(topic, shopping(0, 240))
    line = run(SHOPGUIDE_STATE_EVERY="0.5")
    until(lambda: len(newest(broker, topic)) == USERS)
    for part in (1, 2):
        broker.send(topic, shopping(part * 240, part * 240 + 240))
        line.kill()
        line = run(SHOPGUIDE_STATE_EVERY="0.5")
    until(lambda: up_to_date(broker, topic, 720))
    found = newest(broker, topic)
    assert set(found) == keys(tmp_path / "s")
    assert all(one["items"] and {"item", "title", "score", "reasons"} <= set(one["items"][0]) for one in found.values())
    assert line.end()[0]["rows"] <= 720


def test_lists_that_were_not_delivered_are_made_again(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    broker.send(topic, shopping(0, 240))
    line = run()
    until(lambda: up_to_date(broker, topic, 240))
    admin = AdminClient({"bootstrap.servers": broker.servers})
    admin.delete_topics([f"{topic}.recommendations"])[f"{topic}.recommendations"].result(30)
    broker.send(topic, shopping(240, 480))
    until(lambda: "480 rows" in shopguide("state", "info", tmp_path / "s").stdout)
    _, said = line.end()
    assert "the last lists are not delivered" in said and "Traceback" not in said
    admin.create_topics([NewTopic(f"{topic}.recommendations", 4, 1)])[f"{topic}.recommendations"].result(30)
    line = run()
    until(lambda: up_to_date(broker, topic, 480))
    assert line.end()[1] == ""


def test_an_account_has_lists_from_its_login_on(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    def newest_of_the_account() -> int:
        account = f"{Secret.load(tmp_path / 's').user_key('ann'):016x}"
        return int(newest(broker, topic).get(account, {"offset": -1})["offset"])

    broker.send(topic, shopping(0, 240))
    line = run()
    until(lambda: up_to_date(broker, topic, 240))
    for sent in ('{"kind": "alias", "account": "ann"}', '{"item": "i3"}'):
        before = newest_of_the_account()
        broker.send(topic, [("u1", sent.encode())])
        until(lambda: newest_of_the_account() > before, 20)  # noqa: B023
    line.end()


def test_what_waits_is_in_the_metrics(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    broker.send(topic, shopping(0, 240))
    line = run("--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*")
    until(lambda: len(newest(broker, topic)) == USERS)
    served = StateDir(tmp_path / "s").running()["http"]
    want = [f'lag_messages{{partition="{partition}",topic="{topic}"}} 0.0' for partition in range(4)]

    def all_out() -> bool:
        with urllib.request.urlopen(f"{served}/metrics", timeout=10) as response:
            told = response.read().decode()
        return all(f"shopguide_topic_{one}" in told for one in [*want, "undelivered_messages 0.0"])

    until(all_out)
    line.end()


def test_of_who_is_forgotten_the_topic_is_told(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    broker.send(topic, shopping(0, 240))
    line = run()
    until(lambda: len(newest(broker, topic)) == USERS)
    done = shopguide("forget", "--user", "u3", "--state", tmp_path / "s")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kept_by"] == f"topics {topic}.recommendations, until their retention"
    line.end()
    gone = [user for user, message in broker.everything(f"{topic}.recommendations") if message is None]
    assert gone == [f"{Secret.load(tmp_path / 's').user_key('u3'):016x}"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["--lists", "nowhere"], "should be kafka://HOST:PORT/TOPIC"),
        (["--lists", "kafka://h:1/t?group=g"], "should be kafka://HOST:PORT/TOPIC"),
        (["--lists", "kafka://{servers}/nowhere"], "there is no topic 'nowhere'"),
        (["--lists", "kafka://{servers}/t", "--engine", "beside"], "not with --engine beside"),
    ],
)
def test_what_cannot_be_sent_is_one_line(broker: Broker, tmp_path: Path, given: list[str], line: str) -> None:
    told = [word.format(servers=broker.servers) for word in given]
    done = shopguide("run", "--source", "sim:", "--state", tmp_path / "s", *told)
    assert done.returncode == 2 and line in done.stderr and done.stderr.count("\n") == 1, done.stderr
