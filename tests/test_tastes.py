"""Trained profiles against their plain definition: additive over any frontier, exact when something is taken back."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.artefacts import OFF, Artefacts
from shopguide.errors import StateError
from shopguide.featurize import Featurizer
from shopguide.featurize.trained import Trained
from shopguide.keys import event_key
from shopguide.recommenders.content import terms
from shopguide.records import LEARNED, Batch, Events, Kind, Lessons, Names, Ragged
from shopguide.settings import load
from shopguide.tastes import FILE, MODEL, Past, Taste, Tastes, build
from shopguide.tastes.forgetting import forget, keep_only
from shopguide.tastes.library import PRIOR
from shopguide.tastes.users import STRENGTH

DAY = 86_400.0
NOTHING = (np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros(0))
HALF_LIFE = 10 * DAY
T0 = 1_700_000_000.0
SAID: dict[int, dict[str, Any]] = {
    1: {"title": "Blue garden chair", "category": "garden", "brand": "Cath Kidston", "price": 12.0},
    2: {"title": "Garden lights", "category": "garden", "price": 3.0},
    3: {"title": "Cake stand", "brand": "Cath Kidston"},
    4: {},
}
ITEMS = st.integers(1, 5)  # 4 says nothing, 5 is in no catalogue
USERS = st.integers(1, 3)
DID = st.tuples(st.sampled_from([*LEARNED, Kind.SEARCH]), USERS, ITEMS, st.integers(0, 60))
BACK = st.tuples(st.sampled_from([Kind.REMOVE, Kind.RETRACT, Kind.FORGET]), USERS, ITEMS, st.integers(0, 20))


def rows(said: list[tuple[int, int, int, int]]) -> Events:
    """``said``: kind, user, item, and the day; of a RETRACT row the number of the row that it takes back."""
    details = [
        {"target": event_key(f"e{at}")} if kind == Kind.RETRACT else {"query": "q"} if kind == Kind.SEARCH else {}
        for kind, _, _, at in said
    ]
    return Events(
        offset=np.arange(len(said)),
        arrived=np.full(len(said), T0),
        kind=[kind for kind, *_ in said],
        user=np.array([user for _, user, *_ in said], np.uint64),
        item=np.array([item for _, _, item, _ in said], np.uint64),
        time=[T0 + DAY * day for *_, day in said],
        event=np.array([event_key(f"e{at}") for at in range(len(said))], np.uint64),
        data=Ragged.of_bytes([msgpack.packb(one) for one in details]),
    )


def learned(said: list[tuple[int, int, int, int]]) -> Featurizer:
    featurizer = Featurizer(load("shop"))
    if said:
        featurizer.learn(Batch(0, 0, len(said) - 1, rows(said), Names()))
    return featurizer


def by_definition(featurizer: Featurizer, user: int, landmark: float) -> dict[str, float]:
    """What is held of a user, added up in a dict."""
    taste: dict[str, float] = defaultdict(float)
    events = featurizer.events_of(user)
    for kind, item, time in zip(events["kind"], events["item"], events["time"], strict=True):
        if kind in LEARNED:
            for term in terms(SAID.get(int(item), {})):
                taste[term] += STRENGTH[kind] * 2 ** min((time - landmark) / HALF_LIFE, 1000)
    return taste


def words_of(tastes: Tastes, taste: Taste) -> dict[str, float]:
    found = {tastes.library.terms[at]: weight for at, weight in zip(taste.ids.tolist(), taste.weights, strict=True)}
    assert len(found) == len(taste.ids)
    return found


def close(one: dict[str, float], other: dict[str, float]) -> bool:
    return one.keys() == other.keys() and all(math.isclose(one[name], other[name], rel_tol=1e-9) for name in one)


@given(st.lists(DID | BACK, max_size=40), st.lists(DID | BACK, max_size=40))
def test_a_profile_and_what_came_since_are_the_profile_of_all(
    before: list[tuple[int, int, int, int]], since: list[tuple[int, int, int, int]]
) -> None:
    """Whatever is taken back after the frontier, of before it too, and whoever is forgotten and comes again."""
    tastes = build(learned(before).lessons(), SAID, HALF_LIFE, {0: len(before)})
    tastes = Tastes.load(tastes.packed(), "v")
    now = learned([*before, *since])
    whole = build(now.lessons(), SAID, HALF_LIFE, {})
    for user in (1, 2, 3):
        events = now.events_of(user)
        past = Past.of("v", len(before), events)
        taste = tastes.of(user, Past.unpacked(past.packed()))
        assert close(words_of(tastes, taste), by_definition(now, user, tastes.landmark))
        nothing = Past("v", len(whole.events) and int(whole.events[whole.users == user].sum()), 0, *past[3:])
        found, same = tastes.figures(user, past), whole.figures(user, nothing)
        assert found == (*same[:2], pytest.approx(same.money), same.newest)
        assert found.events == np.isin(events["kind"], LEARNED).sum()
        bought = events["item"][events["kind"] == Kind.PURCHASE].tolist()
        assert found.money == pytest.approx(sum(SAID.get(item, {}).get("price", 0) for item in bought))


@given(st.lists(DID, min_size=1, max_size=40))
def test_the_rows_of_a_training_are_the_definition(said: list[tuple[int, int, int, int]]) -> None:
    now = learned(said)
    tastes = build(now.lessons(), SAID, HALF_LIFE, {})
    for at, user in enumerate(tastes.users.tolist()):
        mine = slice(tastes.starts[at], tastes.starts[at + 1])
        found = {tastes.library.terms[t]: w for t, w in zip(tastes.term[mine], tastes.weight[mine], strict=True)}
        assert close(found, by_definition(now, user, tastes.landmark))
        assert (np.diff(tastes.term[mine]) > 0).all()


@pytest.mark.parametrize("at_once", [1, 7, 1 << 20])
def test_it_does_not_matter_how_many_are_added_up_at_a_time(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [(Kind.VIEW, 1 + at % 3, 1 + at % 5, at % 7) for at in range(50)]
    whole = build(learned(said).lessons(), SAID, HALF_LIFE, {})
    monkeypatch.setattr("shopguide.tastes.building.AT_ONCE", at_once)
    assert build(learned(said).lessons(), SAID, HALF_LIFE, {}).packed() == whole.packed()


@given(st.lists(DID, max_size=40))
def test_the_library_counts_what_shoppers_made_of_an_item(said: list[tuple[int, int, int, int]]) -> None:
    lessons = learned(said).lessons()
    library = build(lessons, SAID, HALF_LIFE, {}).library
    landmark = lessons.time.max(initial=0)
    visits, buyers = defaultdict(set), defaultdict(set)
    for kind, unit, item in zip(lessons.kind, lessons.unit, lessons.item.tolist(), strict=True):
        visits[item].add(unit)
        if kind == Kind.PURCHASE:
            buyers[item].add(unit)
    total = sum(map(len, visits.values()))
    mean = sum(map(len, buyers.values())) / total if total else 0
    assert library.items.tolist() == sorted({*SAID, *lessons.item.tolist()})
    for at, item in enumerate(library.items.tolist()):
        of = lessons.take(lessons.item == item)
        assert library.popularity[at] == pytest.approx(sum(2 ** ((of.time - landmark) / HALF_LIFE)))
        assert library.views[at] == np.isin(of.kind, (Kind.VIEW, Kind.CLICK)).sum()
        assert (library.carts[at], library.purchases[at]) == tuple(
            (of.kind == k).sum() for k in (Kind.CART, Kind.PURCHASE)
        )
        assert library.visits[at] == len(visits[item]) and library.price[at] == SAID.get(item, {}).get("price", 0)
        assert library.conversion[at] == pytest.approx((len(buyers[item]) + PRIOR * mean) / (len(visits[item]) + PRIOR))
        assert library.buyers[at] == len(buyers[item])
        found = library.terms_of(np.array([at]))[0].tolist()
        assert [library.terms[t] for t in found] == list(terms(SAID.get(item, {})))


def test_of_more_events_than_are_looked_at_the_row_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopguide.tastes.past.REMEMBERED", 3)
    said = [(Kind.VIEW, 1, 1 + at % 3, at) for at in range(10)]
    now = learned([*said, (Kind.CART, 1, 2, 11)])
    tastes = build(learned(said).lessons(), SAID, HALF_LIFE, {0: 10})
    past = Past.of("", 10, now.events_of(1))
    assert (past.before, past.since, len(past.item)) == (10, 1, 4)
    assert close(words_of(tastes, tastes.of(1, past)), by_definition(now, 1, tastes.landmark))


def activation(arrived: float, version: str, read: int, *models: str) -> Events:
    data = msgpack.packb({"version": version, "models": list(models), "read": read})
    return Events(offset=[0], arrived=[arrived], kind=[Kind.ACTIVATE], time=[arrived], data=Ragged.of_bytes([data]))


def test_the_newest_row_says_which_profiles_are_in_force() -> None:
    trained, events = Trained(), learned([(Kind.VIEW, 1, 1, at) for at in range(5)]).events_of(1)
    assert not trained.version
    trained.learn(activation(2.0, "b", 3, MODEL, "blend"))
    trained.learn(activation(1.0, "a", 1, MODEL))
    trained.learn(activation(3.0, "c", 1, "blend"))
    assert trained.past(events)[:3] == ("b", 3, 2)
    again = Trained()
    again.load(trained.dump())
    assert again.past(events)[:3] == ("b", 3, 2)
    again.learn(activation(4.0, OFF, 0, MODEL))
    assert not again.version
    again.load(None)
    assert not again.version


def test_looks_carry_a_past_only_where_profiles_are_in_force() -> None:
    featurizer = learned([(Kind.VIEW, 1, 1, at) for at in range(5)])
    assert featurizer.look(1, "home", 5, T0).past.bytes_at(0) == featurizer.past_of(1) == b""
    row = activation(T0, "v", 4, MODEL)
    row.offset[:] = 5
    featurizer.learn(Batch(0, 5, 5, row, Names()))
    assert Past.unpacked(featurizer.look(1, "home", 5, T0).past.bytes_at(0))[:3] == ("v", 4, 1)
    other = Featurizer(load("shop"))
    other.load(0, featurizer.dump(0))
    assert other.past_of(1) == featurizer.past_of(1)
    assert other.users() == {1}


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    """Versions of three users' profiles, and one without."""
    found = Artefacts(tmp_path)
    said = [(Kind.VIEW, 0xABCDEF0102030400 + at % 3, 1 + at % 5, at % 7) for at in range(50)]
    tastes = build(learned(said).lessons(), SAID, HALF_LIFE, {0: 50})
    found.write({FILE: tastes.packed(), "blend.json": b"{}"}, {MODEL: {}, "blend": {}}, {0: 50}, {})
    found.write({"blend.json": b"[]"}, {"blend": {}}, {0: 50}, {})
    return found


