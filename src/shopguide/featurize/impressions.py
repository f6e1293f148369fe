"""Impressions: those of new items in a place of their own are kept, for what comes of them; of the others nothing is
learned."""

from __future__ import annotations

import numpy as np

from shopguide.records import Events, Kind

OF_NEW = "+new"  # ends the ``list`` of a row about an item that is tried as a new one
_MARK = OF_NEW.encode()


def of_new(events: Events) -> Events:
    """The rows without impressions, but for those whose ``list`` says that the place was for a new item."""
    shown = np.flatnonzero(events.kind == Kind.IMPRESSION)
    stay = np.ones(len(events), bool)
    stay[shown] = [_says(events, row) for row in shown.tolist()]
    return events.take(stay)


def _says(events: Events, row: int) -> bool:
    return _MARK in events.data.bytes_at(row) and str(events.details(row).get("list", "")).endswith(OF_NEW)
