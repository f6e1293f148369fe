"""Trees against LightGBM, against Shapley values by their definition, and against arrays that are no trees."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shopguide._core import Trees
from shopguide.trees import LEAF, Arrays, from_lightgbm

Rows = NDArray[np.float64]


def rows_of(n: int, features: int, seed: int = 0) -> Rows:
    """Half of the features continuous, half with many equal values, zeros too."""
    rows = np.random.default_rng(seed).normal(size=(n, features))
    rows[:, features // 2 :] = np.round(2 * rows[:, features // 2 :])
    return rows


def trained(n: int = 3000, features: int = 12, rounds: int = 60, **params: Any) -> lightgbm.Booster:
    rows = rows_of(n, features)
    target = rows[:, 0] + rows[:, 1] * rows[:, -1] + np.sin(3 * rows[:, 2]) + rows_of(n, 3, seed=1)[:, 0]
    settings = {"objective": "regression", "verbose": -1, "num_threads": 1, "seed": 1, **params}
    return lightgbm.train(settings, lightgbm.Dataset(rows, target, params=settings), rounds)


def assert_as_lightgbm(booster: lightgbm.Booster, rows: Rows) -> None:
    trees = Trees(*from_lightgbm(booster.dump_model()))
    trees.check()
    sums, amounts = trees.predict(rows), trees.explain(rows)
    np.testing.assert_allclose(sums, booster.predict(rows, raw_score=True), rtol=1e-12, atol=0)
    scale = max(1.0, np.abs(sums).max())
    np.testing.assert_allclose(amounts, booster.predict(rows, pred_contrib=True), rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(amounts.sum(axis=1), sums, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"num_leaves": 255, "min_data_in_leaf": 1},
        {"num_leaves": 2},
        {"num_leaves": 200, "min_data_in_leaf": 1, "feature_fraction": 0.2, "extra_trees": True},
        {"bagging_fraction": 0.5, "bagging_freq": 1, "lambda_l2": 3.0},
        {"boosting": "dart"},
        {"use_missing": False, "max_bin": 15},
    ],
    ids=str,
)
def test_a_model_says_and_explains_what_lightgbm_says(params: dict[str, Any]) -> None:
    assert_as_lightgbm(trained(**params), rows_of(200, 12, seed=2))


def test_a_ranker_and_a_model_that_saw_missing_values() -> None:
    rows = rows_of(1000, 6)
    labels = (rows[:, 0] > 0).astype(int) + (rows[:, 5] > 1)
    params = {"objective": "lambdarank", "verbose": -1, "num_threads": 1}
    ranker = lightgbm.train(params, lightgbm.Dataset(rows, labels, group=[20] * 50), 40)
    assert_as_lightgbm(ranker, rows_of(100, 6, seed=2))
    rows[::7, 0] = np.nan
    missing = lightgbm.train({**params, "objective": "binary"}, lightgbm.Dataset(rows, labels > 0), 40)
    assert_as_lightgbm(missing, rows_of(100, 6, seed=2))


def test_a_row_on_a_threshold_goes_left_and_infinite_values_are_legal() -> None:
    booster = trained(rounds=20)
    arrays = from_lightgbm(booster.dump_model())
    rows = rows_of(400, 12, seed=2)
    splits = np.flatnonzero((arrays.feature != LEAF) & (np.abs(arrays.threshold) > 1e-34))[:200]
    rows[np.arange(len(splits)), arrays.feature[splits]] = arrays.threshold[splits]
    rows[200:, 3], rows[300:, 0] = np.inf, -np.inf
    assert_as_lightgbm(booster, rows)


def test_trees_without_a_split() -> None:
    booster = trained(n=30, rounds=3)
    arrays = from_lightgbm(booster.dump_model())
    assert (arrays.feature == LEAF).all() and len(arrays.roots) >= 1
    assert_as_lightgbm(booster, rows_of(5, 12))


# ---- dumps ----------------------------------------------------------------------------------------------------------


def test_what_of_lightgbm_is_refused() -> None:
    categories = np.repeat(np.arange(6.0), 50)[:, None]
    params = {"objective": "regression", "verbose": -1, "num_threads": 1, "min_data_per_group": 1, "cat_smooth": 0}
    categorical = lightgbm.train(
        params, lightgbm.Dataset(categories, categories[:, 0] % 2, categorical_feature=[0], params=params), 2
    )
    with pytest.raises(ValueError, match="a split is '=='"):
        from_lightgbm(categorical.dump_model())
    with pytest.raises(ValueError, match="missing values are 'Zero'"):
        from_lightgbm(trained(rounds=2, zero_as_missing=True).dump_model())
    with pytest.raises(ValueError, match="a leaf is linear"):
        from_lightgbm(trained(rounds=3, linear_tree=True).dump_model())
    with pytest.raises(ValueError, match="averages"):
        from_lightgbm(trained(rounds=2, boosting="rf", bagging_freq=1, bagging_fraction=0.5).dump_model())
    classes = {"objective": "multiclass", "num_class": 3, "verbose": -1}
    three = lightgbm.train(classes, lightgbm.Dataset(rows_of(300, 2), np.arange(300) % 3), 2)
    with pytest.raises(ValueError, match="3 scores a row"):
        from_lightgbm(three.dump_model())


def test_what_is_no_dump_is_refused() -> None:
    dump = trained(rounds=2).dump_model()
    for key in ("num_tree_per_iteration", "max_feature_idx", "tree_info"):
        with pytest.raises(ValueError, match=f"no dump of a LightGBM model: .*{key}"):
            from_lightgbm({name: value for name, value in dump.items() if name != key})
    for key, value in (("tree_info", 3), ("tree_info", [[]]), ("max_feature_idx", None), ("max_feature_idx", 1e400)):
        with pytest.raises(ValueError, match="no dump"):
            from_lightgbm({**dump, key: value})
    for key, value in (("threshold", None), ("split_feature", 2**40), ("left_child", 3)):
        broken = copy.deepcopy(dump)
        broken["tree_info"][0]["tree_structure"][key] = value
        with pytest.raises(ValueError, match="no dump"):
            from_lightgbm(broken)
    broken = copy.deepcopy(dump)
    broken["tree_info"][0]["tree_structure"]["split_feature"] = 12
    with pytest.raises(ValueError, match="a feature is out of range"):
        Trees(*from_lightgbm(broken))


def test_covers_are_those_of_the_leaves_below() -> None:
    dump = trained(rounds=3).dump_model()
    arrays = from_lightgbm(dump)
    assert arrays.cover[arrays.roots].tolist() == [3000.0] * 3
    inner = arrays.feature != LEAF
    both = arrays.cover[arrays.left[inner]] + arrays.cover[arrays.right[inner]]
    assert (arrays.cover[inner] == both).all()
    assert arrays.features == 12 and (arrays.value[inner] == 0).all() and (arrays.left[~inner] == LEAF).all()


# ---- the definition --------------------------------------------------------------------------------------------------


@st.composite
def forests(draw: Callable[..., Any]) -> Arrays:
    """A few small trees over a few features, their nodes in any order."""
    features = draw(st.integers(1, 4))
    nodes: list[list[float]] = []  # feature, threshold, left, right, value, cover
    number = st.integers(-3, 3).map(float)

    def add(depth: int) -> int:
        if depth == 0 or draw(st.integers(0, 3)) == 0:
            nodes.append([LEAF, math.nan, LEAF, LEAF, draw(number), draw(st.integers(1, 5))])
        else:
            left, right = add(depth - 1), add(depth - 1)
            cover = nodes[left][5] + nodes[right][5]
            nodes.append([draw(st.integers(0, features - 1)), draw(number), left, right, math.inf, cover])
        return len(nodes) - 1

    roots = [add(draw(st.integers(0, 4))) for _ in range(draw(st.integers(0, 3)))]
    order = draw(st.permutations(range(len(nodes))))
    place = {old: new for new, old in enumerate(order)} | {LEAF: LEAF}
    table = np.array([nodes[old] for old in order]).reshape(-1, 6)
    left, right = ([place[int(old)] for old in table[:, column]] for column in (2, 3))
    return Arrays(
        features,
        np.array([place[root] for root in roots], np.int32),
        table[:, 0].astype(np.int32),
        table[:, 1],
        np.array(left, np.int32),
        np.array(right, np.int32),
        table[:, 4],
        table[:, 5],
    )


def expected(trees: Arrays, row: Rows, known: set[int]) -> float:
    """What the trees are expected to say where the features in `known` are the row's."""

    def below(at: int) -> float:
        feature, left, right = int(trees.feature[at]), int(trees.left[at]), int(trees.right[at])
        if feature == LEAF:
            return float(trees.value[at])
        if feature in known:
            return below(left if row[feature] <= trees.threshold[at] else right)
        return float((trees.cover[left] * below(left) + trees.cover[right] * below(right)) / trees.cover[at])

    return sum((below(int(root)) for root in trees.roots), 0.0)


