"""The network over titles, trained with Keras: items that are chosen one after the other have vectors that are near.

Convolutions over an item's terms, of each kernel the largest over all places (Kim, "Convolutional neural networks for
sentence classification", EMNLP 2014), and the sum of the terms beside them, make a vector of length 1. It learns from
pairs alone: in a batch each item has to tell its own partner from those of others by the product of the vectors (van
den Oord, Li, Vinyals, "Representation learning with contrastive predictive coding", 2018), less the logarithm of how
often a partner is drawn (Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations",
RecSys 2019), so that what is common is not near to everything. All that it knows of an item is what describes it: one
that nobody has chosen yet has its place among the others. Items that are held out whole say when to stop.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from shopguide.networks.checkpoint import Checkpoint
from shopguide.networks.graph import title
from shopguide.networks.pairs import I32, Pairs
from shopguide.networks.tokens import BUCKETS
from shopguide.networks.training import F32, SEED, Fitted, K, Told, keras, learned

TITLE = "title"  # the model's name
EMBEDDED = 32  # numbers of a piece
WIDTHS, KERNELS = (1, 2, 3), 48  # terms that a kernel sees, and kernels of each width
WIDTH = 64  # of an item's vector
DROPOUT = 0.1
SCALE = 12.0  # of products, in the softmax
BATCH, PAIRS = 512, 32_768  # of an epoch, at most
RATE = 0.006  # of the first steps; falls to 0 with the cosine of how far training is
EPOCHS = 10


def fit(
    pairs: Pairs, told: Told, judged: I32 | None = None, epochs: int = EPOCHS, checkpoints: Path | None = None
) -> Fitted:
    """``judged`` int32[2, m]: pairs of a known and a held-out item that say when to stop, and which epoch was the
    best: HR and MRR at K of the second among all items near the first; without them all of ``epochs`` are.
    ``checkpoints``: a folder in which an interrupted training is found again. Equal data give equal weights on one
    machine. Raises SettingError where Keras is not installed."""
    framework = keras()
    framework.utils.set_random_seed(SEED)
    model = _model(framework, pairs)
    batches = pairs.drawn(0, PAIRS, BATCH).shape[1] // BATCH
    schedule = framework.optimizers.schedules.CosineDecay(RATE, EPOCHS * batches)
    loss = framework.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(framework.optimizers.Adam(schedule), loss)
    model.optimizer.build(model.trainable_variables)
    return learned(
        model,
        TITLE,
        lambda epoch: _dataset(framework, pairs, epoch),
        None if judged is None else lambda: measured(model.all_vectors(pairs), judged),
        epochs,
        told,
        Checkpoint(checkpoints and checkpoints / f".{TITLE}-{_hash(pairs, judged, epochs)}.npz"),
    )


def export(weights: dict[str, F32]) -> dict[str, bytes]:
    """The network's file: its graph."""
    kernels, biases = ([weights[f"conv{width}/{name}"] for width in WIDTHS] for name in ("kernel", "bias"))
    largest, together = weights["largest/kernel"], weights["together/kernel"]
    return {f"{TITLE}.onnx": title(weights["embedding/embeddings"], kernels, biases, largest, together)}


