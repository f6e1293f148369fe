"""Trained profiles in the line: from the log into lists while it runs, out of all files when somebody is forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_models import refusal, told, versions

from shopguide.artefacts import Artefacts
from shopguide.batch.profiles import profiles
from shopguide.cli.at_rest import AtRest
from shopguide.cli.export import exported
from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.keys import Secret
from shopguide.state import StateDir
from shopguide.tastes import FILE, Past, Tastes

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop's events in a log, and profiles of them in force."""
    folder = tmp_path_factory.mktemp("shop")
    events, directory = folder / "events.jsonl", folder / "state"
    told("simulate", "--events", "1500", "--seed", "3", "--out", str(events))
    told("batch", "--source", f"file:{events}", "--state", str(directory))
    said = json.loads(told("train", "--state", str(directory), "--model", "profiles", "--json"))["models"]["profiles"]
    assert said["users"] > 10 and said["items"] > 50 and len(said["most_popular"]) == 5
    assert said["most_popular"][0]["views"] > 0 and said["most_popular"][0]["terms"]
    return directory


def rows(state: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (state.parent / "events.jsonl").read_text().splitlines()]


def users(state: Path) -> list[str]:
    return sorted({row["user"] for row in rows(state) if row.get("kind") == "view"})


def reasons(state: Path, user: str) -> set[str]:
    return {reason["text"] for item in AtRest(state).recommend(user, "home", 20)["items"] for reason in item["reasons"]}


def taste(at_rest: AtRest, key: int) -> dict[str, Any]:
    return at_rest.scorer.profile.said(key, at_rest.featurizer.past_of(key))


def test_lists_say_what_fits_until_profiles_are_off(state: Path) -> None:
    who = users(state)[:20]
    assert any(text.startswith("fits what you like: ") for user in who for text in reasons(state, user))
    told("activate", "off", "--model", "profiles", "--state", str(state))
    assert not any(text.startswith("fits what you like") for user in who for text in reasons(state, user))
    (made,) = versions(state)
    told("activate", made["version"], "--state", str(state))
    assert any(text.startswith("fits what you like: ") for user in who for text in reasons(state, user))


def test_what_is_trained_and_what_comes_is_what_would_be_trained_of_all(state: Path) -> None:
    """Events after the training, one of before it taken back, a visitor who logs in: as if trained just now."""
    secret, who = Secret.load(state), users(state)
    bought = next(row for row in rows(state) if row.get("kind") == "purchase")
    directory = StateDir(state)
    with operated(line := RunningLine(directory, directory.settings(), push=False)):
        line.collector.collect([{"user": user, "item": bought["item"], "kind": "cart"} for user in who[:9]])
        line.collector.collect([{"user": bought["user"], "item": bought["item"], "kind": "remove"}])
        line.collector.collect([{"user": who[0], "account": who[1], "kind": "alias"}])
        line.collector.commit()
        line.learn_all()
    now = AtRest(state)
    assert now.log is not None
    fresh = profiles(now.log, now.settings)
    old, both = now.scorer.profile.tastes, 0
    assert old is not None and sum(old.read.values()) < sum(fresh.read.values())
    for user in who:
        key = secret.user_key(user)
        past = Past.unpacked(now.featurizer.past_of(key))
        both += past.since > 0 and past.before > 0
        whole = past._replace(before=len(past.item), since=0)
        mine, wanted, figures = old.of(key, past), fresh.of(key, whole), fresh.figures(key, whole)
        assert old.figures(key, past) == (*figures[:2], pytest.approx(figures.money), figures.newest)
        shares = [one.weights / max(one.weights.sum(), 1e-300) for one in (mine, wanted)]
        words = [[t.library.terms[at] for at in one.ids] for t, one in ((old, mine), (fresh, wanted))]
        assert words[0] == words[1] and np.allclose(*shares)
    assert both > 5


def test_an_export_has_the_trained_profile(state: Path) -> None:
    user = users(state)[3]
    found = exported(state, user)["trained_profile"]
    assert found["events"] == sum(
        event["kind"] not in ("search", "dismiss") for event in exported(state, user)["learned"]
    )
    assert found["interests"][0]["share"] > 0 and exported(state, "nobody")["trained_profile"] == {}


def test_who_is_forgotten_is_in_no_file_and_has_no_say_at_once(state: Path) -> None:
    user, secret = users(state)[5], Secret.load(state)
    key = secret.user_key(user)
    traces = {key.to_bytes(8, "little"), key.to_bytes(8, "big"), b"%016x" % key, user.encode()}
    before, running = versions(state), StateDir(state)
    assert taste(AtRest(state), key)["events"]
    with operated(line := RunningLine(running, running.settings(), push=False)) as operator:
        assert operator.forget(user)["learned_models"] == [before[0]["version"]]
        scorer, featurizer = line.stage("score"), line.stage("featurize")
        assert not line.call(lambda: scorer.profile.said(key, featurizer.past_of(key)))["events"]
    for file in state.rglob("*"):
        if file.is_file():
            assert not [trace for trace in traces if trace in file.read_bytes()], file
    assert [one["version"] for one in versions(state)] == [before[0]["version"]]
    assert AtRest(state).scorer.profile.tastes is not None


def test_who_is_forgotten_while_profiles_are_trained_is_not_put_in_force(state: Path) -> None:
    """What was read before they were forgotten is written after."""
    running = StateDir(state)
    (made,) = Artefacts(running.models).all()
    tastes = Tastes.load(made.files[FILE])
    user = users(state)[7]
    with operated(RunningLine(running, running.settings(), push=False)) as operator:
        operator.forget(user)
        late = Artefacts(running.models).write({FILE: tastes.packed()}, {"profiles": {}}, {}, {})
        operator.activate(late.version, [])
    left = Tastes.load(Artefacts(running.models).open(late.version).files[FILE]).users
    assert set(left.tolist()) == set(tastes.users.tolist()) - {Secret.load(state).user_key(user)}


def test_of_files_the_library_alone_is_kept(state: Path, tmp_path: Path) -> None:
    events = state.parent / "events.jsonl"
    said = json.loads(told("train", str(events), "--model", "profiles", "--out", str(tmp_path), "--json"))
    assert not said["models"]["profiles"]["users"] and said["models"]["profiles"]["terms"]
    assert "visits bought it" in told("train", str(events), "--model", "profiles", "--out", str(tmp_path))
    bare = tmp_path / "bare.csv"
    bare.write_text("user,item,time\n" + "".join(f"u{at % 3},i{at},{1_700_000_000 + at}\n" for at in range(30)))
    assert "no catalogue" in refusal("train", str(bare), "--model", "profiles", "--out", str(tmp_path))
