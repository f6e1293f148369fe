"""titles: the graph says what Keras says, titles that are chosen together are near, an item that nobody has touched is
among them at once, and what is kept of items is what the catalogue says now."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from backends import on_tensorflow
from hypothesis import given
from hypothesis import strategies as st

from shopguide._core import Blend, Query
from shopguide.errors import SettingError, StateError
from shopguide.networks import titles
from shopguide.networks.graph import Graph
from shopguide.networks.learning import Learner
from shopguide.networks.pairs import Pairs
from shopguide.networks.serving import Titles
from shopguide.networks.tokens import LENGTH, PIECES, pieces, read, tokens
from shopguide.recommenders import title
from shopguide.recommenders.base import PLACE, Context
from shopguide.recommenders.content import Content, terms
from shopguide.recommenders.title import Title, Vectors
from shopguide.records import SIGNALS, Batch, Events, Kind, Lessons, Names, Ragged
from shopguide.settings import ScoreSettings

COLOURS = ("red", "blue", "green", "绿色", "white", "black")
THINGS = ("cup", "plate", "bowl", "碗", "tray", "jug", "lamp", "fork", "clock", "vase")


def world() -> tuple[Lessons, dict[int, tuple[str, ...]]]:
    """Things of six colours; each visit is of one colour."""
    chance = np.random.default_rng(1)
    described = {
        100 * colour + thing: terms({"title": f"{COLOURS[colour]} {THINGS[thing]}", "category": "home", "price": 3.0})
        for colour in range(6)
        for thing in range(10)
    }
    colour = chance.integers(0, 6, 400)
    items = np.concatenate([100 * one + chance.permutation(10)[:5] for one in colour]).astype(np.uint64)
    return lessons(np.repeat(np.arange(400), 5), items), described


def lessons(unit: np.ndarray, items: np.ndarray) -> Lessons:
    n = len(items)
    columns = {"offset": np.arange(n), "sign": np.ones(n), "kind": np.full(n, Kind.VIEW)}
    return Lessons(**columns, unit=unit, user=unit, item=items, time=np.arange(n, dtype=np.float64))


@pytest.fixture(scope="module", autouse=True)
def _narrow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("BATCH", 32), ("KERNELS", 8), ("EMBEDDED", 16), ("WIDTH", 16)):
            patch.setattr(titles, name, value)
        yield


@pytest.fixture(scope="module")
def fitted() -> Any:
    known, judged = Pairs.of(*world()).divided()
    return titles.fit(known, print, judged, 4)


@pytest.fixture(scope="module")
def network(fitted: Any) -> Titles:
    return Titles(titles.export(fitted.weights)["title.onnx"])


def test_a_graph_says_what_keras_says(fitted: Any, network: Titles) -> None:
    pairs = Pairs.of(*world())
    model = titles._model(titles.keras(), pairs)
    for weight in model.weights:
        weight.assign(fitted.weights[weight.path.rpartition("titles/")[2]])
    _, described = world()
    served = network.vectors([described[item] for item in pairs.items.tolist()])
    np.testing.assert_allclose(served, model.all_vectors(pairs), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(served, axis=1), 1, atol=1e-5)
    one_by_one = [network.vectors([described[item]])[0] for item in pairs.items.tolist()]
    np.testing.assert_allclose(served, one_by_one, atol=1e-5)
    assert network.vectors([]).shape == (0, 16)


def test_held_out_items_are_near_what_they_are_chosen_with(fitted: Any, network: Titles) -> None:
    assert fitted.said["mrr"] > 0.2, "of sixty items ten are of the colour; by chance it would be .06"
    unseen = network.vectors([terms({"title": f"{colour} saucer"}) for colour in COLOURS])
    known = network.vectors([terms({"title": f"{colour} cup"}) for colour in COLOURS])
    assert (unseen @ known.T).argmax(axis=1).tolist() == [0, 1, 2, 3, 4, 5]


def test_scores_tell_an_item_from_all_that_are_not_its_partner() -> None:
    pairs = Pairs.of(*world())
    model = titles._model(titles.keras(), pairs)
    sides = pairs.drawn(3, 32, 32)
    inputs = titles._inputs(pairs, sides)
    scores = np.asarray(titles.keras().ops.convert_to_numpy(model(inputs)))
    vectors = model.all_vectors(pairs)
    often = np.bincount(pairs.sides.ravel(), minlength=len(pairs.items)) + 1
    for row, (own, partners) in enumerate([*((one, sides[1]) for one in sides[0]), *((o, sides[0]) for o in sides[1])]):
        for column, other in enumerate(partners):
            expected = 12 * vectors[own] @ vectors[other] - np.log(often[other] / often.sum())
            if row % 32 != column and other in (own, partners[row % 32]):
                expected = -1e9
            assert scores[row, column] == pytest.approx(expected, rel=1e-4)


def test_an_interrupted_training_comes_to_the_same(tmp_path: Path) -> None:
    pairs = Pairs.of(*world())

    def stop(said: str) -> None:
        if "epoch 1" in said:
            raise KeyboardInterrupt

    whole = titles.fit(pairs, print, None, 2)
    with pytest.raises(KeyboardInterrupt):
        titles.fit(pairs, stop, None, 2, tmp_path)
    epochs: list[str] = []
    resumed = titles.fit(pairs, epochs.append, None, 2, tmp_path)
    assert epochs == ["title: epoch 2 of 2"] and not list(tmp_path.iterdir())
    for name, weights in whole.weights.items():
        np.testing.assert_array_equal(weights, resumed.weights[name])


ON_ANOTHER_BACKEND = """
import test_titles as t
from shopguide.networks import titles
titles.BATCH, titles.KERNELS, titles.EMBEDDED, titles.WIDTH = 32, 8, 16, 16
assert titles.keras().backend.backend() == "tensorflow"
known, judged = t.Pairs.of(*t.world()).divided()
fitted = titles.fit(known, print, judged, 4)
t.test_held_out_items_are_near_what_they_are_chosen_with(fitted, t.Titles(titles.export(fitted.weights)["title.onnx"]))
"""


def test_the_same_code_trains_on_tensorflow() -> None:
    on_tensorflow(ON_ANOTHER_BACKEND)


def test_pairs_follow_each_other_in_a_unit() -> None:
    unit, items = np.array([1, 2, 1, 1, 1, 2, 3]), np.array([5, 7, 5, 9, 6, 5, 6], np.uint64)
    pairs = Pairs.of(lessons(unit, items), {5: ("a", "b"), 6: ("b",), 7: ("category:c",)})
    assert pairs.items.tolist() == [5, 6, 7], "of 9 nothing is known"
    assert pairs.sides.tolist() == [[0, 2], [1, 0]], "5 then 6 in the first unit, 7 then 5 in the second"
    found, places = pairs.read(np.array([0, 2], np.int32))
    assert found[places[0, :2]].tolist() == [list(pieces("a")), list(pieces("b"))]
    assert found[places[1, 0]].tolist() == list(pieces("category:c")) and not found[places[1, 1:]].any()


def test_no_pair_of_a_held_out_item_is_learned() -> None:
    pairs = Pairs.of(*world())
    known, judged = pairs.divided()
    out = set(judged[1].tolist())
    assert 1 <= len(out) < 15 and not out & set(known.sides.ravel().tolist()) and not out & set(judged[0].tolist())


def test_measured_is_the_rank_among_all_but_the_item_itself() -> None:
    vectors = np.eye(30, dtype=np.float32)
    vectors[1] = vectors[0] * 0.9
    assert titles.measured(vectors, np.array([[0, 1], [1, 0]], np.int32)) == (1.0, 1.0)
    far = np.tile(np.linspace(1, 0.1, 30, dtype=np.float32)[:, np.newaxis], 2)
    assert titles.measured(far, np.array([[0], [20]], np.int32)) == (1.0, 1 / 20)
    assert titles.measured(far, np.array([[0], [21]], np.int32)) == (0.0, 0.0)


def test_pieces_are_a_word_and_its_runs_and_an_attribute_alone() -> None:
    assert all(pieces("cup")[:4]) and pieces("cup")[4:] == (0,) * 4
    assert len(set(pieces("cup")[1:4]) & set(pieces("cups")[1:5])) == 2, "^cu and cup, but not up$"
    assert pieces("brand:cup")[1:] == (0,) * 7
    assert sum(map(bool, pieces("retrospotlights"))) == PIECES
    long = (*(f"w{n}" for n in range(20)), "category:a", "price:1")
    assert list(read(long)) == [*long[: LENGTH - 2], "category:a", "price:1"]
    assert tokens([("a",), ()]).shape == (2, LENGTH, PIECES) and not tokens([()]).any()


def catalogue(*rows: tuple[int, dict[str, Any]], first: int = 0) -> Batch:
    n = len(rows)
    events = Events(
        offset=np.arange(first, first + n),
        kind=np.full(n, Kind.ITEM),
        item=np.array([item for item, _ in rows], np.uint64),
        data=Ragged.of_bytes([msgpack.packb(said) for _, said in rows]),
    )
    return Batch(0, first, first + n - 1, events, Names())


def asks(recent: list[int]) -> Context:
    nothing, items = np.zeros(0, np.uint64), np.array(recent, np.uint64)
    return Context(Query(items, np.ones(len(items))), items, nothing, 5, 6, 0.0)


class Shop:
    """A recommender and the content that it reads."""

    def __init__(self) -> None:
        self.content = Content(ScoreSettings())
        self.title = Title(self.content)

    def hears(self, batch: Batch) -> None:
        self.content.learn_catalogue(batch)
        self.title.learn_catalogue(batch)

    def rows(self, *recent: int, n: int = 2) -> dict[int, tuple[int, float]]:
        blend = Blend(len(SIGNALS))
        self.title.score(asks([*recent]), n, blend)
        signal, items, because, amounts = blend.rows()
        assert (signal == PLACE["title"]).all()
        return dict(zip(items.tolist(), zip(because.tolist(), amounts.tolist(), strict=True), strict=True))


@pytest.fixture
def shop() -> Shop:
    made, things = Shop(), ("red cup", "red plate", "blue cup", "blue plate", "blue bowl")
    made.hears(catalogue(*((item + 1, {"op": "upsert", "title": title}) for item, title in enumerate(things))))
    return made


def test_silent_without_a_network_and_after_it_is_off(shop: Shop, network: Titles) -> None:
    assert not shop.rows(1) and not len(shop.title._vectors)
    shop.title.network = network
    assert shop.rows(1, n=1).keys() == {2}
    shop.title.network = None
    assert not shop.rows(1) and not len(shop.title._vectors)


def test_what_is_near_the_newest_items_and_why(shop: Shop, network: Titles) -> None:
    shop.title.network = network
    found = shop.rows(3, 2)
    assert found.keys() == {4, 5} and {because for because, _ in found.values()} == {3}
    assert max(amount for _, amount in found.values()) == 1.0 and min(a for _, a in found.values()) > 0
    assert shop.rows(99, 2, n=1) == {1: (2, 1.0)}, "of 99 nothing is known"
    assert not shop.rows(99) and len(shop.rows(1, n=50)) == 4


def test_a_new_item_has_neighbours_and_is_one_at_once(shop: Shop, network: Titles) -> None:
    shop.title.network = network
    shop.hears(catalogue((7, {"op": "upsert", "title": "red jug"}), first=10))
    assert 7 in shop.rows(1) and shop.rows(7).keys() <= {1, 2}
    shop.hears(catalogue((7, {"op": "upsert", "title": "blue jug"}), first=11))
    assert 7 not in shop.rows(1, n=1) and 7 in shop.rows(3, n=3)


def test_what_is_deleted_or_forgotten_is_gone(shop: Shop, network: Titles) -> None:
    shop.title.network = network
    shop.hears(catalogue((2, {"op": "delete"}), first=10))
    shop.title.forget(np.array([4, 99], np.uint64))
    assert shop.rows(1, n=50).keys() == {3, 5} and not shop.rows(2)
    shop.hears(catalogue((2, {"op": "upsert", "title": "red plate"}), first=11))
    assert shop.rows(1, n=1).keys() == {2}


def test_a_large_catalogue_is_not_searched(shop: Shop, network: Titles, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.title.network = network
    found = shop.rows(1, 3, n=9)
    assert found
    monkeypatch.setattr(title, "ALL", 1)
    assert not shop.rows(1, 3, n=9), "nobody has put anything before"


def test_vectors_are_made_again_from_what_content_kept(shop: Shop, network: Titles) -> None:
    other = Shop()
    other.title.network = network
    assert not shop.title.dump()
    other.content.load(shop.content.dump(), {})
    other.title.load(shop.title.dump(), {})
    shop.title.network = network
    assert other.rows(1, 3, n=9) == shop.rows(1, 3, n=9) != {}


@given(
    st.lists(st.tuples(st.integers(1, 99), st.booleans()), max_size=200),
    st.integers(1, 9),
    st.none() | st.sets(st.integers(1, 99)),
)
def test_vectors_are_a_dictionary_that_can_be_multiplied(
    steps: list[tuple[int, bool]], n: int, among: set[int] | None
) -> None:
    chance, kept, plain = np.random.default_rng(len(steps)), Vectors(4), dict[int, np.ndarray]()
    for item, stays in steps:
        vector = chance.normal(size=4).astype(np.float32)
        if stays:
            plain[item] = vector / np.linalg.norm(vector)
            kept.put(item, plain[item])
        else:
            plain.pop(item, None)
            kept.drop(item)
    assert len(kept) == len(plain)
    asked = [item for item in (7, 8, 9) if item in plain]
    weights = np.array([1, 0.5, 0.25], np.float32)
    of = None if among is None else np.array(list(among), np.uint64)
    items, near, because = kept.near(np.array([7, 8, 9], np.uint64), weights, n, of)
    if not asked:
        assert not len(items)
        return
    mean = sum(0.5 ** (item - 7) * plain[item] for item in asked)
    products = {item: vector @ mean / np.linalg.norm(mean) for item, vector in plain.items() if item not in asked}
    if among is not None:
        products, n = {item: product for item, product in products.items() if item in among}, len(products)
    assert len(items) == min(n, len(products)) and set(items.tolist()) <= products.keys()
    np.testing.assert_allclose(sorted(near)[::-1], sorted(products.values())[::-1][:n], atol=1e-5)
    for item, product, cause in zip(items.tolist(), near, because.tolist(), strict=True):
        assert product == pytest.approx(products[item], abs=1e-5)
        assert cause in asked and plain[item] @ plain[cause] == pytest.approx(
            max(plain[item] @ plain[one] for one in asked), abs=1e-5
        )


def test_what_says_too_little_is_left_out_or_said(network: Titles) -> None:
    found, _ = world()
    with pytest.raises(SettingError, match="no visit has two items with words"):
        Learner(["title"], print).learn(found, {})
    learner = Learner(["title", "cnn"], print)
    learner._rehearsed = lambda kind, *_: titles_only(kind)  # type: ignore[method-assign]
    with pytest.raises(SettingError, match="cnn"):
        learner.rehearse(found, {})
    assert "no visit" in learner.left_out["title"]


def titles_only(kind: str) -> Any:
    raise SettingError("no visit" if kind == "title" else "cnn")


def test_a_graph_that_reads_others_is_refused() -> None:
    graph = Graph()
    graph.node("ReduceMax", ["tokens"], "vector", axes=[2], keepdims=0)
    other = graph.bytes({"tokens": (np.float32, ("b", 3, 2))}, {"vector": (np.float32, ("b", 3))})
    with pytest.raises(StateError, match="reads"):
        Titles(other)
