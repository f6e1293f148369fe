"""Two histories of a user, in order: merged, compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def merged(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.int64]:
    """The order of two sequences end to end that merges them by time, each staying in its own order; of two at one
    time the first's comes before."""
    reach = np.concatenate([np.maximum.accumulate(first), np.maximum.accumulate(second)])
    return np.argsort(reach, kind="stable")


def common(before: dict[str, NDArray[Any]], after: dict[str, NDArray[Any]]) -> int:
    """How many events two histories begin with alike."""
    n = min(len(before["item"]), len(after["item"]))
    differs = np.zeros(n, bool)
    for name in ("item", "time", "kind", "session", "context"):
        differs |= before[name][:n] != after[name][:n]
    return int(differs.argmax()) if differs.any() else n
