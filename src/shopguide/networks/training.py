"""Sequence networks, trained with Keras (extra ``train``) on any of its backends; on JAX where none is chosen.

From the state after each event of a visit the next item is told by a softmax over the catalogue, whose weights are the
embeddings themselves (Press, Wolf, "Using the output embedding to improve language models", 2017). Of a catalogue of
more than AMONG items each batch is asked for among its own items and others drawn evenly. Two bodies:

    rnn    a GRU (Hidasi, Karatzoglou, Baltrunas, Tikk, "Session-based recommendations with recurrent neural networks",
           2016), a dense tied layer in the place of theirs and no ranking loss
    cnn    dilated causal convolutions with residuals (Yuan et al., "A simple convolutional generative network for next
           item recommendation", 2019), a block each of DILATIONS
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from shopguide.errors import SettingError
from shopguide.networks.checkpoint import Checkpoint, Progress
from shopguide.networks.visits import I32, Visits

KINDS = ("rnn", "cnn")
WIDTH = 128  # of embeddings and states
DILATIONS, KERNEL = (1, 2, 4), 3  # what graph.convolution computes: do not change one alone
DROPOUT = 0.3
BATCH = 128  # visits
AMONG = 8192  # items that a step's next one is told from
RATE = 0.006  # of the first steps; falls to 0 with the cosine of how far training is
EPOCHS, PATIENCE = 12, 3
K = 20
SEED = 7

F32 = NDArray[np.float32]
Told = Callable[[str], object]


@dataclass(frozen=True)
class Fitted:
    """``weights``: of the layers, by name. ``said``: epochs, and HR and MRR at K on visits that were held out, newer
    than all that was learned; and the ``history`` of both, epoch by epoch."""

    weights: dict[str, F32]
    said: dict[str, Any] = field(default_factory=dict)


def keras() -> ModuleType:
    """Keras, on the backend that KERAS_BACKEND names. Raises SettingError where it is not installed, or what graphs are
    written with."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        import keras as found  # noqa: PLC0415  an extra
        import onnx  # noqa: F401, PLC0415
    except ImportError:
        raise SettingError("networks are trained with Keras: pip install 'shopguide[train]'") from None
    return found  # type: ignore[no-any-return]


def fit(
    kind: str,
    visits: Visits,
    told: Told,
    newest: Visits | None = None,
    epochs: int = EPOCHS,
    checkpoints: Path | None = None,
) -> Fitted:
    """A network of one of KINDS. ``newest``: visits of the same vocabulary that say when to stop, and which epoch was
    the best; without them all of ``epochs`` are. ``checkpoints``: a folder in which an interrupted training is found
    again. Equal data give equal weights on one machine."""
    told(f"{kind}: {len(visits):,} visits")
    framework = keras()
    framework.utils.set_random_seed(SEED)
    model = _model(framework, kind, len(visits.items))
    batches = len(list(visits.batches(BATCH, np.arange(len(visits)))))
    schedule = framework.optimizers.schedules.CosineDecay(RATE, EPOCHS * batches)
    model.compile(framework.optimizers.Adam(schedule), loss=_loss_of(framework))
    model.optimizer.build(model.trainable_variables)
    return learned(
        model,
        kind,
        lambda epoch: _dataset(framework, visits, epoch),
        (lambda: _measured(model, newest)) if newest else None,
        epochs,
        told,
        Checkpoint(checkpoints and checkpoints / f".{kind}-{_hash(visits, newest, epochs)}.npz"),
    )


def learned(
    model: Any,
    kind: str,
    data: Callable[[int], Any],
    measured: Callable[[], tuple[float, float]] | None,
    epochs: int,
    told: Told,
    checkpoint: Checkpoint,
) -> Fitted:
    """A compiled model after its best epoch. ``data`` are an epoch's batches; ``measured``: HR and MRR at K now, which
    say which epoch is the best, and when to stop; None: all of ``epochs`` are."""
    progress = checkpoint.load(model) or Progress(0, 0, {"epochs": epochs}, model.get_weights())
    while progress.epoch < epochs and progress.since < PATIENCE:
        epoch = progress.epoch + 1
        model.fit(data(progress.epoch), epochs=epoch, initial_epoch=progress.epoch, shuffle=False, verbose=0)
        progress = _after(progress, model, measured)
        checkpoint.save(model, progress)
        said = f", HR@{K} {progress.said['hr']:.3f}" if measured else ""
        told(f"{kind}: epoch {epoch} of {epochs}{said}")
    model.set_weights(progress.best)
    checkpoint.drop()
    to_numpy = keras().ops.convert_to_numpy
    weights = {w.path.rpartition(f"{model.name}/")[2]: np.asarray(to_numpy(w)) for w in model.weights}
    return Fitted(weights, progress.said)


