"""``shopguide demo``: a simulated shop, live. A page to click through, lists pushed to it and to ZeroMQ subscribers."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import click

from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.cli.options import examples
from shopguide.cli.run import serve, stop_on_signals
from shopguide.cli.serve import ServedLine
from shopguide.cli.shoppers import SEED, open_shop
from shopguide.settings import load
from shopguide.simulate import Shop
from shopguide.state import StateDir
from shopguide.tokens import mint_admin

DESK_TTL = 86_400.0  # seconds that the link to the desk opens it
ANY_PORT = "tcp://127.0.0.1:*"  # subscribers find it in the state directory


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
    with operated(line):
        began = time.monotonic()
        shoppers = open_shop(line, shop, stopped)
        click.echo(f"the shop's past read in {time.monotonic() - began:.1f} s")
        if seconds is not None:
            timer = threading.Timer(seconds, stopped.set)
            timer.daemon = True
            timer.start()
        products = [{k: row[k] for k in row if k not in ("kind", "op", "time")} for row in shop.catalogue()]
        desk = mint_admin(line.keys, "demo", DESK_TTL)
        serve(line, settings, stopped, lambda address: _announce(address, desk), DemoShop(line, products))
        stopped.set()
        shoppers.join()


def _announce(address: str, desk: str) -> None:
    click.echo(
        f"\n  the shop        {address}\n"
        f"  the desk        {address}/desk#token={desk}\n"
        f"  in a terminal   shopguide watch --user guest-…   (the page shows your name; each click, a new list)\n"
        f"  stop            Ctrl-C\n"
    )
