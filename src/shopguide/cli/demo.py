"""``shopguide demo``: a simulated shop, newspaper or video site, live: a page to click through, lists pushed to it."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from functools import partial
from pathlib import Path
from typing import Any

import click

from shopguide import journal
from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.cli.options import examples, journal_options
from shopguide.cli.run import serve, stop_on_signals
from shopguide.cli.serve import ServedLine
from shopguide.cli.shoppers import SEED, open_shop
from shopguide.cli.viewers import Viewers
from shopguide.settings import load
from shopguide.simulate import SCENES, Shop
from shopguide.state import StateDir
from shopguide.tokens import mint_admin

WATCHED = 300.0  # seconds after a look for which its shopper counts as a viewer
STATES = {"shop": ".shopguide", "news": ".shopguide-news", "live": ".shopguide-live"}
NAMES = {"shop": "the shop", "news": "the paper", "live": "the streams"}
DESK_TTL = 86_400.0  # seconds that the link to the desk opens it
ANY_PORT = "tcp://127.0.0.1:*"  # subscribers find it in the state directory


class DemoShop(ServedLine):
    """The served line with products to show: what they are, since when, whether they can be had, who is watching."""

    def __init__(self, line: RunningLine, scene: str) -> None:
        super().__init__(line)
        self.scene = scene
        self._products: dict[str, dict[str, Any]] = {}
        self._looks: deque[tuple[float, str]] = deque()
        self._viewers = Counter[str]()

    def products(self) -> list[dict[str, Any]]:
        return [{**row, "viewers": self._viewers[item]} for item, row in list(self._products.items())]

    def note(self, rows: list[dict[str, Any]]) -> None:
        """Rows have been collected."""
        for row in rows:
            if row["kind"] == "item" and row["op"] == "stock":
                self._products[row["item"]] |= {"stock": row["stock"]}
            elif row["kind"] == "item":
                said = {name: row[name] for name in row if name not in ("kind", "op", "time")}
                self._products[row["item"]] = {**said, "since": row["time"], "stock": 1}
            elif row["kind"] == "view":
                self._looks.append((row["time"], row["item"]))
                self._viewers[row["item"]] += 1
        while self._looks and self._looks[0][0] < time.time() - WATCHED:
            self._viewers[self._looks.popleft()[1]] -= 1


@click.command(epilog=examples("shopguide demo", "shopguide demo --preset news --port 9000 --seconds 60"))
@click.option("--preset", type=click.Choice(list(SCENES)), default="shop", show_default=True, help="What it is.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port of the page.")
@click.option("--seconds", type=float, help="End after so many seconds.")
@click.option(
    "--state",
    "state_path",
    type=click.Path(path_type=Path, file_okay=False),
    help="State directory; a later demo goes on with it. [default: .shopguide, .shopguide-news, .shopguide-live]",
)
@journal_options
def demo(
    preset: str,
    port: int,
    seconds: float | None,
    state_path: Path | None,
    logs: str | None,
    log_level: str | None,
) -> None:
    """A simulated shop, newspaper or video site, live, in one process: open the page, click, see the list follow."""
    told = {"run.logs": logs, "run.level": log_level}
    state = StateDir(state_path or Path(STATES[preset]))
    settings = state.divided(load(preset, flags={"http.port": port, "push.endpoint": ANY_PORT, **told}))
    journal.begin(settings.run.logs, settings.run.level)
    line = RunningLine(state, settings)
    scene = SCENES[preset]  # event ids are of a start: a later demo's are new
    shop = Shop(SEED, products=scene.products, start=time.time(), regime=scene.regime, scene=scene)
    stopped = stop_on_signals()
    with operated(line):
        began = time.monotonic()
        served = DemoShop(line, preset)
        viewers = Viewers(line, shop, served.outcomes.note)
        shoppers = open_shop(line, shop, stopped, served.note, viewers.turn)
        click.echo(f"the shop's past read in {time.monotonic() - began:.1f} s")
        if seconds is not None:
            timer = threading.Timer(seconds, stopped.set)
            timer.daemon = True
            timer.start()
        desk = mint_admin(line.keys, "demo", DESK_TTL)
        serve(line, settings, stopped, partial(_announce, preset, desk), served)
        stopped.set()
        shoppers.join()


def _announce(preset: str, desk: str, address: str) -> None:
    elsewhere = "" if preset == "shop" else f" --state {STATES[preset]}"
    click.echo(
        f"\n  {NAMES[preset]:<15} {address}\n"
        f"  the desk        {address}/desk#token={desk}\n"
        f"  in a terminal   shopguide watch --user guest-…{elsewhere}   (the page shows your name)\n"
        f"  stop            Ctrl-C\n"
    )
