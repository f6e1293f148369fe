"""What tests share: how deep a machine's runs are, a stream without end, the least of trees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shopguide._core import Blend, Query
from shopguide.blend import SIGHT
from shopguide.recommenders.base import Context, Recommender
from shopguide.records import SIGNALS
from shopguide.settings import ScoreSettings

DEEP = settings(max_examples=160, stateful_step_count=300, deadline=None, suppress_health_check=list(HealthCheck))
SEED = st.integers(0, 65535)  # of all that a rule draws: 300 steps have to fit hypothesis' 8 KiB
MANY = 60  # events; a machine that has as many adds few at a time, so that its oracle keeps up

Columns = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float64]]


def endless() -> Iterator[Columns]:
    """Units, items, times: of each batch 100 s; its units are new, and every 20 batches all items are others."""
    random, n = np.random.default_rng(1), 5000
    for batch in range(60):
        times = batch * 100 + np.sort(random.uniform(0, 100, n))
        units = batch * n + np.sort(random.integers(0, n // 5, n))
        items = batch * 20 + random.integers(0, 400, n)
        yield units.astype(np.uint64), items.astype(np.uint64), times


def assert_flat(sizes: list[dict[str, int]]) -> None:
    """Bytes by part after each batch of endless(), of a model that keeps the events of the last ten."""
    mapped = [sum(parts.values()) for parts in sizes]
    used = [sum(parts.values()) - parts["pool_rest"] for parts in sizes]
    assert max(used[20:]) <= 1.1 * max(used[10:20])
    assert max(mapped[30:]) <= 1.1 * max(mapped[10:30])  # grows by arenas, so the last one may come late


def stump(seen: str = SIGHT[0]) -> dict[str, object]:
    """One tree: 3 where a column (the first share) is above a half, else -1."""
    return {
        "features": len(SIGHT), "roots": [0], "feature": [SIGHT.index(seen), -1, -1], "threshold": [0.5, 0.0, 0.0],
        "left": [1, -1, -1], "right": [2, -1, -1], "value": [0.0, -1.0, 3.0], "cover": [4.0, 3.0, 1.0],
    }  # fmt: skip


class Row(NamedTuple):
    """What a recommender put into a blend."""

    signal: str
    item: int
    because: int
    amount: float


def asked_for(recent: list[int], score: ScoreSettings) -> Query:
    """What score asks recommenders for, of a user's newest items."""
    newest = recent[: score.recent]
    return Query(newest, [score.decay**x for x in range(len(newest))])


def rows_of(recommender: Recommender, context: Context, limit: int) -> list[Row]:
    """In the order that they came."""
    blend = Blend(len(SIGNALS))
    recommender.score(context, limit, blend)
    signals, *columns = (column.tolist() for column in blend.rows())
    return [Row(SIGNALS[signal], *row) for signal, *row in zip(signals, *columns, strict=True)]
