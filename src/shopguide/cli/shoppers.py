"""A simulated shop's shoppers as a source: its past at once, its present as it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from shopguide.cli.door import Line
from shopguide.simulate import Shop

SEED = 7
HISTORY = 60_000  # events that the shop has seen before it opens here
PACE = 20.0  # events a second
STEP = 0.1  # seconds between their being handed over
ROWS = 2000  # rows handed over at once while the history is read

Row = dict[str, Any]
Tell = Callable[[list[Row]], object]
Turn = Callable[[float, float], object]


def history(line: Line, shop: Shop, tell: Tell) -> Iterator[Row]:
    """Give a new log the shop's catalogue and past, up to now, and any log what can be had; returns the events to
    come."""
    events = shop.events()
    past = list(islice(events, HISTORY))
    now = time.time()
    late = now - past[-1]["time"]
    rows = [{**row, "time": row["time"] + late} for row in (*shop.catalogue(), *past)]
    if sum(line.log.end(p) for p in range(line.log.partitions)):
        tell([row for row in rows if row["kind"] == "item"])
        rows = []
    shop.open_stock(now)
    rows += shop.stock.all(now) if shop.stock else []
    for start in range(0, len(rows), ROWS):
        line.collector.collect(rows[start : start + ROWS])
    line.collector.commit()
    line.catch_up()
    tell(rows)
    return events


def keep_shopping(
    line: Line, shop: Shop, events: Iterator[Row], stopped: threading.Event, tell: Tell, each: Turn
) -> None:
    """Let the events happen now, one after the other, until stopped; and what comes and goes in the shop."""
    while not stopped.wait(STEP):
        now = time.time()
        new = list(islice(events, int(PACE * STEP)))
        rows = [{**row, "time": now} for row in new]
        rows += shop.stock.changes(now) if shop.stock else []
        line.collector.collect(rows)
        each(now, new[-1]["time"])
        line.collector.commit()
        tell(rows)


def open_shop(
    line: Line,
    shop: Shop,
    stopped: threading.Event,
    tell: Tell = lambda rows: None,
    each: Turn = lambda now, there: None,
) -> threading.Thread:
    """The past, then shoppers in a thread of their own. ``tell`` hears of all rows; ``each`` is called at each step
    with the time, and the time in the shop (epoch s)."""
    events = history(line, shop, tell)
    thread = threading.Thread(target=keep_shopping, args=(line, shop, events, stopped, tell, each), daemon=True)
    thread.start()
    return thread
