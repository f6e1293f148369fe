"""Tastes from a history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shopguide.records import F64, I64, Kind, Lessons
from shopguide.tastes.library import I32, Library
from shopguide.tastes.users import STRENGTH, Tastes, decayed

AT_ONCE = 1 << 20  # terms of users' items that are added up at a time


def build(
    lessons: Lessons, described: Mapping[int, Mapping[str, Any]], half_life: float, read: Mapping[int, int]
) -> Tastes:
    """``lessons``: all that is kept of a history, to be added, of which what was only shown says nothing;
    ``described``: what the catalogue says of items by then; ``half_life``: seconds; ``read``: of a log's partitions,
    the offset after the last row of it."""
    lessons = lessons.take(lessons.kind != Kind.IMPRESSION)
    landmark = float(lessons.time.max(initial=0.0))
    worth = decayed(lessons.time, landmark, half_life)
    library = Library.of(described, lessons, worth)
    users, user = np.unique(lessons.user, return_inverse=True)
    row, n = library.rows(lessons.item), len(users)
    bought = lessons.kind == Kind.PURCHASE
    newest = np.zeros(n)
    np.maximum.at(newest, user, lessons.time)
    starts, term, weight = _terms(library, user, row, STRENGTH[lessons.kind] * worth, n)
    return Tastes(
        half_life,
        landmark,
        dict(read),
        library,
        users=users,
        starts=starts,
        term=term,
        weight=weight,
        events=np.bincount(user, minlength=n),
        purchases=np.bincount(user[bought], minlength=n),
        money=np.bincount(user[bought], library.price[row[bought]], n).astype(np.float64),
        newest=newest,
    )


def _terms(library: Library, user: I64, row: I64, amount: F64, n: int) -> tuple[I64, I32, F64]:
    """The terms of n users' items and what each comes to: the columns starts, term, weight of Tastes."""
    order = np.argsort(user, kind="stable")
    user, row, amount = user[order], row[order], amount[order]
    reach = np.cumsum(np.diff(library.starts)[row])
    ends = np.searchsorted(user, np.arange(n), side="right")  # of the users' events
    sizes, ids, weights = np.zeros(n, np.int64), [], []
    begin = 0
    while begin < n:
        first = ends[begin - 1] if begin else 0
        behind = (reach[first - 1] if first else 0) + AT_ONCE
        end = max(begin + 1, int(np.searchsorted(reach[ends - 1], behind, side="right")))
        part = slice(first, ends[end - 1])
        added, counts = library.terms_of(row[part])
        key = np.repeat(user[part], counts) * len(library.terms) + added
        found, place = np.unique(key, return_inverse=True)
        weights.append(np.bincount(place, np.repeat(amount[part], counts), len(found)))
        of, term = np.divmod(found, max(len(library.terms), 1))
        ids.append(term.astype(np.int32))
        sizes[begin:end] = np.bincount(of - begin, minlength=end - begin)
        begin = end
    starts = np.concatenate(([0], np.cumsum(sizes)))
    return starts, np.concatenate([np.zeros(0, np.int32), *ids]), np.concatenate([np.zeros(0), *weights])
