"""content: what resembles what, what a query's words match, against a plain definition; and both on the whole line."""

from __future__ import annotations

import math
import unicodedata
from array import array
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import asked_for, rows_of

from shopguide._core import Blend, Tally
from shopguide.clean import clean
from shopguide.featurize import Featurizer
from shopguide.keys import item_key
from shopguide.rank import Ranker, explain
from shopguide.recommenders.base import PLACE, Context
from shopguide.recommenders.bm25 import K1, B, Bm25
from shopguide.recommenders.content import ACQUAINTED, ASKED, INTERESTED, LIKED, Content, terms
from shopguide.recommenders.popular import Popular
from shopguide.recommenders.words import MOST, words
from shopguide.records import SIGNALS, SIMILAR, TRENDING, Batch, Events, Kind, Lessons, Looks, Names, Ragged
from shopguide.score import SEARCHED_FOR, Scorer
from shopguide.settings import load

SETTINGS = load("shop")
Rows = list[tuple[int, dict[str, Any]]]

TITLES = st.lists(st.sampled_from(["red", "Blue", "mug", "cup", "茶杯", "a"]), max_size=4).map(" ".join)
DETAILS = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "title": TITLES,
            "brand": st.sampled_from(["Kiln", "red"]),
            "category": st.sampled_from(["mug", "cup shelf"]),
            "price": st.sampled_from([0, 1.0, 1.3, 2, 5.5]),
        },
    ),
    st.just({"op": "delete"}),
    st.just({"op": "stock", "stock": 0}),
    st.fixed_dictionaries({"op": st.just("mention"), "title": TITLES}),
)
ROWS = st.lists(st.tuples(st.integers(1, 6), DETAILS), max_size=25)


def told(rows: Rows, first: int = 0) -> Batch:
    """ITEM rows at offsets from ``first`` on."""
    events = Events(
        offset=np.arange(first, first + len(rows)),
        kind=np.full(len(rows), Kind.ITEM),
        item=np.array([item for item, _ in rows], np.uint64),
        data=Ragged.of_bytes([msgpack.packb(details) for _, details in rows]),
    )
    return Batch(0, first, first + len(rows) - 1, events, Names())


def taught(rows: Rows) -> Content:
    one = Content(SETTINGS.score)
    one.learn_catalogue(told(rows))
    one.check()
    return one


def context(recent: list[int], query: str = "") -> Context:
    n = len(recent)
    ones = np.ones(n, np.uint8)
    asked, items = asked_for(recent, SETTINGS.score), np.array(recent, np.uint64)
    return Context(asked, items, ones, unit=9, user=8, now=1.0, query=query)


def answers(
    one: Content, recent: list[int], query: str = "", limit: int = 6
) -> dict[str, list[tuple[int, int, float]]]:
    """By signal: because, item, amount; as they come."""
    found: dict[str, list[tuple[int, int, float]]] = {}
    for row in rows_of(one, context(recent, query), limit):
        found.setdefault(row.signal, []).append((row.because, row.item, row.amount))
    return found


def described(rows: Rows, deleted: bool = False) -> dict[int, set[str]]:
    """By definition: the terms of each item that is there; or with the ``deleted`` ones."""
    said: dict[int, dict[str, Any]] = {}
    gone: set[int] = set()
    for item, details in rows:
        before, op = said.setdefault(item, {}), details.get("op", "upsert")
        if op == "delete":
            gone.add(item)
        else:
            before.update(details)
        if op == "upsert":
            gone.discard(item)
    there = said.keys() if deleted else said.keys() - gone
    return {item: set(found) for item in there if (found := terms(said[item]))}


def scored(shop: dict[int, set[str]], query: set[str]) -> dict[int, float]:
    """By definition: BM25 of every item that has a term of the query."""
    mean = sum(map(len, shop.values())) / len(shop) if shop else 1.0
    found: dict[int, float] = {}
    for item, has in shop.items():
        for term in query & has:
            n = sum(term in other for other in shop.values())
            idf = math.log(1 + (len(shop) - n + 0.5) / (n + 0.5))
            found[item] = found.get(item, 0.0) + idf * (K1 + 1) / (1 + K1 * (1 - B + B * len(has) / mean))
    return found


