"""``shopguide keypair``: CURVE keys for a client of a push server that lets in only those it knows."""

from __future__ import annotations

import json
from pathlib import Path

import click
import zmq

from shopguide import private
from shopguide.cli.options import examples, json_option
from shopguide.errors import SettingError

FORM = """# A client's CURVE keys for shopguide's push server. Whoever has the secret one is this client.
metadata
curve
    public-key = "{}"
    secret-key = "{}"
"""


@click.command(
    epilog=examples(
        "shopguide keypair till-7.key",
        "shopguide keypair till-7.key >> clients          (the file that push.clients names, where the server runs)",
        "shopguide watch --user 17850 --client-keys till-7.key",
    )
)
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@json_option
def keypair(path: Path, as_json: bool) -> None:
    """Make a key pair in FILE, for its owner only, and print the public key.

    The server lets in the public keys in the file that its setting push.clients names; the secret one goes nowhere.
    """
    if path.exists():
        raise SettingError(f"{path} is there already")
    public, secret = (key.decode() for key in zmq.curve_keypair())
    private.write(path, FORM.format(public, secret).encode())
    click.echo(json.dumps({"public_key": public, "file": str(path)}) if as_json else public)
