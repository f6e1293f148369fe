"""score: learn from every update; for those who look, blend the recommenders' signals into scored candidates.

The blend is linear: each signal is divided by its largest for this look and weighed, and an item's score is the sum.
So every score is a sum of amounts, each with the signal and the user's item it comes from, and the reason given to the
shopper is that sum and nothing else.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Audience, Query
from shopguide.blend import Blender, Scored
from shopguide.errors import CoreError, LostError, StateError
from shopguide.frontier import Frontier
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.recommenders.content import Content
from shopguide.recommenders.items import ItemBased
from shopguide.recommenders.popular import Popular
from shopguide.recommenders.sequence import Sequence
from shopguide.recommenders.sessions import NearestSessions, NearestUsers
from shopguide.recommenders.visit import Visit
from shopguide.records import SIMILAR, TRENDING, Batch, Candidates, Lessons, Looks, Ragged, Slate, Update
from shopguide.settings import Settings
from shopguide.weights import Weights

SPARE = 10  # candidates beyond the list's length, for what rank may not show
SEARCHED_FOR = 5  # looks after which a search counts half
EXPLAINED = 3  # strongest causes of a candidate, whose shoppers are counted


class Scorer:
    """The model. Every replica learns everything and answers for its share of the users."""

    def __init__(self, settings: Settings, replica: int = 0, replicas: int = 1) -> None:
        self._replica, self._replicas = replica, replicas
        learn, score = settings.learn, settings.score
        self._limit = score.neighbours
        self._decay = np.power(score.decay, np.arange(score.recent), dtype=np.float64)
        self.items = ItemBased(learn, score)
        self.popular = Popular(learn)
        self.content = Content(score)
        self.audience = Audience()
        self._recommenders: dict[str, Recommender] = {
            "items": self.items,
            "sequence": Sequence(learn, score),
            "sessions": NearestSessions(learn),
            **({"users": NearestUsers(learn)} if learn.users else {}),
            "visit": Visit(),
            "content": self.content,
            "popular": self.popular,  # the last: of all that the others found
        }
        self.blender = Blender(Weights.of(score))
        self.frontier = Frontier()

    def learn_catalogue(self, batch: Batch) -> None:
        """What ITEM and PICK rows say; any number of times, in any interleaving."""
        for recommender in self._recommenders.values():
            recommender.learn_catalogue(batch)

    def forget(self, items: NDArray[np.uint64]) -> None:
        """These items have gone from the catalogue."""
        for recommender in self._recommenders.values():
            recommender.forget(items)

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
        for recommender in self._recommenders.values():
            recommender.bulk(lessons)
        self.audience.add(lessons.item, lessons.user)
        self.frontier = Frontier(frontier.reached)

    def answer(self, looks: Looks, partition: int = 0, first: int = 0, last: int = -1) -> Slate:
        """Candidates for the looks that are this replica's."""
        mine = looks
        if self._replicas > 1:
            mine = looks.take((looks.user & 0xFFFFFFFF) % self._replicas == self._replica)
        found = []
        for row in range(len(mine)):
            hidden = len(mine.bought[row]) + len(mine.dismissed[row])
            self.gather(mine, row)
            found.append(self.blender.best(int(mine.n[row]) + SPARE + hidden))
        return Slate(partition, first, last, mine, self._candidates(found), time.time())

    def gather(self, looks: Looks, row: int) -> None:
        """Put the signals of a look into the blender's rows."""
        slot, now, rows = looks.slot.bytes_at(row), float(looks.event_time[row]), self.blender.rows
        faded = {"search": 0.5 ** (int(looks.since_query[row]) / SEARCHED_FOR)}
        self.blender.begin(trained=slot not in (SIMILAR, TRENDING), faded=faded)
        n = int(looks.n[row]) + SPARE
        if slot == SIMILAR:
            about = looks.about[row : row + 1]
            _, items, cosines, _ = self.items.model.neighbours(about, n)
            rows.put(PLACE["similar"], items, cosines, about.repeat(len(items)))
            self.content.like(int(about[0]), 1.0, n, rows)
        elif slot == TRENDING:
            rows.put(PLACE["trending"], *self.popular.top(n, int(looks.category[row]), now))
        else:
            recent = looks.recent[row]
            asked = recent[: len(self._decay)]
            context = Context(
                Query(asked, self._decay[: len(asked)]),
                recent,
                looks.recent_kind[row],
                looks.recent_time[row],
                looks.here[row],
                int(looks.unit[row]),
                int(looks.user[row]),
                now,
                looks.query.bytes_at(row).decode("utf-8", "replace"),
                tuple(looks.interests.bytes_at(row).decode("utf-8", "replace").splitlines()),
            )
            for recommender in self._recommenders.values():
                recommender.score(context, self._limit, rows)

    def checksum(self) -> str:
        """The model's checksum (hex): equal for equal kept events, whatever the way they came."""
        return str(self.items.model.checksum())

    def dump(self) -> dict[str, NDArray[Any]]:
        items, users, counts = self.audience.dump()
        state: dict[str, NDArray[Any]] = {"audience.items": items, "audience.users": users, "audience.counts": counts}
        for name, recommender in self._recommenders.items():
            state |= {f"{name}.{column}": array for column, array in recommender.dump().items()}
        meta = json.dumps({"frontier": list(self.frontier.reached.items())}).encode()
        return {**state, "meta": np.frombuffer(meta, np.uint8)}

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        try:
            kept = _part(state, "items")
            for name, recommender in self._recommenders.items():
                recommender.load(_part(state, name), kept)
            self.audience.load(state["audience.items"], state["audience.users"], state["audience.counts"])
            self.frontier = Frontier(dict(json.loads(state["meta"].tobytes())["frontier"]))
        except (CoreError, KeyError, ValueError, TypeError) as e:
            raise StateError(f"score's snapshot is broken: {e}") from None

    def check(self) -> None:
        """Raises CoreError where an invariant of the core does not hold."""
        self.audience.check()
        for recommender in self._recommenders.values():
            recommender.check()

    def _learn(self, lessons: Lessons) -> None:
        turns = np.flatnonzero(np.diff(lessons.sign)) + 1
        for begin, end in zip([0, *turns.tolist()], [*turns.tolist(), len(lessons)], strict=True):
            if begin == end:
                continue
            run = lessons.slice(begin, end)
            if run.sign[0] > 0:
                for recommender in self._recommenders.values():
                    recommender.observe(run)
                self.audience.add(run.item, run.user)
            else:
                for recommender in self._recommenders.values():
                    recommender.retract(run)
                self.audience.sub(run.item, run.user)

    def _candidates(self, found: list[Scored]) -> Candidates:
        """All lists' candidates; of each the distinct shoppers behind its strongest causes are counted."""
        if not found:
            return Candidates()
        all_ = Scored.join(found)
        shared = self.audience.behind(all_.item, all_.starts, all_.because, all_.amount, EXPLAINED)
        columns = {
            "look": np.repeat(np.arange(len(found), dtype=np.uint32), [len(one.item) for one in found]),
            "item": all_.item,
            "score": all_.score,
            "signal": Ragged(all_.starts, all_.signal),
            "because": Ragged(all_.starts, all_.because),
            "amount": Ragged(all_.starts, all_.amount),
            "shared": Ragged(all_.starts, shared),
        }
        return Candidates.of(columns)


def _part(state: dict[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    prefix = f"{name}."
    return {n.removeprefix(prefix): column for n, column in state.items() if n.startswith(prefix)}
