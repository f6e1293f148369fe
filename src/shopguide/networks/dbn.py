"""A deep belief network that says how probably a visit buys: RBMs one on the other, then fine-tuned as one network.

Each RBM learns the hidden probabilities of the one below it (Hinton, Osindero, Teh, "A fast learning algorithm for
deep belief nets", 2006); their weights are where backpropagation begins. The newest half of the visits is held out in
slices, each predicted by a network of all that came before it. That says for how many epochs to go on, and how steep
the last layer should be (Platt, "Probabilistic outputs for support vector machines", 1999, who also holds out in turn);
its shift is such that all rows have their rate on average, as the rate of a slice is soon another one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.errors import SettingError
from shopguide.networks.graph import Graph
from shopguide.networks.rbm import F64, RBM, fit, sigmoid
from shopguide.networks.training import keras
from shopguide.probabilities import auc, calibration_error, losses, reliability

HIDDEN = (32, 16)  # units
PRETRAINING = 5  # epochs of each RBM
HELD_OUT, SLICES = 0.5, 4  # of the groups, the newest
MOST_EPOCHS, PATIENCE = 60, 6
BATCH = 256
RATE = 1e-3
INPUT, OUTPUT = "features", "intent"
NEWTON = 50  # steps
SEED = 7

F32 = NDArray[np.float32]
Labels = NDArray[np.bool_]
Groups = NDArray[np.int64]
Layers = list[NDArray[Any]]  # kernel, bias, kernel, bias, ...
Told = Callable[[str], object]  # at which stage the work is


@dataclass(frozen=True)
class Trained:
    """``graph``: ONNX, float32[batch, F] to the probability float32[batch]. ``said``: how it came about, and how good
    the slices were predicted that epochs and calibration were chosen by."""

    graph: bytes
    said: dict[str, Any]


def train(rows: F32, label: Labels, group: Groups, seed: int = SEED, told: Told = lambda stage: None) -> Trained:
    """``rows`` float32[n, F] in 0..1, each with its label and the visit that it belongs to, visits numbered in order
    of time. The same seed gives the same graph on the same machine. Raises SettingError where Keras is not installed
    or there is nothing to tell apart."""
    begin, framework, parted = time.monotonic(), keras(), slices(label, group)
    told("pre-training")
    network = _Network(framework, pretrain(rows.astype(np.float64), seed))
    parts = [_Tuning(network, rows[before], label[before], seed) for before, _ in parted]
    true = np.concatenate([label[after] for _, after in parted])
    best, epochs, found = np.inf, 0, np.zeros(len(true))
    for epoch in range(1, MOST_EPOCHS + 1):
        told(f"epoch {epoch}")
        heard = [part.epoch().logits(rows[after]) for part, (_, after) in zip(parts, parted, strict=True)]
        if (loss := losses(sigmoid(np.concatenate(heard)), true).mean()) < best:
            best, epochs, found = loss, epoch, np.concatenate(heard)
        if epoch - epochs == PATIENCE:
            break
    told("all visits")
    whole = _Tuning(network, rows, label, seed)
    for _ in range(epochs):
        whole.epoch()
    slope, apart = platt(found, true)
    shift = centred(slope * whole.logits(rows), label.mean())
    how = {"rows": len(rows), "visits": len(np.unique(group)), "rate": float(label.mean())}
    how |= {"epochs": epochs, "slope": slope, "shift": shift, "seconds": time.monotonic() - begin}
    return Trained(export(scaled(whole.layers, slope, shift)), how | _measured(sigmoid(slope * found + apart), true))


def _measured(said: F64, true: Labels) -> dict[str, Any]:
    return {
        "auc": auc(said, true),
        "log_loss": float(losses(said, true).mean()),
        "log_loss_of_rate": float(losses(np.full(len(true), true.mean()), true).mean()),
        "calibration_error": calibration_error(said, true),
        "reliability": [tuple(found) for found in reliability(said, true)],
    }


def slices(label: Labels, group: Groups) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Which rows are before, and which in, each slice of the newest groups. Raises SettingError where one kind of
    label is missing before the first of them, or in all."""
    names = np.unique(group)
    bounds = np.linspace(len(names) * (1 - HELD_OUT), len(names), SLICES + 1).astype(int)
    edges = np.append(names, names[-1:] + 1)[bounds] if len(names) else bounds
    parted = [(group < first, (group >= first) & (group < last)) for first, last in pairwise(edges.tolist())]
    for rows in (parted[0][0], group >= edges[0]):
        if label[rows].all() or not label[rows].any():
            raise SettingError(
                f"too little to train purchase intent on: of {len(names):,} visits, some have to buy and some not, "
                "among the older half and among the newer"
            )
    return parted


def pretrain(rows: F64, seed: int) -> list[RBM]:
    """RBMs of HIDDEN units, each of what the one below it makes of the rows."""
    stack: list[RBM] = []
    for units in HIDDEN:
        stack.append(fit(rows, units, PRETRAINING, seed))
        rows = stack[-1].up(rows)
    return stack


