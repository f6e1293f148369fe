"""ONNX graphs, written by hand: the few nodes that serving needs. Needs the package onnx (extra ``train``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.networks.tokens import LENGTH, PIECES

OPSET, IR = 17, 8  # old enough for any ONNX Runtime of the last years

F32 = NDArray[np.float32]
Shapes = Mapping[str, tuple[Any, Sequence[int | str]]]  # of an input or output: numpy type, and shape


class Graph:
    """Nodes in order, and what they are computed from. A name is a value."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper  # noqa: PLC0415  an extra

        self._helper, self._numpy = helper, numpy_helper
        self._nodes: list[Any] = []
        self._given: list[Any] = []

    def given(self, name: str, array: NDArray[Any]) -> str:
        """A constant."""
        self._given.append(self._numpy.from_array(np.asarray(array, order="C"), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], outputs: str | Sequence[str], **attributes: Any) -> str:
        """One operation; its first output that has a name."""
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        self._nodes.append(self._helper.make_node(operator, list(inputs), names, **attributes))
        return next(filter(None, names))

    def bytes(self, inputs: Shapes, outputs: Shapes) -> bytes:
        """The model, checked. ValueError: it is none."""
        from onnx import checker  # noqa: PLC0415

        def values(shapes: Shapes) -> list[Any]:
            element = self._helper.np_dtype_to_tensor_dtype
            return [
                self._helper.make_tensor_value_info(name, element(np.dtype(of)), list(shape))
                for name, (of, shape) in shapes.items()
            ]

        graph = self._helper.make_graph(self._nodes, "shopguide", values(inputs), values(outputs), self._given)
        opset = [self._helper.make_opsetid("", OPSET)]
        model = self._helper.make_model(graph, opset_imports=opset, ir_version=IR, producer_name="shopguide")
        checker.check_model(model)
        return bytes(model.SerializeToString())


def gru_step(embedding: F32, kernel: F32, recurrent: F32, bias: F32) -> bytes:
    """One step of a GRU over items: item int64[b], state float32[b, H] → next float32[b, H].

    ``embedding`` float32[N + 1, E], row 0 no item; ``kernel`` [E, 3H], ``recurrent`` [H, 3H] and ``bias`` [2, 3H] as
    Keras has them with ``reset_after``, gates in the order z, r, h, which is ONNX's with ``linear_before_reset``.
    """
    hidden = recurrent.shape[0]
    graph = Graph()
    graph.given("embedding", embedding)
    graph.given("first", np.array([0], np.int64))
    graph.given("kernel", kernel.T[np.newaxis])
    graph.given("recurrent", recurrent.T[np.newaxis])
    graph.given("bias", bias.reshape(1, -1))
    graph.node("Gather", ["embedding", "item"], "embedded")
    graph.node("Unsqueeze", ["embedded", "first"], "sequence")
    graph.node("Unsqueeze", ["state", "first"], "before")
    steps = ["sequence", "kernel", "recurrent", "bias", "", "before"]
    graph.node("GRU", steps, ["", "after"], hidden_size=hidden, linear_before_reset=1)
    graph.node("Squeeze", ["after", "first"], "next")
    state: tuple[Any, tuple[int | str, ...]] = (np.float32, ("b", hidden))
    return graph.bytes({"item": (np.int64, ("b",)), "state": state}, {"next": state})