def measured(vectors: F32, judged: I32) -> tuple[float, float]:
    """HR and MRR at K of the second item of each pair, among all items near the first."""
    ranks = []
    for first, second in np.array_split(judged, max(judged.shape[1] // BATCH, 1), axis=1):
        near, each = vectors[first] @ vectors.T, np.arange(len(first))
        near[each, first] = -np.inf
        ranks.append(1 + (near > near[each, second][:, np.newaxis]).sum(axis=1))
    rank = np.concatenate(ranks)
    return float((rank <= K).mean()), float(np.where(rank <= K, 1 / rank, 0).mean())


def _hash(pairs: Pairs, judged: I32 | None, epochs: int) -> str:
    """What a training is of."""
    columns: list[NDArray[Any]] = [pairs.items, pairs.pieces[pairs.terms], pairs.sides]
    columns += [] if judged is None else [judged]
    return xxhash.xxh3_64_hexdigest(b"".join(column.tobytes() for column in columns) + bytes([epochs]))


def _model(framework: ModuleType, pairs: Pairs) -> Any:
    """(pieces int32[u, PIECES], terms int32[2b, LENGTH], items int32[2b]) → scores float32[2b, b]: of each pair's first
    item the second ones, then of each second the first ones."""
    layers, ops = framework.layers, framework.ops
    often = np.bincount(pairs.sides.ravel(), minlength=len(pairs.items)) + 1.0
    rarity = -np.log(often / often.sum()).astype(np.float32)

    class Network(framework.Model):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__(name="titles")
            near_zero = framework.initializers.RandomNormal(stddev=0.05)
            self.embedding = layers.Embedding(BUCKETS + 1, EMBEDDED, embeddings_initializer=near_zero, name="embedding")
            convolution = {"padding": "same", "activation": "relu"}
            self.convolutions = [layers.Conv1D(KERNELS, w, name=f"conv{w}", **convolution) for w in WIDTHS]
            self.dropout = layers.Dropout(DROPOUT)
            self.largest, self.together = (
                layers.Dense(WIDTH, use_bias=False, name=name) for name in ("largest", "together")
            )

        def vectors(self, pieces: Any, terms: Any, training: bool) -> Any:
            there = ops.cast(pieces > 0, "float32")
            words = ops.sum(self.embedding(pieces) * there[:, :, np.newaxis], axis=1)
            words = ops.take(words, terms, axis=0)
            largest = ops.concatenate([ops.max(layer(words), axis=1) for layer in self.convolutions], axis=1)
            vector = self.largest(self.dropout(largest, training=training)) + self.together(ops.sum(words, axis=1))
            return vector * ops.rsqrt(ops.sum(vector * vector, axis=1, keepdims=True) + 1e-12)

        def call(self, inputs: Any, training: bool = False) -> Any:
            pieces, terms, items = inputs
            sides = ops.split(self.vectors(pieces, terms, training), 2)
            rows = ops.split(items, 2)
            return ops.concatenate([self.scores(*sides, *rows), self.scores(*sides[::-1], *rows[::-1])])

        def scores(self, vectors: Any, others: Any, own: Any, partners: Any) -> Any:
            """What is one of the pair, in another's place, is not among those it is told from."""
            found = SCALE * ops.matmul(vectors, ops.transpose(others)) + ops.take(rarity, partners)
            equal = ops.logical_or(own[:, np.newaxis] == partners, partners[:, np.newaxis] == partners)
            right = ops.eye(BATCH, dtype="bool")
            return ops.where(ops.logical_and(equal, ops.logical_not(right)), -1e9, found)

        def all_vectors(self, pairs: Pairs) -> F32:
            parts = np.array_split(np.arange(len(pairs.items), dtype=np.int32), -(-len(pairs.items) // BATCH))
            found = [self.vectors(*pairs.read(part), False) for part in parts]
            return np.concatenate([np.asarray(ops.convert_to_numpy(part)) for part in found])

    model = Network()
    model(_inputs(pairs, pairs.drawn(0, BATCH, BATCH)))
    return model


def _inputs(pairs: Pairs, sides: I32) -> tuple[I32, I32, I32]:
    items = sides.ravel()
    return (*pairs.read(items), items)


def _dataset(framework: ModuleType, pairs: Pairs, epoch: int) -> Any:
    """An epoch's batches."""
    sides = pairs.drawn(epoch, PAIRS, BATCH)
    right = np.tile(np.arange(BATCH, dtype=np.int32), 2)

    class Batches(framework.utils.PyDataset):  # type: ignore[name-defined]
        def __len__(self) -> int:
            return int(sides.shape[1]) // BATCH

        def __getitem__(self, at: int) -> Any:
            return _inputs(pairs, sides[:, at * BATCH : (at + 1) * BATCH]), right

    return Batches()
