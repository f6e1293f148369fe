"""``shopguide config``: what the settings are, whether a file of them is right, and what each means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from shopguide.cli.options import examples, json_option, settings_options
from shopguide.errors import SettingError
from shopguide.settings import ENVIRONMENT, Settings, load


@click.group(
    epilog=examples(
        "shopguide config show --preset news",
        "shopguide config check --config shop.toml",
        "shopguide config explain push.heartbeat",
    )
)
def config() -> None:
    """Show, check and explain settings."""


@config.command()
@settings_options
@json_option
def show(preset: str, config_path: Path | None, as_json: bool) -> None:
    """Every setting in force, as TOML (or JSON)."""
    settings = load(preset, config_path)
    if as_json:
        click.echo(settings.model_dump_json())
        return
    for name, section in settings:
        click.echo(f"[{name}]")
        for key, value in section:
            click.echo(f"{key} = {json.dumps(value)}" if value is not None else f"# {key}: none")
        click.echo()


@config.command()
@settings_options
def check(preset: str, config_path: Path | None) -> None:
    """Say whether the settings are right; exit 2 and one line where they are not."""
    load(preset, config_path)
    click.echo("the settings are right")


@config.command()
@click.argument("key")
def explain(key: str) -> None:
    """What a setting means, its default, and what is allowed."""
    section, _, name = key.partition(".")
    fields: dict[str, Any] = getattr(Settings.model_fields.get(section), "annotation", Settings).model_fields
    if section not in Settings.model_fields or name not in fields:
        allowed = [f"{s}.{k}" for s, f in Settings.model_fields.items() for k in f.annotation.model_fields]  # type: ignore[union-attr]
        raise SettingError(f"{key!r} is no setting; there are {', '.join(allowed)}")
    field = fields[name]
    limits = ", ".join(str(limit) for limit in field.metadata)
    click.echo(f"{key}: {field.description}")
    click.echo(f"  type     {str(field.annotation).removeprefix('<class ').strip(chr(39) + '>')}  {limits}".rstrip())
    click.echo(f"  default  {field.default}")
    click.echo(f"  from     {ENVIRONMENT}{section}_{name}".upper().replace("FROM", "from"))
