"""All that is trained, from one data set: networks, and the blend that weighs them."""

from __future__ import annotations

import resource
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from shopguide.errors import SettingError
from shopguide.evaluate.data import LEAVE_ONE_OUT, Dataset, in_time, is_shoppers
from shopguide.evaluate.store import Store
from shopguide.evaluate.training import HeldOut, Told
from shopguide.intent import Prefixes, prefixes
from shopguide.networks import dbn
from shopguide.networks.learning import Learner
from shopguide.networks.loading import NETWORKS
from shopguide.records import Events
from shopguide.settings import Settings

MODELS = ("blend", *NETWORKS, "dbn")


@dataclass(frozen=True)
class Trained:
    """An artefact's ``files``, what is said of each of its ``models``, and of the ``run``: events, their first and last
    day, seconds, the most memory (MB) that the process had, and what was left out, and why, where all was asked for."""

    files: dict[str, bytes]
    models: dict[str, Any]
    run: dict[str, Any]


def train(
    dataset: Dataset, settings: Settings, models: Collection[str], kind: str, told: Told, checkpoints: Path
) -> Trained:
    """``models``: of MODELS; ``kind``: of the blend, linear or trees. Raises SettingError where there is too little to
    learn from, or an extra is not installed."""
    began = time.perf_counter()
    networks = Learner([one for one in NETWORKS if one in models], told, checkpoints)
    files: dict[str, bytes] = {}
    said: dict[str, Any] = {}
    if "blend" in models:
        seen = "drop" if dataset.protocol == LEAVE_ONE_OUT else settings.rank.seen
        weights = HeldOut.of(dataset, settings, seen, told, networks).train(kind, told)
        files["blend.json"] = weights.packed()
        said["blend"] = {**weights.trained, "linear": weights.linear}
    left_out = {}
    if "dbn" in models:
        try:
            intent = dbn.train(
                *_visits(dataset.train, settings.learn.session_gap), told=lambda stage: told(f"dbn: {stage}")
            )
            files["dbn.onnx"], said["dbn"] = intent.graph, intent.said
        except SettingError as e:
            if len(models) == 1:
                raise
            left_out["dbn"] = str(e)
    if networks.kinds:
        store = Store(settings)
        store.bulk(in_time(dataset.train))
        files |= networks.learn(store.featurizer.lessons(), store.described())
    left_out |= networks.left_out
    run = _run(dataset, time.perf_counter() - began)
    return Trained(files, {**said, **networks.said}, run | ({"left_out": left_out} if left_out else {}))


def _visits(events: Events, gap: float) -> Prefixes:
    """What the beginnings of visits show. Those that name no session are the user's, cut where ``gap`` seconds pass."""
    order = np.lexsort((events.time, events.user))
    user, time_ = events.user[order], events.time[order]
    cut = np.append(True, (user[1:] != user[:-1]) | (np.diff(time_) > gap))[: len(order)]
    session = np.empty(len(order), np.uint64)
    session[order] = np.cumsum(cut)
    named = events.session != 0
    session[named] = events.session[named]
    return prefixes(events.kind, events.item, events.time, session)


def _run(dataset: Dataset, seconds: float) -> dict[str, Any]:
    times = dataset.train.time[is_shoppers(dataset.train)]
    first, last = (datetime.fromtimestamp(float(at), UTC).isoformat() for at in (times.min(), times.max()))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"on": dataset.name, "events": len(times), "first": first, "last": last} | {
        "seconds": round(seconds, 1),
        "memory_mb": round(memory),
    }
