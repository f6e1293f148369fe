"""train, activate: from a log to lists that are made with what was learned from it, and back."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shopguide.artefacts import Artefacts
from shopguide.cli import cli
from shopguide.cli.at_rest import AtRest
from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.client import Subscriber
from shopguide.errors import ShopguideError
from shopguide.keys import Secret
from shopguide.networks import titles, training, visits
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.tokens import mint

ALL = ["blend", "cnn", "dbn", "profiles", "rnn", "title"]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop's events in the log of a state directory, and a training of everything from it."""
    folder = tmp_path_factory.mktemp("shop")
    events, directory = folder / "events.jsonl", folder / "state"
    told("simulate", "--events", "2000", "--seed", "3", "--out", str(events))
    told("batch", "--source", f"file:{events}", "--state", str(directory))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "WIDTH", 16)
        patch.setattr(training, "EPOCHS", 2)
        patch.setattr(titles, "EPOCHS", 2)
        patch.setattr(titles, "BATCH", 64)
        patch.setattr(visits, "LENGTHS", (visits.STEPS,))  # one shape to compile
        said = json.loads(told("train", "--state", str(directory), "--model", "all", "--json"))
    assert (
        said["models"].keys() == {"blend", "rnn", "cnn", "dbn", "profiles", "title"} and "left_out" not in said["run"]
    )
    assert said["run"]["events"] > 1000 and said["run"]["memory_mb"] > 50
    return directory


def told(*arguments: str) -> str:
    found = CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
    assert found.exit_code == 0, found.output
    return found.output


def refusal(*arguments: str) -> str:
    found = CliRunner().invoke(cli, arguments)
    assert isinstance(found.exception, ShopguideError), found.output
    return str(found.exception)


