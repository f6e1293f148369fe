"""``shopguide trial``: a version on trial against the one beside it, by what shoppers made of their lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from shopguide.cli.history import open_history, topic_option
from shopguide.cli.options import examples, json_option, state_option
from shopguide.cli.sources import progress
from shopguide.errors import SettingError
from shopguide.evaluate.data import events_of
from shopguide.evaluate.trials import KINDS, RATIOS, Period, found, periods
from shopguide.simulate.report import COUNTED, compared

METRIC = {
    "ctr": "clicks per item shown",
    "cvr": "purchases per click",
    "purchases_per_shopper": "purchases per shopper",
    "revenue_per_shopper": "revenue per shopper",
}
UNLIKELY = 0.001  # of a split by chance: something divides shoppers that should not


@click.command(
    epilog=examples(
        "shopguide activate 9f2c64c0f1d2a7b3 --share 20% --state DIR        (begins one)",
        "shopguide trial --state DIR",
        "shopguide activate 9f2c64c0f1d2a7b3 --state DIR        (it is for everybody; or the version before: the end)",
    )
)
@click.argument("version", required=False)
@state_option
@topic_option
@json_option
def trial(version: str | None, state_path: Path, source: str | None, as_json: bool) -> None:
    """What shoppers made of their lists: those of a version on trial (the newest), and those of the version beside
    it, with 95 % intervals over shoppers. Also of one that has ended."""
    with closing(open_history(state_path, source)) as log, progress() as bar:
        task = bar.add_task("reading", total=None, rows=0)
        events = events_of(log, str(state_path), lambda rows: bar.update(task, rows=rows), KINDS).train
        said = found(events, _chosen(periods(events), version, state_path))
    click.echo(json.dumps(said) if as_json else in_words(said))


def _chosen(there: list[Period], version: str | None, state: Path) -> Period:
    those = [one for one in there if version in (None, one.trial.version)]
    if not there:
        raise SettingError(f"{state}: no version was on trial yet; `shopguide activate VERSION --share 20%` begins one")
    if not those:
        known = ", ".join(dict.fromkeys(one.trial.version for one in there))
        raise SettingError(f"version {version} was never on trial in {state}: {known} were")
    return those[-1]


def in_words(said: Mapping[str, Any]) -> str:
    """Counts and metrics of both arms, and the differences, as a table."""
    until = f"until {_moment(said['until'])}" if said["until"] else "and still is"
    lines = [
        f"{said['version']} was tried on {said['share']:.4g} of the shoppers since {_moment(said['since'])} {until}"
    ]
    lines += ["", f"{'':26}{'control':>12}{'trial':>12}{'difference':>12}  {'95 %':^22}  {'p':>6}"]
    control, tried = said["arms"]["control"], said["arms"]["trial"]
    lines += [f"{COUNTED[name]:26}{control[name]:>12,.0f}{tried[name]:>12,.0f}" for name in RATIOS.counts]
    for metric, title in METRIC.items():
        line = f"{title:26}{control[metric]:>12.4f}{tried[metric]:>12.4f}"
        lines.append(line + (compared(said["differences"][metric]) if said["differences"] else ""))
    if not said["differences"]:
        lines.append("nothing to compare: it takes shoppers of both who saw a list (impressions, as sg.js tells them)")
    if said["split_p"] < UNLIKELY:
        lines.append(
            f"careful: shoppers should not be split like this (p {said['split_p']:.1g}); do all tell what they saw?"
        )
    return "\n".join(lines)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
