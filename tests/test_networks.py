"""networks: a graph says what Keras says, a visit's states do not depend on what is remembered, an interrupted training
comes to what it would have come to, and a network names what it has seen follow."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import on_tensorflow
from hypothesis import given
from hypothesis import strategies as st

from shopguide._core import Blend, Query
from shopguide.errors import SettingError, StateError
from shopguide.networks import training
from shopguide.networks.learning import Learner, export
from shopguide.networks.loading import load
from shopguide.networks.serving import LEFT_OUT, Layer, Sequential
from shopguide.networks.visits import STEPS, Visits
from shopguide.recommenders.base import PLACE, Context
from shopguide.recommenders.network import Network, _newest
from shopguide.records import SIGNALS, Kind, Lessons

ITEMS = 12
kinds = pytest.mark.parametrize("kind", training.KINDS)


def lessons(visits: list[list[int]]) -> Lessons:
    """Visits one after the other, an event a second."""
    unit = np.repeat(np.arange(len(visits), dtype=np.uint64) + 1, [len(visit) for visit in visits])
    item = np.array([item for visit in visits for item in visit], np.uint64)
    n = len(item)
    return Lessons(
        offset=np.arange(n),
        sign=np.ones(n),
        kind=np.full(n, Kind.VIEW),
        unit=unit,
        user=unit,
        item=item,
        time=np.arange(n, dtype=np.float64),
    )


def around(chance: np.random.Generator) -> list[int]:
    """A visit that goes from item to item in a circle: 100, 101, ..., 111, 100."""
    first, n = chance.integers(ITEMS), chance.integers(2, 9)
    return [100 + int(first + step) % ITEMS for step in range(n)]


def circle(visits: int) -> Visits:
    chance = np.random.default_rng(1)
    return Visits.of(lessons([around(chance) for _ in range(visits)]))


@pytest.fixture(scope="module", autouse=True)
def _narrow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "WIDTH", 16)
        patch.setattr(training, "RATE", 0.03)
        patch.setattr(training, "BATCH", 32)
        yield


@pytest.fixture(scope="module")
def fitted() -> dict[str, training.Fitted]:
    visits = circle(400)
    older, newest = visits.divided()
    return {kind: training.fit(kind, older, print, newest, 6) for kind in training.KINDS}


@pytest.fixture(scope="module")
def served(fitted: dict[str, training.Fitted]) -> dict[str, Sequential]:
    return {kind: load(kind, export(kind, circle(400), one.weights)) for kind, one in fitted.items()}


def told_by_keras(kind: str, fitted: training.Fitted, ids: np.ndarray) -> np.ndarray:
    """Scores of all items after the visit."""
    model = training._model(training.keras(), kind, ITEMS)
    for weight in model.weights:
        weight.assign(fitted.weights[weight.path.rpartition("network/")[2]])
    everything = np.arange(ITEMS + 1, dtype=np.int32)
    found = model((ids[np.newaxis].astype(np.int32), everything))
    return np.asarray(training.keras().ops.convert_to_numpy(found))[0, -1, 1:]


@kinds
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_states_are_those_of_keras_with_and_without_each_newest_item(
    kind: str, n: int, fitted: dict[str, training.Fitted], served: dict[str, Sequential]
) -> None:
    network, ids = served[kind], np.random.default_rng(n).integers(1, ITEMS + 1, n)
    states = network.states(7, ids)
    visits = [ids, *(np.delete(ids, n - 1 - at) for at in range(min(LEFT_OUT, n) if n > 1 else 0))]
    assert len(states) == len(visits)
    for scores, visit in zip(network.layer.scores(states, np.arange(ITEMS)), visits, strict=True):
        np.testing.assert_allclose(scores, told_by_keras(kind, fitted[kind], visit), atol=1e-4)


@kinds
@given(data=st.data())
def test_what_is_remembered_changes_nothing(kind: str, served: dict[str, Sequential], data: st.DataObject) -> None:
    visit = np.array(data.draw(st.lists(st.integers(1, ITEMS), min_size=1, max_size=12)))
    network = served[kind]
    for _ in range(data.draw(st.integers(1, 5))):
        seen = visit[: data.draw(st.integers(1, len(visit)))]
        fresh = network.states(data.draw(st.integers(100, 10**9)), seen)
        np.testing.assert_allclose(network.states(1, seen), fresh, atol=1e-5)


def test_who_is_taken_back_is_not_remembered(served: dict[str, Any]) -> None:
    network, recommender = served["rnn"], Network("rnn")
    recommender.network = network
    network.states(3, np.array([1, 2]))
    network.states(4, np.array([1, 2]))
    recommender.retract(lessons([[100], [100], [100]]))  # units 1, 2 and 3
    assert 3 not in network._seen and 4 in network._seen


def test_many_steps_at_once_are_many_steps(served: dict[str, Any]) -> None:
    chance, network = np.random.default_rng(3), served["rnn"]
    ids, states = chance.integers(1, ITEMS + 1, 512), chance.normal(size=(512, 16)).astype(np.float32)
    one_by_one = np.concatenate([network.step(ids[at : at + 1], states[at : at + 1]) for at in range(512)])
    np.testing.assert_allclose(network.step(ids, states), one_by_one, atol=1e-5)


@kinds
def test_a_rule_is_learned_and_named(kind: str, fitted: dict[str, Any], served: dict[str, Sequential]) -> None:
    assert fitted[kind].said["hr"] == 1.0  # of twenty, among twelve
    assert fitted[kind].said["mrr"] > 0.9
    network = Network(kind)
    network.network = served[kind]
    blend = Blend(len(SIGNALS))
    network.score(asks([103, 104, 105]), 5, blend)
    _, items, because, amounts = blend.rows()
    assert items[amounts.argmax()] == 106 and amounts.max() == 1.0
    assert because[amounts.argmax()] == 105, "without the newest it would be another"
    assert len(items) == 5


@pytest.mark.parametrize(("seen", "first"), [(1, 0), (32, 0), (33, 16), (48, 16), (49, 32), (64, 32)])
def test_a_long_visit_begins_anew_only_now_and_then(seen: int, first: int) -> None:
    assert _newest(np.arange(seen)).tolist() == list(range(first, seen))


@kinds
def test_what_others_found_is_scored_and_strangers_are_not(kind: str, served: dict[str, Sequential]) -> None:
    network, blend = Network(kind), Blend(len(SIGNALS))
    blend.put(PLACE["items"], np.array([101, 999], np.uint64), np.ones(2))
    network.score(asks([103]), 5, blend)  # silent: it has no network yet
    assert len(blend.rows()[0]) == 2
    network.network = served[kind]
    network.score(asks([999, 103]), 1, blend)
    rows = {
        int(item): int(cause) for signal, item, cause, _ in zip(*blend.rows(), strict=True) if signal == PLACE[kind]
    }
    assert rows.keys() == {101, 104}
    assert set(rows.values()) == {103}
    network.score(asks([999]), 1, blend)
    assert len(blend.rows()[0]) == 4


def asks(visit: list[int]) -> Context:
    nothing = np.zeros(0, np.uint64)
    asked = Query(nothing, np.zeros(0))
    return Context(asked, nothing, nothing, 5, 6, 0.0, visit=np.array(visit, np.uint64))


def test_an_interrupted_training_comes_to_the_same(tmp_path: Path) -> None:
    kind, visits = "cnn", circle(100)

    def stop(said: str) -> None:
        if "epoch 2" in said:
            raise KeyboardInterrupt

    whole = training.fit(kind, visits, print, None, 3)
    with pytest.raises(KeyboardInterrupt):
        training.fit(kind, visits, stop, None, 3, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    epochs: list[str] = []
    resumed = training.fit(kind, visits, epochs.append, None, 3, tmp_path)
    assert epochs == [f"{kind}: 100 visits", f"{kind}: epoch 3 of 3"] and not list(tmp_path.iterdir())
    for name, weights in whole.weights.items():
        np.testing.assert_array_equal(weights, resumed.weights[name])


ON_ANOTHER_BACKEND = """
import numpy as np, test_networks as t
from shopguide.networks import training
from shopguide.networks.learning import export
from shopguide.networks.loading import load
training.WIDTH, training.RATE, training.BATCH = 16, 0.03, 32
assert training.keras().backend.backend() == "tensorflow"
visits = t.circle(400)
for kind in training.KINDS:
    fitted = training.fit(kind, visits.part(0, 360), print, visits.part(360, 400), 6)
    assert fitted.said["mrr"] > 0.9, fitted.said
    states = load(kind, export(kind, visits, fitted.weights)).states(1, np.array([4, 5, 6]))
    assert (load(kind, export(kind, visits, fitted.weights)).layer.best(states[0], 1) == 6).all()