def versions(state: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(told("activate", "--state", str(state), "--json"))["versions"]
    return found


def signals(state: Path) -> set[str]:
    """Of the parts of a list."""
    found = AtRest(state)
    user = next(iter(json.loads(line)["user"] for line in events_of(state)))
    return {
        part["signal"]
        for item in found.recommend(user, "home", 20)["items"]
        for part in found.why(user, item["item"])["parts"]
    }


def events_of(state: Path) -> list[str]:
    lines = (state.parent / "events.jsonl").read_text().splitlines()
    return [line for line in reversed(lines) if '"view"' in line]


def test_what_is_trained_is_in_force_and_can_be_switched_off(state: Path) -> None:
    (made,) = versions(state)
    assert made["models"] == ALL and not made["holds_forgotten"]
    assert AtRest(state).scorer.trained.in_force.versions == dict.fromkeys(made["models"], made["version"])
    assert told("activate", "--state", str(state)).count("in force") == 6
    assert {"rnn", "cnn"} & signals(state), "a network has a say in some list"
    assert AtRest(state).scorer.title.network is not None
    told("activate", "off", "--model", "rnn", "--model", "cnn", "--model", "title", "--state", str(state))
    assert not {"rnn", "cnn", "title"} & signals(state) and AtRest(state).scorer.title.network is None
    assert f"blend {made['version']}" in told("activate", made["version"], "--state", str(state))
    assert {"rnn", "cnn"} & signals(state)


def test_a_visit_says_how_probably_it_buys(state: Path) -> None:
    found = AtRest(state)
    scorer, user = found.scorer, found.featurizer
    looks = user.look(Secret.load(state).user_key(json.loads(events_of(state)[0])["user"]), "home", 5, 2e9)
    by_hand = float(looks.intent[0])
    assert scorer.answer(looks).looks.intent[0] != pytest.approx(by_hand, abs=1e-6)
    assert 0 < scorer.answer(looks).looks.intent[0] < 1
    told("activate", "off", "--model", "dbn", "--state", str(state))
    assert AtRest(state).scorer.answer(looks).looks.intent[0] == pytest.approx(by_hand)
    (made,) = versions(state)
    told("activate", made["version"], "--state", str(state))


def test_a_broken_version_is_refused_and_the_old_one_stays(state: Path) -> None:
    (made,) = versions(state)
    assert "there is no version 'nothing'" in refusal("activate", "nothing", "--state", str(state))
    blend = Artefacts(state / "models").write({"blend.json": b"no weights"}, {"blend": {}}, {}, {})
    assert "has no rnn" in refusal("activate", blend.version, "--model", "rnn", "--state", str(state))
    assert "score.weights" not in (said := refusal("activate", blend.version, "--state", str(state)))
    assert "blend.json" in said
    scorer = AtRest(state).scorer
    assert scorer.trained.in_force.versions["blend"] == made["version"]
    assert (
        scorer.blender.weights.version
        == json.loads((state / "models" / made["version"] / "blend.json").read_text())["version"]
    )


def test_a_person_who_is_forgotten_while_models_are_trained_is_in_them(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "state"
    shutil.copytree(state, directory)
    shutil.rmtree(directory / "models")

    def meanwhile(*given: Any) -> Any:
        told("forget", "--state", str(directory), "--user", json.loads(events_of(state)[0])["user"])
        return train_models(*given)

    cli_train = importlib.import_module("shopguide.cli.train")  # not the command of that name
    train_models = cli_train.train_models
    monkeypatch.setattr(cli_train, "train_models", meanwhile)
    made = json.loads(told("train", "--state", str(directory), "--json"))["version"]
    assert {one["version"] for one in versions(directory) if one["holds_forgotten"]} >= {made}
    monkeypatch.undo()
    again = json.loads(told("train", "--state", str(directory), "--json"))["version"]
    (one,) = [one for one in versions(directory) if one["version"] == again]
    assert not one["holds_forgotten"]


def test_versions_change_while_events_come(state: Path, tmp_path: Path) -> None:
    """10,000 events, 20 changes of what lists are made with: every event is learned, no pushed list is empty."""
    directory = tmp_path / "state"
    shutil.copytree(state, directory)
    (made,) = [one["version"] for one in versions(directory) if "rnn" in one["models"]]
    shop = [json.loads(line) for line in events_of(state)]
    held = StateDir(directory)
    line = RunningLine(held, load(flags={"push.endpoint": "tcp://127.0.0.1:*"}))
    with operated(line) as operator:
        before = sum(map(line.log.end, range(line.log.partitions)))
        who = shop[0]["user"]
        assert line.push is not None
        token = mint(line.keys, line.secret.user_key(who), 600)
        with Subscriber(token, line.push.endpoint, line.push.gap_endpoint, timeout=10) as lists:
            sizes = [len(next(iter(lists)).items)]
            for turn in range(20):
                for _ in range(5):
                    rows = [{**shop[at % len(shop)], "time": None} for at in range(turn * 500, turn * 500 + 99)]
                    line.collector.collect([*rows, {"user": who, "item": shop[turn]["item"], "kind": "view"}])
                    line.collector.commit()
                operator.activate("off" if turn % 2 else made, ["rnn"] if turn % 3 else [])
                sizes.append(len(next(iter(lists)).items))
        line.learn_all()
        told = sum(map(line.log.end, range(line.log.partitions))) - before
    assert told >= 10_000 + 20 and min(sizes) > 0
    assert AtRest(directory).scorer.check() is None


def test_a_receipt_names_the_versions_that_hold_the_person_until_the_next_training(state: Path) -> None:
    user = json.loads(events_of(state)[-1])["user"]
    trained = [one["version"] for one in versions(state) if one["models"] == ALL]
    receipt = json.loads(told("forget", "--user", user, "--state", str(state)))
    assert receipt["learned_models"] == trained
    assert [one["version"] for one in versions(state) if one["holds_forgotten"]] == trained
    blend = json.loads(told("train", "--state", str(state), "--json"))["version"]
    assert {*trained, blend} <= {one["version"] for one in versions(state)}, "its networks are still in force"
    told("activate", "off", "--state", str(state))
    told("train", "--state", str(state), "--json")
    assert not set(trained) & {one["version"] for one in versions(state)}


def test_a_shop_without_a_log_begins_with_what_files_teach(state: Path, tmp_path: Path) -> None:
    events, directory = state.parent / "events.jsonl", tmp_path / "new"
    made = json.loads(told("train", str(events), "--state", str(directory), "--json"))["version"]
    assert json.loads(told("activate", "--state", str(directory), "--json"))["in_force"] == {"blend": made}
    told("batch", "--source", f"file:{events}", "--state", str(directory))
    weights = AtRest(directory).scorer.blender.weights.version
    assert weights == json.loads((directory / "models" / made / "blend.json").read_text())["version"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["train"], "give PATH or --state"),
        (["train", "--state", "nowhere"], "no state directory"),
        (["activate", "x", "--state", "nowhere"], "no state directory"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert why in refusal(*arguments)
