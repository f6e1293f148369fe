"""All that is trained, from one data set: networks, and the blend that weighs them."""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Callable, Collection
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
from shopguide.networks.serving import Intent
from shopguide.records import Events
from shopguide.settings import Settings
from shopguide.tastes import FILE, MODEL, Tastes

MODELS = ("blend", *NETWORKS, "dbn", MODEL)
NO_CATALOGUE = "no catalogue: profiles are made of titles, categories, brands and prices of items"
TOLD = 5  # most popular items that a run tells of


@dataclass(frozen=True)
class Trained:
    """An artefact's ``files``, what is said of each of its ``models``, and of the ``run``: events, their first and last
    day, seconds, in all and ``spent`` on each stage, the most memory (MB) that the process had, and what was left out,
    and why, where all was asked for."""

    files: dict[str, bytes]
    models: dict[str, Any]
    run: dict[str, Any]


def train(
    dataset: Dataset,
    settings: Settings,
    models: Collection[str],
    kind: str,
    told: Told,
    checkpoints: Path,
    profiles: Callable[[], Tastes] | None = None,
) -> Trained:
    """``models``: of MODELS; ``kind``: of the blend, linear or trees; ``profiles`` makes those of users (None: of the
    data set's items alone, for its users have other keys elsewhere). Raises SettingError where there is too little to
    learn from, or an extra is not installed."""
    clock = _Clock(told)
    training = _Training(dataset, settings, models, clock.told, checkpoints)
    if "blend" in models:
        training.blend(kind)
    if "dbn" in models:
        training.attempt("dbn", training.intent)
    store = Store(settings)
    if training.networks.kinds or (MODEL in models and profiles is None):
        store.bulk(in_time(dataset.train))
        training.learn(store)
    if MODEL in models:
        clock.told("profiles")
        tastes = profiles() if profiles else _of_nobody(store.tastes())
        training.attempt(MODEL, lambda: training.profiles(tastes))
    run = _run(dataset, clock.spent())
    return Trained(training.files, training.said, {**run, **training.left_out_in_words()})


class _Training:
    """What is trained one by one; ``files`` and what is ``said`` of each so far."""

    def __init__(
        self, dataset: Dataset, settings: Settings, models: Collection[str], told: Told, checkpoints: Path
    ) -> None:
        self._dataset, self._settings, self._models, self._told = dataset, settings, models, told
        self.networks = Learner([one for one in NETWORKS if one in models], told, checkpoints)
        self.files: dict[str, bytes] = {}
        self.said: dict[str, Any] = {}
        self._left_out: dict[str, str] = {}

    def attempt(self, model: str, work: Callable[[], None]) -> None:
        """Where others are trained too, one for which there is too little is left out."""
        try:
            work()
        except SettingError as e:
            if len(self._models) == 1:
                raise
            self._left_out[model] = str(e)

    def blend(self, kind: str) -> None:
        dataset, settings, told = self._dataset, self._settings, self._told
        seen = "drop" if dataset.protocol == LEAVE_ONE_OUT else settings.rank.seen
        expected = self._expected if "dbn" in self._models else None
        held_out = HeldOut.of(dataset, settings, seen, told, self.networks, MODEL in self._models, expected)
        weights = held_out.train(kind, told, judge=True)
        self.files["blend.json"] = weights.packed()
        self.said["blend"] = {**weights.trained, "linear": weights.linear}

    def intent(self) -> None:
        visits = _visits(self._dataset.train, self._settings.learn.session_gap)
        found = dbn.train(*visits, told=lambda stage: self._told(f"dbn: {stage}"))
        self.files["dbn.onnx"], self.said["dbn"] = found.graph, found.said

    def _expected(self, events: Events) -> Intent | None:
        """A network of intent that knows these events; None where they say too little, or where Keras is not
        installed."""
        visits = _visits(events, self._settings.learn.session_gap)
        try:
            return Intent(dbn.train(*visits, told=lambda stage: self._told(f"dbn: {stage}")).graph)
        except SettingError:
            return None

    def learn(self, store: Store) -> None:
        """Networks of all that the store has."""
        self.files |= self.networks.learn(store.featurizer.lessons(), store.described())
        self.said |= self.networks.said

    def profiles(self, tastes: Tastes) -> None:
        if not tastes.library.terms:
            raise SettingError(NO_CATALOGUE)
        self.files[FILE], self.said[MODEL] = tastes.packed(), _said(tastes)

    def left_out_in_words(self) -> dict[str, dict[str, str]]:
        """As a run says it; nothing where nothing was."""
        found = {**self._left_out, **self.networks.left_out}
        return {"left_out": found} if found else {}


def _of_nobody(tastes: Tastes) -> Tastes:
    return tastes.without(tastes.users.tolist()) or tastes


def _said(tastes: Tastes) -> dict[str, Any]:
    """How much there is, and the item-feature library's most popular items."""
    library = tastes.library
    top = np.argsort(-library.popularity, kind="stable")[:TOLD].tolist()
    names = ("price", "popularity", "views", "carts", "purchases", "visits", "buyers")
    return {
        "users": len(tastes.users),
        "items": len(library.items),
        "terms": len(library.terms),
        "half_life": tastes.half_life,
        "most_popular": [
            {"terms": [library.terms[at] for at in library.terms_of(np.array([row]))[0].tolist()]}
            | {name: round(getattr(library, name)[row].item(), 4) for name in names}
            for row in top
        ],
    }


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


class _Clock:
    """Hears at which stage the work is, tells it on, and adds up how long each took."""

    def __init__(self, told: Told) -> None:
        self._told, self._spent = told, defaultdict[str, float](float)
        self._stage, self._since = "history", time.perf_counter()

    def told(self, stage: str) -> None:
        self._turn(stage.partition(":")[0].rstrip(" 0123456789/"))
        self._told(stage)

    def spent(self) -> dict[str, float]:
        """Seconds, by stage."""
        self._turn("")
        return {stage: round(seconds, 1) for stage, seconds in self._spent.items()}

    def _turn(self, stage: str) -> None:
        now = time.perf_counter()
        self._spent[self._stage] += now - self._since
        self._stage, self._since = stage, now


def _run(dataset: Dataset, spent: dict[str, float]) -> dict[str, Any]:
    times = dataset.train.time[is_shoppers(dataset.train)]
    first, last = (datetime.fromtimestamp(float(at), UTC).isoformat() for at in (times.min(), times.max()))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"on": dataset.name, "events": len(times), "first": first, "last": last} | {
        "rejected": sum(dataset.rejected.values()),
        "reasons": dict(dataset.rejected),
        "doubles": dataset.doubles,
        "seconds": round(sum(spent.values()), 1),
        "spent": spent,
        "memory_mb": round(memory),
    }
