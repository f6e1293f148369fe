"""``shopguide token``: mint a user's token, or an admin's for the desk."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from shopguide.cli.options import examples, json_option, state_option
from shopguide.errors import SettingError
from shopguide.keys import Secret
from shopguide.tokens import KeyRing, mint, mint_admin

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(context: click.Context, option: click.Parameter, value: str) -> float:
    """A number and its unit, s, m, h or d; as seconds."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd])", value, re.ASCII)
    if found is None or float(found[1]) == 0:
        raise click.BadParameter(f"{value!r}: should be like 90s, 15m, 1h or 7d", context, option)
    return float(found[1]) * UNITS[found[2]]


@click.command(
    epilog=examples(
        "shopguide token --user 17850",
        "shopguide token --user guest-1 --ttl 7d --json",
        "shopguide token --admin 'Ada Lovelace' --ttl 8h",
        'curl -N "http://127.0.0.1:8080/v1/stream?token=$(shopguide token --user 17850)"',
    )
)
@click.option("--user", help="User id.")
@click.option("--admin", metavar="NAME", help="Who works at the desk: what they do there is logged in this name.")
@click.option("--ttl", callback=seconds, default="1h", show_default=True, help="How long it lives: 90s, 15m, 1h, 7d.")
@state_option
@json_option
def token(user: str | None, admin: str | None, ttl: float, state_path: Path, as_json: bool) -> None:
    """Mint a token that opens a user's messages and routes, or the desk.

    The JSON also has the push server's public CURVE key, which clients need where it encrypts (push.curve).
    Signed with the secret in SHOPGUIDE_SECRET, else with that of the state directory.
    """
    if (user is None) == (admin is None):
        raise SettingError("give either --user or --admin")
    secret = Secret.load(state_path)
    now = time.time()
    keys = KeyRing.of(secret)
    said: dict[str, Any]
    if user is not None:
        text = mint(keys, secret.user_key(user), ttl, now)
        said = {"user": user, "token": text, "server_key": keys.curve()[0].decode()}
    else:
        text = mint_admin(keys, str(admin), ttl, now)
        said = {"admin": admin, "token": text}
    if as_json:
        ends = datetime.fromtimestamp(now + ttl, UTC).isoformat(timespec="seconds")
        click.echo(json.dumps({**said, "expires": now + ttl, "ends": ends}))
    else:
        click.echo(text)
