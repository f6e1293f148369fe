"""The command line as a user has it: real processes, real files, real sockets."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shopguide.cli import cli
from shopguide.client import Subscriber
from shopguide.settings import load
from shopguide.state import StateDir

COMMANDS = (
    ["demo"], ["run"], ["batch"], ["watch"], ["recommend"], ["similar"], ["trending"], ["why"], ["simulate"], ["token"],
    ["keypair"], ["evaluate"], ["train"], ["activate"], ["trial"], ["report"],
    ["state", "checksum"], ["state", "check"], ["state", "info"], ["state", "diff"], ["state", "backup"],
    ["config", "show"],
    ["config", "check"], ["config", "explain"], ["forget"], ["retract"], ["export"], ["import"],
    ["doctor"], ["storm", "status"], ["storm", "wait"], ["storm", "rebalance"],
)  # fmt: skip


def shopguide(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from shopguide.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full: /dev/full")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    events = tmp_path / "e.csv"
    events.write_text("user,item,time\n" + "".join(f"u{n % 9},p{n % 7},{10**9 + n}\n" for n in range(300)))
    for command in (["simulate", "--out", "/dev/full"], ["evaluate", events, "--untrained", "--json"]):
        line = [sys.executable, "-m", "shopguide", *map(str, command)]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (2, "shopguide: cannot write: No space left on device\n")


def test_an_interruption_is_one_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "shopguide",
        "simulate",
        "--events",
        str(10**8),
        "--out",
        str(tmp_path / "shop.jsonl"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "shop.jsonl").exists() or not (tmp_path / "shop.jsonl").stat().st_size:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1].split("\n") == ["", "shopguide: interrupted", ""]
    assert process.returncode == 130


def test_a_training_makes_nothing_where_there_is_no_state_directory(tmp_path: Path) -> None:
    done = shopguide("train", "--state", tmp_path / "typo")
    assert done.returncode == 2 and "is no state directory" in done.stderr and not (tmp_path / "typo").exists()


def said(*arguments: object) -> str:
    """What a command that must succeed prints."""
    done = shopguide(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*arguments: object) -> str:
    """The one line of a command that must fail."""
    done = shopguide(*arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    line = done.stderr.strip()
    assert line and "\n" not in line, line
    return line


def write_shop(path: Path, rows: int = 3000, seed: int = 1) -> Path:
    """A file of events with titles, returns and some rubbish."""
    chance = random.Random(seed)
    lines = ["user,item,time,kind,title,price"]
    for at in range(rows):
        item = min(int(chance.paretovariate(0.9)), 60)
        kind = chance.choice(["view", "view", "view", "cart", "purchase", "remove"])
        time_ = "never" if at % 500 == 499 else str(1_700_000_000 + at * 20)
        lines.append(f"u{chance.randint(1, 40)},i{item},{time_},{kind},Thing {item},{item}.50")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory after a finished run."""
    path = tmp_path_factory.mktemp("shop")
    summary = json.loads(said("run", "--source", f"file:{write_shop(path / 'a.csv')}", "--state", path / "s", "--json"))
    assert (summary["rows"], summary["rejected"], summary["reasons"]) == (3000, 6, {"time cannot be read": 6})
    assert summary["kept"] == sum(summary["kinds"].values()) == 2994
    yield path / "s"


def test_a_finished_file_is_a_no_op(shop: Path) -> None:
    before = said("state", "checksum", shop)
    again = json.loads(said("run", "--source", f"file:{shop.parent / 'a.csv'}", "--state", shop, "--json"))
    assert (again["rows"], again["checksum"]) == (0, before.strip()) and said("state", "checksum", shop) == before


def test_a_list_has_titles_and_reasons_that_add_up(shop: Path) -> None:
    found = json.loads(said("recommend", "--user", "u1", "-n", 10, "--state", shop, "--json"))
    assert found["user"] == "u1" and len(found["items"]) == 10
    for item in found["items"]:
        assert item["title"].startswith("Thing ") and item["reasons"]
        assert sum(r["share"] for r in item["reasons"]) <= 1.0001
    words = said("recommend", "--user", "u1", "-n", 3, "--state", shop)
    assert words.startswith("3 items for u1") and "shoppers chose both" in words


