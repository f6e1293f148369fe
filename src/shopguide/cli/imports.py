"""``shopguide import``: what others know of the shop's users, from files, by a mapping."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from shopguide.cli.dry import in_words, show, tried
from shopguide.cli.options import examples, json_option, state_option
from shopguide.cli.sources import progress
from shopguide.cli.takeback import done
from shopguide.collect.imports import MappedFiles
from shopguide.collect.mapping import load_mapping
from shopguide.errors import StateError
from shopguide.kafka.binding import bound


@click.command(
    "import",
    epilog=examples(
        "shopguide import customers.csv --mapping crm.toml --dry-run        (ten rows as they would be kept)",
        "shopguide import customers.csv --mapping crm.toml --state DIR",
        "shopguide import likes-1.parquet likes-2.parquet --mapping likes.toml --state DIR",
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option(
    "--mapping",
    "mapping_path",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Which columns say what (TOML): user, consent, interests, [profile]; or [social].",
)
@state_option
@click.option("--dry-run", is_flag=True, help="Show ten mapped rows and what would become of all; keep nothing.")
@json_option
def import_(paths: tuple[Path, ...], mapping_path: Path, state_path: Path, dry_run: bool, as_json: bool) -> None:
    """Import profiles of users, or what they did elsewhere: CSV, JSONL (also gzip) or Parquet, joined by user id."""
    files = MappedFiles(paths, load_mapping(mapping_path))
    if dry_run:
        report = tried(files.chunks())
    elif (topic := bound(state_path)) is not None:
        raise StateError(
            f"{state_path}: its log is the Kafka topic {topic.topic!r}, which does not know the rows that it has: an "
            f"import goes into a state directory with a log of its own"
        )
    else:
        report = _taken_in(paths, mapping_path, state_path)
    if as_json:
        click.echo(json.dumps(report))
        return
    if dry_run:
        show(report["shown"])
    click.echo(in_words(report, dry_run))


def _taken_in(paths: tuple[Path, ...], mapping: Path, state: Path) -> dict[str, Any]:
    """The report of an import, with a progress bar."""
    given = {"paths": [str(path.resolve()) for path in paths], "mapping": str(mapping.resolve())}
    with progress() as bar:
        task = bar.add_task(f"{len(paths)} files", rows=0)
        report: dict[str, Any] = done(state, "take_in", new=True, under_way=partial(bar.update, task), **given)
    return report
