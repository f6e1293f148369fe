"""score: learn from every update; for those who look, blend the recommenders' signals into scored candidates.

The blend is linear: each signal is divided by its largest for this look and weighed, and an item's score is the sum.
So every score is a sum of amounts, each with the signal and the user's item it comes from, and the reason given to the
shopper is that sum and nothing else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from copy import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide._core import Audience, Collected, Query
from shopguide.artefacts import BLEND, TRIAL, Trial
from shopguide.blend import Blender
from shopguide.errors import CoreError, LostError, StateError
from shopguide.frontier import Frontier
from shopguide.intent import features_of
from shopguide.lists import wanted
from shopguide.models import Trained
from shopguide.networks.serving import SEQUENTIAL, Intent, Served
from shopguide.recommenders.base import NO_ITEMS, PLACE, Context, Recommender
from shopguide.recommenders.content import Content
from shopguide.recommenders.explore import Explore
from shopguide.recommenders.items import ItemBased
from shopguide.recommenders.network import Network
from shopguide.recommenders.popular import Popular
from shopguide.recommenders.profile import Profile
from shopguide.recommenders.segments import Segments
from shopguide.recommenders.sequence import Sequence
from shopguide.recommenders.sessions import NearestSessions, NearestUsers
from shopguide.recommenders.title import Title
from shopguide.recommenders.visit import Visit
from shopguide.recommenders.welcome import Welcome
from shopguide.records import LEARNED, SIMILAR, TRENDING, Batch, Candidates, Kind, Lessons, Looks, Ragged, Slate, Update
from shopguide.settings import Settings
from shopguide.weights import Weights

SEARCHED_FOR = 5  # looks after which a search counts half
_LEARNED = np.isin(np.arange(256), LEARNED)
EXPLAINED = 3  # strongest causes of a candidate, whose shoppers are counted


class Scorer:
    """The model. Every replica learns everything and answers for its share of the users."""

    def __init__(self, settings: Settings, replica: int = 0, replicas: int = 1, models: Path | None = None) -> None:
        """``models``: where trained models lie that ACTIVATE rows name; None: nowhere, and such rows say nothing."""
        self._replica, self._replicas = replica, replicas
        self.trained = Trained(models)
        self.intent: Intent | None = None  # None: as featurize says
        learn, score, self._rank = settings.learn, settings.score, settings.rank
        self._gap, self._limit = learn.session_gap, score.neighbours
        self._decay = np.power(score.decay, np.arange(score.recent), dtype=np.float64)
        self.items = ItemBased(learn, score)
        self.content = Content(score)
        self.popular = Popular(learn, self.content)
        self.segments = Segments(learn)
        self.welcome = Welcome(score.rules, self.segments.clock, self.popular, self.content)
        self.audience = Audience()
        self._explore = Explore(settings.rank, self.audience)
        self.title = Title(self.content)
        self._networks: dict[str, Any] = {name: Network(name) for name in SEQUENTIAL}
        self._networks["title"] = self.title
        self.profile = Profile()
        self._recommenders: dict[str, Recommender] = {
            "items": self.items,
            "sequence": Sequence(learn, score),
            "sessions": NearestSessions(learn),
            **({"users": NearestUsers(learn)} if learn.users else {}),
            "visit": Visit(),
            "content": self.content,
            **({"explore": self._explore} if Explore.wanted(settings.rank) else {}),
            **self._networks,
            "segments": self.segments,
            "welcome": self.welcome,
            "profile": self.profile,
            "popular": self.popular,  # the last: of all that the others found
        }
        self._learning, self._forgetting = self._that_do("observe"), self._that_do("retract")
        self._own = Weights.of(score)
        self._blend(Blender(self._own))
        self._on_trial: tuple[Trial, Blender, list[Recommender]] | None = None
        self.frontier = Frontier()

    def use(self, networks: Mapping[str, Served]) -> None:
        """Ask these networks from now on, each in the place of the one of its kind."""
        for name, network in networks.items():
            self._networks[name].network = network

    def learn_catalogue(self, batch: Batch) -> None:
        """What ITEM, PICK and ACTIVATE rows say; any number of times, in any interleaving."""
        for recommender in self._recommenders.values():
            recommender.learn_catalogue(batch)
        for model, found in self.trained.learn(batch.events):
            self._put_in_force(model, found)

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
        self._learn(update.lessons if new <= update.first else update.lessons.take(update.lessons.offset >= new))
        self.frontier.advance(update)

    def reached(self, partition: int) -> int:
        """The offset after the last row learned of a partition."""
        return self.frontier.reached.get(partition, -1) + 1

    def bulk(self, lessons: Lessons, frontier: Frontier) -> None:
        """Learn a history at once: what remains of all rows up to a frontier, as featurize's ``lessons`` give it.

        Raises ValueError where anything was learned before.
        """
        lessons = self._without_shown(lessons)
        for recommender in self._recommenders.values():
            recommender.bulk(lessons)
        self.audience.add(*self.segments.touches(lessons))
        self.frontier = Frontier(frontier.reached)

    def answer(self, looks: Looks, partition: int = 0, first: int = 0, last: int = -1) -> Slate:
        """Candidates for the looks that are this replica's."""
        if self._replicas > 1:
            looks = looks.take((looks.user & 0xFFFFFFFF) % self._replicas == self._replica)
        mine = self.expecting(looks)
        found = Collected()
        for row in range(len(mine)):
            blender, weighed = self._answering(int(mine.user[row]))
            self.gather(mine, row, weighed)
            self.blender.rows.leave_out(self.content.gone)
            blender.best(wanted(self._rank, mine, row), found)
        if "explore" in self._recommenders:
            explored = [self._explore.choose(mine, row, self._near) for row in range(len(mine))]
            mine = copy(mine)
            mine.explored = Ragged.of(explored, "<u8")
        return Slate(partition, first, last, mine, self._candidates(found), time.time())

    def expecting(self, looks: Looks) -> Looks:
        """The looks with what the belief network says of intent, where one is in force and the visit shows any."""
        if self.intent is None or not len(looks):
            return looks
        shown = features_of(looks, self._gap)
        probably = np.where(shown.any(axis=1), self.intent.of(shown), looks.intent)
        return looks.of({**looks.columns(), "intent": probably})

    def gather(self, looks: Looks, row: int, asked: Iterable[Recommender] | None = None) -> None:
        """Put the signals of a look into the blender's rows, those of all recommenders or of these."""
        slot, now, rows = looks.slot.bytes_at(row), float(looks.event_time[row]), self.blender.rows
        recent, of, since = looks.recent[row], self.segments.asked(looks, row), int(looks.since_query[row])
        faded = {"search": 0.5 ** (since / SEARCHED_FOR)} if since else {}
        if of or self.welcome.rules:
            faded |= self.welcome.faded(of, now, len(recent))
        self.blender.begin(slot not in (SIMILAR, TRENDING), faded, float(looks.intent[row]))
        n = wanted(self._rank, looks, row)
        if slot == SIMILAR:
            about = looks.about[row : row + 1]
            far = self.content.reach(lambda most: self.items.model.neighbours(about, most)[1], n)
            _, items, cosines, _ = self.items.model.neighbours(about, far)
            rows.put(PLACE["similar"], items, cosines, about.repeat(len(items)))
            self.content.like(int(about[0]), 1.0, n, rows)
            self.title.like(about, n, rows)
        elif slot == TRENDING:
            rows.put(PLACE["trending"], *self.popular.top(n, int(looks.category[row]), now))
        else:
            context = Context(
                Query(recent[: len(self._decay)], self._decay[: len(recent)]),
                recent,
                looks.here[row],
                int(looks.unit[row]),
                int(looks.user[row]),
                now,
                _text(looks.query, row),
                tuple(_text(looks.interests, row).splitlines()),
                self._visit(looks, row),
                of,
                looks.past.bytes_at(row) if self.profile.tastes else b"",
                recent[looks.recent_kind[row] == Kind.FAVOURITE],
            )
            for recommender in self._recommenders.values() if asked is None else asked:
                recommender.score(context, self._limit, rows)

    def _visit(self, looks: Looks, row: int) -> NDArray[np.uint64]:
        """What networks read of a look, where there are any."""
        for one in self._networks.values():
            if one.network is not None:
                return looks.visit[row][_LEARNED[looks.visit_kind[row]]]
        return NO_ITEMS

    def checksum(self) -> str:
        """The model's checksum (hex): equal for equal kept events, whatever the way they came."""
        return str(self.items.model.checksum())

    def dump(self) -> dict[str, NDArray[Any]]:
        items, users, counts = self.audience.dump()
        state: dict[str, NDArray[Any]] = {"audience.items": items, "audience.users": users, "audience.counts": counts}
        for name, recommender in self._recommenders.items():
            state |= {f"{name}.{column}": array for column, array in recommender.dump().items()}
        said = {"frontier": list(self.frontier.reached.items()), "in_force": self.trained.in_force.dump()}
        meta = json.dumps(said).encode()
        return {**state, "meta": np.frombuffer(meta, np.uint8)}

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        try:
            kept = _part(state, "items")
            for name, recommender in self._recommenders.items():
                recommender.load(_part(state, name), kept)
            self.audience.load(state["audience.items"], state["audience.users"], state["audience.counts"])
            said = json.loads(state["meta"].tobytes())
            self.frontier = Frontier(dict(said["frontier"]))
            trained = self.trained.load(said.get("in_force", []))  # none: of a version without trained models
        except (CoreError, KeyError, ValueError, TypeError) as e:
            raise StateError(f"score's snapshot is broken: {e}") from None
        for model, found in trained:
            self._put_in_force(model, found)

    def models(self) -> dict[str, Any]:
        """The core's models of the recommenders that have one."""
        return {name: one.model for name, one in self._recommenders.items() if hasattr(one, "model")}

    def check(self) -> None:
        """Raises CoreError where an invariant of the core does not hold."""
        self.audience.check()
        for recommender in self._recommenders.values():
            recommender.check()

    def _put_in_force(self, model: str, found: Any) -> None:
        """None: what there is without training."""
        if model == BLEND:
            self._blend(self.blender.under(found or self._own))
        elif model == TRIAL:
            self._try(self.trained.in_force.trial, found)
        elif model == "dbn":
            self.intent = found
        elif model == "profiles":
            self.profile.tastes = found
        elif model in self._networks:
            self._networks[model].network = found

    def _blend(self, blender: Blender) -> None:
        """Answer by it from now on, and ask who counts there."""
        self.blender, self._weighed = blender, self._weighing(blender)

    def _try(self, trial: Trial | None, weights: Weights | None) -> None:
        """Answer the trial's users by these from now on; nobody where there are none."""
        self._on_trial = None
        if trial is not None and weights is not None:
            blender = self.blender.under(weights)
            self._on_trial = trial, blender, self._weighing(blender)

    def _answering(self, user: int) -> tuple[Blender, list[Recommender]]:
        """What a user's lists are made with."""
        trial = self._on_trial
        return trial[1:] if trial is not None and trial[0].has(user) else (self.blender, self._weighed)

    def _weighing(self, blender: Blender) -> list[Recommender]:
        return [one for one in self._recommenders.values() if blender.weighs(one.signals)]

    def _that_do(self, verb: str) -> list[Recommender]:
        """The recommenders that do more than any."""
        plain = getattr(Recommender, verb)
        return [one for one in self._recommenders.values() if getattr(type(one), verb) is not plain]

    def _without_shown(self, lessons: Lessons) -> Lessons:
        """The lessons of what shoppers did; what they were shown is told to the one that asks for it."""
        if Kind.IMPRESSION not in lessons.kind.tobytes():
            return lessons
        shown = lessons.kind == int(Kind.IMPRESSION)
        self._explore.shown(lessons.take(shown))
        return lessons.take(~shown)

    def _learn(self, lessons: Lessons) -> None:
        lessons = self._without_shown(lessons)
        if not len(lessons):
            return
        turns = [0, len(lessons)]
        if len(set(lessons.sign.tobytes())) > 1:
            turns[1:1] = (np.flatnonzero(lessons.sign[1:] != lessons.sign[:-1]) + 1).tolist()
        for begin, end in pairwise(turns):
            run = lessons.view(begin, end)
            if run.sign[0] > 0:
                for recommender in self._learning:
                    recommender.observe(run)
                self.audience.add(*self.segments.touches(run))
            else:
                for recommender in self._forgetting:
                    recommender.retract(run)
                self.audience.sub(*self.segments.touches(run))

    def _near(self, item: int) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
        return self.content.neighbours(item, self._limit)

    def _candidates(self, found: Collected) -> Candidates:
        """All lists' candidates; of each the distinct shoppers behind its strongest causes are counted."""
        look, item, score, starts, signal, because, amount = found.take()
        parts: dict[str, NDArray[Any]] = {"signal": signal, "because": because, "amount": amount}
        parts["shared"] = self.audience.behind(item, starts, because, amount, EXPLAINED)
        ragged = {name: Ragged(starts, values) for name, values in parts.items()}
        return Candidates.of({"look": look, "item": item, "score": score, **ragged})


def _text(column: Ragged[np.uint8], row: int) -> str:
    """Of UTF-8; mostly there is none in a whole batch."""
    return column.bytes_at(row).decode("utf-8", "replace") if len(column.values) else ""


def _part(state: dict[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    prefix = f"{name}."
    return {n.removeprefix(prefix): column for n, column in state.items() if n.startswith(prefix)}
