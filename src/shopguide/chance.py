"""Chance that a replay repeats: every number is a hash of what it is for.

A look's ``seed`` is a hash of its user and time, which are what the row that caused it says: whoever answers, on
whatever replica and from a log of however many partitions, draws the same.
"""

from __future__ import annotations

import struct

import numpy as np
import xxhash
from numpy.typing import NDArray

from shopguide.records import F64, U64

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def seed_of(user: int, time: float) -> int:
    """The seed of a look: 64 bits, of a user's key and epoch seconds."""
    return xxhash.xxh3_64_intdigest(struct.pack("<Qd", user, time), seed=5)


def number(seed: int, which: int) -> float:
    """In 0..1 (exclusive of 1), the ``which``-th of a seed."""
    return (xxhash.xxh3_64_intdigest(struct.pack("<QQ", seed, which), seed=6) >> 11) / 2.0**53


def betas(seed: int, keys: U64, hits: NDArray[np.uint32], misses: NDArray[np.uint32]) -> F64:
    """A draw from Beta(hits + 1, misses) for each key, float64[n]; misses are at least 1. What a key draws depends on
    its own counts alone, not on which others there are.

    The k-th smallest of m numbers in 0..1 has the distribution Beta(k, m - k + 1), with k = hits + 1 and m = hits +
    misses; and it is 1 less the product of U_j ^ (1 / (m - j)) over j < k (Rényi, "On the theory of order statistics",
    1953). Cost: O(n * the most hits).
    """
    at = np.arange(int(hits.max(initial=0)) + 1)
    left = (hits + misses)[:, np.newaxis].astype(np.int64) - at
    powers = np.where(at <= hits[:, np.newaxis], 1 / np.maximum(left, 1), 0.0)
    mixed = _mixed(_mixed(keys ^ np.uint64(seed))[:, np.newaxis] + at.astype(np.uint64) * _GOLDEN)
    numbers = ((mixed >> np.uint64(11)) + 0.5) / 2.0**53
    drawn: F64 = -np.expm1((np.log(numbers) * powers).cumsum(axis=1)[:, -1])
    return drawn


def _mixed(key: U64) -> U64:
    """splitmix64's finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014)."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))
