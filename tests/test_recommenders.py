"""Every recommender learns per event, takes back without a trace, is restored, and gives amounts to be summed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import asked_for, rows_of

from shopguide._core import Blend
from shopguide.context import DEVICES, Clock, packed, segments, welcome
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.recommenders.content import Content
from shopguide.recommenders.items import ItemBased
from shopguide.recommenders.popular import Popular
from shopguide.recommenders.segments import Segments
from shopguide.recommenders.sequence import Sequence
from shopguide.recommenders.sessions import HALF_LIFE, NearestSessions, NearestUsers
from shopguide.recommenders.visit import Visit
from shopguide.recommenders.welcome import Welcome
from shopguide.records import SIGNALS, Batch, Events, Kind, Lessons, Names, Ragged
from shopguide.settings import WelcomeSettings, load

SETTINGS = load("shop")
CLOCK = Clock("UTC")
RULE = WelcomeSettings(campaign=["spring"], items=["a", "b", "a"], because="it is spring")  # type: ignore[call-arg]
CONTEXTS = [0, *(packed({"device": device, "campaign": "spring"}) for device in DEVICES)]
SEGMENTS = segments(np.array(CONTEXTS[1:2], np.uint32), np.zeros(1), CLOCK)[0]
MAKE: dict[str, Callable[[], Recommender]] = {
    "items": lambda: ItemBased(SETTINGS.learn, SETTINGS.score),
    "sequence": lambda: Sequence(SETTINGS.learn, SETTINGS.score),
    "sessions": lambda: NearestSessions(SETTINGS.learn),
    "users": lambda: NearestUsers(SETTINGS.learn),
    "visit": Visit,
    "popular": lambda: Popular(SETTINGS.learn, Content(SETTINGS.score)),
    "content": lambda: Content(SETTINGS.score),
    "segments": lambda: Segments(SETTINGS.learn),
    "welcome": lambda: Welcome(
        [RULE], CLOCK, Popular(SETTINGS.learn, Content(SETTINGS.score)), Content(SETTINGS.score)
    ),
}
EVENTS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(10, 16)), max_size=40)
every = pytest.mark.parametrize("name", MAKE)


def lessons(rows: list[tuple[int, int, int]], sign: int = 1) -> Lessons:
    """Rows of (unit, user, item), a second apart, a unit's context by its number."""
    return Lessons(
        offset=np.arange(len(rows)),
        sign=np.full(len(rows), sign),
        kind=np.full(len(rows), Kind.VIEW),
        unit=np.array([r[0] for r in rows], np.uint64),
        user=np.array([r[1] for r in rows], np.uint64),
        item=np.array([r[2] for r in rows], np.uint64),
        time=np.arange(len(rows), dtype=np.float64),
        context=[CONTEXTS[r[0] % len(CONTEXTS)] for r in rows],
    )


def context(recent: list[int], here: list[int] | None = None) -> Context:
    n = len(recent)
    return Context(
        asked_for(recent, SETTINGS.score),
        np.array(recent, np.uint64),
        np.array([1] * n if here is None else here, np.uint8),
        unit=99,
        user=98,
        now=1000.0,
        query="green tea",
        segments=tuple(SEGMENTS[SEGMENTS > 0].tolist()),
    )


def catalogue() -> Batch:
    """What some of the items are called, and dear ones."""
    titles = {10: "green tea", 11: "black tea", 12: "green cup", 13: "tea cup", 15: "cup", 17: "绿茶"}
    details = [{"title": title, "category": "tea", "price": float(item)} for item, title in titles.items()]
    events = Events(
        offset=np.arange(len(titles)),
        kind=np.full(len(titles), Kind.ITEM),
        item=np.array(list(titles), np.uint64),
        data=Ragged.of_bytes([msgpack.packb(said) for said in details]),
    )
    return Batch(0, 0, len(titles) - 1, events, Names())


def made(name: str) -> Recommender:
    one = MAKE[name]()
    one.learn_catalogue(catalogue())
    return one


def totals(one: Recommender, asked: Context, limit: int) -> dict[str, dict[int, float]]:
    """By signal and item."""
    found: dict[str, dict[int, float]] = {}
    for row in rows_of(one, asked, limit):
        of = found.setdefault(row.signal, {})
        of[row.item] = of.get(row.item, 0.0) + row.amount
    return found


