"""A simulated shop's shoppers as a source: its past at once, its present as it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from shopguide.cli.door import Line
from shopguide.simulate import Shop

SEED = 7
HISTORY = 60_000  # events that the shop has seen before it opens here
PACE = 20.0  # events a second
STEP = 0.1  # seconds between their being handed over
ROWS = 2000  # rows handed over at once while the history is read


def history(line: Line, shop: Shop) -> Iterator[dict[str, Any]]:
    """Give a new log the shop's catalogue and past, up to now; returns the events to come."""
    events = shop.events()
    past = list(islice(events, HISTORY))
    if sum(line.log.end(p) for p in range(line.log.partitions)):
        return events
    late = time.time() - past[-1]["time"]
    rows = [*shop.catalogue(), *({**row, "time": row["time"] + late} for row in past)]
    for start in range(0, len(rows), ROWS):
        line.collector.collect(rows[start : start + ROWS])
    line.collector.commit()
    line.catch_up()
    return events


def keep_shopping(line: Line, events: Iterator[dict[str, Any]], stopped: threading.Event) -> None:
    """Let the events happen now, one after the other, until stopped."""
    while not stopped.wait(STEP):
        line.collector.collect([{**row, "time": time.time()} for row in islice(events, int(PACE * STEP))])
        line.collector.commit()


def open_shop(line: Line, shop: Shop, stopped: threading.Event) -> threading.Thread:
    """The past, then shoppers in a thread of their own."""
    thread = threading.Thread(target=keep_shopping, args=(line, history(line, shop), stopped), daemon=True)
    thread.start()
    return thread
