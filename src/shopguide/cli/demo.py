"""``shopguide demo``: a simulated shop, live. A page to click through, lists pushed to it and to ZeroMQ subscribers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from shopguide.cli.line import RunningLine
from shopguide.cli.options import examples
from shopguide.cli.run import serve, stop_on_signals
from shopguide.cli.serve import ServedLine
from shopguide.settings import load
from shopguide.simulate import Shop
from shopguide.state import StateDir

SEED = 7
HISTORY = 60_000  # events that the shop has seen before the demo begins
PACE = 20.0  # events a second of the simulated shoppers
ANY_PORT = "tcp://127.0.0.1:*"  # subscribers find it in the state directory
STEP = 0.1  # seconds between their events being handed over
ROWS = 2000  # rows handed over at once while the history is read


class DemoShop(ServedLine):
    """The served line with products to show."""

    def __init__(self, line: RunningLine, products: list[dict[str, Any]]) -> None:
        super().__init__(line)
        self._products = products

    def products(self) -> list[dict[str, Any]]:
        return self._products


@click.command(epilog=examples("shopguide demo", "shopguide demo --port 9000 --seconds 60"))
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port of the page.")
@click.option("--seconds", type=float, help="End after so many seconds.")
@click.option(
    "--state",
    "state_path",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".shopguide"),
    show_default=True,
    help="State directory; a later demo goes on with it.",
)
def demo(port: int, seconds: float | None, state_path: Path) -> None:
    """A simulated shop, live, in one process: open the page, click products, see the list follow."""
    settings = load("shop", flags={"http.port": port, "push.endpoint": ANY_PORT})
    line = RunningLine(StateDir(state_path), settings)
    shop = Shop(SEED, start=time.time())  # event ids are of a start: a later demo's are new
    stopped = stop_on_signals()
    line.start()
    try:
        events = _history(line, shop)
        if seconds is not None:
            timer = threading.Timer(seconds, stopped.set)
            timer.daemon = True
            timer.start()
        shoppers = threading.Thread(target=_shoppers, args=(line, events, stopped), daemon=True)
        shoppers.start()
        products = [{k: row[k] for k in row if k not in ("kind", "op", "time")} for row in shop.catalogue()]
        serve(line, settings, stopped, _announce, DemoShop(line, products))
        stopped.set()
        shoppers.join()
    finally:
        line.stop()


def _history(line: RunningLine, shop: Shop) -> Iterator[dict[str, Any]]:
    """Give a new log the catalogue and the shop's history, up to now; the shop's further events."""
    events = shop.events()
    history = list(islice(events, HISTORY))
    if sum(line.log.end(p) for p in range(line.log.partitions)):
        return events
    began = time.monotonic()
    late = time.time() - history[-1]["time"]
    rows = [*shop.catalogue(), *({**row, "time": row["time"] + late} for row in history)]
    for start in range(0, len(rows), ROWS):
        line.collector.collect(rows[start : start + ROWS])
    line.collector.commit()
    line.catch_up()
    click.echo(f"the shop's last {len(history):,} events read in {time.monotonic() - began:.1f} s")
    return events


def _shoppers(line: RunningLine, events: Iterator[dict[str, Any]], stopped: threading.Event) -> None:
    """Simulated shoppers go on in the background, in the present."""
    while not stopped.wait(STEP):
        line.collector.collect([{**row, "time": time.time()} for row in islice(events, int(PACE * STEP))])
        line.collector.commit()


def _announce(address: str) -> None:
    click.echo(
        f"\n  the shop        {address}\n"
        f"  in a terminal   shopguide watch --user guest-…   (the page shows your name; each click, a new list)\n"
        f"  stop            Ctrl-C\n"
    )
