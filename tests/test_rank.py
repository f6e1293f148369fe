"""rank: policy hides what it must, pins what it must, and the reasons are the parts of the score."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide import lists
from shopguide.catalogue import ATTRIBUTES
from shopguide.rank import Ranker, explain, parts_of, strongest_of
from shopguide.rank.reasons import CAUSELESS, NAMED_SHARE, REASONS, UNNAMED, WORDS
from shopguide.records import (
    SIGNALS,
    SIMILAR,
    TRENDING,
    Batch,
    Candidates,
    Events,
    Kind,
    Looks,
    Names,
    Ragged,
    Slate,
)
from shopguide.settings import load

ACTIONS = ("pin", "boost", "bury", "block")
NAMES = {key: f"i{key}" for key in range(1, 10)}


def ranker(flags: dict[str, Any] | None = None, products: dict[int, dict[str, Any]] | None = None) -> Ranker:
    made = Ranker(load("shop", flags=flags))
    products = products or {}
    made.learn(
        Batch(
            0,
            0,
            len(products),
            Events(
                kind=[Kind.ITEM] * len(products),
                offset=range(len(products)),
                item=np.array(list(products), np.uint64),
                data=Ragged.of_bytes([msgpack.packb(p) for p in products.values()]),
            ),
            Names(key=np.array(list(NAMES), np.uint64), text=Ragged.of_bytes([n.encode() for n in NAMES.values()])),
        )
    )
    return made


def pick(made: Ranker, item: int, action: str, time: float = 0.0, slot: str = "") -> None:
    data = Ragged.of_bytes([msgpack.packb({"action": action, "slot": slot})])
    made.learn(Batch(0, 0, 0, Events(kind=[Kind.PICK], offset=[50], item=[item], time=[time], data=data), Names()))


Part = tuple[str, int, float, int]  # signal, because, amount, shared


def slate(candidates: dict[int, list[Part]], n: int = 5, slot: bytes = b"home", **look: Any) -> Slate:
    """One look; candidates by item, best first."""
    rows = sorted(candidates.items(), key=lambda c: -sum(p[2] for p in c[1]))
    recent = look.pop("recent", [])
    looks = Looks(
        user=[7],
        offset=[3],
        slot=Ragged.of_bytes([slot]),
        n=[n],
        recent=Ragged.of([recent], "<u8"),
        recent_kind=Ragged.of([look.pop("kinds", [Kind.VIEW] * len(recent))], "u1"),
        here=Ragged.of([look.pop("here", [1] * len(recent))], "u1"),
        **{name: Ragged.of([values], "<u8") if isinstance(values, list) else values for name, values in look.items()},
    )
    parts = [p for _, p in rows]
    return Slate(
        0,
        0,
        0,
        looks,
        Candidates(
            look=[0] * len(rows),
            item=np.array([r[0] for r in rows], np.uint64),
            score=[sum(p[2] for p in r[1]) for r in rows],
            signal=Ragged.of([[SIGNALS.index(p[0]) for p in ps] for ps in parts], "u1"),
            because=Ragged.of([[p[1] for p in ps] for ps in parts], "<u8"),
            amount=Ragged.of([[p[2] for p in ps] for ps in parts], "<f8"),
            shared=Ragged.of([[p[3] for p in ps] for ps in parts], "<u4"),
        ),
        12.0,
    )


def plain(*items: int) -> dict[int, list[Part]]:
    return {item: [("popular", 0, 1.0 / place, 0)] for place, item in enumerate(items, 1)}


def shown(made: Ranker, made_slate: Slate) -> list[str]:
    return [item["item"] for item in made.rank(made_slate)[0]["items"]]


def test_best_first_and_never_more_than_n() -> None:
    assert shown(ranker(), slate(plain(3, 1, 2))) == ["i3", "i1", "i2"]
    assert shown(ranker(), slate(plain(3, 1, 2), n=2)) == ["i3", "i1"]


@pytest.mark.parametrize(
    ("flags", "look", "want"),
    [
        ({}, {"dismissed": [1]}, ["i2", "i3"]),
        ({}, {"bought": [2]}, ["i1", "i3"]),
        ({"rank.bought": "keep"}, {"bought": [2]}, ["i1", "i2", "i3"]),
        ({}, {"recent": [1, 2]}, ["i2", "i3"]),
        ({}, {"recent": [1, 2], "here": [0, 0]}, ["i1", "i2", "i3"]),
        ({"rank.current": "keep"}, {"recent": [1, 2]}, ["i1", "i2", "i3"]),
        ({"rank.seen": "drop"}, {"recent": [1, 2], "here": [0, 0]}, ["i3"]),
    ],
)
def test_policy(flags: dict[str, Any], look: dict[str, Any], want: list[str]) -> None:
    assert shown(ranker(flags), slate(plain(1, 2, 3), **look)) == want


def test_what_cannot_be_offered_is_not_shown() -> None:
    made = ranker(products={1: {"stock": 0}, 2: {"op": "delete"}, 3: {"title": "Lamp", "stock": 4}})
    assert shown(made, slate(plain(1, 2, 3, 77))) == ["i3"]


def test_at_most_so_many_of_a_category() -> None:
    made = ranker({"rank.per_category": 1}, {1: {"category": "a"}, 2: {"category": "a"}, 3: {"category": "b"}})
    assert shown(made, slate(plain(1, 2, 3, 4, 5))) == ["i1", "i3", "i4", "i5"]


@pytest.mark.parametrize(
    ("action", "want"),
    [("pin", ["i3", "i1", "i2"]), ("block", ["i1", "i2"]), ("boost", ["i1", "i2", "i3"]), ("bury", ["i1", "i2", "i3"])],
)
def test_picks(action: str, want: list[str]) -> None:
    made = ranker()
    pick(made, 3, action)
    assert shown(made, slate(plain(1, 2, 3))) == want
    if action == "boost":
        close = {1: [("popular", 0, 1.0, 0)], 3: [("popular", 0, 0.7, 0)]}
        item = made.rank(slate(close))[0]["items"][0]
        assert (item["item"], item["score"]) == ("i3", pytest.approx(1.05))


def test_pins_are_the_list_where_there_is_nothing_else() -> None:
    made = ranker(products={2: {"title": "Cup", "price": 4.0}, 5: {"stock": 0}, 6: {"op": "delete"}})
    for item, time in ((1, 30.0), (2, 10.0), (3, 20.0), (5, 1.0), (6, 2.0), (77, 3.0)):
        pick(made, item, "pin", time)
    nothing = slate({})
    assert shown(made, nothing) == ["i2", "i3", "i1"]
    picked = {"text": "picked by our experts", "because": ""}
    recommendation = made.rank(nothing)[0]
    item = recommendation["items"][0]
    assert {name: value for name, value in item.items() if name != "why"} == {
        "item": "i2",
        "title": "Cup",
        "score": 0.0,
        "price": 4.0,
        "reasons": [{**picked, "share": 0.0}],
    }
    assert parts_of(recommendation, item) == [{**picked, "signal": "pick", "title": "", "amount": 0.0}]
    assert strongest_of(item["why"]) == "pick"
    assert shown(made, slate(plain(4, 1), n=3)) == ["i2", "i3", "i1"]
    assert shown(made, slate(plain(4, 1), bought=[2], dismissed=[3])) == ["i1", "i4"]
    assert shown(ranker(), nothing) == []


def test_a_pinned_candidate_keeps_its_score_and_says_that_it_was_picked() -> None:
    made = ranker()
    pick(made, 2, "pin")
    recommendation = made.rank(slate(plain(1, 2)))[0]
    item = recommendation["items"][0]
    assert (item["item"], item["score"]) == ("i2", 0.5)
    assert [(r["text"], r["share"]) for r in item["reasons"]] == [("picked by our experts", 0.0), ("popular now", 1.0)]
    assert [part["amount"] for part in parts_of(recommendation, item)] == [0.0, 0.5]


@pytest.mark.parametrize("slot", [SIMILAR, TRENDING])
def test_a_pin_does_not_come_into_an_answer_that_it_is_not_in(slot: bytes) -> None:
    made = ranker()
    pick(made, 2, "pin")
    pick(made, 3, "pin")
    assert shown(made, slate(plain(1, 2), slot=slot)) == ["i2", "i1"]


PARTS = st.lists(
    st.tuples(st.sampled_from(SIGNALS), st.integers(0, 9), st.floats(0, 2), st.integers(0, 9)), min_size=1, max_size=6
)


def shares_of(parts: list[dict[str, Any]]) -> list[float]:
    """What reasons are told, by their definition: the heaviest causes' shares, if of some weight, and a pick first."""
    causes: dict[str, float] = {}
    for part in parts:
        if part["signal"] != "pick":
            causes[part["because"] or part["text"]] = causes.get(part["because"] or part["text"], 0.0) + part["amount"]
    total = sum(causes.values())
    shares = sorted((amount / total if total else 0.0 for amount in causes.values()), reverse=True)
    if parts[0]["signal"] == "pick":
        shares = [0.0, *shares]
    return [share for at, share in enumerate(shares[:REASONS]) if at == 0 or share >= NAMED_SHARE]


