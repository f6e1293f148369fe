"""Trained models of an artefact, as they are served."""

from __future__ import annotations

from typing import Any

from shopguide.artefacts import Artefact
from shopguide.blend import Blender
from shopguide.errors import StateError
from shopguide.networks.loading import NETWORKS, load
from shopguide.networks.serving import Intent
from shopguide.tastes import FILE, Tastes
from shopguide.weights import Weights


def served(artefact: Artefact, model: str) -> Any:
    """A model of an artefact, to be asked: Weights, Intent, Tastes, or a network. Raises ShopguideError where
    it cannot be."""
    if model == "blend":
        weights = Weights.load(artefact.files["blend.json"])
        Blender(weights)  # refuses trees that are none
        return weights
    if model == "dbn":
        return Intent(artefact.files["dbn.onnx"])
    if model == "profiles":
        return Tastes.load(artefact.files[FILE], artefact.version)
    if model in NETWORKS:
        return load(model, artefact.files)
    raise StateError(f"{artefact.path} has a model {model!r}, which this version does not know")
