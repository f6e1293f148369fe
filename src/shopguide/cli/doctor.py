"""``shopguide doctor``: looks at a deployment and says what to mend. It changes nothing."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from shopguide.cli import checkup, endpoints
from shopguide.cli.checkup import Checkup, Finding, fail
from shopguide.cli.options import connect_option, examples, json_option, state_option

Check = Callable[[Checkup], Finding | None]

CHECKS: dict[str, Check] = {  # in the order in which they are said; None: there is nothing to say
    "software": checkup.software,
    "core": checkup.core,
    "settings": checkup.settings,
    "directory": checkup.directory,
    "disk": checkup.disk,
    "fsync": checkup.fsync,
    "secret": checkup.secret,
    "log": checkup.log,
    "clock": checkup.clock,
    "snapshot": checkup.snapshot,
    "models": checkup.models,
    "extras": checkup.extras,
    "process": endpoints.process,
    "http": endpoints.http,
    "push": endpoints.push,
    "doors": endpoints.doors,
    "descriptors": endpoints.descriptors,
    "kafka": endpoints.kafka,
    "storm": endpoints.storm,
}
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
INDENT = 19


@click.command(
    epilog=examples(
        "shopguide doctor --state DIR",
        "shopguide doctor --state DIR --subscribers 10000 --json",
        "shopguide doctor --connect http://127.0.0.1:8080",
    )
)
@state_option
@connect_option
@click.option("--subscribers", default=1000, show_default=True, type=click.IntRange(1), help="How many are expected.")
@json_option
@click.pass_context
def doctor(context: click.Context, state_path: Path, connect: str | None, subscribers: int, as_json: bool) -> None:
    """Look at a deployment and say what to mend.

    A line a check: ok, warn or fail, and how to mend it. Exit code 1 where one fails. With --connect alone only this
    machine and the process at that address are looked at.
    """
    here = context.get_parameter_source("state_path") is click.core.ParameterSource.COMMANDLINE
    found = examine(Checkup(state_path if here or connect is None else None, connect, subscribers))
    if as_json:
        click.echo(json.dumps({"checks": [{"check": name, **asdict(finding)} for name, finding in found.items()]}))
    else:
        for name, finding in found.items():
            click.echo(in_words(name, finding))
    context.exit(1 if any(finding.status == "fail" for finding in found.values()) else 0)


def examine(what: Checkup) -> dict[str, Finding]:
    """What each check has found. One that cannot be made is a failed one."""
    found: dict[str, Finding] = {}
    for name, check in CHECKS.items():
        try:
            finding = check(what)
        except Exception as e:
            finding = fail(f"cannot be looked at: {type(e).__name__}: {e}", "see whether this user may read it")
        if finding is not None:
            found[name] = finding
    return found


def in_words(name: str, finding: Finding) -> str:
    status = click.style(f"{finding.status:<6}", fg=COLOURS[finding.status])
    mend = textwrap.indent(f"\nmend: {finding.mend}", " " * INDENT) if finding.mend else ""
    return f"{status}{name:<{INDENT - 6}}{finding.said}{mend}"
