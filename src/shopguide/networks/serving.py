"""Networks as the line asks them: ONNX Runtime on one thread, and the items that they know.

A sequence network turns a visit into a state, float32[H]; an item's score is the product of the two plus its bias. So
the graph says how a visit becomes a state, and what the last layer has of each item lies beside it as columns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shopguide.errors import SettingError, StateError
from shopguide.intent import FEATURES
from shopguide.networks.tokens import LENGTH, PIECES, tokens
from shopguide.records import U64

LEFT_OUT = 3  # newest items of a visit, each left out once to see what it mattered
REMEMBERED = 10_000  # visits whose states are kept
TOGETHER = 64  # items that are read in one call: more would not stay in the cache

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


def session_of(graph: bytes | Path) -> Any:
    """ONNX Runtime's session on a graph. Raises SettingError where it is not installed, StateError where it refuses
    the graph."""
    try:
        import onnxruntime  # noqa: PLC0415  an extra
    except ImportError:
        raise SettingError("networks are served by ONNX Runtime: pip install 'shopguide[networks]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        given = graph if isinstance(graph, bytes) else str(graph)
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception as e:  # of many kinds, none of them documented
        raise StateError(f"{'the graph' if isinstance(graph, bytes) else graph}: no network: {e}") from None


class Layer:
    """The last layer: ``keys`` of N items, ascending; ``weights`` float32[N, H], ``bias`` float32[N]. Raises ValueError
    where these do not fit."""

    def __init__(self, keys: U64, weights: F32, bias: F32) -> None:
        if len(bias) != len(keys) or weights.ndim != 2 or len(weights) != len(keys):
            raise ValueError(f"{len(keys)} items, weights of shape {weights.shape}, {len(bias)} biases")
        self.keys, self.weights, self.bias = keys, weights, bias

    def rows(self, items: U64) -> I64:
        """The row of each item, -1 for one that is not known."""
        at = np.searchsorted(self.keys, items)
        at[at == len(self.keys)] = 0
        return np.where(self.keys[at] == items, at, -1) if len(self.keys) else np.full(len(items), -1)

    def scores(self, states: F32, rows: I64) -> F32:
        """float32[states, rows]."""
        return states @ self.weights[rows].T + self.bias[rows]

    def best(self, state: F32, n: int) -> I64:
        """The rows with the n largest scores for one state, in no order."""
        scores = self.weights @ state + self.bias
        return np.argpartition(scores, -n)[-n:] if n < len(scores) else np.arange(len(scores))


class Sequential(Protocol):
    """A sequence network. ``ids`` int64[n]: rows of the layer + 1, the newest last, at least one."""

    layer: Layer

    def states(self, unit: int, ids: I64) -> F32:
        """float32[1 + m, H]: after the visit, then as if its newest item had not been, as if the one before it had
        not, ...: m of them, none where there is only one."""

    def forget(self, units: Iterable[int]) -> None:
        """Nothing of these visits is remembered."""


class Recurrent:
    """A GRU, a step an event. What visits have become is remembered by their unit: a cache, which holds nothing that
    the visit does not say again. The graph: item int64[b], state float32[b, H] → next float32[b, H]."""

    def __init__(self, graph: bytes | Path, layer: Layer) -> None:
        self.layer = layer
        self._session = session_of(graph)
        self._nothing = np.zeros((1, layer.weights.shape[1]), np.float32)
        self._seen: OrderedDict[int, tuple[bytes, F32]] = OrderedDict()

    def step(self, ids: I64, states: F32) -> F32:
        """Each of the states, float32[b, H], after one item more."""
        return self._session.run(None, {"item": ids, "state": states})[0]  # type: ignore[no-any-return]

    def states(self, unit: int, ids: I64) -> F32:
        trail = self._trail(unit, ids)
        before = [trail[-1:]]  # the newest item, of which each of these is a step behind
        if len(ids) > 1:
            before.append(trail[-2:-1])
        if len(ids) > 2:
            before.append(self.step(ids[-2:-1], trail[-3:-2]))
        after = self.step(ids[-1:].repeat(len(before)), np.concatenate(before))
        self._remember(unit, ids, np.concatenate((trail[-LEFT_OUT:], after[:1])))
        return np.concatenate((after[:1], trail[-1:], after[1:])) if len(ids) > 1 else after

    def forget(self, units: Iterable[int]) -> None:
        for unit in units:
            self._seen.pop(unit, None)

    def _trail(self, unit: int, ids: I64) -> F32:
        """What the visit was after each of its items but the newest, of the last ones; before any it is zero."""
        seen, trail = self._seen.get(unit, (b"", self._nothing))
        if not ids.tobytes().startswith(seen):
            seen, trail = b"", self._nothing
        done = len(seen) // ids.itemsize
        if done == len(ids):
            return trail[:-1]
        for at in range(done, len(ids) - 1):
            trail = np.concatenate((trail, self.step(ids[at : at + 1], trail[-1:])))
        return trail

    def _remember(self, unit: int, ids: I64, trail: F32) -> None:
        self._seen[unit] = ids.tobytes(), trail
        self._seen.move_to_end(unit)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


class Convolutional:
    """A convolution over the newest items; the graph: items int64[b, L], 0 before the first, → next float32[b, H]."""

    def __init__(self, graph: bytes | Path, layer: Layer) -> None:
        self.layer = layer
        self._session = session_of(graph)
        self._length = int(self._session.get_inputs()[0].shape[1])

    def states(self, unit: int, ids: I64) -> F32:
        without = range(len(ids) - 1, max(len(ids) - 1 - LEFT_OUT, -1), -1) if len(ids) > 1 else ()
        visits = [ids, *(np.delete(ids, at) for at in without)]
        return self._session.run(None, {"items": np.stack([self._padded(visit) for visit in visits])})[0]  # type: ignore[no-any-return]

    def forget(self, units: Iterable[int]) -> None:
        pass

    def _padded(self, ids: I64) -> I64:
        ids = ids[-self._length :]
        return np.concatenate((np.zeros(self._length - len(ids), np.int64), ids))


class Intent:
    """How probably visits buy, by a belief network: features float32[n, F] → float32[n]. Raises StateError for a graph
    of other features than there are."""

    def __init__(self, graph: bytes | Path) -> None:
        self._session = session_of(graph)
        (given,) = self._session.get_inputs()
        if given.shape[1] != len(FEATURES):
            raise StateError(f"the network of intent sees {given.shape[1]} features, and there are {len(FEATURES)}")
        self._name = given.name

    def of(self, rows: F32) -> F32:
        return self._session.run(None, {self._name: rows})[0]  # type: ignore[no-any-return]


class Titles:
    """What items are called as vectors; the graph: tokens int64[b, LENGTH, PIECES] → float32[b, H], of length 1.
    Raises StateError for a graph that reads others. An item takes some 90 us, in a batch not much less."""

    def __init__(self, graph: bytes | Path) -> None:
        self._session = session_of(graph)
        (given,), (vector,) = self._session.get_inputs(), self._session.get_outputs()
        if given.shape[1:] != [LENGTH, PIECES]:
            raise StateError(f"the network over titles reads {given.shape[1:]} of an item, not {[LENGTH, PIECES]}")
        self._name, self.width = given.name, int(vector.shape[1])

    def vectors(self, described: Sequence[Sequence[str]]) -> F32:
        """float32[n, width] of items by their terms."""
        parts = [described[at : at + TOGETHER] for at in range(0, len(described), TOGETHER)]
        found = [self._session.run(None, {self._name: tokens(part)})[0] for part in parts]
        return np.concatenate([np.zeros((0, self.width), np.float32), *found])


Served = Sequential | Titles
SEQUENTIAL: dict[str, Callable[[bytes | Path, Layer], Sequential]] = {"rnn": Recurrent, "cnn": Convolutional}