def own_of(shop: dict[int, set[str]], has: set[str]) -> float:
    """By definition: what an item of these terms scores for itself, whether it is there or not."""
    mean = sum(map(len, shop.values())) / len(shop)
    idfs = (math.log(1 + (len(shop) - n + 0.5) / (n + 0.5)) for n in (sum(t in o for o in shop.values()) for t in has))
    return sum(idfs) * (K1 + 1) / (1 + K1 * (1 - B + B * len(has) / mean))


def by_item(found: list[tuple[int, int, float]]) -> dict[tuple[int, int], float]:
    return {(because, item): amount for because, item, amount in found}


@given(ROWS, st.lists(st.integers(1, 7), unique=True, max_size=6), TITLES)
def test_against_the_plain_definition(rows: Rows, recent: list[int], query: str) -> None:
    shop, ever = described(rows), described(rows, deleted=True)
    found = answers(taught(rows), recent, query)
    expected = {}
    for at, asked in enumerate(recent[:ASKED]):
        weight, has = SETTINGS.score.decay**at, ever.get(asked, set())
        alike = {item: score for item, score in scored(shop, has).items() if item != asked}
        expected |= {(asked, item): score / own_of(shop, has) * weight for item, score in alike.items()}
    assert by_item(found.get("content", [])) == pytest.approx(expected)
    matches = {(0, item): score for item, score in scored(shop, set(words(query))).items()}
    assert by_item(found.get("search", [])) == pytest.approx(matches)


def test_what_is_like_a_stream_is_still_like_it_when_it_has_ended() -> None:
    rooms: Rows = [
        (1, {"title": "Anna cooks", "brand": "anna", "category": "Cooking"}),
        (2, {"title": "Anna again", "brand": "anna", "category": "Cooking"}),
        (3, {"title": "Bert bakes", "brand": "bert", "category": "Cooking"}),
        (4, {"title": "Speedrun", "brand": "cleo", "category": "Games"}),
    ]
    on, ended = taught(rooms), taught([*rooms, (1, {"op": "delete"})])
    assert [item for _, item, _ in answers(on, [1])["content"]] == [2, 3]
    assert [item for _, item, _ in answers(ended, [1])["content"]] == [2, 3]
    assert all(0 < share < 1 for _, _, share in answers(ended, [1])["content"])
    assert answers(ended, [4]) == {} and 1 not in {item for _, item, _ in answers(ended, [2])["content"]}


@given(ROWS, st.sampled_from([0, 1, 2, 5, 20]))
def test_a_ranking_is_read_as_far_as_has_so_many_that_can_be_had(rows: Rows, n: int) -> None:
    one, said = taught(rows), dict.fromkeys(range(1, 10), (True, 1.0))
    for item, details in rows:
        there, stock = said[item]
        op = details.get("op", "upsert")
        there = {"upsert": True, "delete": False}.get(op, there)
        said[item] = there, details.get("stock", stock)
    ranking = np.array([3, 9, 1, 2, 6, 8, 5, 4, 7], np.uint64)
    had = [said[item][0] and said[item][1] > 0 for item in ranking.tolist()]
    restored = Content(SETTINGS.score)
    restored.load(one.dump(), {})
    for content in (one, restored):
        assert content.offered(ranking).tolist() == had
        far = content.reach(lambda most: ranking[:most], n)
        assert sum(had[:far]) == min(n, sum(had))
        assert far <= n or sum(had[: far - 1]) < n or sum(had) < n


@given(ROWS, st.data())
def test_order_repeats_and_replays_change_nothing(rows: Rows, data: st.DataObject) -> None:
    """Each item's rows are in one partition; partitions come in any order, and again."""
    one, other = taught(rows), Content(SETTINGS.score)
    whole = told(rows).events
    items = data.draw(st.permutations(sorted({item for item, _ in rows})))
    for item in [*items, *data.draw(st.permutations(items))]:
        mine = whole.take(whole.item == item)
        cut = data.draw(st.integers(0, len(mine)))
        for part in (mine.slice(0, cut), mine.slice(cut, len(mine)), mine.slice(0, cut)):
            other.learn_catalogue(Batch(0, 0, 0, part, Names()))
    other.check()
    restored = Content(SETTINGS.score)
    restored.load(one.dump(), {})
    asked = [1, 2, 3, 4]
    assert answers(one, asked, "red mug") == answers(other, asked, "red mug") == answers(restored, asked, "red mug")


