"""From kept events to networks that can be served: trained, exported, and loaded again."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shopguide.networks import graph
from shopguide.networks.loading import load
from shopguide.networks.serving import Sequential
from shopguide.networks.training import AMONG, DILATIONS, F32, Told, fit
from shopguide.networks.visits import Visits
from shopguide.records import Lessons

WORK = 400_000_000  # steps of an epoch, times the items that each is told from, at most: of more visits the newest


class Learner:
    """Trains networks of some kinds. How many epochs are enough is found on the older visits of the first history that
    it is given. ``checkpoints``: see :func:`fit`."""

    def __init__(self, kinds: Iterable[str], told: Told, checkpoints: Path | None = None) -> None:
        self.kinds, self._checkpoints = tuple(kinds), checkpoints
        self.said: dict[str, dict[str, Any]] = {}
        self._told = told

    def rehearse(self, lessons: Lessons) -> dict[str, Sequential]:
        """Networks of the older visits of a history. Raises SettingError where it has no visits to learn from, or
        where Keras or ONNX Runtime is not installed."""
        visits = _affordable(Visits.of(lessons))
        older, newest = visits.divided()
        found = {}
        for kind in self.kinds:
            fitted = fit(kind, older, self._told, newest, checkpoints=self._checkpoints)
            self.said[kind] = fitted.said
            found[kind] = load(kind, export(kind, visits, fitted.weights))
        return found

    def learn(self, lessons: Lessons) -> dict[str, bytes]:
        """The files of networks of a whole history. Raises as :meth:`rehearse` does."""
        if self.kinds and not self.said:
            self.rehearse(lessons)
        files: dict[str, bytes] = {}
        visits = _affordable(Visits.of(lessons))
        for kind in self.kinds:
            fitted = fit(kind, visits, self._told, None, self.said[kind]["epochs"], self._checkpoints)
            self.said[kind] |= {"items": len(visits.items), "visits": len(visits)}
            files |= export(kind, visits, fitted.weights)
        return files


def export(kind: str, visits: Visits, weights: Mapping[str, F32]) -> dict[str, bytes]:
    """A network's two files: its graph, and its last layer."""
    embedding = weights["embedding/embeddings"]
    if kind == "rnn":
        made = graph.gru_step(
            embedding, *(weights[f"gru/gru_cell/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
        )
    else:
        kernels, biases = ([weights[f"conv{d}/{name}"] for d in DILATIONS] for name in ("kernel", "bias"))
        made = graph.convolution(embedding, kernels, biases)
    layer = io.BytesIO()
    np.savez(layer, keys=visits.items, weights=embedding[1:], bias=weights["bias/embeddings"][1:, 0])
    return {f"{kind}.onnx": made, f"{kind}.npz": layer.getvalue()}


def _affordable(visits: Visits) -> Visits:
    return visits.newest(WORK // min(len(visits.items) + 1, AMONG))
