"""Forgetting people: the model without them, no trace of them in any file, also where it was killed midway."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import State, end, kill, run, said, serve, start

from shopguide.cli.control import ask
from shopguide.keys import Secret

pytestmark = pytest.mark.timeout(600)

PEOPLE, FORGOTTEN, GUESTS = 300, 100, 60
SMALL = {"SHOPGUIDE_LOG_SEGMENT_BYTES": "65536", "SHOPGUIDE_STATE_EVERY": "0.5"}


def history(seed: int) -> list[dict[str, Any]]:
    """Shoppers with takes-back, doubles, visitors who log in, and rubbish that names them."""
    chance = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for at in range(20_000):
        number, guest = chance.randrange(PEOPLE), chance.random() < 0.1
        user = f"guest-{number % GUESTS:04d}" if guest else f"person-{number:04d}"
        row = {"user": user, "item": f"item-{min(int(chance.paretovariate(1)), 400)}", "time": 1_700_000_000 + 30 * at}
        row["kind"] = chance.choice(["view", "view", "cart", "purchase", "remove", "search", "dismiss"])
        if row["kind"] == "search":
            row["query"] = f"a gift for {user}"
        if row["kind"] == "remove" and (guest or number < GUESTS):
            row["kind"] = "view"  # a return may come before what it takes back has changed hands
        if chance.random() < 0.3:
            row["id"] = f"event-{user}-{chance.randrange(at + 1) // 100}"
        if chance.random() < 0.01:
            row["time"] = "never"
        rows.append(row)
        if guest and chance.random() < 0.2:
            rows.append({"kind": "alias", "user": user, "account": account_of(user), "time": 1_700_000_000 + 30 * at})
    return rows


def account_of(user: str) -> str:
    """Who a guest is; anybody else is themselves."""
    return user.replace("guest", "person")


def write(path: Path, rows: list[dict[str, Any]], rubbish: list[str]) -> str:
    """The rows as a file, with lines that cannot be read at its end; the source that it is."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "".join(f"{line}\n" for line in rubbish))
    return f"file:{path}?format=events"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]], list[str]]:
    path = tmp_path_factory.mktemp("shop")
    rows = history(1)
    people = sorted({str(row["user"]) for row in rows if str(row["user"]).startswith("person")})
    gone = random.Random(2).sample(people, FORGOTTEN)
    rubbish = [f"{user} said something" for user in people[::3]]
    write(path / "all.jsonl", rows, rubbish)
    assert len({row["user"] for row in rows if row["kind"] == "alias"}) == GUESTS
    left = [row for row in rows if account_of(row["user"]) not in gone]
    write(path / "without.jsonl", left, [line for line in rubbish if line.split()[0] not in gone])
    run(f"file:{path / 'without.jsonl'}?format=events", path / "without")
    return path, rows, gone


def assert_no_trace(directory: Path, gone: list[str]) -> None:
    secret = Secret.load(directory)
    traces = {user.encode() for user in gone}
    for user in (*gone, *(user.replace("person", "guest") for user in gone if user < f"person-{GUESTS:04d}")):
        key = secret.user_key(user)
        traces |= {key.to_bytes(8, "little"), key.to_bytes(8, "big"), b"%016x" % key, b"%d" % key}
    for file in directory.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert not [trace for trace in traces if trace in data], f"{file} names somebody"


def test_forgetting_a_hundred_is_never_having_had_them(tmp_path: Path, shop: Any) -> None:
    path, _, gone = shop
    run(f"file:{path / 'all.jsonl'}?format=events", tmp_path, **SMALL)
    serving, _ = serve(tmp_path, **SMALL)
    for user in gone[10:]:
        assert ask(tmp_path, "forget", user=user)["rows"] > 0
    end(serving)
    for user in gone[:10]:
        receipt = json.loads(said("forget", "--user", user, "--state", tmp_path, **SMALL))
        assert receipt["rows"] > 0
    (tmp_path.parent / "receipt.json").write_text(json.dumps(receipt))
    assert "genuine" in said("forget", "--verify", tmp_path.parent / "receipt.json", "--state", tmp_path)
    one, other = State(tmp_path), State(path / "without")
    assert one.checksum == other.checksum and one.rejected == other.rejected
    assert_no_trace(tmp_path, gone)
    for snapshot in (tmp_path / "snapshots").iterdir():
        for part in snapshot.iterdir():
            part.unlink()
        snapshot.rmdir()
    assert said("state", "checksum", tmp_path).strip() == other.checksum  # learned again from the log


def test_forgetting_that_was_killed_is_finished_at_the_next_start(tmp_path: Path, shop: Any) -> None:
    path, _, gone = shop
    source = f"file:{path / 'all.jsonl'}?format=events"
    run(source, tmp_path, **SMALL)
    chance = random.Random(3)
    for user in gone[:12]:
        kill(start("forget", "--user", user, "--state", tmp_path, **SMALL), chance.uniform(0.3, 1.6))
        if chance.random() < 0.5:
            run(source, tmp_path, **SMALL)
    serving, _ = serve(tmp_path, **SMALL)
    for user in gone:
        ask(tmp_path, "forget", user=user)
    end(serving)
    assert State(tmp_path).checksum == State(path / "without").checksum
    assert_no_trace(tmp_path, gone)


def is_view(row: dict[str, Any]) -> bool:
    return row["kind"] == "view" and row["time"] != "never"


def test_a_running_line_forgets_retracts_and_goes_on(tmp_path: Path, shop: Any) -> None:
    path, rows, gone = shop
    run(f"file:{path / 'all.jsonl'}?format=events", tmp_path, **SMALL)
    serving, _ = serve(tmp_path, **SMALL)
    receipts = [json.loads(said("forget", "--user", user, "--checksum", "--state", tmp_path)) for user in gone[:5]]
    assert len({receipt["checksum"] for receipt in receipts}) == 5
    ids = Counter(row.get("id") for row in rows)
    kept = next(row["id"] for row in rows if ids[row.get("id")] == 1 and row["user"] not in gone and is_view(row))
    assert json.loads(said("retract", "--event", kept, "--state", tmp_path, "--json"))["found"]
    assert not json.loads(said("retract", "--event", kept, "--state", tmp_path, "--json"))["found"]
    assert said("export", "--user", gone[0], "--state", tmp_path).count("item-") == 0
    end(serving)
    assert_no_trace(tmp_path, gone[:5])
