"""Boosted trees as flat arrays, for `shopguide._core.Trees`: from LightGBM's dump of a model."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAF = -1


class Arrays(NamedTuple):
    """What Trees is made from, in its order: `Trees(*arrays)`. T trees of N nodes in all."""

    features: int
    roots: NDArray[np.int32]  # [T]
    feature: NDArray[np.int32]  # [N] LEAF at a leaf
    threshold: NDArray[np.float64]  # [N] left where x[feature] is at most this; 0 at a leaf
    left: NDArray[np.int32]  # [N] LEAF at a leaf, and so right
    right: NDArray[np.int32]  # [N]
    value: NDArray[np.float64]  # [N] 0 at an inner node
    cover: NDArray[np.float64]  # [N] training rows that came here


def from_lightgbm(model: Mapping[str, Any]) -> Arrays:
    """The arrays of a model, from `Booster.dump_model()`, as parsed (LightGBM's docs, "Booster.dump_model").

    The trees' sum is the raw score: what the objective makes of it is not applied. An inner node's cover is that of
    the leaves below. Raises ValueError where the model has more than one score a row, averages its trees, has linear
    leaves, splits that are no `x <= threshold`, or zeros that count as missing; or where the dump is no such dump.
    How missing values go is not looked at: Trees has none. A value within 1e-35 of 0 is 0 to LightGBM, itself to Trees.
    """
    try:
        if model["num_tree_per_iteration"] != 1:
            raise ValueError(f"the model has {model['num_tree_per_iteration']} scores a row")
        if model.get("average_output"):
            raise ValueError("the model averages its trees")
        columns = _Columns()
        roots = [columns.add_tree(tree["tree_structure"]) for tree in model["tree_info"]]
        return columns.arrays(int(model["max_feature_idx"]) + 1, roots)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"no dump of a LightGBM model: {error!r}") from error


def least(arrays: Arrays) -> float:
    """The least that the trees can come to: the sum of each one's smallest leaf."""
    starts = [*arrays.roots, len(arrays.value)]
    leaves = np.where(np.asarray(arrays.feature) == LEAF, arrays.value, np.inf)
    return float(sum(leaves[a:b].min() for a, b in pairwise(starts)))


class _Columns:
    """The arrays as lists, while nodes are added."""

    def __init__(self) -> None:
        self.feature: list[int] = []
        self.threshold: list[float] = []
        self.children: list[tuple[int, int]] = []
        self.value: list[float] = []
        self.cover: list[float] = []

    def add_tree(self, root: Mapping[str, Any]) -> int:
        """The root's place. Level by level: children stand after their parent, so covers add up from the end."""
        first = len(self.feature)
        nodes = [root]
        for node in nodes:  # which grows
            inner = "split_feature" in node
            if inner:
                nodes += [node["left_child"], node["right_child"]]
            self.children.append((first + len(nodes) - 2, first + len(nodes) - 1) if inner else (LEAF, LEAF))
            self._add_split(node) if inner else self._add_leaf(node)
        for at in reversed(range(first, len(self.feature))):
            if self.feature[at] != LEAF:
                self.cover[at] = sum(self.cover[child] for child in self.children[at])
        return first

    def _add_split(self, node: Mapping[str, Any]) -> None:
        if node["decision_type"] != "<=":
            raise ValueError(f"a split is {node['decision_type']!r}; it has to be '<='")
        if node["missing_type"] not in ("None", "NaN"):
            raise ValueError(f"missing values are {node['missing_type']!r}; they have to be 'None' or 'NaN'")
        self.feature.append(int(node["split_feature"]))
        self.threshold.append(float(node["threshold"]))
        self.value.append(0.0)
        self.cover.append(0.0)

    def _add_leaf(self, node: Mapping[str, Any]) -> None:
        if node.get("leaf_coeff"):
            raise ValueError("a leaf is linear")
        self.feature.append(LEAF)
        self.threshold.append(0.0)
        self.value.append(float(node["leaf_value"]))
        self.cover.append(float(node.get("leaf_count", 1)))

    def arrays(self, features: int, roots: list[int]) -> Arrays:
        children = np.array(self.children, np.int32).reshape(-1, 2)
        return Arrays(
            features,
            np.array(roots, np.int32),
            np.array(self.feature, np.int32),
            np.array(self.threshold, np.float64),
            children[:, 0].copy(),
            children[:, 1].copy(),
            np.array(self.value, np.float64),
            np.array(self.cover, np.float64),
        )
