"""``shopguide config``: what the settings are, whether a file of them is right, and what each means."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from shopguide.cli.options import examples, json_option, settings_options
from shopguide.errors import SettingError
from shopguide.settings import ENVIRONMENT, RULES, PolicySettings, RuleSettings, Settings, WelcomeSettings, load

TABLES: dict[str, tuple[str, type[BaseModel], str]] = {  # what one is called, what it has, the default
    "rank.slots": ("a slot", PolicySettings, "none"),
    "score.rules": ("a rule", WelcomeSettings, "none"),
    "collect.rules": ("a rule", RuleSettings, f"{len(RULES)}: product pages, and searches; `shopguide config show`"),
}
SLOT = re.compile(r"rank\.slots\.[^.]+\.(\w+)")  # a setting of one slot's lists


@click.group(
    epilog=examples(
        "shopguide config show --preset news",
        "shopguide config check --config shop.toml",
        "shopguide config explain push.heartbeat",
        "shopguide config explain rank.slots.cart.per_category",
    )
)
def config() -> None:
    """Show, check and explain settings."""


@config.command()
@settings_options
@json_option
def show(preset: str | None, config_path: Path | None, as_json: bool) -> None:
    """Every setting in force, as TOML (or JSON)."""
    settings = load(preset, config_path)
    if as_json:
        click.echo(settings.model_dump_json())
        return
    for name, section in settings.model_dump(mode="json").items():
        _print_table(name, section)


@config.command()
@settings_options
def check(preset: str | None, config_path: Path | None) -> None:
    """Say whether the settings are right; exit 2 and one line where they are not."""
    load(preset, config_path)
    click.echo("the settings are right")


@config.command()
@click.argument("key")
def explain(key: str) -> None:
    """What a setting means, its default, and what is allowed."""
    fields: dict[str, Any] = {
        f"{name}.{inner}": field
        for name, section in Settings.model_fields.items()
        for inner, field in section.annotation.model_fields.items()  # type: ignore[union-attr]
    }
    own = SLOT.fullmatch(key)
    general = f"rank.{own[1]}" if own and own[1] in PolicySettings.model_fields else key
    if general not in fields:
        raise SettingError(f"{key!r} is no setting; there are {', '.join(fields)}")
    field = fields[general]
    limits = ", ".join(str(limit) for limit in field.metadata)
    click.echo(f"{key}: {field.description}")
    if key in TABLES:
        one, model, default = TABLES[key]
        click.echo(f"  {one} has  {', '.join(model.model_fields)}")
        click.echo(f"  default     {default}")
        click.echo("  from        a settings file")
        return
    click.echo(f"  type     {str(field.annotation).removeprefix('<class ').strip(chr(39) + '>')}  {limits}".rstrip())
    click.echo(f"  default  {f'that of {general}' if own else field.default}")
    source = "a settings file" if own else f"{ENVIRONMENT}{general.replace('.', '_')}".upper()
    click.echo(f"  from     {source}")


def _print_table(name: str, table: dict[str, Any]) -> None:
    """A section as TOML, and the tables in it as tables of their own."""
    click.echo(f"[{name}]")
    inner = {key: value for key, value in table.items() if f"{name}.{key}" in TABLES}
    for key, value in table.items():
        if value is None or value == {}:
            click.echo(f"# {key}: none")
        elif key not in inner or value == []:
            click.echo(f"{key} = {json.dumps(value)}")
    click.echo()
    for key, tables in inner.items():
        if isinstance(tables, list):
            for own in tables:
                _print_table(f"[{name}.{key}]", own)
            continue
        for slot, own in tables.items():
            bare = slot if re.fullmatch(r"[\w-]+", slot, re.ASCII) else json.dumps(slot)
            _print_table(f"{name}.{key}.{bare}", own)
