"""artefacts: whole or not there, known by what they hold; what is in force does not depend on the order of rows."""

from __future__ import annotations

import json
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide import durable
from shopguide.artefacts import OFF, TRIAL, Artefacts, InForce, Trial
from shopguide.errors import StateError
from shopguide.records import Events, Kind, Ragged

FILES = {"blend.json": b"{}", "rnn.onnx": b"graph"}


Said = tuple[float, str, list[str]] | tuple[float, str, list[str], float]


def rows(said: list[Said]) -> Events:
    """ACTIVATE rows: arrival, version, models, and maybe the share of the users."""
    packed = [
        msgpack.packb({"version": version, "models": models} | ({"share": share[0]} if share else {}))
        for _, version, models, *share in said
    ]
    kinds = np.full(len(said), Kind.ACTIVATE)
    return Events(arrived=[one[0] for one in said], kind=kinds, data=Ragged.of_bytes(packed))


def test_what_is_written_is_found_again(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path / "models")
    assert artefacts.all() == []
    made = artefacts.write(FILES, {"blend": {"hr": 0.5}, "rnn": {}}, {0: 10, 3: 7}, {"seconds": 1})
    assert artefacts.open(made.version) == made and artefacts.all() == [made]
    assert (made.models["blend"], made.read, made.run) == ({"hr": 0.5}, {0: 10, 3: 7}, {"seconds": 1})
    assert {name: path.read_bytes() for name, path in made.files.items()} == FILES
    again = artefacts.write(FILES, {"blend": {}}, {}, {})
    assert again.version == made.version and len(artefacts.all()) == 1, "equal files, equal version"
    artefacts.write(FILES, {}, {0: 5}, {})
    assert artefacts.note_forgotten({0: np.array([0])}) == [made.version]
    again = artefacts.write(FILES, {}, {0: 5}, {})
    assert not again.holds_forgotten, "what is trained anew read the purged log"
    other = artefacts.write({**FILES, "rnn.onnx": b"another"}, {}, {}, {})
    assert other.version != made.version and artefacts.all() == [again, other]


@pytest.mark.parametrize("broken", ["missing", "changed", "cut", "format", "manifest"])
def test_what_is_broken_is_refused_and_passed_over(
    broken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artefacts = Artefacts(tmp_path)
    path = artefacts.write(FILES, {}, {}, {}).path
    if broken == "missing":
        (path / "rnn.onnx").unlink()
    if broken == "changed":
        (path / "rnn.onnx").write_bytes(b"grapH")
    if broken == "cut":
        (path / "manifest.json").write_bytes((path / "manifest.json").read_bytes()[:40])
    if broken == "format":
        said = json.loads((path / "manifest.json").read_text())
        (path / "manifest.json").write_text(json.dumps({**said, "format": 99}))
    if broken == "manifest":
        (path / "manifest.json").write_text("[]")
    with pytest.raises(StateError, match=path.name):
        artefacts.open(path.name)
    assert artefacts.all() == [] and path.name in caplog.text


def test_a_disk_that_refuses_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "write", full)
    with pytest.raises(StateError, match="No space left"):
        Artefacts(tmp_path / "models").write(FILES, {}, {}, {})
    assert list((tmp_path / "models").iterdir()) == []


def test_who_is_forgotten_is_named_and_goes_at_the_next_training(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    held = artefacts.write(FILES, {}, {0: 10, 1: 5}, {}).version
    before = artefacts.write({"blend.json": b"[]"}, {}, {0: 3, 1: 5}, {}).version
    assert artefacts.note_forgotten({0: np.array([4, 20]), 1: np.array([5])}) == [held]
    assert [one.version for one in artefacts.all() if one.holds_forgotten] == [held]
    assert artefacts.drop_forgotten({held}) == [] and artefacts.drop_forgotten(set()) == [held]
    assert [one.version for one in artefacts.all()] == [before]


def test_the_newest_row_of_a_model_counts() -> None:
    in_force = InForce()
    assert in_force.learn(rows([(1.0, "a", ["blend", "rnn"])])) == ["blend", "rnn"]
    assert in_force.learn(rows([(2.0, "b", ["rnn"])])) == ["rnn"]
    assert in_force.learn(rows([(1.5, "c", ["rnn", "cnn"])])) == ["cnn"]
    assert in_force.versions == {"blend": "a", "rnn": "b", "cnn": "c"}
    assert in_force.learn(rows([(3.0, "a", ["rnn"]), (4.0, OFF, ["cnn"])])) == ["rnn", "cnn"]


def test_a_version_is_on_trial_until_the_next_row_about_the_blend() -> None:
    in_force = InForce()
    in_force.learn(rows([(1.0, "a", ["blend", "rnn"])]))
    assert in_force.learn(rows([(2.0, "b", ["blend"], 0.2)])) == [TRIAL]
    assert in_force.trial == (2.0, "b", 0.2) and in_force.named == {"blend": "a", "rnn": "a", "trial": "b"}
    assert in_force.learn(rows([(3.0, "a", ["rnn"]), (2.5, "b", ["blend"], 0.5)])) == [TRIAL]
    assert in_force.trial == (2.5, "b", 0.5), "rows about other models leave it"
    assert in_force.learn(rows([(4.0, "b", ["blend"])])) == ["blend", TRIAL]
    assert in_force.trial is None and in_force.named == {"blend": "b", "rnn": "a"}
    assert in_force.learn(rows([(3.5, "c", ["blend"], 0.5)])) == [], "it is older than what has ended it"


@given(st.integers(1, 2**64 - 1), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_who_is_of_a_share_is_of_every_larger_one(user: int, one: float, other: float) -> None:
    small, large = (Trial(1.0, "a", share) for share in sorted((one, other)))
    assert not small.has(user) or large.has(user)
    assert Trial(9.0, "a", one).has(user) == Trial(1.0, "a", one).has(user) and not large.has(0)


def test_versions_have_users_of_their_own_and_as_many_as_the_share_says() -> None:
    n = 20_000
    in_a, in_b = ([Trial(1.0, version, 0.3).has(user) for user in range(1, n + 1)] for version in "ab")
    assert abs(sum(in_a) / n - 0.3) < 0.02 and abs(sum(in_b) / n - 0.3) < 0.02
    both = sum(a and b for a, b in zip(in_a, in_b, strict=True))
    assert abs(both / n - 0.09) < 0.01


@given(
    said=st.lists(
        st.tuples(
            st.sampled_from([1.0, 2.0, 3.0]),
            st.sampled_from(["a", "b", OFF]),
            st.lists(st.sampled_from(["blend", "rnn"]), min_size=1, unique=True),
        )
        | st.tuples(
            st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from("ab"), st.just(["blend"]), st.sampled_from([0.2, 0.5])
        ),
        max_size=6,
    ),
    data=st.data(),
)
def test_any_order_and_any_repetition_come_to_the_same(said: list[Said], data: st.DataObject) -> None:
    one, other = InForce(), InForce()
    one.learn(rows(said))
    again = data.draw(st.permutations(said + said[:2]))
    at = data.draw(st.integers(0, len(again)))
    other.learn(rows(again[:at]))
    restored = InForce()
    restored.load(json.loads(json.dumps(other.dump())))
    restored.learn(rows(again[at:]))
    assert (restored.versions, restored.trial) == (one.versions, one.trial)