def test_who_is_forgotten_leaves_the_files_of_a_version(artefacts: Artefacts) -> None:
    before = {one.version: one for one in artefacts.all()}
    (version,) = [version for version, one in before.items() if FILE in one.files]
    users = Tastes.load(before[version].files[FILE]).users.tolist()
    assert len(users) == 3
    orphan = before[version].path / "0-profiles.npz"  # of an attempt that a crash ended
    orphan.write_bytes(users[0].to_bytes(8, "little"))
    for gone in (users[0], users[0], users[2]):
        forget(artefacts, [gone])
        assert not [
            f for f in artefacts.folder.rglob("*") if f.is_file() and gone.to_bytes(8, "little") in f.read_bytes()
        ]
    after = {one.version: one for one in artefacts.all()}
    assert after.keys() == before.keys() and after[version].models == before[version].models
    left = Tastes.load(after[version].files[FILE])
    assert left.users.tolist() == users[1:2] and left.read == {0: 50}
    mine = Tastes.load(artefacts.open(version).files[FILE]).of(users[1], Past("", int(left.events[0]), 0, *NOTHING))
    assert len(mine.ids)
    keep_only(artefacts, after[version], [])
    assert not len(Tastes.load(artefacts.open(version).files[FILE]).users)


@pytest.mark.parametrize("data", [b"", b"PK", Past("", 0, 0, *NOTHING).packed()])
def test_what_is_no_profiles_is_refused_in_a_line(data: bytes) -> None:
    with pytest.raises(StateError, match="holds no profiles"):
        Tastes.load(data)


def test_a_library_that_does_not_fit_together_is_refused() -> None:
    library = build(learned([(Kind.VIEW, 1, 1, 0)]).lessons(), SAID, HALF_LIFE, {}).library
    for name, column in (("starts", library.starts[:-1]), ("ids", library.ids + 99)):
        with pytest.raises(ValueError, match="term"):
            type(library).load({**library.columns(), name: column})


def test_no_history_is_no_profiles() -> None:
    tastes = build(Lessons(), {}, HALF_LIFE, {})
    past = Past.of("", 0, learned([(Kind.VIEW, 1, 1, 0)]).events_of(1))
    assert not len(tastes.users) and tastes.figures(1, past)[:2] == (1, 0) and not len(tastes.of(1, past).ids)
