"""Two models side by side: who is where, how often, and weights to a billionth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.cli.at_rest import AtRest
from shopguide.records import Lessons

CLOSE = 1e-9  # of the largest weight of a row: the same, but for the order in which floats were added
NEIGHBOURS = 200  # of an item, compared

Rows = dict[Any, Any]


def difference(one: AtRest, other: AtRest) -> dict[str, Any]:
    """What differs; ``equal`` says whether anything does. Counts are of users and items in one, in the other, and in
    both but not alike; weights are the largest difference found, as a part of the largest weight of its row."""
    lessons = one.featurizer.lessons(), other.featurizer.lessons()
    items = np.union1d(lessons[0].item, lessons[1].item)
    checksums = [found.scorer.checksum() for found in (one, other)]
    users = _compare(*map(_histories, lessons))
    counts = _compare(_counts(one, items), _counts(other, items))
    similarities = _apart(_similar(one, items), _similar(other, items))
    now = max(one.featurizer.newest, other.featurizer.newest)
    popularity = _apart(_popular(one, items, now), _popular(other, items, now))
    alike = not any([*users.values(), *counts.values()]) and checksums[0] == checksums[1]
    return {
        "equal": alike and max(similarities, popularity) <= CLOSE,
        "checksums": checksums,
        "users": users,
        "items": counts,
        "similarities": similarities,
        "popularity": popularity,
    }


def _histories(lessons: Lessons) -> Rows:
    """Each user's learned events, in order."""
    starts = np.flatnonzero(np.diff(lessons.user, prepend=lessons.user[:1] + np.uint64(1)))
    ends = [*starts[1:].tolist(), len(lessons)]
    columns = lessons.item, lessons.time, lessons.kind, lessons.unit
    return {
        int(lessons.user[start]): b"".join(column[start:end].tobytes() for column in columns)
        for start, end in zip(starts.tolist(), ends, strict=True)
    }


def _counts(found: AtRest, items: NDArray[np.uint64]) -> Rows:
    counts = found.scorer.items.model.count(items)
    return {item: n for item, n in zip(items.tolist(), counts.tolist(), strict=True) if n}


def _similar(found: AtRest, items: NDArray[np.uint64]) -> dict[int, dict[int, float]]:
    starts, near, scores, _ = found.scorer.items.model.neighbours(items, NEIGHBOURS)
    cuts = zip(items.tolist(), starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    return {item: dict(zip(near[a:b].tolist(), scores[a:b].tolist(), strict=True)) for item, a, b in cuts}


def _popular(found: AtRest, items: NDArray[np.uint64], now: float) -> dict[int, dict[int, float]]:
    weights = found.scorer.popular.model.weight(items, now)
    return {0: dict(zip(items.tolist(), weights.tolist(), strict=True))}


def _compare(one: Rows, other: Rows) -> dict[str, int]:
    both = one.keys() & other.keys()
    return {
        "only_in_one": len(one.keys() - both),
        "only_in_other": len(other.keys() - both),
        "not_alike": sum(one[key] != other[key] for key in both),
    }


def _apart(one: dict[int, dict[int, float]], other: dict[int, dict[int, float]]) -> float:
    """The largest difference of a value that both have, as a part of the largest of its row."""
    worst = 0.0
    for row in one.keys() & other.keys():
        a, b = one[row], other[row]
        largest = max([*a.values(), *b.values()], default=0.0)
        worst = max([worst, *(abs(a[key] - b[key]) / largest for key in a.keys() & b.keys() if largest)])
    return worst
