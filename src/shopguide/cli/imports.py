"""``shopguide import``: what others know of the shop's users, from files, by a mapping."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shopguide.cli.options import examples, json_option, state_option
from shopguide.cli.sources import progress
from shopguide.cli.takeback import done
from shopguide.cli.tally import Tally
from shopguide.collect.chunk import Chunk
from shopguide.collect.encode import Encoder
from shopguide.collect.imports import MappedFiles
from shopguide.collect.mapping import load_mapping
from shopguide.errors import StateError
from shopguide.kafka.binding import bound
from shopguide.keys import Secret

SHOWN = 10  # mapped rows of a dry run
WIDE = 160  # characters of a line where no person looks


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
        report = _tried(files)
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
        _show(report["shown"])
    click.echo(_in_words(report, dry_run))


def _taken_in(paths: tuple[Path, ...], mapping: Path, state: Path) -> dict[str, Any]:
    """The report of an import, with a progress bar."""
    given = {"paths": [str(path.resolve()) for path in paths], "mapping": str(mapping.resolve())}
    with progress() as bar:
        task = bar.add_task(f"{len(paths)} files", rows=0)
        report: dict[str, Any] = done(state, "take_in", new=True, under_way=partial(bar.update, task), **given)
    return report


def _tried(files: MappedFiles) -> dict[str, Any]:
    """The report of a dry run, with the first rows that would be kept."""
    tally, encoder = Tally(), Encoder(Secret(b"nobody's, for a dry run"), controls=True)
    shown: list[dict[str, Any]] = []
    for chunk in files.chunks():
        kept = tally.count(chunk, encoder.encode(chunk))
        shown += [_mapped(chunk, row) for row in kept[: SHOWN - len(shown)]]
    report = tally.report()
    del report["new"]
    return {**report, "shown": shown}


def _mapped(chunk: Chunk, row: int) -> dict[str, Any]:
    said = {name: column[row] for name, column in chunk.columns.items() if name != "consent"}
    return {"user": said["user"], **said.pop("profile")} if "profile" in said else said


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(*(rows[0] if rows else ()), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_in_a_cell(value)) for value in row.values()))
    console = Console()
    console.print(table, width=None if console.is_terminal else WIDE)


def _in_a_cell(value: Any) -> str:
    if isinstance(value, dict):
        text = ", ".join(f"{name}={one}" for name, one in value.items())
    else:
        text = ", ".join(value) if isinstance(value, list) else str(value)
    return "".join(c if c.isprintable() else "?" for c in text)


def _in_words(report: dict[str, Any], dry_run: bool) -> str:
    new = "" if dry_run else f", {report['new']:,} of them new"
    lines = [f"rows             {report['rows']:>10,}{new}"]
    lines.append(f"kept             {report['kept']:>10,}")
    lines.append(f"without consent  {report['without_consent']:>10,}")
    lines += [f"  of which       {count:>10,} {why}" for why, count in report["unreadable"].items()]
    lines += [f"rejected         {count:>10,} {why}" for why, count in report["rejected"].items()]
    return "\n".join([*lines, "nothing was kept: a dry run"] if dry_run else lines)
