"""featurize: lessons add up to what remains, in any order of taking back; looks say what an answer needs."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from shopguide.errors import GapError, StateError
from shopguide.featurize import LEARNED, REMEMBERED, Featurizer, intent, remembered
from shopguide.records import SIMILAR, Batch, Events, Kind, Lessons, Names, Ragged, Update
from shopguide.settings import load

GAP = 100.0


def featurizer(unit: str = "session") -> Featurizer:
    return Featurizer(load("shop", flags={"learn.unit": unit, "learn.session_gap": GAP}))


def batch(rows: list[dict[str, Any]], first: int = 0, last: int | None = None) -> Batch:
    """Rows of {kind, user, item, time, ...}; offsets count up from ``first``."""
    columns = {
        name: np.array([row.get(name, 0) for row in rows], dtype)
        for name, dtype in Events.schema.items()
        if not dtype.endswith("[]") and name != "offset"
    }
    data = Ragged.of_bytes([msgpack.packb(row["data"]) if "data" in row else b"" for row in rows])
    events = Events(offset=np.arange(first, first + len(rows)), **columns, data=data)
    return Batch(0, first, first + len(rows) - 1 if last is None else last, events, Names())


def view(user: int, item: int, time: float, **more: Any) -> dict[str, Any]:
    return {"kind": Kind.VIEW, "user": user, "item": item, "time": time, "arrived": time, **more}


def watch(user: int, until: float = 1e9, **details: Any) -> dict[str, Any]:
    data = {"expires": until, "slot": "home", "n": 5, **details}
    return {"kind": Kind.WATCH, "user": user, "time": 1.0, "arrived": 1.0, "data": data}


def learned(updates: list[Update]) -> dict[int, list[tuple[int, float]]]:
    """What a model holds after the lessons: items with times, per unit, in order."""
    units: dict[int, list[tuple[int, float]]] = {}
    for update in updates:
        lessons = update.lessons
        for sign, unit, item, time in zip(lessons.sign, lessons.unit, lessons.item, lessons.time, strict=True):
            events = units.setdefault(int(unit), [])
            if sign > 0:
                events.append((int(item), float(time)))
            else:
                at = len(events) - 1 - events[::-1].index((int(item), float(time)))
                del events[at]
    return {unit: events for unit, events in units.items() if events}


ROW = st.one_of(
    st.builds(
        lambda kind, user, item, step, event: {"kind": kind, "user": user, "item": item, "step": step, "event": event},
        st.sampled_from(
            [Kind.VIEW, Kind.CART, Kind.FAVOURITE, Kind.PURCHASE, Kind.SEARCH, Kind.DISMISS, Kind.IMPRESSION]
        ),
        st.integers(1, 2),
        st.integers(1, 4),
        st.sampled_from([1.0, 60.0, 150.0, 0.0, -150.0]),
        st.sampled_from([0, 0, 11, 12, 13]),
    ),
    st.builds(
        lambda user, item: {"kind": Kind.REMOVE, "user": user, "item": item, "step": 1.0},
        st.integers(1, 2),
        st.integers(1, 4),
    ),
    st.builds(
        lambda user, event: {"kind": Kind.RETRACT, "user": user, "step": 1.0, "data": {"target": event}},
        st.integers(1, 2),
        st.sampled_from([11, 12, 13]),
    ),
    st.builds(lambda user: {"kind": Kind.FORGET, "user": user, "step": 1.0}, st.integers(1, 2)),
)


def remaining(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By definition: the rows as if what was taken back had never been."""
    kept: list[dict[str, Any]] = []
    ids: set[tuple[int, int]] = set()
    for row in rows:
        if row.get("event"):
            if (row["user"], row["event"]) in ids:
                continue
            ids.add((row["user"], row["event"]))
        mine = [k for k in kept if k["user"] == row["user"]]
        if row["kind"] == Kind.FORGET:
            kept = [k for k in kept if k["user"] != row["user"]]
        elif row["kind"] in (Kind.REMOVE, Kind.RETRACT):
            if row["kind"] == Kind.REMOVE:
                of_item = [k for k in mine if k["item"] == row["item"]]
                match = [k for k in of_item if k["kind"] in (Kind.PURCHASE, Kind.CART)]
                match = match or [k for k in of_item if k["kind"] == Kind.FAVOURITE]
            else:
                match = [k for k in mine if k.get("event") == row["data"]["target"]]
            if match:
                kept = [k for k in kept if k is not match[-1]]
        else:
            kept.append(row)
    return kept


