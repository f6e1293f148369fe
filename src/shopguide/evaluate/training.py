"""The blend's weights, learned from a training part alone.

Its newest sessions are held out in slices, each asked by a store of all that came before, so that no weight is fitted
to memorised counts; the catalogue is known from the start. Linear weights by coordinate ascent on the measure itself
(Metzler, Croft, "Linear feature-based models for information retrieval", 2007); trees by LambdaRank (Burges, 2010) as
LightGBM has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.blend import DEPTH, FEATURES, sight
from shopguide.errors import SettingError
from shopguide.evaluate.data import LEAVE_ONE_OUT, Dataset, in_time
from shopguide.evaluate.protocols import Question, by_session, by_user, last_of_each, reveal, without_newest
from shopguide.evaluate.store import Store
from shopguide.networks.learning import Learner
from shopguide.networks.serving import Intent
from shopguide.records import Events
from shopguide.settings import Settings
from shopguide.trees import from_lightgbm
from shopguide.weights import BLENDED, Weights

HELD_OUT = 0.35  # of the sessions, the newest
SLICES = 4
QUESTIONS = 40_000  # at most
LEAST = 20  # questions with an answer that weights are learned from
K = 20
GRID = np.concatenate(([0.0], np.geomspace(0.002, 2, 81)))  # what a weight may be
BESIDE = 2  # values on each side that one is judged by too: a peak one value wide is chance
ROUNDS = 20  # at most
LEAST_GAIN = 1e-5  # of a round, for another
SIGNED = ("current",)  # weights that may be negative: on some sites the item on the screen is never the next
LEAVES, RATE, MOST_TREES, PATIENCE = 15, 0.1, 300, 50
SEEN = 0.5  # of the features, by each tree: many say nearly the same
SEED = 7

F64 = NDArray[np.float64]
Told = Callable[[str], object]  # at which stage the work is
Expected = Callable[[Events], Intent | None]  # what a history teaches of intent; None: too little


def _told_nobody(stage: str) -> None:
    """Nobody looks."""


@dataclass(frozen=True)
class Queries:
    """Candidates of all questions: features float64[rows, len(FEATURES)], rows of question q at starts[q]:starts[q+1];
    the row of the right one, or -1; its ``intent``, how probably its visit buys."""

    features: F64
    starts: NDArray[np.int64]
    right: NDArray[np.int64]
    session: NDArray[np.int64]
    intent: F64

    @classmethod
    def of(cls, store: Store, questions: Iterable[Question], seen: str) -> Queries:
        features, sizes, right, session, intent = [], [0], [], [], []
        for question in questions:
            looks = store.scorer.expecting(question.looks)
            store.scorer.gather(looks, 0)
            items, found = store.scorer.blender.features(DEPTH)
            if seen == "drop":
                stay = ~np.isin(items, question.looks.recent[0])
                items, found = items[stay], found[stay]
            at = np.flatnonzero(items == question.target)
            right.append(sizes[-1] + int(at[0]) if len(at) else -1)
            sizes.append(sizes[-1] + len(items))
            features.append(found.astype(np.float32))
            session.append(question.session)
            intent.append(float(looks.intent[0]))
        matrix = np.concatenate(features) if features else np.zeros((0, len(FEATURES)))
        said = np.array(intent, np.float64)
        return cls(matrix.astype(np.float64), np.array(sizes), np.array(right), np.array(session), said)

    @classmethod
    def join(cls, parts: list[Queries]) -> Queries:
        rows = np.cumsum([0, *(len(p.features) for p in parts)])
        starts = np.concatenate([p.starts[:-1] + at for p, at in zip(parts, rows, strict=False)] + [rows[-1:]])
        right = np.concatenate([np.where(p.right < 0, -1, p.right + at) for p, at in zip(parts, rows, strict=False)])
        rest = ("features", "session", "intent")
        features, session, intent = (np.concatenate([getattr(p, name) for p in parts]) for name in rest)
        return cls(features, starts, right, session, intent)

    def answerable(self) -> Queries:
        """Those whose right item is a candidate."""
        keep = self.right >= 0
        sizes = np.diff(self.starts)
        rows = np.repeat(keep, sizes)
        starts = np.concatenate(([0], np.cumsum(sizes[keep])))
        right = (self.right - self.starts[:-1])[keep] + starts[:-1]
        return Queries(self.features[rows], starts, right, self.session[keep], self.intent[keep])

    def ranks(self, scores: F64) -> F64:
        """Of the right item, from 1, expected among equals; infinity where it is no candidate."""
        owner = np.repeat(np.arange(len(self.right)), np.diff(self.starts))
        found = self.right >= 0
        bar = np.where(found, scores[np.where(found, self.right, 0)], np.inf)[owner]
        better = np.bincount(owner, scores > bar, len(self.right))
        equal = np.bincount(owner, scores == bar, len(self.right))
        return np.where(found, 1 + better + (equal - 1) / 2, np.inf)

    def along(self, rest: F64, share: F64, weights: F64) -> F64:
        """HR + MRR at K for each weight, ascending, that ``share`` may have beside scores ``rest``. Every question's
        right item is a candidate.

        A candidate passes the right one, or falls behind it, at one weight alone: ranks are sums over those before."""
        owner = np.repeat(np.arange(len(self.right)), np.diff(self.starts))
        gain, lead = share - share[self.right][owner], rest - rest[self.right][owner]
        still = gain == 0
        before = np.where(still, (lead > 0) + (lead == 0) / 2, gain < 0)
        moves, crossed, width = owner[~still], -lead[~still] / gain[~still], len(weights) + 1
        passed = np.zeros(len(self.right) * width)
        for side in ("left", "right"):  # at the weight itself they are equal: half a rank
            at = moves * width + np.searchsorted(weights, crossed, side)
            passed += np.bincount(at, np.sign(gain[~still]) / 2, len(passed))
        ranks = np.cumsum(passed.reshape(-1, width), 1)[:, :-1]
        ranks += 0.5 + np.bincount(owner, before, len(self.right))[:, np.newaxis]
        return np.asarray(np.where(ranks <= K + 1e-9, 1 + 1 / ranks, 0).mean(0))


def hits_and_mrr(ranks: F64) -> tuple[float, float]:
    """HR and MRR at K."""
    hit = ranks <= K
    return float(hit.mean()), float(np.where(hit, 1 / ranks, 0).mean())


@dataclass(frozen=True)
class HeldOut:
    """The questions that weights are trained on, slice by slice, and the weights that the search begins with."""

    name: str
    slices: list[Queries]
    start: dict[str, float]

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        settings: Settings,
        seen: str,
        told: Told = _told_nobody,
        networks: Learner | None = None,
        profiles: bool = False,
        intent: Expected | None = None,
    ) -> HeldOut:
        """From a data set's training part; with ``networks``, ``profiles``, and a network of ``intent``, that know only
        what is older than all questions. Raises SettingError where there is too little to learn from."""
        start = Weights.of(settings.score)
        made = _slices(dataset, settings, seen, told, networks, profiles, intent)
        slices = [queries for queries in made if len(queries.right)]
        if (answers := sum(int((queries.right >= 0).sum()) for queries in slices)) < LEAST:
            asked = sum(len(queries.right) for queries in slices)
            raise SettingError(
                f"too little to train weights on: {answers:,} of {asked:,} questions of the held-out sessions have an "
                f"answer that is a candidate, and it takes {LEAST}"
            )
        return cls(dataset.name, slices, start.linear)

    @property
    def signals(self) -> list[str]:
        """Those that any candidate has."""
        shares = [queries.features[:, : len(BLENDED)].any(axis=0) for queries in self.slices]
        return [name for name, has in zip(BLENDED, np.any(shares, axis=0), strict=True) if has]

    def without(self, *names: str) -> HeldOut:
        """The same, had there never been these signals; or no ``intent``."""
        lacking = [at for at, feature in enumerate(FEATURES) if feature.split()[0] in names]
        slices = []
        for queries in self.slices:
            features = queries.features.copy()
            features[:, lacking] = 0
            known = np.zeros_like(queries.intent) if "intent" in names else queries.intent
            slices.append(replace(queries, features=features, intent=known))
        return HeldOut(self.name, slices, {**self.start, **dict.fromkeys(names, 0.0)})

    def train(self, kind: str, told: Told = _told_nobody, judge: bool = False) -> Weights:
        """``kind``: linear or trees. ``judge``: say too how good weights are on the newest slice that were learned from
        the others alone (of trees, how many was chosen by it). Raises SettingError where these need LightGBM and it is
        not installed."""
        queries = Queries.join(self.slices)
        told("weights")
        linear = ascend(queries, self.start)
        said: dict[str, Any] = {"on": self.name, "questions": len(queries.right), "kind": kind, "k": K}
        said["signals"] = self.signals
        trees, ranks = None, None
        if kind == "trees":
            trees, ranks = _trees(self.slices, _row(linear), told)
        elif judge and len(self.slices) > 1:
            told("judging")
            older, newest = ascend(Queries.join(self.slices[:-1]), self.start), self.slices[-1]
            ranks = newest.ranks(newest.features[:, : len(BLENDED)] @ _row(older))
        if judge and ranks is not None:
            said["judged"] = len(ranks)
            said["hr"], said["mrr"] = hits_and_mrr(ranks)
        return Weights(linear, trees, said)


def _row(linear: dict[str, float]) -> F64:
    return np.array([linear[name] for name in BLENDED])


def ascend(queries: Queries, start: dict[str, float]) -> dict[str, float]:
    """Linear weights by coordinate ascent on HR + MRR, from those given: of each weight in turn the best value there
    is (as Och does it, "Minimum error rate training", 2003)."""
    queries = queries.answerable()
    shares = np.asfortranarray(queries.features[:, : len(BLENDED)])
    weights = np.array([start.get(name, 0.0) for name in BLENDED])
    used = [at for at in range(len(BLENDED)) if shares[:, at].any()]
    scores, best = shares @ weights, 0.0
    for _ in range(ROUNDS):
        for at in used:
            grid = np.concatenate((-GRID[:0:-1], GRID)) if BLENDED[at] in SIGNED else GRID
            rest = scores - shares[:, at] * weights[at]
            around = np.pad(queries.along(rest, shares[:, at], grid), BESIDE, "edge")
            value = np.convolve(around, np.full(2 * BESIDE + 1, 1 / (2 * BESIDE + 1)), "valid")
            chosen = value.argmax() if value.max() > value[now := np.abs(grid - weights[at]).argmin()] else now
            weights[at] = grid[chosen]
            scores = rest + shares[:, at] * weights[at]
        largest = np.abs(weights).max()
        weights, scores = weights / largest, scores / largest  # which moves them between the values of the grid
        if value[chosen] - best < LEAST_GAIN:
            break
        best = value[chosen]
    return dict(zip(BLENDED, weights.round(6).tolist(), strict=True))


def _slices(
    dataset: Dataset,
    settings: Settings,
    seen: str,
    told: Told,
    networks: Learner | None,
    profiles: bool,
    intent: Expected | None,
) -> Iterator[Queries]:
    store, catalogue = Store(settings), dataset.catalogue
    if dataset.protocol == LEAVE_ONE_OUT:
        users = [events for events in by_user(dataset.train) if len(events) > 3]
        store.bulk(Events.join([catalogue, without_newest(users, 2)]))
        store.rehearse(networks, profiles)
        told("questions")
        known = [events.slice(0, len(events) - 1) for events in _sample(users, QUESTIONS, 1)]
        stranger = store.stranger()
        for first, last in pairwise(np.linspace(0, len(known), SLICES + 1).astype(int).tolist()):
            yield Queries.of(store, last_of_each(stranger, known[first:last], K), seen)
        return
    sessions = by_session(in_time(dataset.train))
    held = int(len(sessions) * (1 - HELD_OUT))
    bounds = np.linspace(held, len(sessions), SLICES + 1).astype(int)
    store.bulk(Events.join([catalogue, *sessions[:held]]))
    store.rehearse(networks, profiles)
    if intent is not None:
        store.scorer.intent = intent(Events.join(sessions[:held]))
    for number, (first, last) in enumerate(pairwise(bounds.tolist()), 1):
        told(f"questions {number}/{SLICES}")
        part = sessions[first:last]
        yield Queries.of(store, reveal(store.stranger(), _sample(part, QUESTIONS // SLICES), K), seen)
        store.scorer.learn(store.see(Events.join(part)))


def _sample(sessions: list[Events], most: int, each: int = 0) -> list[Events]:
    """Of sessions that ask ``each`` questions (0: one less than they have events), evenly over time, so many that about
    ``most`` are asked."""
    total = sum(each or max(len(events) - 1, 0) for events in sessions)
    if total <= most:
        return sessions
    chosen = np.linspace(0, len(sessions) - 1, max(1, int(len(sessions) * most / total))).astype(int)
    return [sessions[at] for at in chosen]


def _trees(slices: list[Queries], linear: F64, told: Told) -> tuple[dict[str, list[Any]], F64 | None]:
    """LambdaRank over the linear weights: the number of trees by the newest slice, then all slices. And the ranks in
    the newest slice by those of the others; None where there are no others."""
    try:
        import lightgbm  # noqa: PLC0415  an extra
    except ImportError:
        raise SettingError("blend = 'trees': training needs LightGBM: pip install 'shopguide[train]'") from None

    parameters = {
        "objective": "lambdarank",
        "metric": "map",
        "eval_at": [K],
        "learning_rate": RATE,
        "num_leaves": LEAVES,
        "min_data_in_leaf": 200,
        "feature_fraction": SEEN,
        "lambdarank_truncation_level": K + 10,
        "verbose": -1,
        "seed": SEED,
        "deterministic": True,
        "force_row_wise": True,
    }

    def data(queries: Queries, reference: Any = None) -> Any:
        queries = queries.answerable()
        label = np.zeros(len(queries.features), np.int8)
        label[queries.right] = 1
        sizes = np.diff(queries.starts)
        return lightgbm.Dataset(_seen(queries, linear), label, group=sizes, reference=reference, free_raw_data=False)

    told("how many trees")
    first = data(Queries.join(slices[:-1])) if len(slices) > 1 else data(slices[0])
    stopping = lightgbm.early_stopping(PATIENCE, verbose=False)
    tried = lightgbm.train(parameters, first, MOST_TREES, valid_sets=[data(slices[-1], first)], callbacks=[stopping])
    ranks = slices[-1].ranks(np.asarray(tried.predict(_seen(slices[-1], linear)))) if len(slices) > 1 else None
    told("trees")
    model = lightgbm.train(parameters, data(Queries.join(slices)), tried.best_iteration)
    return {name: np.asarray(a).tolist() for name, a in from_lightgbm(model.dump_model())._asdict().items()}, ranks


def _seen(queries: Queries, linear: F64) -> NDArray[np.float32]:
    """What trees see of all candidates."""
    lists = np.split(queries.features, queries.starts[1:-1])
    seen = [
        sight(one, one[:, : len(BLENDED)] @ linear, intent).astype(np.float32)
        for one, intent in zip(lists, queries.intent.tolist(), strict=True)
        if len(one)
    ]
    return np.concatenate(seen)
