"""A pick at the desk of a line whose stages work on Storm: on every open screen, and undone again; what is sold out
leaves the screens that show it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guide import Holder, caught_up
from local import ROOT, local_cluster, wait_until

from shopguide.client import Subscriber
from shopguide.keys import Secret
from shopguide.tokens import KeyRing, mint_admin
from shopguide.topologies.recommend import Recommend

USERS = ("anna", "bo", "cy", "nobody")
PATIENCE = 30.0  # seconds

pytestmark = [pytest.mark.storm, pytest.mark.timeout(300)]


def ask(holder: Holder, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    token = mint_admin(KeyRing.of(Secret.load(holder.state)), "Ada", 600)
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{holder.url}/v1/desk/{what}", data, {"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return dict(json.load(answer))


def numbers(holder: Holder) -> str:
    return str(urllib.request.urlopen(f"{holder.url}/metrics", timeout=5).read().decode())


def missing(holder: Holder) -> str:
    """What the holder is not ready for; empty: it is."""
    try:
        with urllib.request.urlopen(f"{holder.url}/readyz", timeout=5):
            return ""
    except urllib.error.HTTPError as e:
        return str(json.load(e)["checks"])


def listed(lists: Subscriber, fits: Callable[[list[str]], bool]) -> list[str]:
    """The next list that fits."""
    ends = time.monotonic() + PATIENCE
    while (left := ends - time.monotonic()) > 0:
        update = lists.receive(left)
        if update is not None and fits([item["item"] for item in update.items]):
            return [item["item"] for item in update.items]
    raise AssertionError("no such list came")


def test_a_pick_reaches_every_screen_and_is_undone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    options = json.loads((ROOT / "config.json").read_text())["envs"]["local"]["options"]
    holder = Holder(state)
    with local_cluster(Recommend, {"shopguide.state": str(state), **options}, tmp_path):
        now = time.time()
        items = [{"kind": "item", "item": f"i{n}", "title": f"Item {n}", "category": "all"} for n in range(9)]
        holder.post([{**item, "time": now} for item in items])
        seen = [{"user": user, "item": f"i{n}", "kind": "view", "time": now} for user in USERS[:3] for n in range(6)]
        holder.post(seen)
        wait_until(lambda: caught_up(state))
        lists = {user: holder.watch(user) for user in USERS}
        for one in lists.values():
            listed(one, lambda items: len(items) > 0)
        wait_until(lambda: not missing(holder))
        wait_until(lambda: 'shopguide_events_kept_total{kind="view",task="featurize-0"} 18.0' in numbers(holder))
        for stage in ("score", "featurize", "rank", "push", "log"):
            assert f'shopguide_stage_seconds_count{{stage="{stage}",task="{stage}-0"}} ' in numbers(holder)
        pinned = ask(holder, "pick", {"action": "pin", "item": "i8", "position": 2, "why": "to be seen"})
        for one in lists.values():
            listed(one, lambda items: items[1:2] == ["i8"])
        ask(holder, "undo", {"id": pinned["id"], "why": "seen"})
        for one in lists.values():
            listed(one, lambda items: items[1:2] != ["i8"])
        holder.post([{"kind": "item", "item": "i0", "op": "stock", "stock": 0}])
        for one in lists.values():
            listed(one, lambda items: "i0" not in items)
            one.close()
        assert [(e["by"], e["action"], e["why"]) for e in ask(holder, "audit")["entries"]] == [
            ("Ada", "undo", "seen"),
            ("Ada", "pin", "to be seen"),
        ]
        found = ask(holder, "lookup", {"user": "anna", "why": "to see"})
        assert found["events"] == 6 and len(found["items"]) > 0
        holder.stop()
