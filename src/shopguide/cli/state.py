"""``shopguide state``: checksum, check and info of a state directory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from shopguide.cli.at_rest import AtRest
from shopguide.cli.options import examples, json_option
from shopguide.errors import StateError

DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))


@click.group(
    epilog=examples("shopguide state checksum DIR", "shopguide state check DIR", "shopguide state info DIR --json")
)
def state() -> None:
    """Look into a state directory, at rest or in use."""


@state.command()
@DIRECTORY
def checksum(directory: Path) -> None:
    """One hex line: equal for equal models, however they came about."""
    click.echo(AtRest(directory).scorer.checksum())


@state.command()
@DIRECTORY
def check(directory: Path) -> None:
    """Walk every structure and name the first broken invariant."""
    found = AtRest(directory)
    found.featurizer.check()
    found.scorer.check()
    click.echo("all invariants hold")


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
    return f"{sum(log['rows']):,} rows in {log['partitions']} partitions, {log['bytes'] / 1e6:,.1f} MB"