@settings(max_examples=200)
@given(st.lists(ROW, max_size=25), st.sampled_from(["session", "user"]), st.integers(1, 7))
def test_taking_back_equals_never_having_been(rows: list[dict[str, Any]], unit: str, size: int) -> None:
    time = 1000.0
    for row in rows:
        time += row.pop("step")
        row["time"] = row["arrived"] = time
    one = featurizer(unit)
    updates = [one.featurize(batch(rows[at : at + size], at)) for at in range(0, len(rows), size)]
    one.check()
    kept = remaining(rows)
    other = featurizer(unit)
    clean = [{k: v for k, v in row.items() if k != "event"} for row in kept]
    want = learned([other.featurize(batch(clean))] if clean else [])
    assert learned(updates) == want
    for user in (1, 2):
        had, has = one.events_of(user), other.events_of(user)
        for name in ("item", "time", "session", "kind"):
            assert had[name].tolist() == has[name].tolist()


def many(seed: int, count: int) -> Events:
    """Events of few users and items with everything that takes back or joins; times go on, some are late."""
    random = np.random.default_rng(seed)
    kinds = [Kind.VIEW, Kind.PURCHASE, Kind.SEARCH, Kind.REMOVE, Kind.RETRACT, Kind.FORGET, Kind.ALIAS, Kind.ITEM]
    kind = random.choice(kinds, count, p=[0.5, 0.2, 0.08, 0.1, 0.08, 0.01, 0.01, 0.02]).astype(np.uint8)
    data = [b""] * count
    for row in np.flatnonzero(kind == Kind.RETRACT).tolist():
        data[row] = msgpack.packb({"target": int(random.integers(max(0, row - 300), row + 1)) // 40 + 1})
    for row in np.flatnonzero(kind == Kind.ALIAS).tolist():
        data[row] = msgpack.packb({"account": int(random.integers(1, 9))})
    time = 1_700_000_000 + np.arange(count) * 10.0 - random.choice([0, 0, 0, 3000], count)
    return Events(
        offset=np.arange(count),
        kind=kind,
        user=random.integers(1, 9, count),
        item=random.integers(1, 7, count),
        time=time,
        arrived=time,
        event=random.choice([0, 0, 1], count) * (np.arange(count) // 40 + 1),
        data=Ragged.of_bytes(data),
    )


def fed(one: Featurizer, events: Events, sizes: list[int]) -> list[Update]:
    """Rows in batches; ``sizes`` in turn. Offsets that are missing are holes."""
    updates: list[Update] = []
    at, first = 0, one.frontier.reached.get(0, -1) + 1
    while at < len(events):
        part = events.slice(at, at + sizes[len(updates) % len(sizes)])
        at += len(part)
        last = int(events.offset[at]) - 1 if at < len(events) else int(events.offset[-1])
        updates.append(one.featurize(Batch(0, first, last, part, Names())))
        first = last + 1
    return updates


RETENTIONS = [
    {"learn.retention_events": 1024},
    {"learn.retention": 9600.0},
    {"learn.retention_events": 1500, "learn.retention": 20000.0},
]
QUICK = settings(max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # seeds do not shrink


def retaining(unit: str, flags: dict[str, Any]) -> Featurizer:
    return Featurizer(load("shop", flags={"learn.unit": unit, "learn.session_gap": GAP, "log.partitions": 1, **flags}))


@QUICK
@given(st.integers(0, 999), st.sampled_from(["session", "user"]), st.sampled_from(RETENTIONS))
def test_what_is_beyond_retention_has_never_been(seed: int, unit: str, flags: dict[str, Any]) -> None:
    events = many(seed, 3000)
    one = retaining(unit, flags)
    got = learned(fed(one, events, [256]))
    one.check()
    step = flags.get("learn.retention_events", 0) // 32
    before = 3000 // step * step - flags["learn.retention_events"] if step else 0
    width = flags.get("learn.retention", 0) / 32
    since = events.time.max() // width * width - flags["learn.retention"] if width else -np.inf
    whole = retaining(unit, {})
    fed(whole, events, [256])
    left = [whole.events_of(user)["offset"] for user in range(1, 9)]
    within = events.take(
        np.isin(events.offset, np.concatenate(left)) & (events.offset >= before) & (events.time >= since)
    )
    assert (within.offset >= one.kept_from(0)).all()
    within.event[:] = 0
    assert got == learned(fed(retaining(unit, {}), within, [256]))


@QUICK
@given(st.integers(0, 999), st.lists(st.integers(1, 200), min_size=1, max_size=4), st.sampled_from([{}, *RETENTIONS]))
@example(256, [95, 58], RETENTIONS[1])  # a double that is the first row of its time
def test_batching_and_holes_change_nothing(seed: int, sizes: list[int], flags: dict[str, Any]) -> None:
    events = many(seed, 2500)
    events = events.take(np.random.default_rng(seed).random(2500) < 0.9)
    one, other = retaining("session", flags), retaining("session", flags)
    got, want = fed(one, events, sizes), fed(other, events, [999])
    assert learned(got) == learned(want)
    assert Events.join([u.relay for u in got]) == Events.join([u.relay for u in want])
    had, has = one.dump(0), other.dump(0)
    assert had.keys() == has.keys()
    for name in had:
        if name != "meta":
            assert sorted(had[name].tolist()) == sorted(has[name].tolist()), name
    loaded = retaining("session", flags)
    loaded.load(0, had)
    more = many(seed + 1, 400)
    more.offset[:] += events.offset[-1] + 1
    assert fed(loaded, more, [50])[-1] == fed(one, more, [50])[-1]


def test_a_double_is_known_for_the_retention_and_not_for_ever() -> None:
    one = retaining("session", {"learn.retention_events": 1024})
    rows = [view(1, 1, 100.0 + at, event=at + 1) for at in range(3000)]
    again = [view(1, 2, 5000.0, event=event) for event in (3000 - 1024 + 4, 3000 - 1024 * 5 // 4 - 64)]
    for at in range(0, 3000, 500):
        one.featurize(batch(rows[at : at + 500], at))
    assert one.featurize(batch(again, 3000)).lessons.item[-1:].tolist() == [2]
    assert one.counts["doubles"] == 1


@pytest.mark.parametrize(
    "rows",
    [
        [view(1, 1, 0, kind=Kind.PURCHASE), view(1, 2, 0), view(1, 1, 0), {"kind": Kind.REMOVE, "user": 1, "item": 1}],
        [
            *(view(1, item, time, event=item) for item, time in enumerate((0, 500, 10, 500, 0, 5), 1)),
            {"kind": Kind.RETRACT, "user": 1, "data": {"target": 2}},
        ],
    ],
    ids=["an equal event is behind the one taken back", "a session takes in one that is older than its last"],
)
def test_units_stay_in_order_where_times_are_equal_or_fall(rows: list[dict[str, Any]]) -> None:
    updates = [featurizer().featurize(batch(rows))]
    kept = [{k: v for k, v in row.items() if k != "event"} for row in remaining(rows)]
    assert learned(updates) == learned([featurizer().featurize(batch(kept))])


@settings(max_examples=60)
@given(st.lists(ROW, min_size=1, max_size=20), st.data())
def test_a_replay_gives_the_same_lessons_and_learns_nothing(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    for at, row in enumerate(rows):
        row.pop("step")
        row["time"] = row["arrived"] = 1000.0 + at
    one = featurizer()
    updates = [one.featurize(batch([row], at)) for at, row in enumerate(rows)]
    before = [one.events_of(user) for user in (1, 2)]
    first = data.draw(st.integers(0, len(rows) - 1))
    last = data.draw(st.integers(first, len(rows) - 1))
    again = one.featurize(batch(rows[first : last + 1], first))
    assert again.lessons == Lessons.join([u.lessons for u in updates[first : last + 1]])
    for had, has in zip(before, [one.events_of(user) for user in (1, 2)], strict=True):
        assert all(had[name].tolist() == has[name].tolist() for name in had)


def test_a_gap_is_refused_and_rejected_rows_are_no_gap() -> None:
    one = featurizer()
    one.featurize(batch([view(1, 1, 1)], 0, last=4))
    with pytest.raises(GapError, match=r"rows 5\.\.6"):
        one.featurize(batch([view(1, 1, 1)], 7))
    one.featurize(batch([view(1, 1, 1)], 5))


def test_sessions_are_cut_by_inactivity_or_given() -> None:
    lessons = (
        featurizer()
        .featurize(
            batch([view(1, 1, 0), view(1, 2, GAP), view(1, 3, 3 * GAP), view(1, 4, 3 * GAP, session=77), view(2, 1, 0)])
        )
        .lessons
    )
    a, b, c, d, e = lessons.unit.tolist()
    assert a == b and len({a, c, d, e}) == 4 and d == 77 ^ 1  # a unit lies with its user
    assert featurizer("user").featurize(batch([view(1, 1, 0), view(1, 2, 1e6)])).lessons.unit.tolist() == [1, 1]


def test_a_double_is_dropped_and_counted() -> None:
    one = featurizer()
    one.featurize(batch([view(1, 1, 0, event=5), view(1, 2, 1, event=5)]))
    one.featurize(batch([view(1, 1, 0, event=5), view(1, 1, 0)], 2))
    assert one.events_of(1)["item"].tolist() == [1, 1]
    assert one.counts["doubles"] == 2 and one.counts["view"] == 2


def test_an_id_is_of_its_user_so_that_the_order_of_partitions_does_not_matter() -> None:
    one = featurizer()
    one.featurize(batch([view(1, 1, 0, event=5), view(2, 2, 1, event=5), view(2, 3, 2, event=5)]))
    assert (one.counts["view"], one.counts["doubles"]) == (2, 1)


def test_looks_are_for_those_who_watch_after_their_last_event() -> None:
    one = featurizer()
    update = one.featurize(batch([view(1, 1, 0), watch(1), view(1, 2, 2), view(2, 9, 3), view(1, 3, 4)]))
    (look,) = range(len(update.looks))
    assert (update.looks.user.tolist(), update.looks.offset.tolist()) == ([1], [4])
    assert update.looks.recent[look].tolist() == [3, 2, 1] and update.looks.n.tolist() == [5]
    assert len(one.featurize(batch([view(2, 1, 5)], 5)).looks) == 0
    assert len(one.featurize(batch([view(1, 1, 6)], 6)).looks) == 1
    one.featurize(batch([{"kind": Kind.UNWATCH, "user": 1}], 7))
    assert len(one.featurize(batch([view(1, 1, 7)], 8)).looks) == 0


def test_who_watches_in_one_partition_is_seen_in_the_others() -> None:
    one, other = featurizer(), featurizer()
    one.featurize(batch([watch(7)]))
    other.load(0, one.dump(0))
    for stage in (one, other):
        looks = stage.featurize(replace(batch([view(7, 1, 10, event=5), view(8, 2, 11)]), partition=3)).looks
        assert looks.user.tolist() == [7] and looks.recent[0].tolist() == [1]
        assert stage.whereabouts(7) == [3] and stage.owner(5) == (3, 7) and stage.owner(6) is None


def test_a_watch_ends_at_its_time() -> None:
    one = featurizer()
    one.featurize(batch([watch(1, until=50.0)]))
    assert len(one.featurize(batch([view(1, 1, 49)], 1)).looks) == 1
    assert len(one.featurize(batch([view(1, 1, 50)], 2)).looks) == 0


def test_a_question_is_answered_once() -> None:
    one = featurizer()
    row = {**watch(99, until=0, slot=SIMILAR.decode(), n=3), "item": 4}
    looks = one.featurize(batch([row])).looks
    assert (looks.slot.bytes_at(0), looks.about.tolist(), looks.n.tolist()) == (SIMILAR, [4], [3])
    assert len(one.featurize(batch([view(99, 1, 1)], 1)).looks) == 0


def test_a_look_names_recent_bought_and_dismissed() -> None:
    rows = [
        view(1, 1, 0),
        view(1, 2, 1, kind=Kind.PURCHASE),
        view(1, 1, 2, kind=Kind.CART),
        view(1, 3, 3 * GAP),
        view(1, 4, 3 * GAP + 1, kind=Kind.DISMISS),
        view(1, 0, 3 * GAP + 2, kind=Kind.SEARCH),
    ]
    one = featurizer()
    one.featurize(batch(rows))
    look = one.look(1, "home", 5, 4 * GAP)
    assert look.recent[0].tolist() == [3, 1, 2] and look.recent_kind[0].tolist() == [
        Kind.VIEW,
        Kind.CART,
        Kind.PURCHASE,
    ]
    assert look.recent_time[0].tolist() == [3 * GAP, 2, 1] and look.here[0].tolist() == [1, 0, 0]
    assert look.bought[0].tolist() == [2] and look.dismissed[0].tolist() == [4]
    empty = one.look(5, "home", 5, 0)
    assert len(empty.recent[0]) == 0 and empty.intent[0] == 0


def test_intent_grows_with_signs_of_it() -> None:
    def of(*kinds: Kind, items: list[int]) -> float:
        return intent(np.array(kinds, np.uint8), np.array(items, np.uint64))

    few = of(Kind.VIEW, items=[1])
    more = of(Kind.VIEW, Kind.VIEW, items=[1, 1])
    cart = of(Kind.VIEW, Kind.CART, items=[1, 1])
    assert 0 < few < more < cart < 1 and few < 0.05


def test_dump_and_load_go_on_the_same() -> None:
    rows = [watch(1), view(1, 1, 5, event=3), view(2, 2, 6), view(1, 2, 7)]
    one, other = featurizer(), featurizer()
    one.featurize(batch(rows))
    other.load(0, one.dump(0))
    more = [view(1, 3, 8), view(1, 1, 9, event=3), {"kind": Kind.FORGET, "user": 2, "time": 10.0, "arrived": 10.0}]
    assert one.featurize(batch(more, 4)) == other.featurize(batch(more, 4))
    assert one.counts == other.counts == Counter(one.counts)


@pytest.mark.parametrize("flags", RETENTIONS)
def test_what_a_log_has_to_remember_is_read_of_two_columns_of_a_dump(flags: dict[str, Any]) -> None:
    one, said = retaining("session", flags), {"attributes": {"age": "30"}, "interests": ["tea"]}
    fed(one, many(3, 2500), [256])
    joined = {"kind": Kind.ALIAS, "user": 901, "time": 1e9, "arrived": 1e9, "data": {"account": 902}}
    imported = [{"kind": Kind.PROFILE, "user": user, "time": 1e9, "arrived": 1e9, "data": said} for user in (903, 904)]
    one.featurize(batch([joined, *imported], one.reached(0)))
    columns = {name: column for name, column in one.dump(0).items() if name in REMEMBERED}
    kept_from, visitors, profiled = remembered(columns)
    assert kept_from == one.kept_from(0) > 0
    assert 901 in visitors and visitors.tolist() == one.visitors(0).tolist()
    assert profiled.tolist() == one.profiled(0).tolist() == [903, 904]
    for name, broken in (("profiles", columns["profiles"][:-1]), ("meta", columns["meta"][:-1])):
        with pytest.raises(StateError, match="broken"):
            remembered({**columns, name: broken})


def test_one_that_nobody_holds_goes_at_once() -> None:
    gc.collect()
    gc.disable()  # a line's collector hardly ever looks at what is old
    try:
        one, other = featurizer(), featurizer()
        one.featurize(batch([watch(1), view(1, 1, 5), view(2, 2, 6)]))
        other.load(0, one.dump(0))
        held = weakref.ref(other)
        del other
        assert held() is None
    finally:
        gc.enable()


def test_only_signs_of_interest_are_learned() -> None:
    rows = [view(1, 1, at, kind=kind) for at, kind in enumerate(Kind) if Kind.VIEW <= kind <= Kind.DISMISS]
    kinds = set(featurizer().featurize(batch(rows)).lessons.kind.tolist())
    assert kinds <= set(LEARNED)


def test_a_pick_makes_the_lists_of_all_who_watch_in_its_partition_and_what_changes_nothing_none() -> None:
    one = featurizer()
    one.featurize(batch([view(7, 1, 10.0), watch(7), watch(8, n=3), watch(9, until=15.0)]))
    pick = {"kind": Kind.PICK, "item": 5, "time": 20.0, "arrived": 20.0, "data": {"action": "pin", "id": "a"}}
    looked = {"kind": Kind.LOOKUP, "user": 7, "time": 21.0, "arrived": 21.0, "data": {"by": "Ada", "why": "a call"}}
    shown = view(7, 2, 22.0, kind=Kind.IMPRESSION)
    looks = one.featurize(batch([pick, view(8, 2, 21.0), looked, shown], 4)).looks
    assert looks.user.tolist() == [7, 8] and looks.offset.tolist() == [4, 5] and looks.n.tolist() == [5, 3]
    assert looks.event_time.tolist() == [20.0, 21.0] and looks.recent[0].tolist() == [1]
    assert len(one.featurize(batch([{**pick, "arrived": 1e9 + 1}], 8)).looks) == 0
    elsewhere = batch([pick], 0)
    elsewhere.partition = 1
    assert len(one.featurize(elsewhere).looks) == 0


def test_a_question_beside_a_watch_moves_its_lists_and_does_not_end_it_sooner() -> None:
    one = featurizer()
    one.featurize(batch([watch(1, until=1e9), watch(1, until=50.0, slot="cart")]))
    looks = one.featurize(batch([view(1, 1, 60)], 2)).looks
    assert [looks.slot.bytes_at(row) for row in range(len(looks))] == [b"cart"]
