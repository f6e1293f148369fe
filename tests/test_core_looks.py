"""Glance: what an answer sees of a user's newest events, against its definition over plain lists."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide._core import Glance, Users

VIEW, CART, FAVOURITE, PURCHASE, SEARCH, DISMISS, SHOWN = range(1, 8)
STRENGTH = {VIEW: 1, FAVOURITE: 2, CART: 3, PURCHASE: 4}
USER = 9


class Event(NamedTuple):
    item: int
    kind: int
    session: int
    context: int


EVENTS = st.lists(
    st.builds(Event, st.integers(1, 5), st.integers(1, 7), st.integers(1, 3), st.integers(0, 2)), max_size=30
)


def glance(limit: int = 1000, visit: int = 200, by_session: bool = True) -> Glance:
    strength = np.zeros(256, np.uint8)
    strength[list(STRENGTH)] = list(STRENGTH.values())
    kinds = {"search": SEARCH, "cart": CART, "favourite": FAVOURITE, "purchase": PURCHASE, "dismiss": DISMISS}
    return Glance(strength, limit=limit, visit=visit, by_session=by_session, shown=SHOWN, **kinds)


def users(events: list[Event]) -> Users:
    found, n = Users(30.0), len(events)
    item, kind, session, context = (np.array(column) for column in zip(*events, strict=True)) if events else [[]] * 4
    found.observe([USER] * n, item, np.arange(n) + 0.5, session, kind, np.arange(n), [0] * n, context)
    return found


def by_definition(events: list[Event], limit: int, visit: int, by_session: bool) -> dict[str, Any]:
    newest = [(at + 0.5, event) for at, event in enumerate(events)][max(0, len(events) - limit) :]
    done = [(time, event) for time, event in newest if event.kind != SHOWN]
    session = done[-1][1].session if done else 0
    live = [(time, event) for time, event in done if event.session == session]
    signs = [(time, event) for time, event in done[::-1] if event.kind in STRENGTH]
    recent = list(dict.fromkeys(event.item for _, event in signs))
    of = {item: [(time, event) for time, event in signs if event.item == item] for item in recent}
    seen = (live if by_session else done)[-visit:]
    searches = [at for at, (_, event) in enumerate(live) if event.kind == SEARCH]
    after = live[searches[-1] :] if searches else []
    looked = [event for _, event in live if event.kind != SEARCH]
    contexts = [event.context for _, event in live if event.context]
    return {
        "session": session,
        "recent": recent,
        "recent_kind": [max((e.kind for _, e in of[item]), key=STRENGTH.__getitem__) for item in recent],
        "recent_time": [of[item][0][0] for item in recent],
        "here": [sum(e.session == session for _, e in of[item]) for item in recent],
        "visit": [event.item for _, event in seen],
        "visit_kind": [event.kind for _, event in seen],
        "visit_time": [time for time, _ in seen],
        "query": live[searches[-1]][1].item if searches else 0,
        "since_query": sum(event.kind in STRENGTH for _, event in after),
        "bought": sorted({event.item for _, event in newest if event.kind == PURCHASE}),
        "dismissed": sorted({event.item for _, event in newest if event.kind == DISMISS}),
        "tried": sorted({event.item for _, event in newest if event.kind == SHOWN}),
        "context": contexts[-1] if contexts else 0,
        "looked": len(looked),
        "distinct": len({event.item for event in looked}),
        "cart": any(event.kind == CART for event in looked),
        "favourite": any(event.kind == FAVOURITE for event in looked),
    }


ALONE = ("session", "query", "since_query", "context", "cart", "favourite", "looked", "distinct")


def seen(of: Glance, asked: list[tuple[Users, int]]) -> list[dict[str, Any]]:
    """A dict of plain values for each of whom are asked for."""
    alone, columns = of.of(asked)
    assert len(alone) == len(asked)
    assert all(len(starts) == len(asked) + 1 and starts[0] == 0 for starts, _ in columns.values())
    rows = [dict(zip(ALONE, one, strict=True)) for one in alone]
    for name, (starts, values) in columns.items():
        assert starts[-1] == len(values)
        for row, begin, end in zip(rows, starts, starts[1:], strict=False):
            row[name] = values[begin:end].tolist()
    return rows


@given(EVENTS, st.sampled_from([0, 3, 1000]), st.sampled_from([1, 4, 200]), st.booleans())
def test_it_sees_what_the_definition_says(events: list[Event], limit: int, visit: int, by_session: bool) -> None:
    (found,) = seen(glance(limit, visit, by_session), [(users(events), USER)])
    assert found == by_definition(events, limit, visit, by_session)


@given(st.lists(EVENTS, max_size=4), st.sampled_from([3, 1000]))
def test_it_sees_of_each_of_many_what_it_sees_of_one(histories: list[list[Event]], limit: int) -> None:
    found = seen(glance(limit), [(users(events), USER) for events in histories])
    assert found == [by_definition(events, limit, 200, True) for events in histories]


def test_one_glance_sees_many_users_and_forgets_each() -> None:
    look, both = glance(), users([Event(1, VIEW, 1, 1), Event(2, CART, 1, 0)])
    both.observe([5], [1], [3.0], [7], [VIEW], [0], [0])
    before = seen(look, [(both, USER)])
    assert [one["recent"] for one in seen(look, [(both, 5), (both, 6)])] == [[1], []]
    assert seen(look, [(both, USER)]) == before and seen(look, []) == []


def test_many_distinct_items_and_many_events_of_one() -> None:
    events = [Event(1 + at, VIEW, 1, 0) for at in range(1100)] + [Event(7, VIEW, 1, 0)] * 300
    (found,) = seen(glance(limit=1000), [(users(events), USER)])
    assert found == {**by_definition(events, 1000, 200, True), "here": [255, *[1] * 700]}


def test_it_refuses_what_it_has_no_room_for() -> None:
    with pytest.raises(ValueError, match="limit"):
        glance(limit=1025)
    with pytest.raises(ValueError, match="kinds"):
        Glance([1, 2], limit=9, visit=9, by_session=True, shown=1, search=2, cart=3, favourite=4, purchase=5, dismiss=6)
