"""What a live visit shows of purchase intent, as numbers in 0..1: the visible units of a belief network.

A visit begins anew with each purchase: nothing of it, nor of what came before it, is in a feature. All of them are
functions of the events so far, in order: one by one for a live visit, all prefixes of many at once to train on. Both
count in whole numbers (times in ms), so that they agree.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shopguide.records import F64, I64, U8, U64, Kind, Looks

SEEN = (Kind.VIEW, Kind.SEARCH, Kind.CART, Kind.FAVOURITE, Kind.CLICK, Kind.DISMISS)
PAUSE = 1800.0  # seconds at most that pass between two events: who comes back later did not look all the time
LATELY = 5  # events

# Each feature's amount from which on it is 1, its logarithm counting; None: it is a share already.
_MOST = {
    "events": 100, "items": 50, "repeats": 50, "returns": 30, "searches": 10, "carts": 10, "favourites": 10,
    "clicks": 10, "dismissals": 10, "in cart": 5, "any cart": None, "last searched": None, "last carted": None,
    "last new": None, "last back": None, "last in cart": None, "run": 10, "on last": 20, "on one": 20,
    "new lately": None, "since cart": None, "seconds": 7200, "gap": PAUSE, "gap before": PAUSE, "mean gap": PAUSE,
    "longest gap": PAUSE, "time on last": None, "time on one": None,
}  # fmt: skip
FEATURES = tuple(_MOST)
_LOGS = np.array([most is not None for most in _MOST.values()])
_SCALE = np.log1p([most for most in _MOST.values() if most is not None])

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
    visit = _Visit()
    begin = max(np.flatnonzero(kind == Kind.PURCHASE) + 1, default=0)
    moments = np.round((time - time[:1]) * 1000).astype(np.int64)
    for event in zip(kind[begin:].tolist(), item[begin:].tolist(), moments[begin:].tolist(), strict=True):
        if event[0] in SEEN:
            visit.see(*event)
    return _squashed(np.array(visit.amounts() if visit.events else [0.0] * len(FEATURES)))


class _Visit:
    """What happened so far."""

    def __init__(self) -> None:
        self.events = self.new = self.returns = self.run = self.since_cart = 0
        self.last = (0, 0, 0)
        self.was_new = self.was_back = False
        self.gap = self.gap_before = self.longest = self.passed = 0  # ms
        self.kinds: Counter[int] = Counter()
        self.looks: Counter[int] = Counter()
        self.spent: Counter[int] = Counter()  # ms on each item
        self.carted: set[int] = set()
        self.lately: deque[bool] = deque(maxlen=LATELY)

    def see(self, kind: int, item: int, moment: int) -> None:
        before_kind, before_item, before = self.last
        self.gap_before = self.gap
        if self.events:
            self.gap = min(max(moment - before, 0), int(PAUSE * 1000))
            self.passed += self.gap
            self.longest = max(self.longest, self.gap)
            self.spent[before_item] += self.gap
        looking = kind != Kind.SEARCH
        same = self.events > 0 and looking and before_kind != Kind.SEARCH and before_item == item
        self.was_new = looking and not self.looks[item]
        self.was_back = looking and not self.was_new and not same
        self.run = self.run + 1 if same else 1
        self.new += self.was_new
        self.returns += self.was_back
        self.lately.append(self.was_new)
        self.looks[item] += looking
        self.kinds[kind] += 1
        self.events += 1
        if kind == Kind.CART:
            self.carted.add(item)
            self.since_cart = 0
        self.since_cart += 1
        self.last = kind, item, moment

    def amounts(self) -> list[float]:
        """In the order of FEATURES."""
        kind, item, _ = self.last
        passed = max(self.passed, 1)
        counted = (Kind.SEARCH, Kind.CART, Kind.FAVOURITE, Kind.CLICK, Kind.DISMISS)
        return [
            self.events, self.new, self.looks.total() - self.new, self.returns, *(self.kinds[k] for k in counted),
            len(self.carted), bool(self.carted), kind == Kind.SEARCH, kind == Kind.CART,
            self.was_new, self.was_back, item in self.carted, self.run, self.looks[item], max(self.looks.values()),
            sum(self.lately) / len(self.lately), 1 / self.since_cart if self.carted else 0,
            self.passed / 1000, self.gap / 1000, self.gap_before / 1000, self.passed / 1000 / max(self.events - 1, 1),
            self.longest / 1000, self.spent[item] / passed, max(self.spent.values(), default=0) / passed,
        ]  # fmt: skip


def _squashed(amounts: NDArray[Any]) -> F32:
    """Amounts [..., len(FEATURES)] as 0..1, each doubling of what is counted about as much."""
    found = amounts.astype(np.float64)
    found[..., _LOGS] = np.minimum(np.log1p(found[..., _LOGS]) / _SCALE, 1)
    return found.astype(np.float32)


def features_of(looks: Looks, gap: float) -> F32:
    """What looks show of intent, float32[looks, FEATURES]: the newest events without a pause of ``gap`` seconds."""
    rows = []
    for kind, item, times in zip(looks.visit_kind, looks.visit, looks.visit_time, strict=True):
        begin = max(np.flatnonzero(np.diff(times) > gap) + 1, default=0)
        rows.append(features(kind[begin:], item[begin:], times[begin:]))
    return np.stack(rows)


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
    """After each event of visits that stand together, each in order, what _Visit has: float32[events,
    len(FEATURES)]."""
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
    seconds, spent = visits.sums(gap), items.sums(dwell)  # ms
    found = visits.sums(new)
    passed = np.maximum(seconds, 1)
    counted = (Kind.SEARCH, Kind.CART, Kind.FAVOURITE, Kind.CLICK, Kind.DISMISS)
    amounts = [
        count, found, visits.sums(looked - new), visits.sums(back), *(visits.sums(is_[k]) for k in counted),
        cart, cart > 0, is_[Kind.SEARCH], is_[Kind.CART],
        new, back, carts_of > 0, run, on_last, visits.largest(on_last),
        (found - visits.back(found, LATELY)) / np.minimum(count, LATELY),
        np.where(last_cart > 0, 1 / (1.0 + count - last_cart), 0),
        seconds / 1000, gap / 1000, visits.back(gap, 1) / 1000, seconds / 1000 / np.maximum(visits.place, 1),
        visits.largest(gap) / 1000, (spent - dwell) / passed, visits.largest(visits.back(spent, 1)) / passed,
    ]  # fmt: skip
    return _squashed(np.stack(amounts, 1))
