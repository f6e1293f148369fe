"""trials: what the log tells of a version on trial, against counts made one by one; and the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from shopguide.artefacts import Artefacts, Trial
from shopguide.cli import cli
from shopguide.cli.at_rest import AtRest
from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.errors import RefusedError
from shopguide.evaluate.trials import Period, found, periods
from shopguide.records import Events, Kind, Ragged
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.weights import Weights

TRIAL = Trial(10.0, "b", 0.5)
Row = tuple[float, int, int, int, dict[str, Any]]  # arrival, kind, user, item, data

SHOWN = st.tuples(
    st.floats(0, 30),
    st.sampled_from([Kind.IMPRESSION, Kind.CLICK, Kind.PURCHASE, Kind.VIEW]),
    st.integers(0, 8),
    st.integers(1, 3),
    st.sampled_from([{}, {"list": "l1"}, {"list": ""}]),
)
LOGIN = st.tuples(
    st.floats(0, 30),
    st.just(Kind.ALIAS),
    st.integers(1, 4),
    st.just(0),
    st.fixed_dictionaries({"account": st.integers(5, 8)}),
)


def table(rows: list[Row]) -> Events:
    arrived, kind, user, item, data = zip(*rows, strict=True) if rows else ([],) * 5
    packed = Ragged.of_bytes([msgpack.packb(one) if one else b"" for one in data])
    value = [2.5 * (k == Kind.PURCHASE) for k in kind]
    return Events(arrived=list(arrived), kind=list(kind), user=list(user), item=list(item), value=value, data=packed)


@given(st.lists(SHOWN | LOGIN, max_size=40), st.sampled_from([None, 20.0]))
def test_counts_are_those_made_one_by_one(rows: list[Row], until: float | None) -> None:
    account: dict[int, int] = {}
    saw: dict[str, set[int]] = {"control": set(), "trial": set()}
    counts = {arm: dict.fromkeys(("shown", "clicks", "bought", "purchases"), 0) for arm in saw}
    clicked = set()
    for arrived, kind, user, item, data in sorted(rows, key=lambda row: row[0]):
        if kind == Kind.ALIAS:
            account[user] = data["account"]
        who = account.get(user, user)
        arm = "trial" if TRIAL.has(who) else "control"
        if not 10.0 <= arrived < (until or 99.0) or user == 0:
            continue
        if kind == Kind.IMPRESSION and data.get("list") != "":
            saw[arm].add(who)
            counts[arm]["shown"] += 1
        if who not in saw[arm]:
            continue
        if kind == Kind.CLICK and data.get("list") != "":
            counts[arm]["clicks"] += 1
            clicked.add((who, item))
        if kind == Kind.PURCHASE:
            counts[arm]["purchases"] += 1
            counts[arm]["bought"] += (who, item) in clicked
            clicked.discard((who, item))
    arms = found(table(rows), Period(TRIAL, until))["arms"]
    for arm in arms:
        assert {name: arms[arm][name] for name in counts[arm]} == counts[arm]
        assert arms[arm]["shoppers"] == len(saw[arm]) and arms[arm]["revenue"] == 2.5 * counts[arm]["purchases"]


def test_a_trial_lasts_until_the_next_row_about_the_blend() -> None:
    def row(at: float, version: str, *models: str, **more: float) -> Row:
        return at, Kind.ACTIVATE, 0, 0, {"version": version, "models": list(models), **more}

    rows = [row(5.0, "b", "blend", share=0.5), row(1.0, "a", "blend", "rnn"), row(2.0, "b", "blend", share=0.1)]
    rows += [row(6.0, "x", "rnn"), row(7.0, "a", "blend"), row(8.0, "c", "blend", share=0.2)]
    twice = table([*rows, rows[0]])
    assert periods(twice) == [
        Period(Trial(2.0, "b", 0.1), 5.0),
        Period(Trial(5.0, "b", 0.5), 7.0),
        Period(Trial(8.0, "c", 0.2), None),
    ]


def shop(n: int, better: float, share: float = 0.5) -> dict[str, Any]:
    """What is found where so many shoppers see ten items each, and click one in ten, or more in the trial."""
    random, rows = np.random.default_rng(4), []
    for user in range(1, n + 1):
        rate = 0.1 + better * Trial(10.0, "b", 0.5).has(user)
        for item, clicks in enumerate(random.random(10) < rate, start=1):
            rows.append((11.0, Kind.IMPRESSION, user, item, {"list": "l"}))
            rows += [(12.0, Kind.CLICK, user, item, {"list": "l"})] * bool(clicks)
    return found(table(rows), Period(Trial(10.0, "b", share), None))


def test_a_difference_that_is_there_is_told_from_none() -> None:
    there, none = (shop(2000, better)["differences"]["ctr"] for better in (0.05, 0.0))
    assert there["low"] < 0.05 < there["high"] and there["p"] < 0.01
    assert none["low"] < 0.0 < none["high"] and none["p"] > 0.01


def test_a_split_that_the_share_does_not_explain_is_told() -> None:
    said = shop(2000, 0.0)
    assert said["split_p"] > 0.001
    lost = [
        (11.0, Kind.IMPRESSION, user, 1, {"list": "l"}) for user in range(1, 2001) if not TRIAL.has(user) or user % 3
    ]
    assert found(table(lost), Period(TRIAL, None))["split_p"] < 0.001


def told(*arguments: str) -> str:
    answer = CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


@pytest.fixture
def state(tmp_path: Path) -> Path:
    events, directory = tmp_path / "events.jsonl", tmp_path / "state"
    told("simulate", "--events", "500", "--seed", "3", "--out", str(events))
    told("batch", "--source", f"file:{events}", "--state", str(directory))
    return directory


def test_from_the_first_share_to_the_verdict(state: Path) -> None:
    artefacts = Artefacts(StateDir(state).models)
    one, other = (artefacts.write({"blend.json": Weights({n: 1.0}).packed()}, {"blend": {}}, {}, {}).version
                  for n in ("items", "popular"))  # fmt: skip
    told("activate", one, "--state", str(state))
    said = json.loads(told("activate", other, "--share", "40%", "--state", str(state), "--json"))
    assert said == {"blend": one, "trial": other}
    assert "on trial for 0.4 of the users" in told("activate", "--state", str(state))
    listed = json.loads(told("activate", "--state", str(state), "--json"))
    assert listed["in_force"] == {"blend": one}
    assert (listed["trial"]["version"], listed["trial"]["share"]) == (other, 0.4)
    assert "nothing to compare" in told("trial", "--state", str(state))

    line = RunningLine(StateDir(state), load(flags={"push.endpoint": "tcp://127.0.0.1:*"}))
    rows = [
        {"user": f"u{user}", "item": f"i{item}", "kind": kind, "list": "l", "time": None, "price": 3}
        for user in range(60)
        for item in range(5)
        for kind in ["impression"] + ["click"] * (item == 0) + ["purchase"] * (item == 0 and user % 2)
    ]
    with operated(line) as operator:
        line.collector.collect(rows)
        line.collector.commit()
        line.learn_all()
        listed = json.loads(told("activate", "--state", str(state), "--json"))
        assert (listed["in_force"], listed["trial"]["share"]) == ({"blend": one}, 0.4), "the process is asked"
        with pytest.raises(RefusedError, match="no other model"):
            operator.activate(other, ["rnn"], 0.4)
        with pytest.raises(RefusedError, match="no other model"):
            operator.activate("off", [], 0.4)
    said = json.loads(told("trial", "--state", str(state), "--json"))
    arms = said["arms"]
    assert arms["control"]["shoppers"] + arms["trial"]["shoppers"] == 60 and said["until"] is None
    assert sum(arm["clicks"] for arm in arms.values()) == 60 and sum(arm["bought"] for arm in arms.values()) == 30
    assert arms["trial"]["ctr"] == pytest.approx(0.2) and set(said["differences"]) == {
        "ctr", "cvr", "purchases_per_shopper", "revenue_per_shopper"
    }  # fmt: skip
    trial = AtRest(state).scorer.trained.in_force.trial
    assert trial and trial.share == 0.4

    told("activate", other, "--state", str(state))
    assert AtRest(state).scorer.trained.in_force.trial is None
    table = told("trial", other, "--state", str(state))
    assert "was tried on 0.4" in table and "until" in table and "clicks per item shown" in table


@pytest.mark.parametrize("share", ["0", "1", "100%", "half", "-5%", "nan"])
def test_a_share_is_more_than_none_and_less_than_all(share: str, state: Path) -> None:
    answer = CliRunner().invoke(cli, ["activate", "x", "--share", share, "--state", str(state)])
    assert answer.exit_code == 2 and "should be a share between 0 and 1" in answer.output


def test_what_was_never_tried_is_one_line(state: Path) -> None:
    answer = CliRunner().invoke(cli, ["trial", "--state", str(state)])
    assert "no version was on trial yet" in str(answer.exception)
    answer = CliRunner().invoke(cli, ["trial", "--state", str(state), "--source", "kafka://127.0.0.1:1/t"])
    assert "has a log of its own" in str(answer.exception)
    made = Artefacts(StateDir(state).models).write(
        {"blend.json": Weights({"items": 1.0}).packed()}, {"blend": {}}, {}, {}
    )
    told("activate", made.version, "--share", "0.1", "--state", str(state))
    answer = CliRunner().invoke(cli, ["trial", "abc", "--state", str(state)])
    assert f"abc was never on trial in {state}: {made.version} were" in str(answer.exception)
