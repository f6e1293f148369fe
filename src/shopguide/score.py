"""score: learn from every update; for those who look, blend the recommenders' signals into scored candidates.

The blend is linear: each recommender's signal is divided by its largest for this look and weighed, and an item's
score is the sum. So every score is a sum of amounts, each with the signal and the user's item it comes from, and the
reason given to the shopper is that sum and nothing else.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide import catalogue
from shopguide._core import Audience
from shopguide.errors import CoreError, LostError, StateError
from shopguide.frontier import Frontier
from shopguide.recommenders.base import Context, Recommender, Signals
from shopguide.recommenders.items import ItemBased
from shopguide.recommenders.popular import Popular
from shopguide.recommenders.session import Session
from shopguide.records import SIGNALS, SIMILAR, TRENDING, Batch, Candidates, Lessons, Looks, Ragged, Slate, Update
from shopguide.settings import Settings

SPARE = 10  # candidates beyond the list's length, for what rank may not show
EXPLAINED = 3  # strongest causes of a candidate whose shoppers are counted


class Scorer:
    """The model. Every replica learns everything and answers for its share of the users."""

    def __init__(self, settings: Settings, replica: int = 0, replicas: int = 1) -> None:
        self._replica, self._replicas = replica, replicas
        self._limit = settings.score.neighbours
        self.items = ItemBased(settings.learn, settings.score)
        self.popular = Popular(settings.learn)
        self.audience = Audience()
        self._blend: dict[str, tuple[Recommender, float]] = {
            "items": (self.items, settings.score.items),
            "session": (Session(), settings.score.session),
            "popular": (self.popular, settings.score.popular),
        }
        self.frontier = Frontier()

    def learn_categories(self, batch: Batch) -> None:
        """Which category an item is in; any number of times, in any interleaving."""
        self.popular.model.categorise(*catalogue.categories(batch.events))

    def forget_categories(self, items: NDArray[np.uint64]) -> None:
        """These items have gone from the catalogue."""
        self.popular.model.categorise(items, np.zeros(len(items), np.uint64))

    def score(self, update: Update) -> Slate:
        """Learn the update's new lessons, then answer its looks (again, where it is a replay).

        Raises GapError where rows before the update are missing.
        """
        self.learn(update)
        return self.answer(update.looks, update.partition, update.first, update.last)

    def learn(self, update: Update) -> None:
        """Learn the lessons of the update that are new. Raises GapError where rows before it are missing, LostError
        where lessons of its own rows are."""
        new = self.frontier.admit(update)
        if new < update.held and new <= update.last:
            raise LostError(f"partition {update.partition}: the lessons of rows {new}..{update.held - 1} are not held")
        self._learn(update.lessons.take(update.lessons.offset >= new))
        self.frontier.advance(update)

    def reached(self, partition: int) -> int:
        """The offset after the last row learned of a partition."""
        return self.frontier.reached.get(partition, -1) + 1

    def bulk(self, lessons: Lessons, frontier: Frontier) -> None:
        """Learn a history at once: what remains of all rows up to a frontier, as featurize's ``lessons`` give it.

        Raises ValueError where anything was learned before.
        """
        for recommender, _ in self._blend.values():
            recommender.bulk(lessons)
        self.audience.add(lessons.item, lessons.user)
        self.frontier = Frontier(frontier.reached)

    def answer(self, looks: Looks, partition: int = 0, first: int = 0, last: int = -1) -> Slate:
        """Candidates for the looks that are this replica's."""
        mine = looks.take((looks.user & 0xFFFFFFFF) % self._replicas == self._replica)
        candidates = [self._candidates(mine, row) for row in range(len(mine))]
        return Slate(partition, first, last, mine, Candidates.join(candidates), time.time())

    def checksum(self) -> str:
        """The model's checksum (hex): equal for equal kept events, whatever the way they came."""
        return str(self.items.model.checksum())

    def dump(self) -> dict[str, NDArray[Any]]:
        items, users, counts = self.audience.dump()
        state: dict[str, NDArray[Any]] = {"audience.items": items, "audience.users": users, "audience.counts": counts}
        for name, (recommender, _) in self._blend.items():
            state |= {f"{name}.{column}": array for column, array in recommender.dump().items()}
        meta = json.dumps({"frontier": list(self.frontier.reached.items())}).encode()
        return {**state, "meta": np.frombuffer(meta, np.uint8)}

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        try:
            for name, (recommender, _) in self._blend.items():
                prefix = f"{name}."
                recommender.load({n.removeprefix(prefix): a for n, a in state.items() if n.startswith(prefix)})
            self.audience.load(state["audience.items"], state["audience.users"], state["audience.counts"])
            self.frontier = Frontier(dict(json.loads(state["meta"].tobytes())["frontier"]))
        except (CoreError, KeyError, ValueError, TypeError) as e:
            raise StateError(f"score's snapshot is broken: {e}") from None

    def check(self) -> None:
        """Raises CoreError where an invariant of the core does not hold."""
        self.audience.check()
        for recommender, _ in self._blend.values():
            recommender.check()

    def _learn(self, lessons: Lessons) -> None:
        turns = np.flatnonzero(np.diff(lessons.sign)) + 1
        for begin, end in zip([0, *turns.tolist()], [*turns.tolist(), len(lessons)], strict=True):
            if begin == end:
                continue
            run = lessons.slice(begin, end)
            if run.sign[0] > 0:
                for recommender, _ in self._blend.values():
                    recommender.observe(run)
                self.audience.add(run.item, run.user)
            else:
                for recommender, _ in self._blend.values():
                    recommender.retract(run)
                self.audience.sub(run.item, run.user)

    def _candidates(self, looks: Looks, row: int) -> Candidates:
        slot, now = looks.slot.bytes_at(row), float(looks.event_time[row])
        n = int(looks.n[row])
        if slot == SIMILAR:
            about = looks.about[row : row + 1]
            items, cosines = self.items.model.similar(int(about[0]), n + SPARE)
            found = [("similar", 1.0, Signals(items, np.repeat(about, len(items)), cosines.astype(np.float64)))]
        elif slot == TRENDING:
            found = [("trending", 1.0, self.popular.top(n + SPARE, int(looks.category[row]), now))]
        else:
            context = Context(
                looks.recent[row], looks.recent_kind[row], looks.recent_time[row], looks.here[row] != 0, now
            )
            found = [(name, w, r.score(context, self._limit)) for name, (r, w) in self._blend.items() if w]
        hidden = len(looks.bought[row]) + len(looks.dismissed[row])
        return self._explain(row, blend(found, n + SPARE + hidden))

    def _explain(self, look: int, candidates: Candidates) -> Candidates:
        """Count the distinct shoppers behind the strongest causes of each candidate."""
        candidates.look[:] = look
        because, amount, shared = candidates.because, candidates.amount, candidates.shared.values
        for row, item in enumerate(candidates.item.tolist()):
            begin = int(because.starts[row])
            causes = because[row]
            strongest = np.argsort(-amount[row], kind="stable")[:EXPLAINED]
            strongest = strongest[(causes[strongest] != 0) & (causes[strongest] != item)]
            if len(strongest):
                shared[begin + strongest] = self.audience.shared(item, causes[strongest])
        return candidates