def test_what_is_mentioned_of_a_deleted_item_is_what_it_was() -> None:
    rows: Rows = [(1, {"title": "mug"}), (2, {"title": "cup"}), (3, {"title": "red"}), (1, {"op": "delete"})]
    one = taught(rows)
    assert answers(one, [1]) == {}
    one.learn_catalogue(told([(1, {"op": "mention", "title": "red cup"})], len(rows)))
    assert {item for _, item, _ in answers(one, [1])["content"]} == {2, 3}
    one.forget(np.array([1], np.uint64))
    assert answers(one, [1]) == {}


@given(ROWS, ROWS)
@example([(1, {"title": "red"})], [(2, {"op": "delete"}), (2, {"op": "mention", "title": "red"})])
def test_what_was_answered_before_a_change_is_not_answered_after_it(first: Rows, then: Rows) -> None:
    one = taught(first)
    answers(one, [1, 2, 3], "blue cup")
    one.learn_catalogue(told(then, len(first)))
    assert answers(one, [1, 2, 3], "blue cup") == answers(taught(first + then), [1, 2, 3], "blue cup")


@given(ROWS, st.sets(st.integers(1, 6)))
@example([(1, {"title": "red"}), (2, {"title": "red"}), (2, {"op": "delete"})], {2})
def test_what_the_catalogue_forgets_leaves_no_trace(rows: Rows, gone: set[int]) -> None:
    one = taught(rows)
    answers(one, [1, 2, 3, 4], "red")
    one.forget(np.array(sorted(gone), np.uint64))
    one.check()
    other = taught([row for row in rows if row[0] not in gone])
    assert answers(one, [1, 2, 3, 4], "red") == answers(other, [1, 2, 3, 4], "red")


@given(ROWS, st.integers(1, 3))
def test_a_limit_keeps_the_best(rows: Rows, limit: int) -> None:
    one = taught(rows)
    whole, short = answers(one, [1], "red cup"), answers(one, [1], "red cup", limit)
    for name, found in whole.items():
        assert found == sorted(found, key=lambda row: (-row[2], row[1])) and short[name] == found[:limit]


def test_favourites_are_asked_too_beside_the_newest_items() -> None:
    one = taught([(item, {"title": f"mug {'red' * (item % 2)}", "brand": f"b{item // 4}"}) for item in range(1, 40)])
    recent = list(range(20, 36))
    liked = np.array([recent[1], *recent[4:]], np.uint64)
    rows = rows_of(one, context(recent)._replace(liked=liked), 6)
    asked = list(dict.fromkeys(row.because for row in rows))
    assert asked == [*recent[:ASKED], *liked[1 : 1 + LIKED].tolist()]
    for favourite in asked[ASKED:]:
        alike = one.neighbours(favourite, 6)
        found = [(row.item, row.amount) for row in rows if row.because == favourite]
        assert found == list(zip(*(column.tolist() for column in alike), strict=True))


def test_interests_find_words_brands_and_categories_and_count_less_the_more_is_known() -> None:
    one = taught([(1, {"title": "mug", "category": "Tea things"}), (2, {"title": "lamp tea"}), (3, {"title": "chair"})])
    recent = np.arange(100, 100 + ACQUAINTED + 1, dtype=np.uint64)
    for known in range(ACQUAINTED + 1):
        asked = context(recent[:known].tolist(), "tea things")._replace(interests=("tea things",))
        amounts = {row.item: row.amount for row in rows_of(one, asked, 5) if row.signal == "content"}
        if known == ACQUAINTED:
            assert not amounts
        else:
            assert amounts.keys() == {1, 2} and amounts[2] < amounts[1]
            assert amounts[1] == pytest.approx(INTERESTED * (1 - known / ACQUAINTED))
        found = {row.item: row.amount for row in rows_of(one, asked, 5) if row.signal == "search"}
        assert found == answered(one, "tea things")
    assert all(row.because == 0 for row in rows_of(one, context([], "")._replace(interests=("tea",)), 5))


def answered(one: Content, query: str) -> dict[int, float]:
    """What a content that was never asked for interests finds for a query."""
    other = Content(SETTINGS.score)
    other.load(one.dump(), {})
    return {row.item: row.amount for row in rows_of(other, context([], query), 5)}