@given(st.dictionaries(st.integers(1, 9), PARTS), st.dictionaries(st.integers(1, 9), st.sampled_from(ACTIONS)))
def test_every_why_adds_up_to_its_score(candidates: dict[int, list[Part]], picks: dict[int, str]) -> None:
    made = ranker()
    for item, action in picks.items():
        pick(made, item, action)
    recommendation = made.rank(slate(candidates, n=9))[0]
    for item in recommendation["items"]:
        parts = parts_of(recommendation, item)
        assert explain(recommendation, item["item"]) == {
            **{name: item[name] for name in ("item", "title", "score")},
            "parts": parts,
        }
        assert sum(part["amount"] for part in parts) == pytest.approx(item["score"], abs=1e-6)
        assert [reason["share"] for reason in item["reasons"]] == pytest.approx(shares_of(parts), abs=1e-4)
        assert {reason["text"] for reason in item["reasons"]} <= {part["text"] for part in parts}
    assert explain(recommendation, "nothing") is None


def test_every_signal_has_words() -> None:
    assert set(SIGNALS) <= set(WORDS) and set(UNNAMED) | set(CAUSELESS) <= set(SIGNALS)


ODD = st.text(max_size=6) | st.sampled_from(['"', "\\", "\0", "{title}", "Törtchen 🍰", "a\nb", "</script>"])
PRODUCT = st.fixed_dictionaries(
    {}, optional={"title": ODD, "category": ODD, "brand": ODD, "price": st.floats(0, 1e300) | st.integers(0, 2**53)}
)
NUMBERS = st.floats(-1e300, 1e300) | st.sampled_from([0.0, -0.0, 5e-324, 1e16, 1e-7, 123456789.125, 0.1 + 0.2])
SUMS = st.lists(st.tuples(st.sampled_from(SIGNALS), st.integers(0, 9), NUMBERS, st.integers(0, 2**32 - 1)), max_size=4)