def test_why_shows_the_whole_sum(shop: Path) -> None:
    item = json.loads(said("recommend", "--user", "u1", "-n", 1, "--state", shop, "--json"))["items"][0]
    why = json.loads(said("why", "--user", "u1", "--item", item["item"], "--state", shop, "--json"))
    assert sum(p["amount"] for p in why["parts"]) == pytest.approx(why["score"], abs=1e-6)
    assert "scores" in said("why", "--user", "u1", "--item", item["item"], "--state", shop)
    assert "'nothing' is not among" in refused("why", "--user", "u1", "--item", "nothing", "--state", shop)


def test_similar_trending_and_the_unknown(shop: Path) -> None:
    similar = json.loads(said("similar", "--item", "i1", "-n", 4, "--state", shop, "--json"))
    assert similar["item"] == "i1" and len(similar["items"]) == 4 and all(i["item"] != "i1" for i in similar["items"])
    assert json.loads(said("trending", "-n", 3, "--state", shop, "--json"))["items"]
    assert json.loads(said("recommend", "--user", "stranger", "--state", shop, "--json"))["items"]
    assert "item 'i999' is not in this state" in refused("similar", "--item", "i999", "--state", shop)


def test_state_says_what_it_holds(shop: Path) -> None:
    info = json.loads(said("state", "info", shop, "--json"))
    assert sum(info["log"]["rows"]) >= 3000 and info["snapshots"] and info["checksum"]
    assert "all invariants hold" in said("state", "check", shop)
    assert "rows in 1 partition," in said("state", "info", shop)
    assert "is no state directory" in refused("state", "checksum", shop / "nothing")


def test_nothing_stored_names_a_user_but_rows_that_were_rejected(shop: Path) -> None:
    rejected = {row.split(",")[0] for row in (shop.parent / "a.csv").read_text().splitlines() if ",never," in row}
    users = {f"u{u}" for u in range(1, 41)} - rejected
    for file in shop.rglob("*"):
        if file.is_file() and file.parent.name != "rejects":
            data = file.read_bytes()
            assert not [user for user in users if f"{user},".encode() in data], file


