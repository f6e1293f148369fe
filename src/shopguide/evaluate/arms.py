"""What is compared: recommenders alone, and blends of all; each on a model that learns at once, later, or never."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from shopguide.blend import DEPTH, Blender
from shopguide.errors import SettingError
from shopguide.evaluate.data import LEAVE_ONE_OUT, STATIC, Dataset, in_time
from shopguide.evaluate.metrics import Ranks, rank_of
from shopguide.evaluate.protocols import (
    WARM_UP,
    Question,
    by_session,
    by_user,
    divided,
    follows,
    last_of_each,
    reveal,
    without_newest,
)
from shopguide.evaluate.store import Store, joined
from shopguide.networks.learning import Learner
from shopguide.networks.loading import load
from shopguide.records import Events, Update
from shopguide.score import Scorer
from shopguide.settings import Settings
from shopguide.weights import BLENDED, Weights

NEVER = math.inf
UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
TIES = 10  # items beyond k that are looked at first, for those whose score equals the k-th
NOTHING = np.zeros(0, np.uint64)


@dataclass
class Arm:
    """``freshness``: seconds between the times at which its model learns; 0: at each event."""

    recommender: str
    learner: str
    weights: Weights
    freshness: float = 0.0
    ranks: Ranks = field(default_factory=lambda: Ranks(20))


def alone(name: str) -> Weights:
    """One signal, and nothing else. Raises SettingError where there is none of that name."""
    if name not in BLENDED:
        raise SettingError(f"--recommender {name!r}: should be blend, all, or one of {', '.join(BLENDED)}")
    return Weights({name: 1.0})


def seconds(text: str) -> float:
    """``0``, ``10m``, ``1h``, ``1d`` or ``never``. Raises SettingError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]*)", text.strip())
    if text.strip() == "never":
        return NEVER
    if found is None or (found[2] or "s") not in UNITS:
        raise SettingError(f"--freshness {text!r}: should be 0, never, or a time as 10m, 1h, 1d")
    return float(found[1]) * UNITS[found[2] or "s"]


def best(
    blender: Blender, k: int, left_out: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.float64], float]:
    """Without the items that are ``left_out`` the k best and all whose score equals the k-th, maybe more; their scores;
    and the seconds that a list takes."""
    n = max(k + TIES + len(left_out), DEPTH) if len(left_out) else k + TIES
    begin = time.perf_counter()
    found, of_found = blender.order(n)
    spent = time.perf_counter() - begin
    while True:
        stay = ~np.isin(found, left_out)
        items, scores = found[stay], of_found[stay]
        if len(found) < n or (len(items) > k and scores[-1] < scores[k - 1]):
            return items, scores, spent
        n *= 4
        found, of_found = blender.order(n)