@every
@given(rows=EVENTS, recent=st.lists(st.integers(9, 17), unique=True, max_size=5), limit=st.integers(1, 6))
def test_signals(name: str, rows: list[tuple[int, int, int]], recent: list[int], limit: int) -> None:
    one = made(name)
    one.observe(lessons(rows))
    found = rows_of(one, context(recent), limit)
    assert {row.signal for row in found} <= set(one.signals) <= set(SIGNALS)
    assert {row.because for row in found} <= {0, *recent, *SEGMENTS.tolist(), welcome(0)}
    assert all(row.amount >= 0 and math.isfinite(row.amount) for row in found)
    assert len({row[:3] for row in found}) == len(found)
    for (_, because), n in Counter((row.signal, row.because) for row in found).items():
        assert n <= (limit if because else 2 * limit)
    one.check()


@every
@given(rows=EVENTS, data=st.data())
def test_what_is_taken_back_leaves_no_trace(name: str, rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    gone = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    one, other = made(name), made(name)
    taught = lessons(rows)
    one.observe(taught)
    one.retract(taught.take(np.array(gone, bool)))
    other.observe(taught.take(~np.array(gone, bool)))
    one.check()
    asked = context([10, 12, 14])
    for signal, expected in totals(other, asked, 6).items():
        assert totals(one, asked, 6)[signal] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@every
@given(rows=EVENTS)
def test_a_history_at_once_and_a_snapshot(name: str, rows: list[tuple[int, int, int]]) -> None:
    taught = lessons(rows)
    order = np.argsort(taught.unit, kind="stable")
    one, bulk, restored = made(name), made(name), MAKE[name]()
    kept = MAKE["items"]()
    one.observe(taught)
    kept.observe(taught)
    bulk.bulk(taught.take(order))
    restored.load(one.dump(), kept.dump())
    asked = context([10, 12, 14])
    for other in (bulk, restored):
        other.check()
        for signal, expected in totals(one, asked, 6).items():
            assert totals(other, asked, 6)[signal] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_visit_by_hand() -> None:
    assert totals(Visit(), context([5, 6, 7, 8], [2, 0, 3, 1]), 10) == {
        "current": {5: 1.0},
        "previous": {7: 1.0},
        "steps": {5: 1.0, 7: 0.5, 8: pytest.approx(1 / 3)},
        "repeats": {5: 1.0, 7: 2.0},
    }


def test_rules_and_second_order_by_hand() -> None:
    one = MAKE["items"]()
    one.observe(lessons([(1, 1, 10), (1, 1, 11), (2, 2, 10), (3, 3, 11), (3, 3, 12)]))
    found = totals(one, context([10]), 5)
    assert found["rule"] == pytest.approx({11: 1 / 2})
    assert found["items"] == pytest.approx({11: 1 / 2})
    assert found["second"] == pytest.approx({10: 1 / 4, 12: 1 / 2 / np.sqrt(2)})


def test_sessions_by_hand() -> None:
    """Who shares a newer item is nearer; beside the shared item, what came next to it counts most."""
    one = MAKE["sessions"]()
    one.observe(lessons([(1, 1, 10), (1, 1, 11), (1, 1, 12), (2, 2, 13), (2, 2, 14)]))
    found = totals(one, context([10, 13]), 5)
    rare = 1 + np.log(2)
    near, far = rare, 0.6 * 0.6 * rare
    assert found["sessions"] == pytest.approx({10: near, 11: near, 12: near, 13: far, 14: far}, rel=1e-3)
    ages = 2.0 ** (-np.array([2, 0]) / HALF_LIFE)
    assert found["beside"] == pytest.approx(
        {11: ages[0] * rare, 12: np.exp(-0.5) * rare, 14: 0.6 * 0.6 * rare}, rel=1e-3
    )


def test_who_asks_does_not_count() -> None:
    for name, at in (("sessions", 0), ("users", 1)):
        one = MAKE[name]()
        row = [0, 0, 10]
        row[at] = 99 if name == "sessions" else 98
        one.observe(lessons([tuple(row)]))  # type: ignore[list-item]
        assert totals(one, context([10]), 5) == {}


def test_popular_says_it_of_what_others_found() -> None:
    """Beyond the most popular, those that the blend has already."""
    one, blend = MAKE["popular"](), Blend(len(SIGNALS))
    one.observe(lessons([(1, 1, 10), (1, 1, 10), (2, 2, 11), (2, 2, 12), (2, 2, 12), (2, 2, 12)]))
    blend.put(PLACE["items"], [10, 11, 19], [1.0, 1.0, 1.0])
    one.score(context([11]), 1, blend)
    signals, items, _, amounts = blend.rows()
    put = signals == PLACE["popular"]
    assert items[put].tolist() == [12, 10, 11]
    assert amounts[put] == pytest.approx([1, 2 / 3, 1 / 3], rel=1e-3)