def blend(found: list[tuple[str, float, Signals]], limit: int) -> Candidates:
    """The ``limit`` best items of weighed signals, by (score down, key up), with the amounts that make each score.

    A signal's amounts are divided by the largest total that it gives to an item, so that weights compare signals of
    different scale (facts: per-query normalisation).
    """
    parts = []
    for name, weight, signals in found:
        if not len(signals.item):
            continue
        _, place = np.unique(signals.item, return_inverse=True)
        largest = np.bincount(place, signals.amount).max()
        if largest > 0:
            amount = signals.amount * (weight / largest)
            parts.append((np.full(len(amount), SIGNALS.index(name), np.uint8), signals, amount))
    if not parts:
        return Candidates()
    signal = np.concatenate([p[0] for p in parts])
    item = np.concatenate([p[1].item for p in parts])
    because = np.concatenate([p[1].because for p in parts])
    amount = np.concatenate([p[2] for p in parts])
    items, place = np.unique(item, return_inverse=True)
    scores = np.bincount(place, amount)
    best = np.lexsort((items, -scores))[:limit]
    by_item = np.argsort(place, kind="stable")
    bounds = np.concatenate(([0], np.cumsum(np.bincount(place)))).astype(np.uint32)
    rows = Ragged(bounds, by_item).take(best)
    return Candidates(
        look=np.zeros(len(best), np.uint32),
        item=items[best],
        score=scores[best],
        signal=Ragged(rows.starts, signal[rows.values]),
        because=Ragged(rows.starts, because[rows.values]),
        amount=Ragged(rows.starts, amount[rows.values]),
        shared=Ragged(rows.starts, np.zeros(len(rows.values), np.uint32)),
    )
