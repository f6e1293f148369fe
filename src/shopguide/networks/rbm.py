"""A restricted Boltzmann machine with binary units, trained by contrastive divergence.

E(v, h) = -v'Wh - b'v - c'h; visible units may be probabilities. CD-1 with mini-batches and momentum: Hinton, "Training
products of experts by minimizing contrastive divergence", 2002; what is sampled and what is not, and how large the
first weights are: Hinton, "A practical guide to training restricted Boltzmann machines", 2010, sections 3 and 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BATCH = 64
RATE = 0.05
MOMENTUM = 0.9
DECAY = 1e-4  # of weights, a step
FIRST = 0.01  # standard deviation of the first weights

F64 = NDArray[np.float64]
Told = Callable[[int, "RBM"], object]  # after each epoch, from 1


@dataclass(frozen=True)
class RBM:
    """``weights`` float64[visible, hidden] and the biases of both layers."""

    weights: F64
    visible: F64
    hidden: F64

    @classmethod
    def blank(cls, rows: F64, hidden: int, random: np.random.Generator) -> RBM:
        """Small weights; visible units as often on as in ``rows`` (section 8 of the guide)."""
        share = rows.mean(0).clip(1 / (len(rows) + 1), 1 - 1 / (len(rows) + 1))
        return cls(random.normal(0, FIRST, (rows.shape[1], hidden)), np.log(share / (1 - share)), np.zeros(hidden))

    def up(self, v: F64) -> F64:
        """P(h = 1 | v), row by row."""
        return sigmoid(v @ self.weights + self.hidden)

    def down(self, h: F64) -> F64:
        """P(v = 1 | h), row by row."""
        return sigmoid(h @ self.weights.T + self.visible)

    def free_energy(self, v: F64) -> F64:
        """-log of the sum over h of exp(-E(v, h)), row by row."""
        return np.asarray(-(v @ self.visible) - np.logaddexp(0, v @ self.weights + self.hidden).sum(-1))

    def pseudo_likelihood(self, v: F64) -> float:
        """The mean over rows of the sum over i of log P(v_i | all other v), in nats (Besag, 1975); for a unit that is a
        probability, expected. All units are asked for; where one a row is drawn, the same is estimated."""
        drive = v @ self.weights + self.hidden
        total = 0.0
        for i, weights in enumerate(self.weights):
            off = drive - v[:, i : i + 1] * weights
            lead = self.visible[i] + (np.logaddexp(0, off + weights) - np.logaddexp(0, off)).sum(1)
            total -= float((v[:, i] * np.logaddexp(0, -lead) + (1 - v[:, i]) * np.logaddexp(0, lead)).mean())
        return total

    def gradient(self, rows: F64, fantasies: F64) -> RBM:
        """Of the mean log-likelihood of ``rows``, were ``fantasies`` drawn from the model: -dF/d(parameters) of those
        less that of these."""
        first, last = self.up(rows), self.up(fantasies)
        return RBM(
            rows.T @ first / len(rows) - fantasies.T @ last / len(fantasies),
            rows.mean(0) - fantasies.mean(0),
            first.mean(0) - last.mean(0),
        )

    def fantasies(self, rows: F64, random: np.random.Generator) -> F64:
        """One step of Gibbs sampling from each row: hidden units are drawn, visible ones stay probabilities."""
        up = self.up(rows)
        return self.down((random.random(up.shape) < up).astype(np.float64))


def fit(rows: F64, hidden: int, epochs: int, seed: int, told: Told = lambda epoch, rbm: None) -> RBM:
    """An RBM of ``rows`` float64[n, visible], in 0..1. The same seed gives the same machine."""
    random = np.random.default_rng(seed)
    rbm = RBM.blank(rows, hidden, random)
    pace = RBM(np.zeros_like(rbm.weights), np.zeros_like(rbm.visible), np.zeros_like(rbm.hidden))
    for epoch in range(1, epochs + 1):
        order = random.permutation(len(rows))
        for begin in range(0, len(rows), BATCH):
            batch = rows[order[begin : begin + BATCH]]
            step = rbm.gradient(batch, rbm.fantasies(batch, random))
            pace = RBM(
                MOMENTUM * pace.weights + RATE * (step.weights - DECAY * rbm.weights),
                MOMENTUM * pace.visible + RATE * step.visible,
                MOMENTUM * pace.hidden + RATE * step.hidden,
            )
            rbm = RBM(rbm.weights + pace.weights, rbm.visible + pace.visible, rbm.hidden + pace.hidden)
        told(epoch, rbm)
    return rbm


def sigmoid(x: F64) -> F64:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0, -x)))