def shapley(trees: Arrays, row: Rows, feature: int) -> float:
    """Shapley's formula, word by word (Lundberg, Erion, Lee 2018, equation 2)."""
    n, total = trees.features, 0.0
    others = [i for i in range(n) if i != feature]
    for size in range(n):
        weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
        for known in combinations(others, size):
            gain = expected(trees, row, {*known, feature}) - expected(trees, row, set(known))
            total += weight * gain
    return total


@settings(deadline=None, max_examples=150)
@given(forests(), st.integers(0, 2**32))
def test_amounts_are_shapley_values(arrays: Arrays, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(-4, 5, (3, arrays.features)).astype(float)
    trees = Trees(*arrays)
    trees.check()
    assert len(trees) == len(arrays.roots) and trees.features == arrays.features
    known = set(range(arrays.features))
    assert trees.predict(rows).tolist() == [expected(arrays, row, known) for row in rows]
    amounts = [
        [*(shapley(arrays, row, i) for i in range(arrays.features)), expected(arrays, row, set())] for row in rows
    ]
    np.testing.assert_allclose(trees.explain(rows), amounts, rtol=0, atol=1e-12)


# ---- anything else ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_arrays_of_anything_are_trees_or_a_value_error(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 7))
    index = st.one_of(st.integers(-1, n), st.sampled_from([-(2**31), 2**31 - 1]))
    number = st.one_of(st.integers(1, 3).map(float), st.floats())

    def column(of: st.SearchStrategy[Any], dtype: type) -> NDArray[Any]:
        return np.array(data.draw(st.lists(of, min_size=n, max_size=n)), dtype)

    roots = np.array(data.draw(st.lists(index, max_size=3)), np.int32)
    feature = column(st.one_of(st.just(LEAF), st.integers(-2, 3)), np.int32)
    numbers = [column(number, np.float64) for _ in range(3)]
    left, right = column(index, np.int32), column(index, np.int32)
    try:
        trees = Trees(data.draw(st.integers(-1, 3)), roots, feature, numbers[0], left, right, *numbers[1:])
    except ValueError:
        return
    trees.check()
    rows = np.zeros((9, trees.features))
    np.testing.assert_allclose(trees.explain(rows).sum(axis=1), trees.predict(rows), rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=150)
@given(forests(), st.data())
def test_one_wrong_number_is_a_value_error_or_still_a_tree(arrays: Arrays, data: st.DataObject) -> None:
    columns = [np.array(column) for column in arrays[1:]]
    column = data.draw(st.sampled_from([column for column in columns if len(column)] or [np.zeros(1)]))
    at = data.draw(st.integers(0, len(column) - 1))
    any_float = st.one_of(st.floats(), st.sampled_from([0.0, 1.0, 2.0**52]))
    column[at] = data.draw(any_float if column.dtype == np.float64 else st.integers(-(2**31), 2**31 - 1))
    try:
        trees = Trees(arrays.features, *columns)
    except ValueError:
        return
    trees.check()
    assert np.isfinite(trees.explain(np.zeros((2, arrays.features)))).all()


STUMP = Arrays(
    2,
    np.array([0], np.int32),
    np.array([1, LEAF, LEAF], np.int32),
    np.zeros(3),
    np.array([1, LEAF, LEAF], np.int32),
    np.array([2, LEAF, LEAF], np.int32),
    np.array([0.0, -1.0, 1.0]),
    np.array([4.0, 1.0, 3.0]),
)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"features": 1}, "a feature is out of range"),
        ({"features": 0}, "features are not 1..65536"),
        ({"features": 2**70}, "features are not 1..65536"),
        ({"features": -1}, "features are not 1..65536"),
        ({"roots": [3]}, "a root or a child is no node"),
        ({"roots": [0, 0]}, "a node is reached twice"),
        ({"roots": [1]}, "a node is in no tree"),
        ({"left": [0, -1, -1]}, "a node is reached twice"),
        ({"threshold": [math.inf, 0, 0]}, "a threshold is not finite"),
        ({"value": [0, math.nan, 0]}, "a leaf's value is not finite"),
        ({"cover": [4.0, 0.0, 4.0]}, "a cover is not 1..2\\^52"),
        ({"cover": [5.0, 1.0, 3.0]}, "a cover is not that of the children together"),
        ({"cover": [4.0, 1.0]}, "length"),
        ({"value": [0.0]}, "length"),
        ({"roots": [[0]]}, "dimensions"),
    ],
)
def test_what_is_no_tree_is_refused(change: dict[str, Any], message: str) -> None:
    assert Trees(*STUMP).predict([[0, 0], [0, 1]]).tolist() == [-1.0, 1.0]
    with pytest.raises(ValueError, match=message):
        Trees(*STUMP._replace(**change))