class Contest:
    """Asks every arm every question of a data set."""

    def __init__(
        self,
        dataset: Dataset,
        settings: Settings,
        mode: str,
        k: int,
        seen: str,
        arms: list[Arm],
        warm_up: float = WARM_UP,
        told: Callable[[int], object] = lambda questions: None,
        networks: Learner | None = None,
        profiles: bool = False,
    ) -> None:
        self._networks, self._profiles = networks, profiles
        self._dataset, self._settings, self._mode = dataset, settings, mode
        self._k, self._drop = k, seen == "drop"
        self._told, self._warm_up = told, warm_up
        self.arms = [replace(arm, ranks=Ranks(k)) for arm in arms]
        self.counts: dict[int, int] = {}
        self.seconds = 0.0

    def run(self) -> None:
        """Fills the arms' ranks, and ``counts``: kept events of each item at the end."""
        began = time.perf_counter()
        if self._dataset.protocol == LEAVE_ONE_OUT:
            scorer = self._leave_one_out()
        elif self._mode == STATIC:
            scorer = self._static()
        else:
            scorer = self._prequential()
        self.seconds = time.perf_counter() - began
        kept = scorer.items.model.dump()
        counts = np.bincount(kept["items"], minlength=len(kept["item_keys"]))
        self.counts = dict(zip(kept["item_keys"].tolist(), counts.tolist(), strict=True))

    def _static(self) -> Scorer:
        train, test = self._dataset.train, self._dataset.test
        if test is None:
            train, test = divided(in_time(train), self._warm_up)
        store = Store(self._settings)
        store.bulk(in_time(train))
        self._train(store, [store.scorer])
        asked = self._asked_of(store.scorer, self.arms)
        for question in reveal(store, by_session(test), self._k):
            asked(question)
        return store.scorer

    def _leave_one_out(self) -> Scorer:
        users = [events for events in by_user(self._dataset.train) if len(events) > 2]
        store = Store(self._settings)
        store.bulk(Events.join([self._dataset.catalogue, without_newest(users, 2)]))
        self._train(store, [store.scorer])
        asked = self._asked_of(store.scorer, self.arms)
        for question in last_of_each(store.stranger(), users, self._k):
            asked(question)
        return store.scorer

    def _prequential(self) -> Scorer:
        """In order of time. Every arm reads the live session; how late its model learns is its freshness."""
        train, test = self._dataset.train, self._dataset.test
        history, stream = in_time(train), test
        if stream is None:
            history, stream = divided(history, self._warm_up)
        stream = in_time(stream)
        store = Store(self._settings)
        models = {arm.freshness: _Late(Scorer(self._settings), arm.freshness) for arm in self.arms}
        store.bulk(history, [late.scorer for late in models.values()])
        self._train(store, [late.scorer for late in models.values()])
        asked = [self._asked_of(m.scorer, [a for a in self.arms if a.freshness == f]) for f, m in models.items()]
        goes_on = follows(stream, self._settings.learn.session_gap)
        newest: dict[int, float] = {}
        for row in range(len(stream)):
            user, now = int(stream.user[row]), float(stream.time[row])
            if goes_on[row]:
                session = int(stream.session[row]) or user
                question = Question(session, store.look(user, self._k, newest.get(user, now)), int(stream.item[row]))
                for late, ask in zip(models.values(), asked, strict=True):
                    late.catch_up(now)
                    ask(question)
            update = store.see(stream.slice(row, row + 1), [late.scorer for late in models.values()])
            for late in models.values():
                late.hear(update)
            newest[user] = now
        return next(iter(models.values())).scorer

    def _train(self, store: Store, scorers: list[Scorer]) -> None:
        """Networks and profiles of what is learned before the first question, the same for every model."""
        if self._profiles:
            store.profile(scorers)
        if self._networks is None:
            return
        files = self._networks.learn(store.featurizer.lessons(), store.described())
        for scorer in scorers:
            scorer.use({kind: load(kind, files) for kind in self._networks.said})

    def _asked_of(self, scorer: Scorer, arms: list[Arm]) -> Callable[[Question], None]:
        """What asks a model's arms a question."""
        blenders = [scorer.blender.under(arm.weights) for arm in arms]

        def ask(question: Question) -> None:
            begin = time.perf_counter()
            scorer.gather(question.looks, 0)
            gathered = time.perf_counter() - begin
            left_out = question.looks.recent[0] if self._drop else NOTHING
            for arm, blender in zip(arms, blenders, strict=True):
                items, scores, spent = best(blender, self._k, left_out)
                rank = rank_of(question.target, items, scores, self._k)
                arm.ranks.add(question.session, rank, items[: self._k], gathered + spent)
            self._told(len(arms[0].ranks.rank))

        return ask


class _Late:
    """A model that learns what it hears at once, or only at every so many seconds of event time."""

    def __init__(self, scorer: Scorer, every: float) -> None:
        self.scorer, self._every = scorer, every
        self._heard: list[Update] = []
        self._turn = -math.inf

    def hear(self, update: Update) -> None:
        if self._every == 0:
            self.scorer.learn(update)
        elif self._every != NEVER:
            self._heard.append(update)

    def catch_up(self, now: float) -> None:
        """Learn what was heard before this turn of the clock."""
        if self._every in (0, NEVER) or now // self._every == self._turn:
            return
        if self._heard and self._turn != -math.inf:
            self.scorer.learn(joined(self._heard))
            self._heard = []
        self._turn = now // self._every
