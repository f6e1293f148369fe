"""One process, Storm's one-JVM cluster, a cluster, and a cluster at other widths come to the same model and lists."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import widths
from click.testing import CliRunner
from cluster import ROOT, SHOPGUIDE, Cluster, until
from guide import caught_up, deployed, said, snapshot_of_all
from local import local_cluster, make_jar

from shopguide.cli import cli
from shopguide.simulate import START, Shop
from shopguide.topologies.recommend import Recommend

USERS = [f"shopper-{number:05d}" for number in range(17)] + ["visitor-1", "account-1", "nobody"]
WATCHERS = USERS[:5]
COUNTS = ("rows", "kept", "kinds", "rejected", "reasons", "notes", "checksum")
PATIENCE = 150  # seconds that a run may take

pytestmark = [pytest.mark.storm, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a shop: its catalogue, what shoppers do and take back, logins, doubles, and what cannot be read."""
    file = tmp_path_factory.mktemp("shop") / "shop.jsonl"
    subprocess.run([*SHOPGUIDE, "simulate", "--events", "3000", "--seed", "1", "--out", str(file)], check=True)
    lines = file.read_text().splitlines()
    for at, line in enumerate(lines[1000::200]):
        lines.insert(1000 + 205 * at, line)  # an id given twice
    for at, row in enumerate(with_a_login()):
        lines.insert(1500 + 40 * at, json.dumps(row))
    for at, bad in enumerate(unreadable()):
        lines.insert(1100 + 300 * at, bad)
    file.write_text("\n".join(lines) + "\n")
    return file


def with_a_login() -> Iterator[dict[str, Any]]:
    """A visitor and an account, before and after the one becomes the other; a return, and an event taken back."""
    for number in range(24):
        user = ("visitor-1", "account-1")[number % 3 == 0]
        yield {
            "kind": ("view", "cart", "purchase")[number % 3],
            "user": user,
            "item": f"p{number * 7 % 30:04d}",
            "time": START + 100 * number,
            "event": f"of-{user}-{number}",
        }
        if number == 12:
            yield {"kind": "alias", "user": "visitor-1", "account": "account-1", "time": START + 1201}
    yield {"kind": "remove", "user": "visitor-1", "item": "p0014", "time": START + 2500}
    yield {"kind": "retract", "user": "account-1", "target": "of-account-1-3", "time": START + 2501}


def unreadable() -> list[str]:
    return [
        '{"kind": "view", "user": "shopper-00001"',
        '{"kind": "view", "user": "shopper-00001", "item": "p0001", "time": "NaN"}',
        '{"kind": "stare", "user": "shopper-00001", "item": "p0001", "time": 1760000000}',
        '{"kind": "view", "user": "shopper-00001", "time": 1760000000}',
        '{"kind": "view", "user": "shopper-00001", "item": "p0001", "time": 99999999999}',
        '{"kind": "cart", "user": "shopper-00002", "item": "p0001", "time": 1760000000, "value": "Infinity"}',
    ]


def run(shop: Path, state: Path, *flags: str) -> dict[str, Any]:
    """The whole file, to its end; what it came to."""
    command = ["run", "--source", f"file:{shop}?speed=max", "--state", str(state), "--json", *flags]
    done = subprocess.run([*SHOPGUIDE, *command], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert snapshot_of_all(state), "the newest snapshot does not hold the log"
    report = json.loads(done.stdout)
    found = {name: report[name] for name in COUNTS}
    return {**found, "state": said("state", "checksum", str(state)), "lists": {u: listed(u, state) for u in USERS}}


def listed(user: str, state: Path) -> list[tuple[str, float]]:
    done = CliRunner().invoke(cli, ["recommend", "--user", user, "--state", str(state), "--json"])
    assert done.exit_code == 0, done.output
    return [(item["item"], round(item["score"], 9)) for item in json.loads(done.stdout)["items"]]


@pytest.fixture(scope="module")
def reference(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(shop, tmp_path_factory.mktemp("local") / "state")


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Path], AbstractContextManager[object]]:
    """Has a topology work on a state directory."""
    if request.param == "one-jvm":
        return lambda state: local_cluster(Recommend, {"shopguide.state": str(state), **options()}, tmp_path)
    pair: Cluster = request.getfixturevalue("pair")
    project = widths.make_project(tmp_path / "project") if request.param == "wide" else ROOT
    return lambda state: submitted(pair, project, {"narrow": "recommend"}.get(request.param, "wide"), state)


def options() -> dict[str, Any]:
    return dict(json.loads((ROOT / "config.json").read_text())["envs"]["local"]["options"])


@contextmanager
def submitted(cluster: Cluster, project: Path, topology: str, state: Path) -> Iterator[None]:
    cluster.submit(project, "parity", {"shopguide.state": str(state)}, jar=make_jar(), topology=topology)
    try:
        yield
    finally:
        print(cluster.logs("parity")[-3000:])
        cluster.kill("parity")


def test_the_reference_has_all_that_can_happen(reference: dict[str, Any]) -> None:
    assert reference["rejected"] == len(unreadable()) and len(reference["reasons"]) == 6
    assert {"remove", "purchase", "cart"} <= set(reference["kinds"]) and reference["notes"]["doubles"] > 5
    assert {"alias", "adopt", "retract"} <= set(reference["notes"])
    assert reference["checksum"] == reference["state"] and all(reference["lists"].values())


@pytest.mark.parametrize("engine", ["one-jvm", "narrow", "wide"], indirect=True)
def test_an_engine_comes_to_the_same(
    engine: Callable[[Path], AbstractContextManager[object]], shop: Path, reference: dict[str, Any], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with engine(state):
        found = run(shop, state, "--engine", "storm")
    for what, expected in reference.items():
        assert found[what] == expected, what


def test_lists_that_are_pushed_at_width_are_those_of_the_state(pair: Cluster, tmp_path: Path) -> None:
    state, shop = tmp_path / "state", Shop(1)
    project = widths.make_project(tmp_path / "project")
    with deployed(pair, state, make_jar(), project, "wide") as holder:
        rows = list(chain(shop.catalogue(), shop.events(1500)))
        lists = {user: holder.watch(user) for user in WATCHERS}
        for start in range(0, len(rows), 250):
            holder.post(rows[start : start + 250])
        until(lambda: caught_up(state))
        end = max(row["time"] for row in rows) + 1
        holder.post([{"kind": "search", "user": user, "query": "the end", "time": end} for user in WATCHERS])
        shown = {user: last_list(one, end) for user, one in lists.items()}
    assert all(shown.values())
    assert shown == {user: [item for item, _ in listed(user, state)] for user in WATCHERS}
    assert np.unique([len(pids) for pids in shown.values()]).tolist() == [20]


def last_list(lists: Any, end: float) -> list[str]:
    """That of an event at a time."""
    while (update := lists.receive(30.0)) is not None:
        if update.message["times"]["event"] == end:
            lists.close()
            return [item["item"] for item in update.items]
    raise AssertionError("no list came")
