"""``shopguide state``: checksum, check, info, diff and backup of state directories."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from shopguide.backup import backup
from shopguide.cli.at_rest import AtRest
from shopguide.cli.diff import difference
from shopguide.cli.options import examples, json_option
from shopguide.cli.scrub import damages
from shopguide.errors import StateError
from shopguide.state import StateDir

DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))


@click.group(
    epilog=examples(
        "shopguide state checksum DIR",
        "shopguide state check DIR",
        "shopguide state info DIR --json",
        "shopguide state diff DIR DIR",
        "shopguide state backup DIR TO",
    )
)
def state() -> None:
    """Look into a state directory, or keep a copy of it, at rest or in use."""


@state.command()
@DIRECTORY
def checksum(directory: Path) -> None:
    """One hex line: equal for equal models, however they came about."""
    click.echo(AtRest(directory).scorer.checksum())


@state.command()
@DIRECTORY
def check(directory: Path) -> None:
    """Read all that DIR holds, and walk every structure.

    Names what is not as it was written (of the log, every snapshot, trained models, rejects) and the first broken
    invariant; exit code 2 where there is anything.
    """
    state = StateDir(directory)
    state.settings()
    found = list(damages(state))
    for damage in found:
        click.echo(damage, err=True)
    if found:
        raise StateError(f"{directory} is damaged: a broken snapshot may go, of the rest a backup may have a whole one")
    held = AtRest(directory)
    held.featurizer.check()
    held.scorer.check()
    click.echo("all is as it was written, all invariants hold")


@state.command(epilog=examples("shopguide state diff DIR BACKUP", "shopguide state diff DIR BACKUP --json"))
@click.argument("one", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.argument("other", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@json_option
@click.pass_context
def diff(context: click.Context, one: Path, other: Path, as_json: bool) -> None:
    """Compare two models. Exit code 1 where they differ."""
    report = difference(AtRest(one), AtRest(other))
    if as_json:
        click.echo(json.dumps(report))
    else:
        click.echo("the models are equal" if report["equal"] else "the models differ")
        for name in ("users", "items"):
            counts = report[name]
            click.echo(
                f"{name:<13}{counts['only_in_one']:>10,} only in the first, {counts['only_in_other']:,} only in the "
                f"second, {counts['not_alike']:,} not alike"
            )
        for name in ("similarities", "popularity"):
            click.echo(f"{name:<13}{report[name]:>10.1e} apart at most, as a part of the row's largest")
        click.echo("checksums    " + "  ".join(report["checksums"]))
    context.exit(0 if report["equal"] else 1)


@state.command(name="backup", epilog=examples("shopguide state backup DIR /backup/monday"))
@DIRECTORY
@click.argument("to", metavar="TO", type=click.Path(path_type=Path))
def make_backup(directory: Path, to: Path) -> None:
    """Copy what DIR is worth to a new folder TO, whatever runs on DIR. To restore, put it in the place of DIR."""
    made = backup(directory, to)
    click.echo(f"{to}: {made.files:,} files, {made.bytes / 1e6:,.1f} MB; {made.linked:,} of them are links")


@state.command()
@DIRECTORY
@json_option
def info(directory: Path, as_json: bool) -> None:
    """What the directory holds."""
    found = AtRest(directory)
    report: dict[str, Any] = {
        "log": _log(found),
        "events": dict(sorted(found.featurizer.counts.items())),
        "snapshots": found.state.snapshots(),
        "running": found.state.running(),
        "checksum": found.scorer.checksum(),
    }
    if as_json:
        click.echo(json.dumps(report))
        return
    click.echo(f"log        {_log_in_words(report['log'])}")
    for kind, count in report["events"].items():
        click.echo(f"events     {count:>10,} {kind}")
    for snapshot in report["snapshots"]:
        when = datetime.fromtimestamp(snapshot["time"], UTC).isoformat(" ", "seconds")
        click.echo(f"snapshot   {snapshot['name']} of {when}, {snapshot['bytes'] / 1e6:,.1f} MB")
    holder = report["running"].get("pid")
    click.echo(f"in use     {f'by process {holder}' if holder else 'no'}")
    click.echo(f"checksum   {report['checksum']}")


def _log(found: AtRest) -> dict[str, Any]:
    if found.topic is not None:
        return {"topic": found.topic.topic, "partitions": found.settings.log.partitions}
    assert found.log is not None
    if not found.log.nbytes():
        raise StateError(f"{found.state.path} holds an empty log")
    return {
        "partitions": found.log.partitions,
        "rows": [found.log.end(p) for p in range(found.log.partitions)],
        "bytes": found.log.nbytes(),
    }


def _log_in_words(log: dict[str, Any]) -> str:
    if "topic" in log:
        return f"the Kafka topic {log['topic']}, {log['partitions']} partitions"
    partitions = f"{log['partitions']} partition{'s' * (log['partitions'] > 1)}"
    return f"{sum(log['rows']):,} rows in {partitions}, {log['bytes'] / 1e6:,.1f} MB"
