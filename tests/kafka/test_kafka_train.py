"""The batch layer where the log is a topic: trained from it, put in force and on trial in the process that reads it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broker import Broker, Guide, Sent, shopguide

pytestmark = pytest.mark.kafka
GONE = "person-7"

Run = Callable[..., Guide]


def visits() -> Sent:
    """Sixty people who mostly go on from an item to the one after it; who will be forgotten does otherwise."""
    chance, sent = random.Random(3), []
    for at in range(900):
        user = f"person-{at % 60}"
        item = at // 60 + (0 if user != GONE else 100)
        row = {"item": f"i{item if chance.random() < 0.9 else chance.randrange(15)}", "time": 1_700_000_000 + 30 * at}
        sent.append((user, json.dumps({**row, "id": f"e{at}"}).encode()))
    return sent


def said(*arguments: object) -> dict[str, Any]:
    done = shopguide(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def refusal(*arguments: object) -> str:
    done = shopguide(*arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_from_a_topic_to_a_version_on_trial_and_who_is_forgotten_is_not_read(
    broker: Broker, topic: str, run: Run, tmp_path: Path
) -> None:
    sent, state = visits(), tmp_path / "s"
    broker.send_home(topic, sent)
    guide = run(state)
    guide.learn(len(sent))
    source = f"kafka://{broker.servers}/{topic}"
    train = ("train", "--state", state, "--source", source)

    first = said(*train)
    assert first["run"]["events"] == len(sent)
    assert said("activate", "--state", state)["in_force"] == {"blend": first["version"]}
    receipt = json.loads(shopguide("forget", "--user", GONE, "--state", state).stdout)
    assert receipt["learned_models"] == [first["version"]], "the topic cannot say whose rows were read"
    second = said(*train, "--no-activate")
    assert second["run"]["events"] == len(sent) - 15 and second["version"] != first["version"]

    in_force = said("activate", second["version"], "--share", "50%", "--state", state)
    assert in_force == {"blend": first["version"], "trial": second["version"]}
    shown = [
        {"user": f"person-{at % 60}", "item": f"i{at}", "kind": kind, "list": "l"}
        for at in range(120)
        for kind in ["impression"] + ["click"] * (at % 3 == 0)
    ]
    guide.post(shown)
    arms = said("trial", "--state", state, "--source", source)["arms"]
    assert sum(arm["shown"] for arm in arms.values()) == 120 and sum(arm["clicks"] for arm in arms.values()) == 40
    assert min(arm["shoppers"] for arm in arms.values()) > 0

    guide.end()
    assert "no process runs on it" in refusal(*train)
    assert said(*train, "--no-activate")["run"]["events"] >= second["run"]["events"]
    assert f"its log is the topic '{topic}'" in refusal("trial", "--state", state)
    other = broker.topic(f"{topic}-other")
    assert "is not the topic" in refusal("trial", "--state", state, "--source", f"kafka://{broker.servers}/{other}")