class _Network:
    """The stack under one more unit, as Keras compiles it; one for all that are tuned, who bring their own values."""

    def __init__(self, keras: ModuleType, stack: list[RBM]) -> None:
        dense = [keras.layers.Dense(len(rbm.hidden), activation="sigmoid") for rbm in stack]
        self._model = keras.Sequential([keras.Input((len(stack[0].visible),)), *dense, keras.layers.Dense(1)])
        optimizer = keras.optimizers.Adam(RATE)
        optimizer.build(self._model.trainable_variables)
        self._model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
        self._variables = [*self._model.weights, *optimizer.variables]
        top = [np.zeros((len(stack[-1].hidden), 1)), np.zeros(1)]
        pretrained = [array for rbm in stack for array in (rbm.weights, rbm.hidden)] + top
        self.depth = len(pretrained)
        self.first: Layers = pretrained + self._values()[self.depth :]

    def epoch(self, values: Layers, rows: F32, label: F32) -> Layers:
        """The values after once over the rows, in order."""
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
        self._model.fit(rows, label, BATCH, shuffle=False, verbose=0)
        return self._values()

    def _values(self) -> Layers:
        return [np.array(variable.value) for variable in self._variables]


class _Tuning:
    """A network that learns labels. Its last unit begins with their rate, and no row counts more than another: so what
    it says stays a probability, however few of them are true."""

    def __init__(self, network: _Network, rows: F32, label: Labels, seed: int) -> None:
        self._network, self._rows, self._label = network, rows, label.astype(np.float32)
        self._random = np.random.default_rng(seed)
        self._values = list(network.first)
        self._values[network.depth - 1] = log_odds(label.mean(keepdims=True))

    def epoch(self) -> _Tuning:
        """Once over all rows, in another order; the last batch is filled up with rows of the first."""
        order = self._random.permutation(len(self._rows))
        order = np.resize(order, -(-len(order) // BATCH) * BATCH)
        self._values = self._network.epoch(self._values, self._rows[order], self._label[order])
        return self

    @property
    def layers(self) -> Layers:
        return self._values[: self._network.depth]

    def logits(self, rows: F32) -> F64:
        return logits(self.layers, rows)


def logits(layers: Layers, rows: F32) -> F64:
    """What the last layer says before its sigmoid."""
    *hidden, (kernel, bias) = zip(layers[::2], layers[1::2], strict=True)
    values = rows.astype(np.float64)
    for weights, biases in hidden:
        values = sigmoid(values @ weights + biases)
    return np.asarray((values @ kernel + bias)[:, 0])


def platt(found: F64, label: Labels) -> tuple[float, float]:
    """Slope and shift of logits under which the labels are most probable, by Newton's method. A slope is at least 0:
    what ranks the wrong way round knows nothing, and all get the rate."""
    slope, shift = 1.0, 0.0
    for _ in range(NEWTON):
        said = sigmoid(slope * found + shift)
        gradient = np.array([((said - label) * found).sum(), (said - label).sum()])
        weight = said * (1 - said)
        cross = (weight * found).sum()
        curvature = np.array([[(weight * found * found).sum(), cross], [cross, weight.sum()]]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        slope, shift = slope - step[0], shift - step[1]
    return (float(slope), float(shift)) if slope > 0 else (0.0, float(log_odds(label.mean())))


def centred(found: F64, rate: float) -> float:
    """The shift of logits under which they say ``rate`` on average, by Newton's method."""
    shift = float(log_odds(rate) - found.mean())
    for _ in range(NEWTON):
        said = sigmoid(found + shift)
        shift -= float((said.mean() - rate) / (said * (1 - said)).mean())
    return shift


def log_odds(rate: Any) -> Any:
    """The inverse of the sigmoid."""
    return np.log(rate / (1 - rate))


def scaled(layers: Layers, slope: float, shift: float) -> Layers:
    """The same network with its logits times ``slope`` plus ``shift``."""
    *below, kernel, bias = layers
    return [*below, kernel * slope, bias * slope + shift]


def export(layers: Layers) -> bytes:
    """The network as an ONNX graph of Gemm and Sigmoid."""
    graph, name = Graph(), INPUT
    for at, (kernel, bias) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
        graph.given(f"kernel {at}", kernel.astype(np.float32))
        graph.given(f"bias {at}", bias.astype(np.float32))
        graph.node("Gemm", [name, f"kernel {at}", f"bias {at}"], f"sum {at}")
        name = graph.node("Sigmoid", [f"sum {at}"], f"layer {at}")
    graph.given("units", np.array([1], np.int64))
    graph.node("Squeeze", [name, "units"], OUTPUT)
    return graph.bytes({INPUT: (np.float32, ("batch", len(layers[0])))}, {OUTPUT: (np.float32, ("batch",))})