def test_terms_that_too_many_have_are_passed_over() -> None:
    index = Bm25()
    for item in range(1, 11):
        index.put(item, ("common", f"pair {item // 2}"))
    assert index.best(("common", "pair 1"), 9, 12)[0].tolist()[:2] == [2, 3]
    assert len(index.best(("common", "pair 1"), 20, 12)[0]) == 10
    assert index.best(("common", "pair 1"), 9, 11)[0].tolist() == [2, 3]
    assert index.best(("common",), 9, 9)[0].tolist() == []
    assert [found.tolist() for found in index.like(2, index.terms(2), 9, 11)] == [[3], [1.0]]
    index.check()


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=12, unique=True), st.integers(1, 8)), max_size=6),
    st.integers(0, 12),
    st.none() | st.integers(90, 101),
)
def test_a_tally_is_the_best_sums_by_place(terms: list[tuple[list[int], int]], n: int, skipped: int | None) -> None:
    lengths, factors, keys = np.arange(10) % 3, np.array([0.5, 1.0, 2.0]), np.arange(100, 90, -1)
    expected = []
    for place in range(10):
        total = sum(amount for places, amount in terms if place in places) * factors[place % 3]
        if total and keys[place] != skipped:
            expected.append((-total, int(keys[place])))
    postings, amounts = [array("I", places) for places, _ in terms], [float(amount) for _, amount in terms]
    tally = Tally()
    for _ in range(2):  # nothing is left of the first
        found, sums = tally.best(postings, amounts, lengths, factors, keys, n, skipped)
        assert list(zip((-sums).tolist(), found.tolist(), strict=True)) == sorted(expected)[:n]


