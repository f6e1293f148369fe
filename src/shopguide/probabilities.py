"""Measures of probabilities: do they rank, and are they what they say. Rows may count several times, or not at all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 10
LEAST = 1e-7  # probability that is told from 0, and from 1

F64 = NDArray[np.float64]
Rows = NDArray[np.bool_]


class Bin(NamedTuple):
    """Rows of about the same probability: how many, its mean, and the share that came true."""

    rows: int
    said: float
    true: float


def auc(said: NDArray[Any], true: Rows, weight: F64 | None = None) -> float:
    """The chance that a row which came true has the larger number than one which did not, equal ones half (Hanley,
    McNeil, 1982); 0.5 where there is only one kind."""
    weight = np.ones(len(said)) if weight is None else weight
    _, place = np.unique(said, return_inverse=True)
    yes, no = np.bincount(place, weight * true), np.bincount(place, weight * ~true)
    pairs = yes.sum() * no.sum()
    return float((yes * (np.cumsum(no) - no / 2)).sum() / pairs) if pairs else 0.5


def losses(said: NDArray[Any], true: Rows) -> F64:
    """-log of the probability of what happened, in nats, row by row."""
    happened = np.where(true, said, 1 - said.astype(np.float64))
    return np.asarray(-np.log(happened.clip(LEAST, 1)))


def reliability(said: NDArray[Any], true: Rows) -> list[Bin]:
    """At most BINS bins of about as many rows each, by probability, the least first; equal ones stay together."""
    edges = np.unique(np.quantile(said, np.arange(1, BINS) / BINS))
    place = np.searchsorted(edges, said, side="right")
    parts = [place == number for number in range(len(edges) + 1)]
    return [Bin(int(p.sum()), float(said[p].mean()), float(true[p].mean())) for p in parts if p.any()]


def calibration_error(said: NDArray[Any], true: Rows) -> float:
    """How far the bins are from what they say, the mean over rows (Naeini, Cooper, Hauskrecht, "Obtaining well
    calibrated probabilities using Bayesian binning", 2015, with bins of equal counts)."""
    return sum(b.rows * abs(b.said - b.true) for b in reliability(said, true)) / len(said)
