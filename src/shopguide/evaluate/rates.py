"""Click-through and conversion rates of what was shown, where impressions, clicks and purchases were logged."""

from __future__ import annotations

from typing import Any

import numpy as np

from shopguide.evaluate.data import Dataset
from shopguide.evaluate.metrics import DRAWS, SEED
from shopguide.records import Events, Kind


def rates(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """CTR: clicks an impression. CVR: clicks that were followed by a purchase of the item by the same user, a click.
    Each with a 95 % interval by bootstrap over users; empty where nothing shown was logged."""
    events = Events.join([dataset.train] + ([dataset.test] if dataset.test is not None else []))
    events = events.take(np.argsort(events.time, kind="stable"))
    shown, clicks = events.kind == Kind.IMPRESSION, events.kind == Kind.CLICK
    if not shown.any():
        return {}
    users, of = np.unique(events.user, return_inverse=True)
    per_user = [np.bincount(of, rows, len(users)) for rows in (shown, clicks, _bought(events))]
    return {"ctr": _rate(per_user[1], per_user[0]), "cvr": _rate(per_user[2], per_user[1])}


def _bought(events: Events) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Clicks whose item the user purchased later; a purchase is of the newest click before it, and counts once."""
    result = np.zeros(len(events), bool)
    clicked: dict[tuple[int, int], int] = {}
    columns = (events.kind.tolist(), events.user.tolist(), events.item.tolist())
    for row, (kind, user, item) in enumerate(zip(*columns, strict=True)):
        if kind == Kind.CLICK:
            clicked[user, item] = row
        elif kind == Kind.PURCHASE and (at := clicked.pop((user, item), None)) is not None:
            result[at] = True
    return result


def _rate(part: np.ndarray[Any, Any], whole: np.ndarray[Any, Any]) -> dict[str, Any]:
    random = np.random.default_rng(SEED)
    n = len(whole)
    draws = [random.integers(0, n, n) for _ in range(DRAWS)]
    resampled = [part[d].sum() / max(whole[d].sum(), 1) for d in draws]
    low, high = np.percentile(resampled, (2.5, 97.5))
    total = float(whole.sum())
    return {"rate": float(part.sum() / total) if total else 0.0, "n": int(total), "ci95": [float(low), float(high)]}
