"""Questions to the model: recommend, similar, trending, why. At rest (--state) or to a running process (--connect)."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import click

from shopguide.cli.at_rest import AtRest
from shopguide.cli.options import connect_option, examples, json_option, state_option
from shopguide.errors import ShopguideError, SourceError
from shopguide.keys import Secret
from shopguide.signing import load_ring
from shopguide.tokens import mint

TTL = 60.0  # seconds that a token for one question lives


@click.command(
    epilog=examples(
        "shopguide recommend --user 17850 -n 10",
        "shopguide recommend --user 17850 --state DIR --json",
        "shopguide recommend --user guest-1 --connect http://127.0.0.1:8080",
    )
)
@click.option("--user", required=True, help="User id.")
@click.option("-n", default=20, show_default=True, type=click.IntRange(1, 100), help="Items.")
@click.option("--slot", default="home", show_default=True, help="Where the list stands.")
@state_option
@connect_option
@json_option
def recommend(user: str, n: int, slot: str, state_path: Path, connect: str | None, as_json: bool) -> None:
    """The list for a user, with reasons."""
    if connect:
        found = _get(connect, "recommend", n=n, slot=slot, token=_token(user, state_path))
        found = {"user": user, **found}
    else:
        found = AtRest(state_path).recommend(user, slot, n)
    unknown = "" if found.get("known", True) else ", of whom nothing is known: what is popular"
    _print_list(found, f"for {user}{unknown}", as_json)


@click.command(epilog=examples("shopguide similar --item 85123A", "shopguide similar --item 85123A -n 5 --json"))
@click.option("--item", required=True, help="Item id.")
@click.option("-n", default=20, show_default=True, type=click.IntRange(1, 100), help="Items.")
@state_option
@connect_option
@json_option
def similar(item: str, n: int, state_path: Path, connect: str | None, as_json: bool) -> None:
    """Items that go with an item."""
    found = _get(connect, "similar", item=item, n=n) if connect else AtRest(state_path).similar(item, n)
    _print_list(found, f"similar to {item}", as_json)


@click.command(epilog=examples("shopguide trending", "shopguide trending --category garden -n 5"))
@click.option("--category", help="Only this category.")
@click.option("-n", default=20, show_default=True, type=click.IntRange(1, 100), help="Items.")
@state_option
@connect_option
@json_option
def trending(category: str | None, n: int, state_path: Path, connect: str | None, as_json: bool) -> None:
    """What is popular now."""
    if connect:
        found = _get(connect, "trending", n=n, **({"category": category} if category else {}))
    else:
        found = AtRest(state_path).trending(category, n)
    _print_list(found, f"trending{f' in {category}' if category else ''}", as_json)


@click.command(
    epilog=examples("shopguide why --user 17850 --item 22423", "shopguide why --user 17850 --item 22423 --json")
)
@click.option("--user", required=True, help="User id.")
@click.option("--item", required=True, help="Item id.")
@state_option
@connect_option
@json_option
def why(user: str, item: str, state_path: Path, connect: str | None, as_json: bool) -> None:
    """The whole sum behind an item's score for a user."""
    if connect:
        found = _get(connect, "why", item=item, token=_token(user, state_path))
    else:
        found = AtRest(state_path).why(user, item)
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{found['title']} ({found['item']}) scores {found['score']:.4f}:")
    for part in found["parts"]:
        bar = "█" * max(1, round(24 * part["amount"] / (found["score"] or 1)))
        click.echo(f"  {part['amount']:.4f}  {bar:<24}  {part['signal']}: {part['text']}")


def _print_list(found: dict[str, Any], what: str, as_json: bool) -> None:
    if as_json:
        items = [{k: v for k, v in item.items() if k != "image"} for item in found["items"]]
        click.echo(json.dumps({**found, "items": items}))
        return
    click.echo(f"{len(found['items'])} items {what}")
    for place, item in enumerate(found["items"], 1):
        title = "" if item["title"] == item["item"] else f"{item['title']}  "
        click.echo(f"{place:3}. {title}({item['item']})  {item['score']:.3f}")
        for reason in item["reasons"]:
            click.echo(f"       {reason['share']:4.0%}  {reason['text']}")


def _token(user: str, state_path: Path) -> str:
    secret = Secret.load(state_path)
    return mint(load_ring(secret, state_path), secret.user_key(user), TTL)


def _get(url: str, what: str, **query: Any) -> dict[str, Any]:
    """The JSON answer of a running process. Raises SourceError with its own words where it refuses."""
    address = f"{url.rstrip('/')}/v1/{what}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return dict(json.load(response))
    except urllib.error.HTTPError as e:
        raise SourceError(f"{url}: {json.load(e).get('error', e.reason)}") from None
    except (urllib.error.URLError, TimeoutError, ValueError) as e:
        raise ShopguideError(f"cannot ask {url}: {getattr(e, 'reason', e)}") from None
