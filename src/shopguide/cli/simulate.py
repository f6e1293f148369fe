"""``shopguide simulate``: what happens in a shop with known truth, as JSON lines; or what lists are worth in it."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any, BinaryIO

import click
import orjson

from shopguide.cli.options import examples, json_option
from shopguide.cli.sources import progress
from shopguide.errors import SettingError
from shopguide.simulate import REGIMES, Shop
from shopguide.simulate.arms import YARDSTICKS, Arms
from shopguide.simulate.experiment import PER_DAY, Experiment, opened
from shopguide.simulate.report import in_words, report
from shopguide.simulate.truth import DAY, STATIONARY


@click.command(
    epilog=examples(
        "shopguide simulate --events 100000 --seed 7 --out shop.jsonl",
        "shopguide run --source file:shop.jsonl",
        "shopguide simulate --visits 2000 --arm now=shop --arm mine=mine.toml --regime seasonal",
        "shopguide simulate --visits 2000 --arm live=shop --arm daily=shop --lag daily=86400 --regime young",
        "shopguide simulate --visits 500 --arm line=shop --arm best=oracle --interleave --json",
    )
)
@click.option("--events", type=click.IntRange(min=0), default=10_000, show_default=True, help="How many events.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same shop and events.")
@click.option("--out", type=click.File("wb"), default="-", help="File to write; standard output where none is given.")
@click.option("--visits", type=click.IntRange(min=1), help="Show lists on so many visits instead, and compare arms.")
@click.option(
    "--arm",
    "arms",
    multiple=True,
    metavar="NAME=SPEC",
    help=f"Who makes lists: a settings file, a preset, {', '.join(YARDSTICKS)} (repeatable).",
)
@click.option(
    "--regime", type=click.Choice(list(REGIMES)), default=STATIONARY.name, show_default=True, help="What moves in it."
)
@click.option("--lag", "lags", multiple=True, metavar="NAME=SECONDS", help="An arm's model learns only every so often.")
@click.option("--interleave", is_flag=True, help="Both arms make each list together, instead of sharing the visitors.")
@click.option("-n", default=10, show_default=True, type=click.IntRange(1, 100), help="Items in a list.")
@json_option
def simulate(
    events: int,
    seed: int,
    out: BinaryIO,
    visits: int | None,
    arms: tuple[str, ...],
    regime: str,
    lags: tuple[str, ...],
    interleave: bool,
    n: int,
    as_json: bool,
) -> None:
    """Write a simulated shop: its catalogue, then its events in order of time.

    With --visits, arms show lists to its shoppers, who click by a known truth, and are compared.
    """
    if visits is None:
        if arms or lags or interleave:
            raise SettingError("--arm, --lag and --interleave: need --visits, the number of visits to show lists on")
        moving = REGIMES[regime]
        shop = Shop(seed, regime=moving, rate=PER_DAY / DAY) if moving.moves else Shop(seed)
        for row in chain(shop.catalogue(), shop.events(events)):
            out.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        return
    found = _compare(visits, seed, regime, _pairs("--arm", arms), _lags(lags), interleave, n)
    click.echo(json.dumps(found) if as_json else in_words(found))


def _compare(
    visits: int, seed: int, regime: str, specs: dict[str, str], lags: dict[str, float], interleave: bool, n: int
) -> dict[str, Any]:
    if len(specs) < 1 + interleave:
        wanted = "two arms" if interleave else "at least one arm"
        raise SettingError(f"--arm: {len(specs)} given; should be {wanted}, as --arm NAME=FILE.toml")
    if interleave and len(specs) > 2:
        raise SettingError(f"--arm: {len(specs)} given; --interleave takes two")
    if strangers := sorted(lags.keys() - specs.keys()):
        raise SettingError(f"--lag {strangers[0]}: no such arm; allowed are {', '.join(specs)}")
    shop = opened(seed, REGIMES[regime])
    opener = Arms(shop)
    arms = {name: opener.open(name, spec, lags.get(name, 0.0)) for name, spec in specs.items()}
    experiment = Experiment(shop, arms, n, interleave)
    with progress() as bar:
        task = bar.add_task("visits", total=visits, rows=0)
        experiment.run(visits, lambda begun: bar.update(task, completed=begun, rows=begun))
    about = {"seed": seed, "visits": visits, "regime": regime, "n": n}
    return {**about, "arms": specs, "lags": lags, **report(experiment, seed)}


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE of each; names are there once."""
    pairs: dict[str, str] = {}
    for text in given:
        name, _, value = text.partition("=")
        if not name or not value:
            raise SettingError(f"{option} {text!r}: should be NAME=VALUE")
        if name in pairs:
            raise SettingError(f"{option} {text!r}: {name} is given twice; names should differ")
        pairs[name] = value
    return pairs


def _lags(given: tuple[str, ...]) -> dict[str, float]:
    lags: dict[str, float] = {}
    for name, text in _pairs("--lag", given).items():
        try:
            lags[name] = float(text)
        except ValueError:
            lags[name] = -1
        if not 0 <= lags[name] < float("inf"):
            raise SettingError(f"--lag {name}={text}: should be seconds, 0 or more")
    return lags
