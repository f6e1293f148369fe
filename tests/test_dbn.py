"""The belief network: what it learns, that its graph is Keras's network, seeds repeat, mistakes are one line."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from shopguide.errors import SettingError
from shopguide.networks.dbn import INPUT, OUTPUT, Trained, centred, export, logits, platt, scaled, slices, train
from shopguide.networks.rbm import sigmoid
from shopguide.probabilities import auc, calibration_error, losses

ort = pytest.importorskip("onnxruntime")
os.environ.setdefault("KERAS_BACKEND", "jax")
pytest.importorskip("keras")


def planted(visits: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Visits of three rows; one in seven buys, six times as often with the first unit on and the second off."""
    random = np.random.default_rng(seed)
    rows = random.random((visits, 6)).round()
    buys = random.random(visits) < np.where(rows[:, 0] > rows[:, 1], 0.36, 0.06)
    each = np.repeat(rows, 3, axis=0) * random.uniform(0.8, 1, (visits * 3, 6))
    return each.astype(np.float32), np.repeat(buys, 3), np.repeat(np.arange(visits), 3)


def run(graph: bytes, rows: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([OUTPUT], {INPUT: rows})[0])


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(*planted(1200, 1))


def test_a_planted_rule_is_learned_as_a_probability(trained: Trained) -> None:
    rows, label, _ = planted(4000, 2)
    said = run(trained.graph, rows)
    assert auc(said, label) > 0.68  # the rule itself has .72
    assert losses(said, label).mean() < losses(np.full(len(label), label.mean()), label).mean() - 0.02
    assert calibration_error(said, label) < 0.05
    found = trained.said
    assert found["visits"] == 1200 and found["rows"] == 3600 and found["auc"] > 0.65
    assert found["log_loss"] < found["log_loss_of_rate"] and 0 < found["epochs"] <= 60


def test_one_call_of_many_rows_is_many_calls(trained: Trained) -> None:
    rows = planted(171, 3)[0][:512]
    session = ort.InferenceSession(trained.graph, providers=["CPUExecutionProvider"])
    together = session.run(None, {INPUT: rows})[0]
    apart = [session.run(None, {INPUT: row[None]})[0] for row in rows]
    assert together.shape == (512,) and together.dtype == np.float32
    assert np.concatenate(apart) == pytest.approx(together, abs=1e-6)
    assert run(trained.graph, rows[:0]).shape == (0,)


def test_the_graph_is_keras_network() -> None:
    import keras  # noqa: PLC0415  after its backend is chosen

    dense = [keras.layers.Dense(units, activation="sigmoid") for units in (7, 4, 1)]
    model = keras.Sequential([keras.Input((6,)), *dense])
    random = np.random.default_rng(4)
    model.set_weights([random.normal(0, 2, variable.shape) for variable in model.weights])
    layers, rows = [np.asarray(variable.value) for variable in model.weights], planted(40, 5)[0]
    expected = np.asarray(model(rows))[:, 0]
    assert run(export(layers), rows) == pytest.approx(expected, abs=1e-5)
    assert sigmoid(logits(layers, rows)) == pytest.approx(expected, abs=1e-5)
    folded = sigmoid(0.5 * logits(layers, rows) - 1)
    assert run(export(scaled(layers, 0.5, -1)), rows) == pytest.approx(folded, abs=1e-5)


def test_a_seed_repeats_exactly_also_after_an_interrupted_training() -> None:
    given, stages = planted(60, 6), []

    def interrupt(stage: str) -> None:
        if stage == "epoch 2":
            raise KeyboardInterrupt

    state = np.random.get_state()[1].tolist()  # type: ignore[index]
    one = train(*given, seed=3, told=stages.append)
    with pytest.raises(KeyboardInterrupt):
        train(*given, seed=4, told=interrupt)
    assert train(*given, seed=3).graph == one.graph
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index]
    assert stages[:2] == ["pre-training", "epoch 1"] and stages[-1] == "all visits"


@pytest.mark.parametrize("label", [np.zeros(300, bool), np.ones(300, bool), np.repeat([True, False], 150)])
def test_labels_of_one_kind_are_one_clear_error(label: np.ndarray) -> None:
    with pytest.raises(SettingError, match="of 100 visits, some have to buy and some not"):
        train(planted(100, 8)[0], label, np.repeat(np.arange(100), 3))


def test_no_rows_are_one_clear_error() -> None:
    with pytest.raises(SettingError, match="of 0 visits"):
        train(np.zeros((0, 6), np.float32), np.zeros(0, bool), np.zeros(0, np.int64))


def test_slices_are_of_whole_visits_after_all_that_they_are_asked_of() -> None:
    group = np.repeat(np.arange(3, 43), 3)
    label = group % 2 == 0
    found = slices(label, group)
    assert len(found) == 4
    for before, after in found:
        assert group[before].max() < group[after].min()
    covered = np.concatenate([np.flatnonzero(after) for _, after in found])
    assert sorted(covered.tolist()) == np.flatnonzero(group >= 23).tolist()


def test_platt_finds_slope_and_shift() -> None:
    random = np.random.default_rng(9)
    found = random.normal(-2, 1.5, 50_000)
    label = random.random(len(found)) < sigmoid(0.6 * found - 0.4)
    assert platt(found, label) == pytest.approx((0.6, -0.4), abs=0.05)
    assert sigmoid(found + centred(found, 0.01)).mean() == pytest.approx(0.01)
    slope, shift = platt(-found, label)
    assert slope == 0 and sigmoid(np.array([shift]))[0] == pytest.approx(label.mean())


def test_without_keras_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(SettingError, match=r"pip install 'shopguide\[train\]'"):
        train(*planted(100, 10))
