"""Over HTTP: a visitor nobody knows is shown what the shop's rules say and what visitors like them chose; from the
first click on the list turns to what they choose."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.cli.run import serve
from shopguide.recommenders.segments import ACQUAINTED
from shopguide.settings import load
from shopguide.state import StateDir

SHELF = {
    "tea": [f"tea-{n}" for n in range(ACQUAINTED + 2)],
    "cups": ["mug", "bowl", "glass"],
    "spring": ["tulip", "crocus"],
}
RULE = {"campaign": "Spring-26", "category": "spring", "because": "our spring campaign"}
PATIENCE = 20.0


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[RunningLine, httpx.Client]]:
    flags = {"http.port": 0, "push.endpoint": "tcp://127.0.0.1:*", "score.rules": [RULE]}
    settings = load("shop", flags=flags)
    line = RunningLine(StateDir(tmp_path), settings)
    told: list[str] = []
    with operated(line):
        stopped, ready = threading.Event(), threading.Event()
        thread = threading.Thread(
            target=serve, args=(line, settings, stopped, lambda address: (told.append(address), ready.set()))
        )
        thread.start()
        try:
            assert ready.wait(PATIENCE)
            with httpx.Client(base_url=told[0], timeout=PATIENCE) as client:
                client.post("/v1/events", json=history()).raise_for_status()
                line.learn_all()
                yield line, client
        finally:
            stopped.set()
            thread.join()


def history() -> list[dict[str, Any]]:
    """All see all cups and some tea; those from DE take mugs, those from FR bowls, the two from IT glasses."""
    rows: list[dict[str, Any]] = [
        {"kind": "item", "item": item, "title": f"{category} {item}", "category": category}
        for category, items in SHELF.items()
        for item in items
    ]
    at = int(time.time()) - 100
    for region, item, shoppers in (("DE", "mug", 6), ("FR", "bowl", 6), ("IT", "glass", 2)):
        for shopper in range(shoppers):
            seen = [(region, "view", "tea-1"), (region, "view", "tea-2"), (region, "purchase", item)]
            for of, kind, what in seen:
                at += 1
                rows.append({"user": f"{region}{shopper}", "kind": kind, "item": what, "time": at, "region": of})
    return rows


def visitor(client: httpx.Client) -> str:
    token: str = client.post("/v1/visitor").json()["token"]
    return token


def asked(client: httpx.Client, token: str, **context: str) -> list[dict[str, Any]]:
    answer = client.get("/v1/recommend", params={"token": token, "slot": "home", "n": 12, **context})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def parts(client: httpx.Client, token: str, item: str) -> dict[str, float]:
    found = client.get("/v1/why", params={"token": token, "item": item}).json()
    return {part["text"]: part["amount"] for part in found.get("parts", ())}


def looked(line: RunningLine, client: httpx.Client, token: str, items: list[str], **context: str) -> None:
    events = [{"kind": "view", "item": item, **context} for item in items]
    said = client.post("/v1/events", json={"token": token, "consent": True, "events": events}).json()
    assert said == {"accepted": len(items), "refused": 0}
    line.learn_all()


def test_a_campaign_s_visitor_gets_the_rule_s_items_and_then_what_they_choose(
    shop: tuple[RunningLine, httpx.Client],
) -> None:
    line, client = shop
    token = visitor(client)
    first = asked(client, token, campaign="spring-26")
    assert {item["item"] for item in first[:2]} == set(SHELF["spring"])
    assert first[0]["reasons"][0]["text"] == "our spring campaign"
    assert not {item["item"] for item in asked(client, visitor(client))[:2]} & set(SHELF["spring"])

    amounts, places = [], []
    for count in range(1, ACQUAINTED + 1):
        looked(line, client, token, [f"tea-{count}"], campaign="spring-26")
        names = [item["item"] for item in asked(client, token)]
        tulip = parts(client, token, "tulip")
        amounts.append(tulip.get("our spring campaign", 0.0))
        places.append(names.index("tulip") if "tulip" in names else len(names))
        if count == 3:
            assert names[0].startswith("tea-")
    assert amounts[0] > 0 and all(a >= b for a, b in pairwise(amounts))
    assert amounts[-1] == 0 and places[-1] > places[0]


def test_an_unknown_visitor_gets_what_is_popular_where_they_come_from(shop: tuple[RunningLine, httpx.Client]) -> None:
    _, client = shop
    for region, item, other in (("de", "mug", "bowl"), ("fr-FR", "bowl", "mug")):
        token = visitor(client)
        names = [found["item"] for found in asked(client, token, region=region)]
        assert names.index(item) < (names.index(other) if other in names else 99)
        assert f"popular with visitors from {region[-2:].upper()}" in parts(client, token, item)
    token = visitor(client)
    asked(client, token, region="IT")
    said = parts(client, token, "glass")
    assert "popular with visitors like you" in said, "two shoppers are not named"
    assert not any("IT" in text for text in said)


def test_where_a_visit_comes_from_is_said_by_its_events_too(shop: tuple[RunningLine, httpx.Client]) -> None:
    line, client = shop
    token = visitor(client)
    looked(
        line, client, token, ["tea-5"], region="DE", referrer="https://www.google.com/search?q=secret", device="Mobile"
    )
    asked(client, token)
    assert "popular with visitors from DE" in parts(client, token, "mug")
    key = line.guard.verify(token).user
    assert line.stage("featurize").events_of(key)["context"].astype(bool).tolist() == [True]
    line.log.commit()
    row = next(
        details
        for batch in iter_rows(line)
        for at in range(len(batch.events))
        if batch.events.user[at] == key and (details := batch.events.details(at)).get("device")
    )
    assert row == {"region": "DE", "referrer": "search", "device": "phone"}
    before = len(line.stage("score").segments.models)
    client.post("/v1/forget", json={"token": token}).raise_for_status()
    assert len(line.stage("score").segments.models) < before, "they were the only one who came from a search"


def iter_rows(line: RunningLine) -> Iterator[Any]:
    for partition in range(line.log.partitions):
        batch = line.log.read(partition, 0, 10_000)
        if batch is not None:
            yield batch


def test_what_makes_no_sense_is_refused_with_a_reason(shop: tuple[RunningLine, httpx.Client]) -> None:
    line, client = shop
    token = visitor(client)
    answer = client.get("/v1/recommend", params={"token": token, "campaign": "x" * 65})
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "campaign makes no sense: should be printable, and short"},
    )
    rejected = line.stage("reject").counts["device makes no sense"]
    looked(line, client, token, ["mug"], device="a\x00b")
    assert line.stage("reject").counts["device makes no sense"] == rejected + 1