def test_rows_of_another_shape_or_with_nan_are_refused() -> None:
    trees = Trees(*STUMP)
    for read in (trees.predict, trees.explain):
        for rows in ([0.0, 0.0], [[0.0]], [[0.0, 0.0, 0.0]], [[[0.0, 0.0]]], [[0.0, 0.0], [math.nan, 0.0]]):
            with pytest.raises(ValueError):
                read(rows)
    assert trees.predict(np.empty((0, 2))).shape == (0,) and trees.explain(np.empty((0, 2))).shape == (0, 3)
    assert trees.explain([[7.0, 1.0]])[0].tolist() == pytest.approx([0.0, 0.5, 0.5], abs=1e-12)
    assert trees.predict(np.zeros((2, 300)).T[:, :2]).tolist() == [-1.0] * 300
    assert trees.nbytes > 0


def test_a_path_too_long_is_refused() -> None:
    splits = 513
    inner = np.arange(2 * splits + 1) % 2 == 0
    inner[-1] = False
    at = np.arange(len(inner))
    cover = np.where(inner, splits + 1 - at // 2, 1.0)
    column = [np.where(inner, of, LEAF).astype(np.int32) for of in (0 * at, at + 1, at + 2)]
    with pytest.raises(ValueError, match="more than 512 splits"):
        Trees(1, [0], column[0], at * 0.0, *column[1:], at * 1.0, cover)
