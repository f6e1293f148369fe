"""From kept events to networks that can be served: trained, exported, and loaded again."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shopguide.errors import SettingError
from shopguide.networks import graph, titles
from shopguide.networks.loading import load
from shopguide.networks.pairs import Pairs
from shopguide.networks.serving import Served
from shopguide.networks.titles import TITLE
from shopguide.networks.training import AMONG, DILATIONS, F32, Told, fit
from shopguide.networks.visits import Visits
from shopguide.records import Lessons

Described = Mapping[int, Sequence[str]]  # the catalogue's terms, by item
WORK = 400_000_000  # steps of an epoch, times the items that each is told from, at most: of more visits the newest


class Learner:
    """Trains networks of some kinds. How many epochs are enough is found on the older visits of the first history that
    it is given, of titles without some of its items. ``checkpoints``: see :func:`fit`."""

    def __init__(self, kinds: Iterable[str], told: Told, checkpoints: Path | None = None) -> None:
        self.kinds, self._checkpoints = tuple(kinds), checkpoints
        self.said: dict[str, dict[str, Any]] = {}
        self.left_out: dict[str, str] = {}
        self._told = told

    def rehearse(self, lessons: Lessons, described: Described) -> dict[str, Served]:
        """Networks of the older visits of a history, or without some of its items. Raises SettingError where it has
        too little to learn from, or where Keras or ONNX Runtime is not installed. Titles that say too little are no
        reason where there are other networks: ``left_out`` says why they are not among them."""
        found = {}
        for kind in self.kinds:
            try:
                self.said[kind], files = self._rehearsed(kind, lessons, described)
            except SettingError as e:
                if kind != TITLE or len(self.kinds) == 1:
                    raise
                self.left_out[kind] = str(e)
            else:
                found[kind] = load(kind, files)
        return found

    def learn(self, lessons: Lessons, described: Described) -> dict[str, bytes]:
        """The files of networks of a whole history. Raises as :meth:`rehearse` does."""
        if not self.said and not self.left_out:
            self.rehearse(lessons, described)
        files: dict[str, bytes] = {}
        for kind, said in self.said.items():
            if kind == TITLE:
                pairs = Pairs.of(lessons, described)
                fitted = titles.fit(pairs, self._told, None, said["epochs"], self._checkpoints)
                said |= {"items": len(pairs.items), "pairs": len(pairs)}
                files |= titles.export(fitted.weights)
            else:
                visits = _affordable(Visits.of(lessons))
                fitted = fit(kind, visits, self._told, None, said["epochs"], self._checkpoints)
                said |= {"items": len(visits.items), "visits": len(visits)}
                files |= export(kind, visits, fitted.weights)
        return files

    def _rehearsed(self, kind: str, lessons: Lessons, described: Described) -> tuple[dict[str, Any], dict[str, bytes]]:
        if kind == TITLE:
            known, judged = Pairs.of(lessons, described).divided()
            fitted = titles.fit(known, self._told, judged, checkpoints=self._checkpoints)
            return fitted.said, titles.export(fitted.weights)
        visits = _affordable(Visits.of(lessons))
        older, newest = visits.divided()
        fitted = fit(kind, older, self._told, newest, checkpoints=self._checkpoints)
        return fitted.said, export(kind, visits, fitted.weights)


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