def _after(so_far: Progress, model: Any, measured: Callable[[], tuple[float, float]] | None) -> Progress:
    """One more epoch."""
    epoch = so_far.epoch + 1
    if measured is None:
        return Progress(epoch, 0, {"epochs": epoch}, model.get_weights())
    hr, mrr = measured()
    history = [*so_far.said.get("history", ()), (hr, mrr)]
    if hr + mrr > so_far.said.get("hr", 0) + so_far.said.get("mrr", 0):
        said = {"epochs": epoch, "hr": hr, "mrr": mrr, "k": K, "history": history}
        return Progress(epoch, 0, said, model.get_weights())
    return Progress(epoch, so_far.since + 1, {**so_far.said, "history": history}, so_far.best)


def _hash(visits: Visits, newest: Visits | None, epochs: int) -> str:
    """What a training is of."""
    columns: list[NDArray[Any]] = [visits.items, visits.ids, visits.starts]
    columns += [newest.ids, newest.starts] if newest else []
    return xxhash.xxh3_64_hexdigest(b"".join(column.tobytes() for column in columns) + bytes([epochs]))


def _body(framework: ModuleType, kind: str) -> list[Any]:
    """What turns embeddings, float32[b, L, WIDTH], into states of the same shape, each of what came before it."""
    layers = framework.layers
    if kind == "rnn":
        return [layers.GRU(WIDTH, return_sequences=True, name="gru")]
    convolution = {"padding": "causal", "activation": "relu"}
    return [layers.Conv1D(WIDTH, KERNEL, dilation_rate=d, name=f"conv{d}", **convolution) for d in DILATIONS]


def _model(framework: ModuleType, kind: str, items: int) -> Any:
    """(seen int32[b, L], among int32[c]) → scores float32[b, L, c]."""
    layers, ops = framework.layers, framework.ops

    class Network(framework.Model):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__(name="network")
            near_zero = framework.initializers.RandomNormal(stddev=0.05)
            self.embedding = layers.Embedding(items + 1, WIDTH, embeddings_initializer=near_zero, name="embedding")
            self.bias = layers.Embedding(items + 1, 1, embeddings_initializer="zeros", name="bias")
            self.body = _body(framework, kind)
            self.before, self.behind = layers.Dropout(DROPOUT), layers.Dropout(DROPOUT)

        def call(self, inputs: Any, training: bool = False) -> Any:
            seen, among = inputs
            state = self.before(self.embedding(seen), training=training)
            for layer in self.body:
                state = layer(state) if kind == "rnn" else state + layer(state)
            state = self.behind(state, training=training)
            return ops.matmul(state, ops.transpose(self.embedding(among))) + self.bias(among)[:, 0]

    model = Network()
    model((np.zeros((1, 1), np.int32), np.zeros(1, np.int32)))
    return model


def _loss_of(framework: ModuleType) -> Callable[[Any, Any], Any]:
    """Cross-entropy, in the mean over the steps that there are; the next item's place, -1 for no step."""
    ops = framework.ops

    def loss(place: Any, scores: Any) -> Any:
        live = ops.cast(place >= 0, "float32")
        place = ops.maximum(place, 0)
        each = framework.losses.sparse_categorical_crossentropy(place, scores, from_logits=True)
        return ops.sum(each * live) / ops.sum(live)

    return loss


def _dataset(framework: ModuleType, visits: Visits, epoch: int) -> Any:
    """An epoch's batches, in an order of its own, which is the same whenever it is asked for."""
    chance = np.random.default_rng((SEED, epoch))
    batches = list(visits.batches(BATCH, chance.permutation(len(visits))))
    order = chance.permutation(len(batches))

    class Batches(framework.utils.PyDataset):  # type: ignore[name-defined]
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, at: int) -> Any:
            seen, following = batches[order[at]]
            among = _among(following, len(visits.items), np.random.default_rng((SEED, epoch, at)))
            place = np.searchsorted(among, following).astype(np.int32)
            return (seen, among), np.where(following > 0, place, -1)

    return Batches()


def _among(following: I32, items: int, chance: np.random.Generator) -> I32:
    """The ids that a batch is asked for among, ascending: all, or AMONG of them with those that are right."""
    if items <= AMONG:
        return np.arange(items + 1, dtype=np.int32)
    right = np.unique(following)
    others = np.setdiff1d(chance.choice(items, min(2 * AMONG, items), replace=False).astype(np.int32) + 1, right)
    return np.sort(np.concatenate((right, others[chance.permutation(len(others))[: AMONG - len(right)]])))


def _measured(model: Any, visits: Visits) -> tuple[float, float]:
    """HR and MRR at K of all steps of the visits."""
    everything = np.arange(len(visits.items) + 1, dtype=np.int32)
    ranks = np.concatenate(list(_ranks(model, visits, everything)))
    return float((ranks <= K).mean()), float(np.where(ranks <= K, 1 / ranks, 0).mean())


def _ranks(model: Any, visits: Visits, everything: I32) -> Iterator[NDArray[np.float64]]:
    for seen, following in visits.batches(BATCH, np.arange(len(visits))):
        scores = np.asarray(model.predict_on_batch((seen, everything)))[:, :, 1:]
        live = following > 0
        right = np.take_along_axis(scores, np.maximum(following - 1, 0)[:, :, np.newaxis], 2)
        yield 1 + (scores > right).sum(2)[live].astype(np.float64)
