"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from shopguide.settings import PRESETS

DEFAULT_STATE = Path(".shopguide")


def examples(*lines: str) -> str:
    """An epilog of example command lines that click leaves as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


state_option = click.option(
    "--state",
    "state_path",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE,
    show_default=True,
    help="State directory.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
connect_option = click.option("--connect", metavar="URL", help="Ask a running process over HTTP instead.")


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--preset and --config."""
    for option in (
        click.option(
            "--config", "config_path", type=click.Path(path_type=Path, dir_okay=False), help="Settings (TOML)."
        ),
        click.option("--preset", type=click.Choice(PRESETS), help="Defaults for. [default: as --config says, or shop]"),
    ):
        command = option(command)
    return command


def journal_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--logs and --log-level."""
    for option in (
        click.option(
            "--log-level",
            type=click.Choice(("debug", "info", "warning", "error")),
            help="What is told on stderr, from this level on. [default: warning]",
        ),
        click.option("--logs", type=click.Choice(("text", "json")), help="How it is told. [default: text]"),
    ):
        command = option(command)
    return command
