"""``shopguide train``: weights of the blend, learned from history, into a file that the line can be given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from shopguide.cli.options import examples, json_option, settings_options
from shopguide.cli.sources import progress
from shopguide.errors import SettingError
from shopguide.evaluate.data import LEAVE_ONE_OUT, open_dataset, open_log
from shopguide.evaluate.training import train as train_weights


@click.command(
    epilog=examples(
        "shopguide train --state DIR        (from what is in its log, into DIR/weights-VERSION.json)",
        "shopguide train events.csv --blend trees --out weights.json",
        "SHOPGUIDE_SCORE_WEIGHTS=weights.json shopguide run --source http:",
    )
)
@click.argument("path", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--state", "state_path", type=click.Path(path_type=Path, file_okay=False), help="State directory.")
@click.option("--model", type=click.Choice(("blend",)), default="blend", show_default=True, help="What to train.")
@click.option("--blend", "learner", type=click.Choice(("linear", "trees")), default="linear", show_default=True)
@click.option("--format", "format_", help="Of the files; none: found out.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@settings_options
@json_option
def train(
    path: Path | None,
    state_path: Path | None,
    model: str,
    learner: str,
    format_: str | None,
    out: Path | None,
    preset: str,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Learn how much each signal counts. The newest sessions are asked for by a model of all before them."""
    if (path is None) == (state_path is None):
        raise SettingError("give PATH or --state: what to learn from")
    place = state_path or Path()
    with progress() as bar:
        task = bar.add_task("reading", total=None, rows=0)
        if path is not None:
            found = open_dataset(path, format_, told=lambda rows: bar.update(task, rows=rows))
        else:
            found = open_log(place, lambda rows: bar.update(task, rows=rows))
        settings = found.settings(preset, config_path)
        seen = "drop" if found.protocol == LEAVE_ONE_OUT else settings.rank.seen
        weights = train_weights(
            replace(found, test=None), settings, learner, seen, lambda stage: bar.update(task, description=stage)
        )
    target = out or place / f"weights-{weights.version}.json"
    weights.save(target)
    report = {"file": str(target), "version": weights.version, "linear": weights.linear, **weights.trained}
    if as_json:
        click.echo(json.dumps(report))
        return
    click.echo(f"{target}: {learner}, {report['questions']:,} questions; HR@{report['k']} {report['hr']:.4f}")
    click.echo(f"MRR@{report['k']} {report['mrr']:.4f} of the linear weights, on what they were fitted to")
    for name, weight in sorted(weights.linear.items(), key=lambda w: -abs(w[1])):
        click.echo(f"  {name:10} {weight:8.4f}")
    click.echo(f"in force with: score.weights = {str(target)!r}")