def convolution(embedding: F32, kernels: Sequence[F32], biases: Sequence[F32]) -> bytes:
    """Residual causal convolutions over items, each dilated twice as far as the one before: items int64[b, L], zeros
    before the first → state float32[b, H] of the newest; L = 2^(layers + 1) - 1.

    ``kernels`` [3, H, H] as Keras has them, ``biases`` [H]. What is before the first item is zero after every layer. Of
    each layer only what the newest state depends on is worked out: every second position of the layer below, so that
    what is dilated there is a plain convolution of stride 2 here.
    """
    graph = Graph()
    graph.given("embedding", embedding)
    graph.given("zero", np.array(0, np.int64))
    for name, value in (("second", 2), ("end", np.iinfo(np.int64).max), ("places", 2), ("step", 2), ("channel", 1)):
        graph.given(name, np.array([value], np.int64))
    graph.node("Greater", ["items", "zero"], "there")
    graph.node("Cast", ["there"], "counts", to=1)
    live = graph.node("Unsqueeze", ["counts", "channel"], "live")
    graph.node("Gather", ["embedding", "items"], "embedded")
    graph.node("Transpose", ["embedded"], "channels", perm=[0, 2, 1])
    state = graph.node("Mul", ["channels", "live"], "state")
    for at, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        weights = [graph.given(f"kernel{at}", kernel.transpose(2, 1, 0)), graph.given(f"bias{at}", bias)]
        graph.node("Conv", [state, *weights], f"conv{at}", strides=[2])
        graph.node("Relu", [f"conv{at}"], f"relu{at}")
        below = graph.node("Slice", [state, "second", "end", "places", "step"], f"below{at}")
        live = graph.node("Slice", [live, "second", "end", "places", "step"], f"live{at}")
        graph.node("Add", [below, f"relu{at}"], f"added{at}")
        state = graph.node("Mul", [f"added{at}", live], f"state{at}")
    graph.node("Squeeze", [state, "places"], "next")
    length = 2 ** (len(kernels) + 1) - 1
    return graph.bytes({"items": (np.int64, ("b", length))}, {"next": (np.float32, ("b", embedding.shape[1]))})


def title(embedding: F32, kernels: Sequence[F32], biases: Sequence[F32], largest: F32, together: F32) -> bytes:
    """An item's vector from its terms: tokens int64[b, LENGTH, PIECES], 0 none → vector float32[b, H] of length 1.

    ``embedding`` float32[N + 1, E], its row 0 not looked at: a term is the sum of its pieces. Of kernels [width, E, F]
    with biases [F], as Keras has them with padding ``same`` (here one convolution: a narrow kernel is a wide
    one with zeros around it), the largest over all terms through ``largest``
    [kernels * F, H], and the sum of the terms through ``together`` [E, H], are added up.
    """
    graph = Graph()
    graph.given("embedding", np.concatenate((np.zeros_like(embedding[:1]), embedding[1:])))
    for name, axis in (("pieces", 2), ("words", 1)):
        graph.given(name, np.array([axis], np.int64))
    graph.node("Gather", ["embedding", "tokens"], "embedded")
    graph.node("ReduceSum", ["embedded", "pieces"], "terms", keepdims=0)
    graph.node("Transpose", ["terms"], "channels", perm=[0, 2, 1])
    widest = max(map(len, kernels)) - 1
    before = [widest // 2 - (len(kernel) - 1) // 2 for kernel in kernels]
    wide = [
        np.pad(kernel, ((first, widest + 1 - first - len(kernel)), (0, 0), (0, 0)))
        for kernel, first in zip(kernels, before, strict=True)
    ]
    weights = [graph.given("kernels", np.concatenate(wide, axis=2).transpose(2, 1, 0))]
    weights.append(graph.given("biases", np.concatenate(biases)))
    graph.node("Conv", ["channels", *weights], "seen", pads=[widest // 2, widest - widest // 2])
    graph.node("ReduceMax", ["seen"], "maxima", axes=[2], keepdims=0)
    graph.node("Relu", ["maxima"], "positive")
    graph.node("MatMul", ["positive", graph.given("largest", largest)], "of largest")
    graph.node("ReduceSum", ["terms", "words"], "sum", keepdims=0)
    graph.node("MatMul", ["sum", graph.given("together", together)], "of all")
    graph.node("Add", ["of largest", "of all"], "long")
    graph.node("ReduceL2", ["long"], "length", axes=[1], keepdims=1)
    graph.node("Max", ["length", graph.given("least", np.array([1e-6], np.float32))], "divisor")
    graph.node("Div", ["long", "divisor"], "vector")
    tokens = (np.int64, ("b", LENGTH, PIECES))
    return graph.bytes({"tokens": tokens}, {"vector": (np.float32, ("b", largest.shape[1]))})
