"""``shopguide watch``: a ZeroMQ subscriber, one line a message."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from shopguide.cli.options import examples, json_option, state_option
from shopguide.client import Subscriber, Update, read_keys
from shopguide.keys import Secret
from shopguide.settings import PushSettings
from shopguide.signing import load_ring
from shopguide.state import StateDir
from shopguide.tokens import mint

TTL = 3600.0  # seconds that a token for --user lives
RENEW = TTL / 2  # seconds after which the next one is minted
TITLES = 5  # titles on a line


@click.command(
    epilog=examples(
        "shopguide watch --user 17850",
        "shopguide watch --user 17850 --count 1 --json",
        "shopguide watch --token TOKEN --connect tcp://127.0.0.1:7201",
    )
)
@click.option("--user", help="User id; a token is minted with the state directory's secret.")
@click.option("--token", help="A token, where the secret is not at hand.")
@click.option("--connect", metavar="ENDPOINT", help="Where messages come from.  [default: the running process's]")
@click.option(
    "--server-key", metavar="KEY", help="The server's CURVE key (see `shopguide token --json`), if it has one."
)
@click.option(
    "--client-keys",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A key pair of `shopguide keypair`, where the server lets in only those that it knows.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many lists.")
@state_option
@json_option
def watch(
    user: str | None,
    token: str | None,
    connect: str | None,
    server_key: str | None,
    client_keys: Path | None,
    count: int | None,
    state_path: Path,
    as_json: bool,
) -> None:
    """Follow a user's list: a line for each new one, until Ctrl-C.

    A line has the list's seq, its slot, how long it took from the event behind it to this line, and titles. The first
    list may have been there already: its line says so, and how old its event is. With --json a line is the list as a
    snapshot message with latency_ms (from the event to this line), or age_ms (of the event, where the list was there
    already), and brought: the message's type, snapshot or diff.
    """
    if (user is None) == (token is None):
        raise click.UsageError("give either --user or --token")
    running = StateDir(state_path).running() if connect is None else {}
    endpoint = connect or running.get("push") or str(PushSettings.model_fields["endpoint"].default)
    given = token or _mint(str(user), state_path)
    keys = read_keys(client_keys) if client_keys else None
    server_key = server_key or running.get("server_key")
    began = time.time()
    subscriber = Subscriber(given, endpoint, running.get("gap"), server_key=server_key, client_keys=keys)
    with suppress(KeyboardInterrupt), subscriber as lists:
        _follow(lists, user, state_path, count, as_json, began)


def _follow(
    lists: Subscriber, user: str | None, state_path: Path, count: int | None, as_json: bool, began: float
) -> None:
    shown, renewed = 0, time.monotonic()
    while count is None or shown < count:
        update = lists.receive(RENEW)
        if update is not None:
            shown += 1
            click.echo(json.dumps(_report(update, began)) if as_json else _line(update, began))
        if user is not None and time.monotonic() - renewed >= RENEW:
            renewed = time.monotonic()
            lists.renew(_mint(user, state_path))


def _mint(user: str, state_path: Path) -> str:
    secret = Secret.load(state_path)
    return mint(load_ring(secret, state_path), secret.user_key(user), TTL)


def _report(update: Update, began: float) -> dict[str, Any]:
    """The update as a snapshot, and how old its event is here."""
    name = "age_ms" if _was_there(update, began) else "latency_ms"
    return {**update.snapshot(), name: _age(update), "brought": update.message["type"]}


def _was_there(update: Update, began: float) -> bool:
    """Whether the list was pushed before the watch began (epoch s)."""
    pushed: float = update.message["times"]["pushed"]
    return pushed < began


def _age(update: Update) -> float:
    """Milliseconds from the event to this line."""
    event: float = update.message["times"]["event"]
    return round((time.time() - event) * 1000, 1)


def _line(update: Update, began: float) -> str:
    epoch, n = update.seq
    titles = " · ".join(item["title"] for item in update.items[:TITLES])
    more = f" · … {len(update.items)}" if len(update.items) > TITLES else ""
    age = _age(update)
    since = f"there already, {age / 1000:.1f} s old" if _was_there(update, began) else f"{age:.1f} ms"
    return f"{epoch}-{n}  {update.message['slot']}  {since}  {titles or '(empty)'}{more}"
