"""Trained models of an artefact, as they are served."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shopguide.artefacts import BLEND, OFF, TRIAL, Artefact, Artefacts, InForce
from shopguide.blend import Blender
from shopguide.errors import ShopguideError, StateError
from shopguide.networks.loading import NETWORKS, load
from shopguide.networks.serving import Intent
from shopguide.records import Events
from shopguide.tastes import FILE, Tastes
from shopguide.weights import Weights

logger = logging.getLogger(__name__)


def served(artefact: Artefact, model: str) -> Any:
    """A model of an artefact, to be asked: Weights, Intent, Tastes, or a network. Raises ShopguideError where
    it cannot be."""
    if model == BLEND:
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


class Trained:
    """The trained models that ACTIVATE rows put in force, of the versions in a folder; None: nowhere, and such rows say
    nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._artefacts = None if folder is None else Artefacts(folder)
        self.in_force = InForce()
        self.unloadable: dict[str, str] = {}  # model: why the version in force is not served

    def learn(self, events: Events) -> Iterator[tuple[str, Any]]:
        """Take rows in; the models that are others now, as :func:`served` has them, or None: what there is without
        training. One that cannot be loaded is not among them, with a warning: it stays as it was."""
        return self._opened(self.in_force.learn(events))

    def load(self, state: list[tuple[Any, ...]]) -> Iterator[tuple[str, Any]]:
        """Of a snapshot's; all that are in force."""
        self.in_force.load(state)
        return self._opened(list(self.in_force.named))

    def _opened(self, models: list[str]) -> Iterator[tuple[str, Any]]:
        for model in models if self._artefacts else ():
            version = self.in_force.named.get(model, OFF)
            try:
                yield model, self._open(version, BLEND if model == TRIAL else model)
                self.unloadable.pop(model, None)
                logger.info("a model is in force", extra={"model": model, "version": version})
            except ShopguideError as e:
                self.unloadable[model] = str(e)
                logger.warning("model %s stays as it was: %s", model, e)

    def _open(self, version: str, model: str) -> Any:
        if version == OFF or self._artefacts is None:
            return None
        return served(self._artefacts.open(version), model)