def test_killed_and_run_again_is_the_undisturbed_run(tmp_path: Path) -> None:
    source = f"file:{write_shop(tmp_path / 'b.csv', 30_000, 2)}"
    calm = json.loads(said("run", "--source", source, "--state", tmp_path / "calm", "--json"))
    command = [sys.executable, "-c", "from shopguide.cli import main; main()", "run", "--source", source, "--state"]
    for delay in (0.7, 0.9, 1.1):
        process = subprocess.Popen([*command, tmp_path / "storm"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    storm = json.loads(said("run", "--source", source, "--state", tmp_path / "storm", "--json"))
    assert storm["checksum"] == calm["checksum"]
    rejects = [
        sum(len(f.read_text().splitlines()) for f in (tmp_path / name / "rejects").glob("*"))
        for name in ("calm", "storm")
    ]
    assert rejects == [60, 60]


BAD = {
    "empty": b"",
    "binary": bytes(random.Random(3).randbytes(50_000)),
    "header": b"a,b,c\n1,2,3\n",
    "values": b"user,item,time\nu1,i1,notatime\nu1,,5\n,i2,5\nu1,i2,nan\nu1,i2,1e400\nu1,i3,1700000001\n",
    "prices": b"user,item,time,price\nu1,i1,1700000001,NaN\nu1,i2,1700000002,inf\nu1,i3,1700000003,9.5\n",
    "dates": b"user,item,time\nu1,i1,1700000001\nu1,i2,1700000002000\nu1,i3,2023-11-14T22:13:25Z\nu1,i4,14.11.23\n",
    "long": b"user,item,time\n" + b"u" * 10_000_000 + b",i,1700000000\nu1,i1,1700000000\n",
}


@pytest.mark.parametrize("name", BAD)
def test_rubbish_is_a_clear_line_or_counted_rejects(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.csv"
    file.write_bytes(BAD[name])
    done = shopguide("run", "--source", f"file:{file}?format=events", "--state", tmp_path / "s", "--json")
    assert "Traceback" not in done.stderr + done.stdout
    if name in ("empty", "binary", "header"):
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
        return
    summary = json.loads(done.stdout)
    lines = BAD[name].count(b"\n") - 1
    assert summary["kept"] + summary["rejected"] == lines
    assert summary["kept"] == {"values": 1, "prices": 1, "dates": 3, "long": 1}[name]


def test_a_thousand_random_strings(tmp_path: Path) -> None:
    chance = random.Random(4)
    rows = [
        chance.randbytes(chance.randint(1, 60)).replace(b"\n", b"").replace(b"\r", b"") or b"x" for _ in range(1000)
    ]
    (tmp_path / "a.csv").write_bytes(b"user,item,time\n" + b"\n".join(rows) + b"\n")
    done = shopguide("run", "--source", f"file:{tmp_path / 'a.csv'}?format=events", "--state", tmp_path / "s", "--json")
    summary = json.loads(done.stdout)
    assert summary["kept"] == 0 and 0 < summary["rejected"] <= 1000 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run"], "nothing to run"),
        (["run", "--source", "file:none.csv"], "cannot read none.csv: No such file"),
        (["run", "--source", "ftp:x"], "should be file:PATH"),
        (["run", "--source", "folow:x"], "follow:PATH, http:, sim: or kafka:"),
        (["run", "--source", "http:", "--http", "here"], "--http 'here': should be HOST:PORT"),
        (["config", "explain", "push.zoo"], "'push.zoo' is no setting"),
        (["token", "--user", "u", "--state", "none"], "no secret"),
        (["token", "--user", "u", "--admin", "Ada", "--state", "none"], "either --user or --admin"),
        (["token", "--state", "none"], "either --user or --admin"),
        (["recommend", "--user", "u", "--state", "none"], "is no state directory"),
        (["recommend", "--user", "u", "--connect", "http://127.0.0.1:9"], "cannot ask http://127.0.0.1:9"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if "token" in arguments:
        monkeypatch.delenv("SHOPGUIDE_SECRET")
    assert line in refused(*arguments)


def test_settings_of_slots_are_shown_as_they_are_read_and_explained(tmp_path: Path) -> None:
    given, again = tmp_path / "given.toml", tmp_path / "again.toml"
    given.write_text('[rank]\nper_brand = 3\n[rank.slots.cart]\nper_category = 2\n[rank.slots."a b"]\nseen = "drop"\n')
    again.write_text(said("config", "show", "--config", given))
    assert load(path=again) == load(path=given) != load()
    assert "# slots: none" in said("config", "show") and '[rank.slots."a b"]' in again.read_text()
    words = said("config", "explain", "rank.slots.cart.per_category")
    assert "most items of one category" in words and "that of rank.per_category" in words
    assert "a slot has" in said("config", "explain", "rank.slots")
    assert "SHOPGUIDE_RANK_PER_BRAND" in said("config", "explain", "rank.per_brand")
    assert "'rank.slots.cart.n' is no setting" in refused("config", "explain", "rank.slots.cart.n")


def test_rules_are_shown_as_they_are_read_and_explained(tmp_path: Path) -> None:
    given, again = tmp_path / "given.toml", tmp_path / "again.toml"
    given.write_text("[[collect.rules]]\nkind = 'view'\npath = '/\"x\"/(?P<item>.+)'\n")
    again.write_text(said("config", "show", "--config", given))
    assert load(path=again) == load(path=given) != load()
    again.write_text(said("config", "show"))
    assert load(path=again) == load() and again.read_text().count("[[collect.rules]]") == 3
    assert "a rule has  kind, path, method, item" in said("config", "explain", "collect.rules")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    found: Any = cli
    for word in command:
        found = found.commands[word]
    assert found.help and (len(command) > 1 or "Examples:" in (found.epilog or ""))


def test_what_is_taken_back_at_rest(tmp_path: Path) -> None:
    rows = [{"user": f"u{k % 9}", "item": f"i{k % 7}", "time": 1_700_000_000 + k, "id": f"e{k}"} for k in range(90)]
    rows.append({"user": "u4", "kind": "search", "query": "lamps", "time": 1_700_000_100})
    file = tmp_path / "events.jsonl"
    for name, left in (("s", rows), ("never", [row for row in rows if row["user"] != "u4" and row.get("id") != "e7"])):
        file.write_text("".join(json.dumps(row) + "\n" for row in left))
        shutil.copy(file, tmp_path / f"{name}.jsonl")
        said("run", "--source", f"file:{tmp_path / name}.jsonl", "--state", tmp_path / name)
    held = json.loads(said("export", "--user", "u4", "--state", tmp_path / "s"))
    assert len(held["rows"]) == 11 and held["rows"][-1]["query"] == "lamps" and len(held["learned"]) == 11
    assert "is taken back" in said("retract", "--event", "e7", "--state", tmp_path / "s")
    assert "nothing to do" in said("retract", "--event", "e7", "--state", tmp_path / "s")
    assert shopguide("state", "diff", tmp_path / "s", tmp_path / "never").returncode == 1
    receipt = tmp_path / "receipt.json"
    receipt.write_text(said("forget", "--user", "u4", "--checksum", "--state", tmp_path / "s"))
    assert "genuine: 12 rows of 'u4'" in said("forget", "--verify", receipt, "--state", tmp_path / "s")
    assert "the models are equal" in said("state", "diff", tmp_path / "s", tmp_path / "never")
    assert json.loads(said("export", "--user", "u4", "--state", tmp_path / "s"))["rows"] == []
    receipt.write_text(receipt.read_text().replace('"rows": 12', '"rows": 13'))
    assert "or was changed" in refused("forget", "--verify", receipt, "--state", tmp_path / "s")
    assert "give --user" in refused("forget", "--state", tmp_path / "s")


def test_forget_me_over_http_needs_the_token_and_voids_it(tmp_path: Path) -> None:
    one = Process(tmp_path / "s", "run", "--source", "http:", "--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*")
    visitor = one.post("/v1/visitor", {})
    events = [{"kind": "view", "item": f"i{k}"} for k in range(4)]
    one.post("/v1/events", {"token": visitor["token"], "events": events})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        one.post("/v1/forget", {})
    receipt = one.post("/v1/forget", {"token": visitor["token"]})
    assert receipt["kinds"]["view"] == 4 and receipt["signature"]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        one.post("/v1/events", {"token": visitor["token"], "events": events})
    code, text = one.end()
    assert code == 0 and "Traceback" not in text, text
    assert json.loads(said("export", "--user", visitor["user"], "--state", tmp_path / "s"))["rows"] == []


def test_no_command_is_untested() -> None:
    names = {
        (n,) if not hasattr(c, "commands") else (n, m)
        for n, c in cli.commands.items()
        for m in getattr(c, "commands", [n])
    }
    assert names == {tuple(c) for c in COMMANDS}


class Process:
    """A running ``shopguide`` that serves."""

    def __init__(self, state: Path, *arguments: object) -> None:
        command = [sys.executable, "-c", "from shopguide.cli import main; main()", *map(str, arguments)]
        self.state = state
        self.process = subprocess.Popen(
            [*command, "--state", str(state)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 60
        while StateDir(state).running().get("pid") != self.process.pid:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.where = StateDir(state).running()

    def post(self, path: str, body: Any) -> dict[str, Any]:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.where["http"] + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return dict(json.load(response))

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.decode() + err.decode()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "s", "demo", "--port", 0)
    yield process
    if process.process.poll() is None:
        process.end()


def product(process: Process, at: int) -> str:
    with urllib.request.urlopen(process.where["http"] + "/v1/products", timeout=10) as response:
        found = json.load(response)
    return str((found["products"] if isinstance(found, dict) else found)[at]["item"])


def test_a_click_changes_the_list_of_a_subscriber(demo: Process) -> None:
    visitor = demo.post("/v1/visitor", {})
    with Subscriber(visitor["token"], demo.where["push"], demo.where["gap"]) as subscriber:
        first = subscriber.receive(10)
        assert first is not None and len(first.items) == 20
        demo.post("/v1/events", {"token": visitor["token"], "events": [{"kind": "view", "item": product(demo, 3)}]})
        second = subscriber.receive(10)
        assert second is not None and second.seq > first.seq
        assert [i["item"] for i in second.items] != [i["item"] for i in first.items]
        assert product(demo, 3) in [reason["because"] for reason in second.items[0]["reasons"]]
        gone = second.items[0]["item"]
        demo.post("/v1/dismiss", {"token": visitor["token"], "item": gone})
        third = subscriber.receive(10)
        assert third is not None and gone not in [i["item"] for i in third.items]
        lists = {third.seq: [i["item"] for i in third.items]}  # the shop goes on: a list is compared at its seq
        watched = json.loads(
            said("watch", "--user", visitor["user"], "--count", 1, "--state", demo.state, "--json").splitlines()[-1]
        )
        asked = json.loads(
            said(
                "recommend", "--user", visitor["user"], "--connect", demo.where["http"], "--state", demo.state, "--json"
            )
        )
        for found in (watched, asked):
            while tuple(found["seq"]) not in lists:
                update = subscriber.receive(10)
                assert update is not None, f"the subscriber was never told of {found['seq']}"
                lists[update.seq] = [i["item"] for i in update.items]
            assert [i["item"] for i in found["items"]] == lists[tuple(found["seq"])]
    with urllib.request.urlopen(demo.where["http"] + "/healthz", timeout=10) as response:
        counts = json.load(response)
    assert counts["events"] == counts["rows"] - counts["rejected"] > 60_000 and counts["events_per_second"] >= 0
    assert "in use by process" in refused("run", "--source", "http:", "--state", demo.state)
    assert json.loads(said("state", "info", demo.state, "--json"))["running"]["pid"] == demo.process.pid
    code, text = demo.end(signal.SIGINT)
    assert code == 0 and "Traceback" not in text, text


def test_a_simulated_shop_is_a_source_until_it_is_stopped(tmp_path: Path) -> None:
    running = Process(tmp_path / "s", "run", "--source", "sim:", "--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*")
    with urllib.request.urlopen(running.where["http"] + "/v1/trending?n=3", timeout=10) as response:
        assert len(json.load(response)["items"]) == 3
    code, text = running.end()
    assert code == 0 and "kept" in text and "Traceback" not in text, text


def test_events_that_were_answered_survive_a_kill(tmp_path: Path) -> None:
    one = Process(tmp_path / "s", "run", "--source", "http:", "--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*")
    events = [{"user": f"u{u}", "item": f"i{i}", "kind": "view", "id": f"{u}-{i}"} for u in range(20) for i in range(5)]
    for start in range(0, 100, 10):
        assert one.post("/v1/events", events[start : start + 10])["accepted"] == 10
    one.end(signal.SIGKILL)
    two = Process(tmp_path / "s", "run", "--source", "http:", "--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*")
    two.post("/v1/events", events)
    code, text = two.end()
    assert code == 0, text
    info = json.loads(said("state", "info", tmp_path / "s", "--json"))
    assert (info["events"]["view"], info["events"]["doubles"]) == (100, 100)


def test_profiles_are_imported_before_anything_was_run(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("nr,age,likes\nanna,30-39,lamps\n,40-49,lamps\n")
    (tmp_path / "crm.toml").write_text('user = "nr"\ninterests = ["likes"]\n[profile]\nage_band = "age"\n')
    call = ("import", tmp_path / "users.csv", "--mapping", tmp_path / "crm.toml", "--state", tmp_path / "s")
    assert "2, 2 of them new" in said(*call) and "2, 0 of them new" in said(*call)
    held = json.loads(said("export", "--user", "anna", "--state", tmp_path / "s"))
    assert held["profile"] == {"attributes": {"age_band": "30-39"}, "interests": ["lamps"]}
    (tmp_path / "crm.toml").write_text('user = "number"\ninterests = ["likes"]\n')
    assert "user = 'number'; it has nr, age, likes" in refused(*call)
