"""Forgetting, taking back and logging in, where the log is a topic; its producers place rows as they like."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broker import Broker, Guide, Sent, checksum, checksum_of_a_file, shopguide

from shopguide import receipts
from shopguide.cli.control import ask
from shopguide.keys import Secret
from shopguide.rejects import raw

pytestmark = pytest.mark.kafka
ROWS = 600
GONE = "person-7"

Run = Callable[..., Guide]


def history(seed: int = 1) -> Sent:
    """Rows of forty people, keyed by them, some without a name but the key; rubbish that names one here and there."""
    chance = random.Random(seed)
    sent: Sent = []
    for at in range(ROWS):
        user = f"person-{chance.randrange(40)}"
        row: dict[str, Any] = {
            "item": f"i{chance.randrange(30)}",
            "time": 1_700_000_000 + 30 * at,
            "id": f"{seed}-{at}",
        }
        row |= {"kind": chance.choice(["view", "view", "cart", "purchase", "remove", "search"]), "query": "lamps"}
        row |= {"user": user} if at % 3 else {}
        sent.append((user, json.dumps(row).encode()))
        if at % 20 == 0:
            sent.append((user, b'{"user": "%s", "item": "i1", "time": "never"}' % user.encode()))
            sent.append((None, b"\xff %s has called" % user.encode()))
    return sent


def without(sent: Sent, user: str) -> Sent:
    return [(key, value) for key, value in sent if user not in (key, *(value or b"").decode("latin-1").split())]


def traces(state: Path, user: str) -> list[str]:
    """The files of a directory that name a user."""
    key = Secret.load(None).user_key(user)
    marks = [user.encode() + b'"', user.encode() + b" ", key.to_bytes(8, "little"), b"%016x" % key]
    held = {str(file.relative_to(state)): file.read_bytes() for file in state.rglob("*") if file.is_file()}
    for name, data in held.items():
        if name.endswith(".jsonl"):
            held[name] += b"\n".join(raw(json.loads(line)) for line in data.splitlines())
    return [name for name, data in held.items() if any(mark in data for mark in marks)]


def said(*arguments: object) -> str:
    done = shopguide(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sum_of(guide: Guide, messages: int) -> str:
    """The checksum of a line that has read that many messages, which ends."""
    guide.learn(messages)
    return str(guide.end()["checksum"])


def test_who_is_forgotten_has_never_been(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    sent = history()
    broker.send(topic, sent)
    never = checksum_of_a_file(tmp_path / "never", without(sent, GONE))
    one, other = run(tmp_path / "one"), run(tmp_path / "other")
    for guide in (one, other):
        guide.learn(len(sent))
    receipt = json.loads(said("forget", "--user", GONE, "--state", one.state, "--checksum"))
    assert receipt["checksum"] == never and receipt["identities"] == 1
    assert receipt["kept_by"] == f"topics {topic}, {topic}.recommendations, {topic}.rejects, until their retention"
    assert receipts.verify(Secret.load(None), receipt)
    assert traces(one.state, GONE) == [] != traces(one.state, "person-8")
    assert json.loads(said("forget", "--user", GONE, "--state", other.state, "--checksum"))["checksum"] == never
    assert traces(other.state, GONE) == []
    messages = broker.count(topic)
    assert sum_of(other, messages) == sum_of(one, messages) == never
    assert traces(one.state, GONE) == []
    assert sum_of(run(tmp_path / "fresh"), messages) == never
    assert sum_of(run(tmp_path / "one"), messages) == never and traces(one.state, GONE) == []


def logins(seed: int) -> Sent:
    """Visitors who look around, log in, and look on; one takes an event back, one wants to be forgotten."""
    chance = random.Random(seed)
    sent: Sent = []
    for at in range(ROWS):
        user = chance.choice(["visitor", "account"]) + f"-{chance.randrange(12)}"
        row = {"user": user, "item": f"i{chance.randrange(30)}", "time": 1_700_000_000 + 30 * at, "id": str(at)}
        if at % 100 == 50:
            user = f"visitor-{at // 100}"
            row = {"user": user, "kind": "alias", "account": f"account-{at // 100}", "time": row["time"], "id": str(at)}
        sent.append((user, json.dumps(row).encode()))
    user = str(sent[40][0])
    sent.append((user, json.dumps({"user": user, "kind": "retract", "target": "40"}).encode()))
    sent.append(("visitor-11", b'{"user": "visitor-11", "kind": "forget"}'))
    return sent


def settle(*guides: Guide) -> None:
    """Wait until each has learned what the topic holds, and what that causes: of the others too."""
    for guide in guides * 4:  # a row is handed on three times at most
        assert not ask(guide.state, "retract", event="of nobody")["found"]


def test_visitors_who_log_in_are_joined_once(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    sent = logins(1)
    goes: Sent = [("account-2", b'{"user": "account-2", "kind": "forget"}')]
    calm = checksum_of_a_file(tmp_path / "calm", sent)
    left = checksum_of_a_file(tmp_path / "left", [m for m in sent if m[0] not in ("account-2", "visitor-2")])
    one, other = run(tmp_path / "one"), run(tmp_path / "other")
    broker.send_home(topic, sent[: ROWS // 2])
    one.learn(ROWS // 2)
    other.kill()
    broker.send_home(topic, sent[ROWS // 2 :])
    other = run(tmp_path / "other")
    for guide in (one, other):
        guide.learn(len(sent))
        settle(one, other)
        assert ask(guide.state, "forget", user="nobody", checksum=True)["checksum"] == calm
    broker.send_home(topic, goes)
    settle(one, other)
    messages = broker.count(topic)
    summaries = [guide.end() for guide in (one, other)]
    assert {s["checksum"] for s in summaries} == {left} and all(s["notes"]["doubles"] for s in summaries)
    fresh = run(tmp_path / "fresh")
    settle(fresh)
    assert fresh.end()["checksum"] == left and broker.count(topic) == messages


def test_an_event_is_taken_back(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    sent = history(2)
    kept = [(key, value) for key, value in sent if b'"remove"' not in (value or b"")]
    taken = next(n for n, (_, value) in enumerate(kept) if n > 100 and b'"view"' in (value or b""))
    event = json.loads(kept[taken][1] or b"")["id"]
    never = checksum_of_a_file(tmp_path / "never", kept[:taken] + kept[taken + 1 :])
    broker.send(topic, kept)
    guide = run(tmp_path / "s")
    guide.learn(len(kept))
    assert f"event {event!r} is taken back" in said("retract", "--event", event, "--state", guide.state)
    assert not json.loads(said("retract", "--event", event, "--state", guide.state, "--json"))["found"]
    assert guide.end()["checksum"] == checksum(guide.state) == never


def test_a_directory_at_rest_says_who_has_to_run(broker: Broker, topic: str, run: Run, tmp_path: Path) -> None:
    sent = history(3)
    broker.send(topic, sent)
    guide = run(tmp_path)
    guide.learn(len(sent))
    guide.end()
    for command in (("forget", "--user", GONE), ("retract", "--event", "3-1")):
        done = shopguide(*command, "--state", tmp_path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert f"its log is the Kafka topic {topic!r}; ask again while a process runs" in done.stderr
    found = json.loads(said("export", "--user", GONE, "--state", tmp_path))
    assert found["learned"] and found["recommended"] and found["kept_by"] == f"topic {topic}"
    assert {row["reason"] for row in found["rejected"]} == {"no JSON object", "time cannot be read"}
