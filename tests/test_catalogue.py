"""The catalogue: the last row by offset wins, in any interleaving of partitions and any number of replays."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import msgpack
import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from shopguide.catalogue import Catalogue, categories, concerns, extract
from shopguide.keys import category_key
from shopguide.records import Batch, Events, Kind, Names, Ragged


def batch(rows: list[tuple[int, int, Kind, dict[str, Any]]], names: dict[int, str] | None = None) -> Batch:
    """Rows of (offset, item, kind, details)."""
    names = names or {}
    return Batch(
        0,
        rows[0][0] if rows else 0,
        rows[-1][0] if rows else 0,
        Events(
            offset=[r[0] for r in rows],
            item=np.array([r[1] for r in rows], np.uint64),
            kind=[r[2] for r in rows],
            data=Ragged.of_bytes([msgpack.packb(r[3]) for r in rows]),
        ),
        Names(key=np.array(list(names), np.uint64), text=Ragged.of_bytes([n.encode() for n in names.values()])),
    )


def words(c: Catalogue, slot: str, now: float) -> dict[int, str]:
    return {item: pick.action for item, pick in c.picks.in_force(slot, now).items.items()}


DETAILS = st.one_of(
    st.fixed_dictionaries({"title": st.sampled_from("abc"), "category": st.sampled_from(["x", "y"])}),
    st.fixed_dictionaries({"op": st.just("stock"), "stock": st.integers(-1, 2)}),
    st.fixed_dictionaries({"op": st.just("mention"), "title": st.sampled_from("abc")}),
    st.just({"op": "delete"}),
)


def there(changes: list[dict[str, Any]]) -> bool:
    """By definition: of upserts and deletions the last is no deletion."""
    ops = [d.get("op", "upsert") for d in changes]
    return [True, *(op == "upsert" for op in ops if op in ("upsert", "delete"))][-1]


@given(st.lists(DETAILS, min_size=1, max_size=8), st.lists(st.integers(0, 7), max_size=8))
def test_replays_change_nothing(changes: list[dict[str, Any]], replays: list[int]) -> None:
    once, again = Catalogue(), Catalogue()
    rows = [(offset, 5, Kind.ITEM, details) for offset, details in enumerate(changes)]
    for row in rows:
        offered = once.available(5)
        gone = once.learn(batch([row], {5: "five"}))
        assert gone == ([5] if offered and not once.available(5) else [])
        again.learn(batch([row], {5: "five"}))
        for at in replays:
            if at <= row[0]:
                again.learn(batch([rows[at]], {5: "five"}))
    assert once.product(5) == again.product(5) and once.available(5) == again.available(5)
    assert once.available(5) == (there(changes) and once.product(5).get("stock") not in (0, -1))


def test_what_has_an_end_has_ended_by_then_until_it_is_given_another() -> None:
    c, restored, rows = Catalogue(), Catalogue(), [{"title": "a", "until": 50.0}, {"title": "b"}, {"until": 70.0}]
    rows += [{"op": "delete"}, {"title": "c"}, {"until": 0.0}]
    over = [[5], [5], [7], [9], [7], [9]]  # from when on it is over: 50, 70, never where there is a 9
    for offset, (details, (tens,)) in enumerate(zip(rows, over, strict=True)):
        c.learn(batch([(offset, 5, Kind.ITEM, details)], {5: "five"}))
        restored.load(c.dump())
        for one in (c, restored):
            assert [now for now in (49.0, 50.0, 69.0, 70.0) if one.ended(now)] == [
                now for now in (49.0, 50.0, 69.0, 70.0) if now >= tens * 10
            ]
    assert c.ended(1e9) == [] and c.available(5)


@given(st.lists(st.tuples(st.integers(5, 6), DETAILS, st.booleans()), min_size=1, max_size=8))
def test_a_card_says_what_is_known_just_now(changes: list[tuple[int, dict[str, Any], bool]]) -> None:
    c = Catalogue()
    for offset, (item, details, named) in enumerate(changes):
        c.learn(batch([(offset, item, Kind.ITEM, details)], {item: f"i{item}"} if named else {}))
        for key in (5, 6):
            product, offered = c.product(key), c.name(key) is not None and c.available(key)
            said = {name: product[name] for name in ("category",) if name in product}
            card = c.cards[key]
            assert orjson.loads(b'["%b","%b"]' % (card.named, card.titled)) == [c.name(key) or "", c.title(key)]
            assert orjson.loads(b'{"score":0.5' + card.more + b"}") == {"score": 0.5, **said}
            assert (card.item, card.name) == (key, c.name(key)) and card is c.cards[key]
            assert card.offered == (product if offered else None)
    c.load(Catalogue().dump())
    empty = c.cards[5]
    assert (empty.item, empty.name, empty.offered, empty.named, empty.titled) == (5, None, None, b"", b"?")


def test_one_that_nobody_holds_goes_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        c = Catalogue()
        c.learn(batch([(0, 5, Kind.ITEM, {"title": "a"})], {5: "five"}))
        assert c.cards[5].name == "five"
        held = weakref.ref(c)
        del c
        assert held() is None
    finally:
        gc.enable()


def test_attributes_add_up_and_names_are_kept() -> None:
    c = Catalogue()
    c.learn(batch([(0, 5, Kind.ITEM, {"title": "Lamp", "price": 3.5})], {5: "L1", 6: "L2"}))
    c.learn(batch([(1, 5, Kind.ITEM, {"category": "light"})]))
    assert c.product(5) == {"since": 0.0, "title": "Lamp", "price": 3.5, "category": "light"}
    assert (c.name(5), c.title(5), c.title(6), c.name(7), c.title(7)) == ("L1", "Lamp", "L2", None, "?")
    assert list(c.products()) == [{"item": "L1", "since": 0.0, "title": "Lamp", "price": 3.5, "category": "light"}]


def test_two_ids_with_one_key_are_never_shown() -> None:
    c = Catalogue()
    c.learn(batch([], {5: "one"}))
    assert c.name(5) == "one"
    assert c.cards[5].name == "one" and c.cards[5].offered == {}
    c.learn(batch([], {5: "two"}))
    assert c.cards[5].name is None and c.cards[5].offered is None
    assert c.name(5) is None and c.collisions == {5}


def test_picks_hold_for_their_slot_and_time() -> None:
    c = Catalogue()
    c.learn(batch([(0, 5, Kind.PICK, {"action": "pin", "slot": "home", "until": 100.0})]))
    c.learn(batch([(1, 6, Kind.PICK, {"action": "block"})]))
    assert words(c, "home", 99) == {5: "pin", 6: "block"} and words(c, "home", 100) == {6: "block"}
    assert words(c, "cart", 0) == {6: "block"}
    c.learn(batch([(2, 6, Kind.PICK, {"action": "clear"})]))
    assert words(c, "cart", 0) == {}


def test_picks_come_in_the_order_of_their_times() -> None:
    c, d = Catalogue(), Catalogue()
    for item, time in ((5, 30.0), (6, 10.0), (7, 20.0), (4, 20.0)):
        said = batch([(item, item, Kind.PICK, {"action": "pin"})])
        said.events.time[:] = time
        c.learn(said)
        assert list(words(c, "home", 0))[-1] == 5
    d.load(c.dump())
    assert list(words(c, "home", 0)) == list(words(d, "home", 0)) == [6, 4, 7, 5]


def test_picks_of_a_snapshot_without_their_times_are_taken() -> None:
    pick = {"action": "pin", "slot": "", "until": 0.0, "by": "", "why": ""}
    older = {"names": [], "collisions": [], "products": [], "picks": [(5, pick)], "offsets": []}
    c = Catalogue()
    c.load({"catalogue": np.frombuffer(orjson.dumps(older), np.uint8)})
    assert words(c, "home", 0) == {5: "pin"}
    c.learn(batch([(9, 5, Kind.PICK, {"action": "clear"})]))
    assert words(c, "home", 0) == {}


def test_dump_and_load() -> None:
    c, d = Catalogue(), Catalogue()
    c.learn(batch([(0, 5, Kind.ITEM, {"title": "Lamp"}), (3, 6, Kind.PICK, {"action": "bury"})], {5: "L1"}))
    d.load(c.dump())
    d.learn(batch([(0, 5, Kind.ITEM, {"title": "older"})]))
    assert d.product(5) == {"since": 0.0, "title": "Lamp"} and d.name(5) == "L1"
    assert (c.oldest, d.oldest) == (0.0, 0.0)
    assert words(d, "x", 0) == {6: "bury"}


def test_what_concerns_a_catalogue() -> None:
    whole = batch([(0, 5, Kind.ITEM, {"category": "x"}), (1, 5, Kind.VIEW, {}), (2, 6, Kind.ITEM, {"op": "delete"})])
    assert concerns(whole) and extract(whole).events.offset.tolist() == [0, 2]
    assert not concerns(batch([(1, 5, Kind.VIEW, {})])) and concerns(batch([], {5: "five"}))
    items, keys = categories(whole.events)
    assert items.tolist() == [5] and keys.tolist() == [category_key("x")]


def test_a_deleted_item_is_forgotten_beyond_retention_once_no_event_names_it() -> None:
    c = Catalogue()
    rows = [(at, item, Kind.ITEM, {"title": "x", "category": "lamps"}) for at, item in enumerate((5, 6, 7, 8))]
    deleted = [(at, item, Kind.ITEM, {"op": "delete"}) for at, item in ((4, 5), (5, 6), (6, 7))]
    c.learn(batch(rows + deleted, {**{key: str(key) for key in range(5, 11)}, category_key("lamps"): "lamps"}))
    nothing, live = np.empty(0, np.uint64), np.array([6, 9], np.uint64)
    assert len(c.forget(nothing, [0])) == 0 and len(c.names) == 7  # no retention: nothing goes
    assert c.forget(live, [6]).tolist() == [5]
    assert sorted(c.names) == sorted([6, 7, 8, 9, category_key("lamps")])
    assert c.product(5) == {} and not c.available(6) and not c.available(7)
    assert c.forget(nothing, [7]).tolist() == [6, 7] and set(c.known().tolist()) == {8, category_key("lamps")}


def test_a_lookup_is_kept_until_its_user_is_forgotten() -> None:
    c, d = Catalogue(), Catalogue()
    rows = batch([(0, 0, Kind.LOOKUP, {"by": "Ada", "why": "a call"}), (1, 0, Kind.LOOKUP, {"by": "Bo", "why": "x"})])
    rows.events.user[:], rows.events.time[:] = [7, 8], [3.0, 4.0]
    assert concerns(rows)
    for _ in range(2):
        c.learn(extract(rows))
    d.load(c.dump())
    assert [(one.user, one.by, one.why, one.time) for one in d.lookups] == [
        (8, "Bo", "x", 4.0),
        (7, "Ada", "a call", 3.0),
    ]
    gone = batch([(2, 0, Kind.FORGET, {})])
    gone.events.user[:] = 8
    d.learn(extract(gone))
    assert [one.user for one in d.lookups] == [7]
