"""Click-through and conversion rates of what was shown, where impressions, clicks and purchases were logged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.evaluate.data import Dataset
from shopguide.evaluate.metrics import Bootstrap
from shopguide.records import Events, Kind

Rows = NDArray[np.bool_]


def rates(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """CTR: clicks an impression. CVR: clicks that were followed by a purchase of the item by the same user, a click.
    Each with a 95 % interval by bootstrap over users; empty where nothing shown was logged."""
    events = Events.join([dataset.train] + ([dataset.test] if dataset.test is not None else []))
    events = events.take(np.argsort(events.time, kind="stable"))
    shown, clicks, bought = outcomes(events)
    if not shown.any():
        return {}
    bootstrap = Bootstrap(events.user)
    return {"ctr": _rate(bootstrap, clicks, shown), "cvr": _rate(bootstrap, bought, clicks)}


def outcomes(events: Events) -> tuple[Rows, Rows, Rows]:
    """Of events in their order: the impressions, the clicks, and the clicks that led to a purchase."""
    return events.kind == Kind.IMPRESSION, events.kind == Kind.CLICK, _bought(events)


def _bought(events: Events) -> Rows:
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


def _rate(bootstrap: Bootstrap, part: Rows, whole: Rows) -> dict[str, Any]:
    rate = float(part.sum() / whole.sum()) if whole.any() else 0.0
    return {"rate": rate, "n": int(whole.sum()), "ci95": bootstrap.interval(part, whole)}
