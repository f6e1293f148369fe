"""The policy of rank against its plain definition: filter, stable sort, caps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import msgpack
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shopguide.catalogue import Catalogue
from shopguide.lists import EXPLORED
from shopguide.rank.policy import Policy, lookers, places_of_new
from shopguide.records import Batch, Events, Kind, Looks, Names, Ragged
from shopguide.settings import RankSettings

ITEMS = range(1, 13)
UNNAMED = 12  # the one of them that has no name
NOW = 100.0
GAP = 30.0


@dataclass(frozen=True)
class Pick:
    action: str
    slot: str
    until: float
    time: float
    position: int = 0
    segment: str = ""
    begins: float = 0.0


@dataclass(frozen=True)
class World:
    """A look, its candidates (item, score), and all that a list is made of."""

    rules: dict[str, Any]
    slots: dict[str, dict[str, Any]]
    slot: str
    n: int
    candidates: list[tuple[int, float]]
    products: dict[int, dict[str, Any]]
    deleted: set[int]
    picks: dict[int, Pick]
    recent: list[int]
    here: bool
    bought: list[int]
    dismissed: list[int]
    ago: float = 0.0  # seconds since the newest event
    categories: dict[str, Pick] = field(default_factory=dict)  # picks of all of one
    new: list[int] = field(default_factory=list)  # items that score says to try


PRICES = st.sampled_from([1.0, 4.0, 5.0, 7.0, 10.0])
TWO = st.sampled_from(["keep", "drop"])
RULES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("seen", "bought", "current"), TWO),
        **dict.fromkeys(("per_category", "per_brand", "fatigue"), st.integers(1, 3)),
        "age_half_life": st.sampled_from([20.0, 500.0]),
        "explore": st.sampled_from([0.1, 0.3, 0.5]),
        "price_min": st.just(4.0),
        "price_max": st.sampled_from([4.0, 7.0]),
    },
)
PRODUCT = st.fixed_dictionaries(
    {},
    optional={
        "brand": st.sampled_from(["", "x", "y"]),
        "category": st.sampled_from(["", "a", "b", "c"]),
        "price": PRICES,
        "stock": st.integers(0, 2),
    },
)
SOME = st.lists(st.sampled_from(ITEMS), unique=True, max_size=4)
SLOTS = st.sampled_from(["home", "cart", "similar", "trending"])
PICKS = st.builds(
    Pick,
    st.sampled_from(["pin", "boost", "bury", "block"]),
    st.sampled_from(["", "home", "cart", "similar"]),
    st.sampled_from([0.0, NOW, NOW + 1]),
    st.sampled_from([1.0, 2.0, 3.0]),
    st.sampled_from([0, 0, 1, 2, 5]),
    st.sampled_from(["", "", "new", "returning", "buyers"]),
    st.sampled_from([0.0, NOW, NOW + 1]),
)
WORLDS = st.builds(
    World,
    RULES,
    st.dictionaries(SLOTS, RULES, max_size=2),
    SLOTS,
    st.integers(1, 12),
    st.dictionaries(st.sampled_from(ITEMS), st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0])).map(lambda d: list(d.items())),
    st.dictionaries(st.sampled_from(ITEMS), PRODUCT),
    st.sets(st.sampled_from(ITEMS), max_size=2),
    st.dictionaries(st.sampled_from(ITEMS), PICKS, max_size=5),
    SOME,
    st.booleans(),
    SOME,
    SOME,
    st.sampled_from([0.0, GAP, GAP + 1]),
    st.dictionaries(st.sampled_from("abc"), PICKS.filter(lambda pick: pick.action != "pin"), max_size=2),
    SOME,
)


def since(item: int) -> float:
    """When the catalogue first had a word on it."""
    return 7.0 * item


def defined(w: World) -> list[int]:
    """The list by the words of the documentation."""
    rules = {"seen": "keep", "bought": "drop", "current": "drop", **w.rules, **w.slots.get(w.slot, {})}
    returns = bool(w.recent) and (not w.here or w.ago > GAP)
    segments = {"", "returning" if returns else "new", "buyers" if w.bought else ""}

    def counts(p: Pick) -> bool:
        return p.slot in ("", w.slot) and p.segment in segments and p.begins <= NOW and (p.until == 0 or p.until > NOW)

    picks = {i: p for i, p in w.picks.items() if counts(p)}

    def word(item: int) -> str:
        of_all = w.categories.get(w.products.get(item, {}).get("category", ""))
        return picks[item].action if item in picks else of_all.action if of_all and counts(of_all) else ""

    def offered(item: int) -> bool:
        if item == UNNAMED or item in w.deleted or w.products.get(item, {}).get("stock") == 0 or item in w.dismissed:
            return False
        if (rules["bought"] == "drop" and item in w.bought) or (rules["seen"] == "drop" and item in w.recent):
            return False
        return not (rules["current"] == "drop" and w.here and w.recent[:1] == [item])

    def within(item: int, shown: list[int]) -> bool:
        product = w.products.get(item, {})
        price = product.get("price")
        if price is not None and not rules.get("price_min", 0) <= price <= rules.get("price_max", 1e9):
            return False
        for attribute in ("brand", "category"):
            same = [i for i in shown if w.products.get(i, {}).get(attribute) == product.get(attribute)]
            most = rules.get(f"per_{attribute}", w.n)
            if attribute == "category" and product.get("category") == tired:
                most = max(1, most // 2**halvings)
            if product.get(attribute) and len(same) >= most:
                return False
        return True

    read = [w.products.get(item, {}).get("category") for item in w.recent]
    in_a_row = next((k for k, category in enumerate(read) if category != read[0]), len(read))
    tired, halvings = read[0] if read else None, max(0, in_a_row - rules.get("fatigue", 1e9) + 1)
    scores = dict(w.candidates)
    pins = [(p.position, p.time, item) for item, p in picks.items() if p.action == "pin"]
    pins = [pin for pin in pins if offered(pin[2]) and (pin[2] in scores or w.slot in ("home", "cart"))]
    placed = sorted((pin for pin in pins if pin[0]), key=lambda pin: (pin[0], -pin[1], -pin[2]))
    taken: dict[int, int] = {}
    for position, _, item in [*placed, *sorted(pin for pin in pins if not pin[0])]:
        taken[next(at for at in range(max(position, 1), 99) if at not in taken)] = item
    taken = {at: item for at, item in taken.items() if at <= w.n}

    def factor(item: int) -> float:
        half_life = rules.get("age_half_life")
        began = since(item) if item in w.products else min(map(since, w.products), default=NOW)
        youth = 0.5 ** ((NOW - began) / half_life) if half_life else 1.0
        return {"boost": 1.5, "bury": 0.5}.get(word(item), 1.0) * youth

    others: list[int] = []
    for item, _ in sorted(w.candidates, key=lambda c: -c[1] * factor(c[0])):
        known = [*taken.values(), *others]
        if word(item) not in ("pin", "block") and offered(item) and within(item, known) and len(known) < w.n:
            others.append(item)
    known = [*taken.values(), *others]
    free = [at + 1 for at in places_of_new(rules.get("explore", 0.0), w.n, 7, NOW) if at + 1 not in taken]
    for item in w.new:
        if free and item not in known and word(item) != "block" and offered(item) and within(item, known):
            taken[free.pop(0)] = item
            known.append(item)
    shown: list[int] = []
    while (others or taken) and len(shown) < w.n:
        at = len(shown) + 1 if len(shown) + 1 in taken or others else min(taken)
        shown.append(taken.pop(at) if at in taken else others.pop(0))
    return shown


def row_of(p: Pick) -> dict[str, Any]:
    return {"from" if name == "begins" else name: value for name, value in vars(p).items() if name != "time"}


def catalogue(w: World) -> Catalogue:
    rows: list[tuple[int, Kind, dict[str, Any], float]] = [(i, Kind.ITEM, p, since(i)) for i, p in w.products.items()]
    rows += [(i, Kind.ITEM, p, NOW) for i, p in w.products.items()]  # said again it is no younger
    rows += [(i, Kind.ITEM, {"op": "delete"}, 0.0) for i in w.deleted]
    rows += [(i, Kind.PICK, {**row_of(p), "id": f"i{i}"}, p.time) for i, p in w.picks.items()]
    rows += [(99, Kind.PICK, {**row_of(p), "id": c, "category": c}, p.time) for c, p in w.categories.items()]
    events = Events(
        item=np.array([row[0] for row in rows], np.uint64),
        offset=range(len(rows)),
        kind=[row[1] for row in rows],
        time=[row[3] for row in rows],
        data=Ragged.of_bytes([msgpack.packb(row[2]) for row in rows]),
    )
    named = [item for item in ITEMS if item != UNNAMED]
    names = Names(key=np.array(named, np.uint64), text=Ragged.of_bytes([b"i%d" % item for item in named]))
    made = Catalogue()
    made.learn(Batch(0, 0, len(rows), events, names))
    return made


def chosen(w: World, policy: str = "on") -> list[int]:
    looks = Looks(
        user=[7],
        event_time=[NOW],
        n=[w.n],
        slot=Ragged.of_bytes([w.slot.encode()]),
        recent=Ragged.of([w.recent], "<u8"),
        recent_time=Ragged.of([[NOW - w.ago] * len(w.recent)], "<f8"),
        here=Ragged.of([[w.here] * len(w.recent)], "u1"),
        bought=Ragged.of([w.bought], "<u8"),
        dismissed=Ragged.of([w.dismissed], "<u8"),
        explored=Ragged.of([w.new], "<u8"),
    )
    items, scores = [c[0] for c in w.candidates], [c[1] for c in w.candidates]
    settings = RankSettings.model_validate({**w.rules, "policy": policy, "slots": w.slots})
    places = Policy(settings, catalogue(w), GAP).choose(lookers(looks)[0], items, scores, range(len(items)))
    assert all(row == -1 or items[row] == card.item for card, row, _, _ in places)
    assert not (w.rules.get("explore", 0) == 0 and not w.slots) or not any(tag == EXPLORED for _, _, _, tag in places)
    return [card.item for card, *_ in places]


@given(WORLDS)
def test_a_list_is_what_its_definition_says(w: World) -> None:
    assert chosen(w) == defined(w)


@given(WORLDS)
def test_off_is_the_candidates_by_score(w: World) -> None:
    by_score = sorted(w.candidates, key=lambda c: -c[1])
    assert chosen(w, "off") == [item for item, _ in by_score if item != UNNAMED][: w.n]


PLAIN = World({}, {}, "home", 12, [(item, 1.0) for item in (1, 2, 3, 4)], {}, set(), {}, [], False, [], [])


def test_new_items_have_their_share_of_places_and_never_the_first() -> None:
    for share, n in ((0.05, 20), (0.1, 10), (0.3, 7), (0.5, 20), (0.02, 10)):
        given_ = [places_of_new(share, n, user, NOW) for user in range(4000)]
        assert all(0 < at < n for places in given_ for at in places)
        assert all(sorted(set(places)) == places for places in given_)
        assert abs(np.mean([len(places) for places in given_]) - share * n) < 0.04
        counts = np.bincount([at for places in given_ for at in places], minlength=n)[1:]
        assert (abs(counts - counts.mean()) < 5 * np.sqrt(counts.mean()) + 1).all()
    assert not any(places_of_new(0.5, 1, user, NOW) for user in range(100))


def test_a_new_item_is_tried_once_where_the_list_has_it_not_anyhow() -> None:
    w = replace(PLAIN, rules={"explore": 0.5}, n=4, new=[2, 9, 8, 7])
    found = chosen(w)
    assert found[0] == 1 and {9, 8} < set(found) and len(found) == 4 and 7 not in found
    assert chosen(replace(w, new=[])) == [1, 2, 3, 4]
    blocked = replace(w, picks={9: Pick("block", "", 0.0, 1.0)}, deleted={8})
    assert {9, 8}.isdisjoint(chosen(blocked)) and 7 in chosen(blocked)


def test_at_most_so_many_of_a_brand_whatever_its_category() -> None:
    products = {item: {"brand": "x", "category": str(item)} for item in (1, 2, 4)}
    assert chosen(replace(PLAIN, rules={"per_brand": 2}, products=products)) == [1, 2, 3]


def test_what_one_limit_refuses_does_not_count_for_the_other() -> None:
    products = {
        1: {"brand": "x", "category": "a"},
        2: {"brand": "x", "category": "b"},
        3: {"brand": "y", "category": "b"},
    }
    rules = {"per_brand": 1, "per_category": 1}
    assert chosen(replace(PLAIN, rules=rules, products=products)) == [1, 3, 4]


def test_a_topic_read_in_a_row_gets_fewer_places_and_never_none() -> None:
    topics = {item: {"category": "a" if item < 9 else "b"} for item in range(1, 12)}
    w = replace(PLAIN, rules={"per_category": 4, "fatigue": 2}, products=topics)
    w = replace(w, candidates=[(item, 1.0) for item in range(1, 12)])
    others = [9, 10, 11]
    for read, places in (([8], 4), ([8, 7], 2), ([8, 7, 6], 1), ([8, 7, 6, 5], 1), ([8, 7, 9], 2), ([9, 8, 7], 4)):
        assert chosen(replace(w, recent=read)) == [*range(1, 1 + places), *others], read


def test_the_newer_of_two_that_score_alike_stands_first() -> None:
    products = {1: {"title": "old"}, 2: {"title": "new"}}
    w = replace(PLAIN, rules={"age_half_life": 50.0}, products=products, candidates=[(1, 1.0), (2, 1.0)])
    assert chosen(w) == [2, 1]
    assert chosen(replace(w, candidates=[(1, 1.2), (2, 1.0)])) == [1, 2], "age is a factor, no order of its own"


def test_what_the_catalogue_never_had_is_as_old_as_its_oldest() -> None:
    products = {2: {"title": "old"}, 3: {"title": "new"}}
    w = replace(PLAIN, rules={"age_half_life": 1.0}, products=products, candidates=[(1, 1.0), (2, 1.1), (3, 1.0)])
    assert chosen(w) == [3, 2, 1]
    assert chosen(replace(w, products={})) == [2, 1, 3], "where there is no catalogue nothing ages"


def test_an_item_without_a_price_passes_every_range() -> None:
    products = {1: {"price": 3.0}, 2: {"price": 4.0}, 3: {"price": 7.5}}
    assert chosen(replace(PLAIN, rules={"price_min": 4, "price_max": 7}, products=products)) == [2, 4]


def test_a_slot_has_its_own_policy() -> None:
    w = replace(PLAIN, slots={"cart": {"bought": "keep"}}, bought=[1])
    assert chosen(w) == [2, 3, 4] and chosen(replace(w, slot="cart")) == [1, 2, 3, 4]


def test_a_pin_is_within_no_limit_and_counts_for_it() -> None:
    products = {item: {"category": "a", "price": 9.0} for item in (1, 2, 8, 9)}
    picks = {9: Pick("pin", "", 0.0, 1.0), 8: Pick("pin", "", 0.0, 2.0)}
    w = replace(PLAIN, rules={"per_category": 1, "price_max": 9.0}, products=products, picks=picks)
    assert chosen(w) == [9, 8, 3, 4]


def test_a_pin_stands_in_its_place_and_the_newer_of_two_before_the_older() -> None:
    picks = {8: Pick("pin", "", 0.0, 1.0, 1), 9: Pick("pin", "", 0.0, 2.0, 1), 7: Pick("pin", "", 0.0, 3.0, 4)}
    assert chosen(replace(PLAIN, picks=picks)) == [9, 8, 1, 7, 2, 3, 4]
    assert chosen(replace(PLAIN, picks=picks, n=2)) == [9, 8]
    assert chosen(replace(PLAIN, picks={7: Pick("pin", "", 0.0, 3.0, 50)})) == [1, 2, 3, 4]
    assert chosen(replace(PLAIN, picks={7: Pick("pin", "", 0.0, 3.0, 9)})) == [1, 2, 3, 4, 7]


def test_the_word_on_an_item_counts_before_that_on_its_category() -> None:
    products = {item: {"category": "a"} for item in (1, 2, 3)}
    of_all = {"a": Pick("block", "", 0.0, 9.0)}
    assert chosen(replace(PLAIN, products=products, categories=of_all)) == [4]
    picks = {2: Pick("boost", "", 0.0, 1.0), 9: Pick("pin", "", 0.0, 1.0)}
    assert chosen(replace(PLAIN, products=products, categories=of_all, picks=picks)) == [9, 2, 4]


def test_a_pick_for_a_segment_reaches_nobody_else() -> None:
    picks = {9: Pick("pin", "", 0.0, 1.0, 1, "returning"), 1: Pick("block", "", 0.0, 1.0, 0, "buyers")}
    assert chosen(replace(PLAIN, picks=picks)) == [1, 2, 3, 4]
    assert chosen(replace(PLAIN, picks=picks, recent=[5], here=True)) == [1, 2, 3, 4]
    assert chosen(replace(PLAIN, picks=picks, recent=[5], here=True, ago=GAP + 1)) == [9, 1, 2, 3, 4]
    assert chosen(replace(PLAIN, picks=picks, recent=[5], here=False, bought=[6])) == [9, 2, 3, 4]
