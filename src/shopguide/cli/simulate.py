"""``shopguide simulate``: what happens in a shop with known truth, as JSON lines."""

from __future__ import annotations

from itertools import chain
from typing import BinaryIO

import click
import orjson

from shopguide.cli.options import examples
from shopguide.simulate import Shop


@click.command(
    epilog=examples(
        "shopguide simulate --events 100000 --seed 7 --out shop.jsonl",
        "shopguide run --source file:shop.jsonl",
    )
)
@click.option("--events", type=click.IntRange(min=0), default=10_000, show_default=True, help="How many events.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same shop and events.")
@click.option("--out", type=click.File("wb"), default="-", help="File to write; standard output where none is given.")
def simulate(events: int, seed: int, out: BinaryIO) -> None:
    """Write a simulated shop: its catalogue, then its events in order of time."""
    shop = Shop(seed)
    for row in chain(shop.catalogue(), shop.events(events)):
        out.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
