"""What a live visit shows of purchase intent, as numbers in 0..1: the visible units of a belief network.

A visit begins anew with each purchase: nothing of it, nor of what came before it, is in a feature. All of them are
functions of the events so far, in order; sums are of whole numbers, so that a visit's features are the same in whatever
company they are computed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shopguide.records import F64, I64, U8, U64, Kind

SEEN = (Kind.VIEW, Kind.SEARCH, Kind.CART, Kind.FAVOURITE, Kind.CLICK, Kind.DISMISS)
PAUSE = 1800.0  # seconds at most that pass between two events: who comes back later did not look all the time
LATELY = 5  # events

FEATURES = (
    "events", "items", "repeats", "returns", "searches", "carts", "favourites", "clicks", "dismissals", "in cart",
    "any cart", "last searched", "last carted", "last new", "last back", "last in cart", "run", "on last", "on one",
    "new lately", "since cart", "seconds", "gap", "gap before", "mean gap", "longest gap", "time on last",
    "time on one",
)  # fmt: skip

F32 = NDArray[np.float32]


class Prefixes(NamedTuple):
    """Beginnings of visits that have not bought yet, visit by visit in order of their first events, in each the
    shortest first."""

    features: F32  # [rows, len(FEATURES)]
    buys: NDArray[np.bool_]  # whether the visit buys later
    visit: I64  # from 0


def features(kind: U8, item: U64, time: F64) -> F32:
    """Those of a visit after the events given, in order: float32[len(FEATURES)]; ``time`` in epoch s. All 0 where
    nothing has happened since its newest purchase."""
    begin = max(np.flatnonzero(kind == Kind.PURCHASE) + 1, default=0)
    seen = begin + np.flatnonzero(np.isin(kind[begin:], SEEN))
    if not len(seen):
        return np.zeros(len(FEATURES), np.float32)
    found: F32 = _after_each(kind[seen], item[seen], time[seen], np.zeros(len(seen), np.int64))[-1]
    return found


def prefixes(kind: U8, item: U64, time: F64, session: U64) -> Prefixes:
    """Of events in order (sessions may be mixed), each session a visit, up to its first purchase."""
    kept = np.flatnonzero(np.isin(kind, (*SEEN, Kind.PURCHASE)))
    _, first, visit = np.unique(session[kept], return_index=True, return_inverse=True)
    visit = np.argsort(np.argsort(first))[visit]
    order = np.argsort(visit, kind="stable")
    kept, visit = kept[order], visit[order]
    within = _Groups(visit)
    bought = within.sums((kind[kept] == Kind.PURCHASE).astype(np.int64))
    rows = bought == 0
    kept, visit, buys = kept[rows], visit[rows], (bought[within.ends] > 0)[within.number[rows]]
    return Prefixes(_after_each(kind[kept], item[kept], time[kept], visit), buys, visit)


class _Groups:
    """Rows whose equal keys stand together."""

    def __init__(self, keys: NDArray[Any]) -> None:
        new = np.concatenate(([True], keys[1:] != keys[:-1]))[: len(keys)]
        self.starts = np.flatnonzero(new)
        self.ends = np.append(self.starts[1:], len(keys))[: len(self.starts)] - 1
        self.number = np.cumsum(new) - 1
        self.place = np.arange(len(keys)) - self.starts[self.number]  # in the group, from 0

    def sums(self, values: I64) -> I64:
        """So far, in the group."""
        total = np.cumsum(values)
        return np.asarray(total - (total - values)[self.starts][self.number])

    def largest(self, values: I64) -> I64:
        """So far, in the group; no value is negative."""
        apart = self.number * (int(values.max(initial=0)) + 1)
        return np.asarray(np.maximum.accumulate(values + apart) - apart)

    def back(self, values: NDArray[Any], steps: int) -> NDArray[Any]:
        """The value so many rows before in the group, or 0."""
        moved = np.concatenate((np.zeros(steps, values.dtype), values))[: len(values)]
        return np.where(self.place >= steps, moved, 0)


class _ByItem(_Groups):
    """The same for groups that do not stand together: what an item had so far in its visit."""

    def __init__(self, visit: I64, item: U64) -> None:
        self._order = np.lexsort((item, visit))
        _, number = np.unique(item[self._order], return_inverse=True)
        super().__init__(visit[self._order] * len(item) + number)

    def sums(self, values: I64) -> I64:
        found = np.empty_like(values)
        found[self._order] = super().sums(values[self._order])
        return found


def _after_each(kind: U8, item: U64, time: F64, visit: I64) -> F32:
    """After each event of visits that stand together, each in order: float32[events, len(FEATURES)]."""
    visits, items = _Groups(visit), _ByItem(visit, item)
    one = np.ones(len(kind), np.int64)
    is_ = {k: (kind == k).astype(np.int64) for k in SEEN}
    looked = one - is_[Kind.SEARCH]
    moment = np.round((time - time[visits.starts][visits.number]) * 1000).astype(np.int64)
    gap = np.where(visits.place > 0, np.clip(moment - visits.back(moment, 1), 0, int(PAUSE * 1000)), 0)
    dwell = np.append(gap[1:], 0)[: len(gap)]  # what is known of an event's once the next one is there

    count, on_last = visits.sums(one), items.sums(looked)
    new = looked * (on_last == 1)
    same = visits.back(looked, 1) * looked * (item == visits.back(item, 1))
    back = looked - new - same * (1 - new)
    run = count - visits.largest((1 - same) * visits.place)
    carts_of = items.sums(is_[Kind.CART])
    cart = visits.sums(is_[Kind.CART] * (carts_of == 1))
    last_cart = visits.largest(is_[Kind.CART] * count)
    seconds, spent = visits.sums(gap), items.sums(dwell)
    found = visits.sums(new)
    columns = {
        "events": _log(count, 100),
        "items": _log(found, 50),
        "repeats": _log(visits.sums(looked - new), 50),
        "returns": _log(visits.sums(back), 30),
        "searches": _log(visits.sums(is_[Kind.SEARCH]), 10),
        "carts": _log(visits.sums(is_[Kind.CART]), 10),
        "favourites": _log(visits.sums(is_[Kind.FAVOURITE]), 10),
        "clicks": _log(visits.sums(is_[Kind.CLICK]), 10),
        "dismissals": _log(visits.sums(is_[Kind.DISMISS]), 10),
        "in cart": _log(cart, 5),
        "any cart": cart > 0,
        "last searched": is_[Kind.SEARCH],
        "last carted": is_[Kind.CART],
        "last new": new,
        "last back": back,
        "last in cart": carts_of > 0,
        "run": _log(run, 10),
        "on last": _log(on_last, 20),
        "on one": _log(visits.largest(on_last), 20),
        "new lately": (found - visits.back(found, LATELY)) / np.minimum(count, LATELY),
        "since cart": np.where(last_cart > 0, 1 / (1.0 + count - last_cart), 0),
        "seconds": _log(seconds / 1000, 7200),
        "gap": _log(gap / 1000, PAUSE),
        "gap before": _log(visits.back(gap, 1) / 1000, PAUSE),
        "mean gap": _log(seconds / 1000 / np.maximum(visits.place, 1), PAUSE),
        "longest gap": _log(visits.largest(gap) / 1000, PAUSE),
        "time on last": (spent - dwell) / np.maximum(seconds, 1),
        "time on one": visits.largest(visits.back(spent, 1)) / np.maximum(seconds, 1),
    }
    return np.stack([columns[name] for name in FEATURES], 1).astype(np.float32)


def _log(amounts: NDArray[Any], most: float) -> F64:
    """0 for none, 1 from ``most`` on, each doubling about as much in between."""
    return np.asarray(np.minimum(np.log1p(amounts) / np.log1p(most), 1))
