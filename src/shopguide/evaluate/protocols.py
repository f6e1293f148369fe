"""Protocols: in which order events are learned, and what is asked between them.

next-item: of each session every event but its first is asked for, given those before it. static: the model learns the
training part only; prequential: in order of time, each event is first asked for, then learned.
leave-one-out: of each user the last event is asked for, given all before it; the model learns all but the last two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shopguide.evaluate.data import LEAVE_ONE_OUT, Dataset, in_time, is_shoppers
from shopguide.evaluate.store import Store
from shopguide.records import U64, Events, Looks

WARM_UP = 0.8  # of a single stream, learned before the first question, where nothing else is said


@dataclass(frozen=True)
class Question:
    """What is the item, for this look? Sessions with the same number are resampled together."""

    session: int
    looks: Looks
    target: int


def by_session(events: Events) -> list[Events]:
    """Each session's events in order of time, sessions by their first event. What names no session is the user's."""
    return _by(np.where(events.session != 0, events.session, events.user), events)


def by_user(events: Events) -> list[Events]:
    """Each user's events in order of time, users by their first event."""
    return _by(events.user, events)


def reveal(store: Store, sessions: list[Events], n: int) -> Iterator[Question]:
    """Iterative revealing: the store sees each event after it was asked for, its model learns none."""
    for number, session in enumerate(sessions):
        for at in range(len(session)):
            if at:
                looks = store.look(int(session.user[at]), n, float(session.time[at - 1]))
                yield Question(number, looks, int(session.item[at]))
            store.see(session.slice(at, at + 1))


def last_of_each(store: Store, users: list[Events], n: int) -> Iterator[Question]:
    """The last event of each user is asked for; the store has seen none of theirs."""
    for number, events in enumerate(users):
        store.see(events.slice(0, len(events) - 1))
        looks = store.look(int(events.user[-1]), n, float(events.time[-2]))
        yield Question(number, looks, int(events.item[-1]))


def _by(owner: U64, events: Events) -> list[Events]:
    """Shoppers' events by owner; of equal times in theirs."""
    rows = np.flatnonzero(is_shoppers(events))
    order = np.lexsort((events.time[rows], owner[rows]))
    parts = np.split(rows[order], np.flatnonzero(np.diff(owner[rows[order]])) + 1) if len(rows) else []
    return [events.take(part) for part in sorted(parts, key=lambda part: int(part[0]))]


def without_newest(users: list[Events], newest: int) -> Events:
    """All events but the newest so many of each user."""
    return Events.join([events.slice(0, max(len(events) - newest, 0)) for events in users])


def divided(events: Events, warm_up: float) -> tuple[Events, Events]:
    """A stream in order of time: its first part, with a share in 0..1 of the shoppers' events, and the rest."""
    rows = np.flatnonzero(is_shoppers(events))
    at = int(rows[int(len(rows) * warm_up)]) if len(rows) else len(events)
    return events.slice(0, at), events.slice(at, len(events))


def learned(dataset: Dataset, warm_up: float) -> Dataset:
    """What may be learned of a data set before the first question, weights too."""
    if dataset.test is not None or dataset.protocol == LEAVE_ONE_OUT:
        return dataset
    return replace(dataset, train=divided(in_time(dataset.train), warm_up)[0])


def follows(events: Events, gap: float) -> NDArray[np.bool_]:
    """Which events go on with a session that there is already: their own, or where they name none the user's, less
    than ``gap`` seconds after the event before."""
    shoppers = is_shoppers(events)
    result = np.zeros(len(events), bool)
    begun: set[int] = set()
    newest: dict[int, float] = {}
    columns = (events.user.tolist(), events.session.tolist(), events.time.tolist())
    for row, (user, session, time) in enumerate(zip(*columns, strict=True)):
        if not shoppers[row]:
            continue
        if session:
            result[row] = session in begun
            begun.add(session)
        else:
            result[row] = user in newest and time - newest[user] <= gap
        newest[user] = time
    return result
