"""Features of a live visit, against a plain definition; a row sees nothing of what comes after it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopguide.intent import FEATURES, features, prefixes
from shopguide.records import Kind

KINDS = (Kind.VIEW, Kind.CART, Kind.SEARCH, Kind.FAVOURITE, Kind.CLICK, Kind.DISMISS, Kind.IMPRESSION, Kind.PURCHASE)
Event = tuple[int, int, float]  # kind, item, time


def columns(events: list[Event]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kind, item, time = zip(*events, strict=True) if events else ((), (), ())
    return np.array(kind, np.uint8), np.array(item, np.uint64), np.array(time, np.float64)


def plain(events: list[Event]) -> dict[str, float]:
    """The features by their names, one event after the other."""
    bought = [at for at, event in enumerate(events) if event[0] == Kind.PURCHASE]
    events = events[bought[-1] + 1 :] if bought else events
    events = [e for e in events if e[0] not in (Kind.PURCHASE, Kind.IMPRESSION)]
    if not events:
        return dict.fromkeys(FEATURES, 0.0)
    looks, carted, counts = Counter(), Counter(), Counter()  # type: ignore[var-annotated]
    spent: defaultdict[int, float] = defaultdict(float)
    gaps, new, returns, run, since = [0.0], [], 0, 0, 0.0
    for at, (kind, item, time) in enumerate(events):
        before = events[at - 1] if at else (Kind.DISMISS, -1, time)
        if at:
            gaps.append(min(max(time - before[2], 0.0), 1800.0))
            spent[before[1]] += gaps[-1]
        looking = kind != Kind.SEARCH
        same = bool(at) and looking and before[0] != Kind.SEARCH and before[1] == item
        back = looking and looks[item] > 0 and not same
        returns += back
        new.append(looking and looks[item] == 0)
        run = run + 1 if same else 1
        looks[item] += looking
        carted[item] += kind == Kind.CART
        counts[kind] += 1
        since = 1.0 if kind == Kind.CART else 1 / (1 / since + 1) if since else 0.0
    n, seconds = len(events), sum(gaps)

    def log(amount: float, most: float) -> float:
        return min(math.log1p(amount) / math.log1p(most), 1)

    in_cart = sum(count > 0 for count in carted.values())
    return {
        "events": log(n, 100),
        "items": log(sum(new), 50),
        "repeats": log(looks.total() - sum(new), 50),
        "returns": log(returns, 30),
        "searches": log(counts[Kind.SEARCH], 10),
        "carts": log(counts[Kind.CART], 10),
        "favourites": log(counts[Kind.FAVOURITE], 10),
        "clicks": log(counts[Kind.CLICK], 10),
        "dismissals": log(counts[Kind.DISMISS], 10),
        "in cart": log(in_cart, 5),
        "any cart": float(in_cart > 0),
        "last searched": float(kind == Kind.SEARCH),
        "last carted": float(kind == Kind.CART),
        "last new": float(new[-1]),
        "last back": float(back),
        "last in cart": float(carted[item] > 0),
        "run": log(run, 10),
        "on last": log(looks[item], 20),
        "on one": log(max(looks.values()), 20),
        "new lately": sum(new[-5:]) / min(n, 5),
        "since cart": since,
        "seconds": log(seconds, 7200),
        "gap": log(gaps[-1], 1800),
        "gap before": log(gaps[-2], 1800) if n > 1 else 0,
        "mean gap": log(seconds / max(n - 1, 1), 1800),
        "longest gap": log(max(gaps), 1800),
        "time on last": spent[item] / max(seconds, 0.001),
        "time on one": max(spent.values(), default=0.0) / max(seconds, 0.001),
    }


STEPS = st.tuples(st.sampled_from(KINDS), st.integers(1, 4), st.sampled_from([-5.0, 0.0, 0.25, 3.0, 60.0, 5000.0]))


@st.composite
def visits(draw: st.DrawFn) -> list[list[Event]]:
    found = []
    for steps in draw(st.lists(st.lists(STEPS, max_size=15), max_size=4)):
        times = 1.7e9 + np.cumsum([0.0, *(gap for *_, gap in steps)])
        found.append([(int(kind), item, float(t)) for (kind, item, _), t in zip(steps, times, strict=False)])
    return found


@given(visits())
def test_features_by_their_definitions(found: list[list[Event]]) -> None:
    for events in found:
        expected = plain(events)
        given_ = dict(zip(FEATURES, features(*columns(events)).tolist(), strict=True))
        assert given_ == pytest.approx(expected, abs=1e-5)
        assert all(0 <= value <= 1 for value in given_.values())


@settings(max_examples=40)
@given(visits(), st.randoms())
def test_all_prefixes_at_once_are_each_one_alone(found: list[list[Event]], random: object) -> None:
    """Of mixed sessions: so no row sees what comes after it, or another visit."""
    turns = [at for at, events in enumerate(found) for _ in events]
    random.shuffle(turns)  # type: ignore[attr-defined]
    rest = [iter(events) for events in found]
    mixed = [(next(rest[at]), at) for at in turns]
    session = np.array([at + 100 for _, at in mixed], np.uint64)
    rows = prefixes(*columns([event for event, _ in mixed]), session)
    expected, buys, number = [], [], []
    order = [at for at in dict.fromkeys(at for event, at in mixed if event[0] != Kind.IMPRESSION)]
    for place, at in enumerate(order):
        for n, (kind, *_) in enumerate(found[at], 1):
            if kind == Kind.PURCHASE:
                break
            if kind != Kind.IMPRESSION:
                expected.append(features(*columns(found[at][:n])))
                buys.append(any(later[0] == Kind.PURCHASE for later in found[at][n:]))
                number.append(place)
    assert np.array(expected).ravel() == pytest.approx(rows.features.ravel(), abs=1e-6)
    assert rows.buys.tolist() == buys and rows.visit.tolist() == number
    assert rows.features.shape == (len(buys), len(FEATURES)) and rows.features.dtype == np.float32


def test_a_visit_begins_anew_with_a_purchase() -> None:
    before: list[Event] = [(Kind.CART, 1, 10.0), (Kind.VIEW, 2, 20.0)]
    after: list[Event] = [(Kind.VIEW, 3, 40.0), (Kind.VIEW, 3, 50.0)]
    purchase: Event = (Kind.PURCHASE, 1, 30.0)
    assert (features(*columns([*before, purchase, *after])) == features(*columns(after))).all()
    assert not features(*columns([*before, purchase])).any()
    assert not features(*columns([])).any()
