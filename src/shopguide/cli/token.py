"""``shopguide token``: mint a user's token, or an admin's for the desk; change the keys that sign them."""

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
from shopguide.push.curve import server_keys
from shopguide.signing import KeyFile
from shopguide.tokens import mint, mint_admin

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
        "shopguide token --rotate                 (a new key signs; tokens of older ones are good until they end)",
        "shopguide token --retire                 (tokens of all keys but the newest are void)",
        'curl -N "http://127.0.0.1:8080/v1/stream?token=$(shopguide token --user 17850)"',
    )
)
@click.option("--user", help="User id.")
@click.option("--admin", metavar="NAME", help="Who works at the desk: what they do there is logged in this name.")
@click.option("--ttl", callback=seconds, default="1h", show_default=True, help="How long it lives: 90s, 15m, 1h, 7d.")
@click.option("--rotate", is_flag=True, help="Make a new signing key; running processes take it up within a second.")
@click.option("--retire", is_flag=True, help="Let go of all signing keys but the newest.")
@state_option
@json_option
def token(
    user: str | None, admin: str | None, ttl: float, rotate: bool, retire: bool, state_path: Path, as_json: bool
) -> None:
    """Mint a token that opens a user's messages and routes, or the desk.

    The JSON also has the push server's public CURVE key, which clients need where it encrypts (push.curve).
    Signed with the newest of DIR/token-keys; without that file, with a key that comes from the secret, in
    SHOPGUIDE_SECRET, the file that SHOPGUIDE_SECRET_FILE names, or DIR/secret.
    """
    if [user is not None, admin is not None, rotate or retire].count(True) != 1:
        raise SettingError("give either --user or --admin, or --rotate, --retire")
    secret = Secret.load(state_path)
    file = KeyFile(secret.token, state_path)
    if rotate or retire:
        _change(file, rotate, retire, as_json)
        return
    now, keys = time.time(), file.ring()
    said: dict[str, Any]
    if user is not None:
        text = mint(keys, secret.user_key(user), ttl, now)
        said = {"user": user, "token": text, "server_key": server_keys(secret)[0].decode()}
    else:
        text = mint_admin(keys, str(admin), ttl, now)
        said = {"admin": admin, "token": text}
    if as_json:
        ends = datetime.fromtimestamp(now + ttl, UTC).isoformat(timespec="seconds")
        click.echo(json.dumps({**said, "expires": now + ttl, "ends": ends}))
    else:
        click.echo(text)


def _change(file: KeyFile, rotate: bool, retire: bool, as_json: bool) -> None:
    if rotate:
        file.rotate()
    if retire:
        file.retire()
    ring = file.ring()
    older = len(ring) - 1
    if as_json:
        click.echo(json.dumps({"newest": f"{ring.newest:08x}", "older": older}))
    else:
        click.echo(
            f"key {ring.newest:08x} signs" + (f"; tokens of {older} older are good until they end" if older else "")
        )
