"""weights: an artefact says what it is, and what is none is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from shopguide.cli import cli
from shopguide.errors import SettingError
from shopguide.settings import load
from shopguide.weights import BLENDED, Weights


def test_round_trip_and_version(tmp_path: Path) -> None:
    weights = Weights({"items": 0.5, "steps": 1.0}, None, {"on": "a shop"})
    weights.save(tmp_path / "w.json")
    found = Weights.load(tmp_path / "w.json")
    assert found == weights and found.version == weights.version
    assert json.loads((tmp_path / "w.json").read_text())["version"] == weights.version
    assert Weights({"items": 0.6, "steps": 1.0}).version != weights.version
    assert Weights({"items": 0.5, "steps": 1.0}, None, {"on": "another"}).version == weights.version


def test_the_settings_own_and_those_of_a_file(tmp_path: Path) -> None:
    own = Weights.of(load("shop", flags={"score.items": 3}).score)
    assert own.linear["items"] == 3.0 and own.linear.keys() == set(BLENDED)
    Weights({"items": 2.0}).save(tmp_path / "w.json")
    found = Weights.of(load("shop", flags={"score.weights": str(tmp_path / "w.json")}).score)
    assert found.linear == {"items": 2.0}
    assert found.by_signal[0] == 2.0 and found.by_signal[1] == 0.0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no file of"),
        ("[]", "no file of"),
        ('{"format": 9}', "format 9"),
        ('{"format": 1, "linear": {"luck": 1}, "trees": null, "trained": {}}', "weighs luck"),
        ('{"format": 1, "linear": {"items": "much"}, "trees": null, "trained": {}}', "no file of"),
        ('{"format": 1, "linear": {"items": NaN}, "trees": null, "trained": {}}', "not finite"),
        ('{"format": 1, "linear": {}}', "no file of"),
    ],
)
def test_what_is_none_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(SettingError, match=why) as e:
        Weights.load(tmp_path / "w.json")
    assert "w.json" in str(e.value) and "\n" not in str(e.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        Weights.load(tmp_path / "none.json")


def test_a_relative_file_is_found_from_anywhere_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Weights({"items": 2.0}).save(tmp_path / "w.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOPGUIDE_SCORE_WEIGHTS", "w.json")
    found = load("shop")
    shown = CliRunner().invoke(cli, ["config", "show"], catch_exceptions=False)
    assert f'weights = "{tmp_path / "w.json"}"' in shown.output
    monkeypatch.chdir("/")
    assert Weights.of(found.score).linear == {"items": 2.0}


@pytest.mark.parametrize("value", ["nan", "inf", "much"])
def test_a_weight_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(SettingError, match=r"score\.items"):
        load("shop", flags={"score.items": value})
