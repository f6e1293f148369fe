"""``shopguide forget | retract | export``: a person's and a producer's rights over what was learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from shopguide import receipts
from shopguide.cli.control import ask
from shopguide.cli.export import exported
from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.cli.options import examples, json_option, state_option
from shopguide.errors import SourceError, StateError
from shopguide.kafka.binding import bound
from shopguide.keys import Secret
from shopguide.settings import load
from shopguide.state import StateDir


@click.command(
    epilog=examples(
        "shopguide forget --user 17850 --state DIR > receipt.json",
        "shopguide forget --user 17850 --state DIR --checksum",
        "shopguide forget --verify receipt.json --state DIR",
    )
)
@click.option("--user", help="User id.")
@click.option("--checksum", is_flag=True, help="Put the model's checksum afterwards into the receipt.")
@click.option("--verify", "receipt", type=click.Path(path_type=Path, dir_okay=False), help="Check a receipt instead.")
@state_option
def forget(user: str | None, checksum: bool, receipt: Path | None, state_path: Path) -> None:
    """Forget a person: out of the model, the snapshots, the rejects and the log. Prints a signed receipt (JSON)."""
    if receipt is not None:
        _verify(receipt, state_path)
    elif user:
        click.echo(json.dumps(done(state_path, "forget", user=user, checksum=checksum)))
    else:
        raise SourceError("forget whom? give --user, or --verify a receipt")


@click.command(epilog=examples("shopguide retract --event order-4711 --state DIR"))
@click.option("--event", required=True, help="The id that the producer gave the event.")
@state_option
@json_option
def retract(event: str, state_path: Path, as_json: bool) -> None:
    """Take one event back, as if it had never been."""
    answer = done(state_path, "retract", event=event)
    if as_json:
        click.echo(json.dumps(answer))
    else:
        click.echo(
            f"event {event!r} is taken back" if answer["found"] else f"no event {event!r} is known: nothing to do"
        )


@click.command(epilog=examples("shopguide export --user 17850 --state DIR > held.json"))
@click.option("--user", required=True, help="User id.")
@state_option
def export(user: str, state_path: Path) -> None:
    """Everything that is held about a person (JSON)."""
    click.echo(json.dumps(exported(state_path, user)))


def done(path: Path, do: str, new: bool = False, **details: Any) -> Any:
    """What the process that runs on the directory answers (:func:`ask`), else we ourselves. ``new``: it may be one that
    nothing was run on yet."""
    state = StateDir(path)
    if state.in_use():
        return ask(path, do, **details)
    if (topic := bound(path)) is not None:
        raise StateError(f"{path}: its log is the Kafka topic {topic.topic!r}; ask again while a process runs on both")
    settings = load() if new and not state.log.exists() else state.settings()
    with operated(RunningLine(state, settings, push=False)):
        return ask(path, do, **details)


def _verify(path: Path, state_path: Path) -> None:
    try:
        receipt = json.loads(path.read_bytes())
    except OSError as e:
        raise SourceError(f"cannot read the receipt {path}: {e.strerror}") from None
    except (ValueError, RecursionError):
        receipt = None
    if not isinstance(receipt, dict) or not receipts.verify(Secret.load(state_path), receipt):
        raise SourceError(f"{path} is no receipt of this deployment, or was changed")
    click.echo(f"the receipt is genuine: {receipt['rows']} rows of {receipt['user']!r} went at {receipt['time']}")