def test_a_tally_refuses_what_is_out_of_range_and_nothing_is_left_of_it() -> None:
    tally, place, lengths, keys = Tally(), array("I", [1]), [0, 0], [7, 8]
    for postings, factors in (([array("I", [2])], [1.0]), ([place], []), ([array("q", [1])], [1.0])):
        with pytest.raises(ValueError):
            tally.best(postings, [1.0], lengths, factors, keys, 3)
    with pytest.raises(ValueError):
        tally.best([place], [1.0, 2.0], lengths, [1.0], keys, 3)
    with pytest.raises(TypeError):
        tally.best([[1]], [1.0], lengths, [1.0], keys, 3)  # type: ignore[list-item]
    assert [found.tolist() for found in tally.best([place], [0.5], lengths, [1.0], keys, 3)] == [[8], [0.5]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fünf  KANNEN, 2er-Set", ["funf", "kannen", "2er", "set"]),
        ("Café CAFÉ cafe\u0301 cafés", ["cafe"]),
        ("lamps lamp LAMP's", ["lamp", "s"]),
        ("gas glass bus x200s jeans", ["gas", "glass", "bus", "x200s", "jean"]),
        ("ガラス 가방 Ёлка", ["ガラ", "ラス", "가방", "елка"]),
        ("ＦＵＬＬ　ｗｉｄｔｈ STRASSE straße", ["full", "width", "strasse"]),
        ("青花瓷茶杯", ["青花", "花瓷", "瓷茶", "茶杯"]),
        ("iPhone手机壳 红", ["iphone", "手机", "机壳", "红"]),
        ("コーヒーカップ", ["コー", "ーヒ", "ヒー", "ーカ", "カッ", "ップ"]),
        ("_a_ b's", ["a", "b", "s"]),
        ("", []),
        ("?! … — 。、", []),
        ("🫖🧉 👩‍👩‍👧", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert list(words(text)) == expected


PLURALS = {
    **{"lamp": "lamps", "box": "boxes", "glass": "glasses", "watch": "watches", "brush": "brushes", "shoe": "shoes"},
    **{"vase": "vases", "toy": "toys", "key": "keys", "battery": "batteries", "cookie": "cookies", "berry": "berries"},
    **{"tie": "ties", "crêpe": "crepes", "case": "cases", "Bougie": "bougies", "zapato": "zapatos"},
}
APART = {"glass": "glaze", "ties": "toys", "cap": "cape", "care": "car", "tray": "try", "bas": "bus", "gas": "ga"}


@pytest.mark.parametrize("word", PLURALS)
def test_a_plural_is_its_singular(word: str) -> None:
    assert words(word) == words(PLURALS[word]) and len(words(word)) == 1


def test_a_search_finds_the_other_number_and_the_bare_letters() -> None:
    one = taught([(1, {"title": "Slate lamp"}), (2, {"title": "Crêpe pans"}), (3, {"title": "Chair"})])
    for query, item in (("LAMPS", 1), ("crepes", 2), ("pan", 2)):
        assert [found for _, found, _ in answers(one, [], query)["search"]] == [item]


@pytest.mark.parametrize("word", APART)
def test_words_that_only_look_alike_stay_apart(word: str) -> None:
    assert words(word) != words(APART[word])


@given(st.text(max_size=50))
def test_any_text_has_words_that_are_words_again(text: str) -> None:
    found = words(text)
    assert len(found) == len(set(found)) <= MOST
    for word in found:
        assert unicodedata.normalize("NFKC", word) and ":" not in word


HOSTILE = ["", " ", "?!…", "🫖" * 40, "mug " * 2500, "x" * 10_000, "茶" * 10_000, "\x00", "a\u0301" * 500, "ﷺ" * 1000]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_do_no_harm(text: str) -> None:
    one = taught([(1, {"title": text, "brand": text, "category": text}), (2, {"title": "mug"})])
    for amounts in answers(one, [1, 2], text).values():
        assert all(math.isfinite(amount) and amount >= 0 for _, _, amount in amounts)


class Line:
    """featurize, score and rank over rows, as on the line."""

    def __init__(self, **flags: Any) -> None:
        settings = load("shop", flags={f"score.{name}": value for name, value in flags.items()})
        self.settings = settings
        self.featurizer, self.scorer, self.ranker = Featurizer(settings), Scorer(settings), Ranker(settings)
        self.rows = 0

    def see(self, *rows: dict[str, Any]) -> list[dict[str, Any]]:
        """Rows of {kind, user, item, time, data}; the lists that come of them."""
        names = {item_key(row["item"]): row["item"] for row in rows if "item" in row}
        columns = {name: [row.get(name, 0) for row in rows] for name in ("kind", "event", "session")}
        time = np.arange(self.rows, self.rows + len(rows)) + 1e9
        events = Events(
            offset=np.arange(self.rows, self.rows + len(rows)),
            arrived=time,
            time=time,
            user=np.array([row.get("user", 0) for row in rows], np.uint64),
            item=np.array([item_key(row["item"]) if "item" in row else 0 for row in rows], np.uint64),
            data=Ragged.of_bytes([msgpack.packb(row["data"]) if "data" in row else b"" for row in rows]),
            **columns,
        )
        told_names = Names(
            key=np.array(list(names), np.uint64), text=Ragged.of_bytes([name.encode() for name in names.values()])
        )
        batch = Batch(0, self.rows, self.rows + len(rows) - 1, events, told_names)
        self.rows += len(rows)
        self.scorer.learn_catalogue(batch)
        self.ranker.learn(batch)
        return self.ranker.rank(self.scorer.score(self.featurizer.featurize(batch)))

    def listed(self, user: int = 1) -> list[dict[str, Any]]:
        looks = self.featurizer.look(user, "home", 10, 1e9 + self.rows)
        items: list[dict[str, Any]] = self.ranker.rank(self.scorer.answer(looks))[0]["items"]
        return items

    def restarted(self) -> Line:
        other = Line()
        other.featurizer.load(0, self.featurizer.dump(0))
        other.scorer.load(self.scorer.dump())
        other.ranker.load(self.ranker.dump())
        other.rows = self.rows
        return other


def item(name: str, title: str, **more: Any) -> dict[str, Any]:
    return {"kind": Kind.ITEM, "item": name, "data": {"title": title, **more}}


def search(query: str, user: int = 1, **more: Any) -> dict[str, Any]:
    return {"kind": Kind.SEARCH, "user": user, "data": {"query": query}, **more}


def view(name: str, user: int = 1) -> dict[str, Any]:
    return {"kind": Kind.VIEW, "user": user, "item": name}


WATCH = {"kind": Kind.WATCH, "user": 1, "data": {"expires": 2e9, "slot": "home", "n": 5}}
SHOP = [
    item("t1", "Orchard teapot", category="Kitchen", price=20.0),
    item("t2", "Orchard mug", category="Kitchen", price=21.0),
    item("t3", "Slate lamp", category="Lighting", price=90.0),
    item("t4", "青花瓷茶杯", category="茶具", price=30.0),
]


def test_a_search_is_in_the_next_list_and_says_so() -> None:
    line = Line()
    line.see(*SHOP, WATCH)
    (list_,) = line.see(search("the LAMP"))
    assert [shown["item"] for shown in list_["items"]] == ["t3"]
    assert list_["items"][0]["reasons"][0]["text"] == "matches what you searched for"
    (list_,) = line.see(search("青花杯子 茶杯"))
    assert [shown["item"] for shown in list_["items"]] == ["t4"]
    (list_,) = line.see(search("nothing like it"))
    assert list_["items"] == []


def test_an_item_that_nobody_touched_is_in_the_list_and_on_the_page_of_what_it_resembles() -> None:
    line = Line()
    line.see(*SHOP, WATCH)
    (list_,) = line.see(view("t1"))
    shown = list_["items"][0]
    assert shown["item"] == "t2"
    assert shown["reasons"] == [{"text": "resembles Orchard teapot", "because": "t1", "share": 1.0}]
    about = np.array([item_key("t2")], np.uint64)
    looks = Looks(slot=Ragged.of_bytes([SIMILAR]), about=about, n=[5])
    similar = line.ranker.rank(line.scorer.answer(looks))[0]["items"]
    assert similar[0]["item"] == "t1" and similar[0]["reasons"][0]["text"] == "resembles Orchard mug"
    line.see({"kind": Kind.ITEM, "item": "t2", "data": {"op": "delete"}})
    assert "t2" not in str(line.listed())


def test_a_host_who_is_followed_is_found_when_they_go_live_whatever_was_watched_since() -> None:
    line, hosts = Line(), ("anna", "bert", "cleo")
    line.see(*(item(f"host {name}", name, brand=name, stock=0) for name in hosts))
    line.see(*(item(f"r{n}", f"Evening show {n}", brand=f"b{n % 5}", category="Games") for n in range(40)))
    line.see({**view("host anna"), "kind": Kind.FAVOURITE}, *(view(f"r{n}") for n in range(6)))
    line.see(
        WATCH, item("anna 2", "Anna cooks", brand="anna", category="Cooking"), item("x", "Bert bakes", brand="bert")
    )
    line.see(view("r7"))
    listed = line.listed()
    (anna,) = (shown for shown in listed if shown["item"] == "anna 2")
    assert anna["reasons"][0] == {"text": "resembles anna", "because": "host anna", "share": 1.0}
    assert not {"host anna", "x"} & {shown["item"] for shown in listed}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.sets(st.integers(1, 9), min_size=1), st.integers(1, 4))
def test_what_is_popular_is_so_among_what_can_be_had(views: list[int], gone: set[int], limit: int) -> None:
    content = taught([(item, {"op": "delete"}) for item in sorted(gone)])
    one = Popular(SETTINGS.learn, content)
    n = len(views)
    one.observe(Lessons(sign=[1] * n, kind=[Kind.VIEW] * n, item=np.array(views, np.uint64), time=np.ones(n)))
    counts = {item: views.count(item) for item in sorted(set(views) - gone)}
    best = sorted(counts, key=lambda item: (-counts[item], item))
    blend = Blend(len(SIGNALS))
    blend.put(PLACE["items"], np.array([5, 6, 7], np.uint64), np.ones(3))  # others have put these before
    one.score(context([]), limit, blend)
    signal, items, _, amounts = blend.rows()
    found = dict(zip(items[signal == PLACE["popular"]].tolist(), amounts[signal == PLACE["popular"]], strict=True))
    wanted = {*best[:limit], *({5, 6, 7} & counts.keys())}
    assert found == pytest.approx({item: counts[item] / counts[best[0]] for item in wanted})
    top, shares = one.top(limit, 0, 1.0)
    assert top.tolist() == best[:limit] and shares.tolist() == [found[item] for item in best[:limit]]


@pytest.mark.parametrize("gone", [{"op": "delete"}, {"op": "stock", "stock": 0}])
def test_what_has_ended_takes_no_place_in_any_list(gone: dict[str, Any]) -> None:
    """The ended are what everybody watched, and what was watched with one another."""
    line, on_air = Line(), [f"on{n}" for n in range(6)]
    ended = [f"ended{n}" for n in range(90)]
    line.see(*(item(name, f"Room {name}") for name in (*on_air, *ended)), view("ended0", 9))
    line.see(*(view(name, 100 + n) for n in range(9) for name in ended))
    line.see(*(view(name, 200 + n) for n, name in enumerate(on_air)), *(view("ended0", 200 + n) for n in range(6)))
    line.see(*({"kind": Kind.ITEM, "item": name, "data": gone} for name in ended))
    looks = [Looks(slot=Ragged.of_bytes([TRENDING]), event_time=[1e9 + line.rows], n=[6])]
    looks += [Looks(slot=Ragged.of_bytes([SIMILAR]), about=np.array([item_key("ended0")], np.uint64), n=[6])]
    looks += [line.featurizer.look(user, "home", 6, 1e9 + line.rows) for user in (9, 77)]
    for look in looks:
        shown = line.ranker.rank(line.scorer.answer(look))[0]["items"]
        assert {one["item"] for one in shown} == set(on_air), look.slot


@pytest.mark.parametrize(
    "taken_back",
    [{"kind": Kind.FORGET, "user": 1}, {"kind": Kind.RETRACT, "user": 1, "data": {"target": 77}}],
    ids=["forget", "retract"],
)
def test_what_takes_a_search_back_takes_its_words(taken_back: dict[str, Any]) -> None:
    line = Line()
    line.see(*SHOP, search("secret teapot", event=77), search("lamp", user=2))
    assert "searched" in str(line.listed())
    line.see(taken_back)
    assert line.listed() == []
    held = b"".join(column.tobytes() for column in line.featurizer.dump(0).values())
    assert b"secret" not in held and b"lamp" in held
    assert "searched" in str(line.restarted().listed(2)) and line.restarted().listed() == []


def test_a_search_counts_half_after_some_looks_and_whole_again_when_it_is_said_again() -> None:
    line = Line()

    def amount(*rows: dict[str, Any]) -> float:
        told = explain(line.see(*rows)[-1], "t3")
        return sum(part["amount"] for part in told["parts"] if part["signal"] == "search") if told else 0.0

    line.see(*SHOP, WATCH)
    said = amount(search("lamp"))
    amounts = [amount(view(one)) for one in ["t1", "t2"] * SEARCHED_FOR]
    assert amounts == pytest.approx([said * 0.5 ** (n / SEARCHED_FOR) for n in range(1, 2 * SEARCHED_FOR + 1)])
    assert amount(search("Lamps")) == pytest.approx(said)


def test_only_the_last_search_of_the_live_session_counts() -> None:
    line = Line()
    line.see(*SHOP, search("lamp", session=5), search("teapot", session=5), view("t2"))
    assert line.listed() and "searched" not in str(line.listed())  # the view began another session
    line.see(search("teapot"), view("t3"))
    assert [i["item"] for i in line.listed() if "searched" in str(i)] == ["t1"]


def test_a_login_takes_the_search_along() -> None:
    line = Line()
    line.see(*SHOP, search("lamp"))
    alias = Events(
        offset=[line.rows],
        time=[2e9],
        arrived=[2e9],
        kind=[Kind.ALIAS],
        user=np.array([1], np.uint64),
        data=Ragged.of_bytes([msgpack.packb({"account": 2})]),
    )
    relay = line.featurizer.featurize(Batch(0, line.rows, line.rows, alias, Names())).relay
    relay.offset[:] = line.rows + 1
    kept, rejects = clean(Batch(0, line.rows + 1, line.rows + 1, relay, Names()))
    assert not rejects.reason
    line.featurizer.featurize(kept)
    assert line.listed(1) == [] and "searched" in str(line.listed(2))
    assert set(line.featurizer.queries_of(2).values()) == {"lamp"}


@pytest.mark.parametrize("query", HOSTILE)
def test_hostile_queries_on_the_line(query: str) -> None:
    line = Line()
    line.see(*SHOP, WATCH)
    (list_,) = line.see(search(query))
    assert isinstance(list_["items"], list)
    assert len(line.featurizer.look(1, "home", 5, 1e9).query.bytes_at(0)) <= 800


def test_without_a_catalogue_there_is_no_signal() -> None:
    assert rows_of(Content(SETTINGS.score), context([1, 2], "mug"), 5) == []