@given(
    st.dictionaries(st.integers(1, 9), SUMS, max_size=6),
    st.dictionaries(st.integers(1, 9), PRODUCT),
    st.dictionaries(st.integers(1, 9), st.sampled_from(ACTIONS), max_size=2),
    st.lists(st.sampled_from([Kind.VIEW, Kind.CART, Kind.PURCHASE]), min_size=9, max_size=9),
)
def test_items_are_packed_as_the_json_of_what_they_say(
    candidates: dict[int, list[Part]],
    products: dict[int, dict[str, Any]],
    picks: dict[int, str],
    kinds: list[Kind],
) -> None:
    made = ranker({"rank.current": "keep"}, products)
    for item, action in picks.items():
        pick(made, item, action)
    for _ in range(2):  # what is told is made first, and then kept
        given_ = slate(candidates, n=9, recent=list(range(1, 10)), kinds=kinds)
        (packed,) = made.packed(given_)
        assert lists.pack(lists.unpack(packed)) == _reordered(packed)
        for item in lists.unpack(packed)["items"]:
            product = made.catalogue.product(int(item["item"][1:]))
            said = {name: product[name] for name in ATTRIBUTES[1:] if product.get(name) not in (None, "")}
            assert list(item) == ["item", "title", "score", *said, "reasons", "why"]
            assert item == {**item, **said, "title": product.get("title") or item["item"]}
            texts = {part["text"] for part in parts_of(lists.unpack(packed), item)}
            assert {reason["text"] for reason in item["reasons"]} <= texts