"""


def test_the_same_code_trains_on_tensorflow() -> None:
    on_tensorflow(ON_ANOTHER_BACKEND)


def test_visits_are_what_units_did_in_order() -> None:
    visits = Visits.of(lessons([[5, 6, 5], [9], [6, 7]]))
    assert visits.items.tolist() == [5, 6, 7] and len(visits) == 2, "a single event teaches no step"
    assert visits.ids.tolist() == [1, 2, 1, 2, 3] and visits.starts.tolist() == [0, 3, 5]
    (short,) = visits.batches(4, np.arange(2))
    rest = [0] * 6
    assert short[0].tolist() == [[1, 2, *rest], [2, 0, *rest], [0] * 8, [0] * 8]
    assert short[1].tolist() == [[2, 1, *rest], [3, 0, *rest], [0] * 8, [0] * 8]
    assert [len(part) for part in visits.divided()] == [1, 1]
    assert len(visits.newest(2)) == 1 and len(visits.newest(100)) == 2


def test_of_a_long_visit_the_newest_steps() -> None:
    visits = Visits.of(lessons([list(range(1, STEPS + 10))]))
    ((seen, following),) = visits.batches(1, np.arange(1))
    assert following[0].tolist() == list(range(10, STEPS + 10)) and seen[0, 0] == 9


def test_a_large_catalogue_is_asked_for_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "AMONG", 20)
    among = training._among(np.array([[3, 90, 0]], np.int32), 100, np.random.default_rng(1))
    assert {0, 3, 90} <= set(among.tolist()) and len(among) == 20
    assert (np.diff(among) > 0).all() and among.max() <= 100


def test_what_cannot_be_trained_or_served_says_why(tmp_path: Path, served: dict[str, Sequential]) -> None:
    with pytest.raises(SettingError, match="no visit has two events"):
        Learner(["rnn"], print).learn(lessons([[5], [6]]), {})
    with pytest.raises(ValueError, match="2 biases"):
        Layer(np.arange(3, dtype=np.uint64), np.zeros((3, 4), np.float32), np.zeros(2, np.float32))
    (tmp_path / "rnn.npz").write_bytes(b"PK")
    with pytest.raises(StateError, match="no last layer"):
        load("rnn", {"rnn.npz": tmp_path / "rnn.npz", "rnn.onnx": b""})
    with pytest.raises(StateError, match="no network"):
        load("rnn", {**export("rnn", circle(9), blank()), "rnn.onnx": b"nothing"})


def blank() -> dict[str, np.ndarray]:
    shapes = {"gru/gru_cell/kernel": (16, 48), "gru/gru_cell/recurrent_kernel": (16, 48), "gru/gru_cell/bias": (2, 48)}
    shapes |= {"embedding/embeddings": (ITEMS + 1, 16), "bias/embeddings": (ITEMS + 1, 1)}
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(("package", "extra"), [("keras", "train"), ("onnxruntime", "networks")])
def test_without_an_extra_it_is_named(package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def lacking(name: str, *rest: Any, **more: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *rest, **more)

    files = export("rnn", circle(9), blank())
    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(SettingError, match=rf"pip install 'shopguide\[{extra}\]'"):
        Learner(["rnn"], print).learn(lessons([[1, 2], [2, 3]]), {}) if package == "keras" else load("rnn", files)