def _reordered(packed: bytes) -> bytes:
    """With its members in the order of lists.pack."""
    said = msgpack.unpackb(packed)
    order = ("user", "partition", "offset", "slot", "about", "intent", "items", "causes", "times", "json", "why")
    return bytes(msgpack.packb({name: said[name] for name in order}))


def test_what_is_told_of_a_cause_changes_with_its_title() -> None:
    made, parts = ranker(products={1: {"title": "Cup"}}), {2: [("items", 1, 1.0, 12)]}
    for title in ("Cup", "Mug"):
        data = Ragged.of_bytes([msgpack.packb({"title": title})])
        row = Events(kind=[Kind.ITEM], offset=[len(title) + (title == "Mug")], item=[1], data=data)
        made.learn(Batch(0, 0, 0, row, Names()))
        (reason,) = made.rank(slate(parts, recent=[1], here=[0]))[0]["items"][0]["reasons"]
        assert reason["text"] == f"because you looked at {title}; 12 shoppers chose both"
    assert made.rank(slate(parts, recent=[1], here=[0], kinds=[Kind.CART]))[0]["items"][0]["reasons"][0]["text"] == (
        "because you put Mug in your cart; 12 shoppers chose both"
    )


def test_reasons_are_the_parts_of_the_score_in_words() -> None:
    made = ranker(products={1: {"title": "Teapot"}, 2: {"title": "Cup", "price": 4.0}})
    parts: list[Part] = [("items", 1, 0.6, 12), ("popular", 0, 0.3, 0), ("items", 4, 0.1, 2)]
    recommendation = made.rank(slate({2: parts}, recent=[1, 4], kinds=[Kind.CART, Kind.VIEW], here=[0, 0]))[0]
    item = recommendation["items"][0]
    assert (item["title"], item["price"], item["score"]) == ("Cup", 4.0, pytest.approx(1.0))
    assert item["reasons"][0] == {
        "text": "because you put Teapot in your cart; 12 shoppers chose both",
        "because": "i1",
        "share": 0.6,
    }
    assert [r["text"] for r in item["reasons"][1:]] == ["popular now", "goes with other things you looked at"]
    parts = parts_of(recommendation, item)
    assert sum(p["amount"] for p in parts) == pytest.approx(item["score"], abs=1e-6)
    assert [(p["signal"], p["because"], p["title"]) for p in parts] == [
        ("items", "i1", "Teapot"),
        ("popular", "", ""),
        ("items", "", ""),
    ]
    assert strongest_of(item["why"]) == "items"
    assert recommendation["offset"] == 3 and recommendation["times"]["scored"] == 12.0


def test_a_pair_of_too_few_shoppers_is_never_named() -> None:
    made = ranker({"rank.min_shoppers": 5}, {1: {"title": "Secret gift"}})
    found = made.rank(slate({2: [("items", 1, 1.0, 4)]}, recent=[1], here=[0]))[0]
    said = str((found, explain(found, "i2")))
    assert "Secret" not in said and "i1" not in said and found["causes"] == []
    assert found["items"][0]["why"]["because"] == bytes(8)
    said = str(made.rank(slate({2: [("items", 1, 1.0, 5)]}, recent=[1], here=[0]))[0]["items"])
    assert "5 shoppers" in said and "Secret gift" in said


def test_similar_says_similar_to_what() -> None:
    made = ranker(products={1: {"title": "Teapot"}})
    found = made.rank(slate({2: [("similar", 1, 0.5, 9)]}, slot=SIMILAR, about=np.array([1], np.uint64)))[0]
    assert found["about"] == "i1"
    assert found["items"][0]["reasons"][0]["text"] == "9 shoppers chose both this and Teapot"


def test_a_slate_of_several_looks_keeps_them_apart() -> None:
    made = ranker()
    one, two = slate(plain(1, 2)), slate(plain(3))
    two.candidates.look[:] = 1
    both = Slate(0, 0, 1, Looks.join([one.looks, two.looks]), Candidates.join([one.candidates, two.candidates]), 1.0)
    assert [[i["item"] for i in r["items"]] for r in made.rank(both)] == [["i1", "i2"], ["i3"]]
