"""The desk on a real line: what an expert says is on every open screen, in the log for good, and can be undone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from shopguide.cli.desk import TURN
from shopguide.cli.export import exported
from shopguide.cli.follower import Follower
from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.cli.outcomes import Outcomes
from shopguide.cli.run import serve
from shopguide.client import Subscriber
from shopguide.evaluate.data import NEXT_ITEM, Dataset
from shopguide.evaluate.rates import rates
from shopguide.keys import Secret, item_key
from shopguide.push import PushProcess
from shopguide.push.process import COUNT
from shopguide.records import SIGNALS, Events, Kind
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.tokens import mint, mint_admin

SHELF = {"tea": ("assam", "darjeeling", "sencha"), "cups": ("mug", "glass", "bowl")}
USERS = ("anna", "bo", "new")
PATIENCE = 20.0  # seconds for what should take milliseconds


class Served:
    """A line that serves, and an admin at its desk."""

    def __init__(self, path: Path, **flags: object) -> None:
        self.path = path
        settings = load("shop", flags={"http.port": 0, "push.endpoint": "tcp://127.0.0.1:*", **flags})
        self.line = RunningLine(StateDir(path), settings)
        self._work, self._stopped, ready = operated(self.line), threading.Event(), threading.Event()
        self.operator = self._work.__enter__()
        told = lambda address: (setattr(self, "address", address), ready.set())  # noqa: E731
        self._thread = threading.Thread(target=serve, args=(self.line, settings, self._stopped, told))
        self._thread.start()
        assert ready.wait(PATIENCE)
        self.lists: dict[str, Subscriber] = {}
        self.client = httpx.Client(base_url=self.address, timeout=PATIENCE)  # type: ignore[attr-defined]

    def ask(self, what: str, body: Any = None, by: str = "Ada", **query: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {mint_admin(self.line.keys, by, 60)}"}
        method = "GET" if body is None else "POST"
        content = None if body is None else json.dumps(body)
        return self.client.request(method, f"/v1/desk/{what}", headers=headers, content=content, params=query)

    def said(self, what: str, body: Any = None, **more: str) -> Any:
        answer = self.ask(what, body, **more)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def token(self, user: str) -> str:
        return mint(self.line.keys, self.line.secret.user_key(user), 3600)

    def watch(self, *users: str) -> None:
        assert self.line.push is not None
        for user in users:
            self.lists[user] = Subscriber(self.token(user), self.line.push.endpoint, self.line.push.gap_endpoint)
            self.until(user, lambda items: len(items) > 0)

    def until(self, user: str, fits: Callable[[list[str]], bool]) -> list[str]:
        """The next list of a user that fits."""
        ends = time.monotonic() + PATIENCE
        items: list[str] = []
        while (left := ends - time.monotonic()) > 0:
            update = self.lists[user].receive(left)
            items = [item["item"] for item in update.items] if update else items
            if update and fits(items):
                return items
        raise AssertionError(items)

    def close(self) -> None:
        for one in self.lists.values():
            one.close()
        self.client.close()
        self._stopped.set()
        self._thread.join()
        self._work.__exit__(None, None, None)


def stocked(served: Served) -> Served:
    """Products, and visitors who looked at them a day ago; the one called new has never been here."""
    now = time.time()
    rows = [
        {"kind": "item", "item": item, "title": item.title(), "category": category, "time": now - 9e4}
        for category, items in SHELF.items()
        for item in items
    ]
    views = [
        {"kind": "view", "user": user, "item": item, "time": now - 86_400}
        for user in ("anna", "bo", "cy", "di")
        for items in SHELF.values()
        for item in items[:2]
    ]
    served.line.collector.collect([*rows, *views, {"kind": "view", "user": "di", "item": "bowl", "time": now - 86_400}])
    served.line.learn_all()
    return served


def counted(push: PushProcess) -> int:
    """How many lists were pushed, once its process has said so."""
    time.sleep(3 * COUNT)
    return push.counts["pushed"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts a line on ``tmp_path``; one at a time."""
    running: list[Served] = []

    def begin(**flags: object) -> Served:
        while running:
            running.pop().close()
        running.append(Served(tmp_path, **flags))
        return running[-1]

    yield begin
    for one in running:
        one.close()


def test_a_pin_is_first_on_every_open_screen_and_its_undoing_too(start: Callable[..., Served]) -> None:
    served = stocked(start())
    served.watch(*USERS)
    pinned = served.said("pick", {"action": "pin", "item": "sencha", "why": "a new glaze"}, by="Ada")
    lists = {user: served.until(user, lambda items: items[0] == "sencha") for user in USERS}
    assert all(items.count("sencha") == 1 for items in lists.values())
    second = served.said("pick", {"action": "pin", "item": "bowl", "position": 3, "why": "more"}, by="Bo")
    assert {served.until(user, lambda items: items[2] == "bowl")[0] for user in USERS} == {"sencha"}
    undone = served.said("undo", {"id": pinned["id"], "why": "sold out soon"}, by="Cy")
    for user in USERS:
        served.until(user, lambda items: items[0] != "sencha" and items[2] == "bowl")
    served.said("undo", {"id": undone["id"], "why": "it is not"}, by="Ada")
    for user in USERS:
        served.until(user, lambda items: items[0] == "sencha" and items[2] == "bowl")
    entries = served.said("audit")["entries"]
    assert [(e["by"], e["action"], e["why"], e["stands"]) for e in entries] == [
        ("Ada", "undo", "it is not", True),
        ("Cy", "undo", "sold out soon", False),
        ("Bo", "pin", "more", True),
        ("Ada", "pin", "a new glaze", True),
    ]
    assert [e["time"] for e in entries] == sorted((e["time"] for e in entries), reverse=True)
    assert abs(entries[0]["time"] - time.time()) < 600 and entries[3]["title"] == "Sencha"
    assert [pick["id"] for pick in served.said("picks")["picks"]] == [second["id"], pinned["id"]]


def test_what_is_sold_out_or_deleted_leaves_the_screens_that_show_it_and_no_other_is_made_anew(
    start: Callable[..., Served],
) -> None:
    served = stocked(start(**{"rank.n": 3}))
    assert served.line.push is not None
    collect, push = served.line.collector.collect, served.line.push
    collect([{"kind": "dismiss", "user": "bo", "item": item} for item in ("mug", "bowl")])
    served.watch(*USERS)
    gone: set[str] = set()
    for op in ({"op": "stock", "stock": 0}, {"op": "delete"}):
        served.line.learn_all()
        before = {user: push.latest(served.line.secret.user_key(user)) or {} for user in USERS}
        shown = {user: {item["item"] for item in newest["items"]} for user, newest in before.items()}
        item = ({"mug", "bowl"} & shown["anna"]).pop()
        gone.add(item)
        holders = [user for user in USERS if item in shown[user]]
        assert "anna" in holders and "bo" not in holders
        pushed = counted(push)
        collect([{"kind": "item", "item": item, **op}, {"kind": "item", "item": "nowhere", "op": "delete"}])
        for user in holders:
            served.until(user, lambda items: not gone & set(items))
        served.line.learn_all()
        assert counted(push) - pushed == len(holders)
        assert push.latest(served.line.secret.user_key("bo")) == before["bo"]


def test_what_ends_by_itself_leaves_the_screens_then_and_stays_away(start: Callable[..., Served]) -> None:
    def tell(served: Served, item: str, seconds: float) -> None:
        served.line.collector.collect([{"kind": "item", "item": item, "until": time.time() + seconds}])
        served.line.learn_all()

    served = stocked(start())
    served.watch("anna")
    tell(served, "bowl", 3600)
    tell(served, "mug", 0.5)
    assert "bowl" in served.until("anna", lambda items: "mug" not in items)
    served = start()
    served.watch("anna", "bo")
    assert served.line.push is not None
    for user in ("anna", "bo"):
        newest = served.line.push.latest(served.line.secret.user_key(user)) or {}
        assert {"mug", "bowl"} & {item["item"] for item in newest["items"]} == {"bowl"}
    time.sleep(3 * TURN)
    served.line.learn_all()
    frames = [batch.events for _, batch in served.line.log.frames(0, 0, served.line.log.end(0))]
    deleted = [events.details(row) for events in frames for row in np.flatnonzero(events.kind == Kind.ITEM).tolist()]
    assert deleted.count({"op": "delete"}) == 1
    tell(served, "mug", 3600)
    served.line.collector.collect([{"kind": "view", "user": "bo", "item": "sencha"}])
    served.until("bo", lambda items: "mug" in items)


def test_a_list_that_is_made_again_stays_in_its_slot(start: Callable[..., Served]) -> None:
    served = stocked(start())
    served.watch("anna")
    key = served.line.secret.user_key("anna")
    served.line.collector.control(Kind.WATCH, key, expires=time.time() + 60, slot="cart")
    served.until("anna", lambda items: True)
    assert served.line.push is not None
    served.line.push.watch_again()
    served.until("anna", lambda items: True)
    newest = served.line.push.latest(key)
    assert newest is not None and newest["slot"] == "cart"


def test_a_category_is_blocked_for_one_segment_in_one_slot(start: Callable[..., Served]) -> None:
    served = stocked(start())
    served.watch(*USERS)
    wanted = {"action": "block", "category": "tea", "segment": "returning", "slot": "home", "why": "it is hot"}
    served.said("pick", wanted)
    served.until("anna", lambda items: not set(items) & set(SHELF["tea"]) and len(items) > 0)
    listed = served.client.get("/v1/recommend", params={"token": served.token("new")}).json()
    assert {item["item"] for item in listed["items"]} & set(SHELF["tea"])
    there = served.client.get("/v1/recommend", params={"token": served.token("bo"), "slot": "cart"}).json()
    assert {item["item"] for item in there["items"]} & set(SHELF["tea"])


def test_a_schedule_begins_and_ends_by_itself(start: Callable[..., Served]) -> None:
    served = stocked(start())
    served.watch("anna")
    now = time.time()
    served.said("pick", {"action": "pin", "item": "bowl", "from": now + 1.5, "until": now + 3, "why": "happy hour"})
    items = served.until("anna", lambda items: True)
    assert items[0] != "bowl"
    served.until("anna", lambda items: items[0] == "bowl")
    assert time.time() >= now + 1.5
    served.until("anna", lambda items: items[0] != "bowl")
    assert time.time() >= now + 3


def test_what_was_said_outlives_restarts_snapshots_and_retention(start: Callable[..., Served]) -> None:
    small = {"log.segment_bytes": 4096, "learn.retention_events": 1024, "log.partitions": 2}
    served = stocked(start(**small))
    pinned = served.said("pick", {"action": "pin", "item": "bowl", "why": "kept"})
    gone = served.said("pick", {"action": "bury", "category": "tea", "why": "undone"})
    served.said("undo", {"id": gone["id"], "why": "a mistake"})
    before = served.said("audit")
    for number in range(8):
        now = time.time()
        rows = [
            {"kind": "view", "user": f"v{number}-{n % 40}", "item": "mug", "time": now + n / 1000} for n in range(800)
        ]
        served.line.collector.collect(rows)
        served.line.learn_all()
        served.line.snapshot()
    assert any(served.line.stage("featurize").kept_from(p) > 100 for p in range(2))
    again = start(**small)
    assert again.said("audit") == before
    for folder in (again.path / "snapshots").iterdir():
        folder.rename(again.path / f"not-{folder.name}")
    last = start(**small)  # the whole log is learned again
    last.line.learn_all()
    follower = Follower(StateDir(last.path), last.line.settings, last.line.log)
    assert last.said("audit") == before and list(follower.catalogue().picks) == list(last.line.catalogue().picks)
    assert [pick["id"] for pick in last.said("picks")["picks"]] == [pinned["id"]]
    last.watch("anna")
    last.said("pick", {"action": "boost", "item": "mug", "why": "to see a list"})
    assert last.until("anna", lambda items: True)[0] == "bowl"
    follower.keep_up()
    assert not follower._heard, "nothing piles up where nobody asks"
    assert next(iter(follower.catalogue().picks)).action == "boost"


def test_a_lookup_says_what_is_held_is_audited_and_goes_with_its_user(start: Callable[..., Served]) -> None:
    served = stocked(start())
    profile = {"attributes": {"age_band": "30-39"}, "interests": ["tea"]}
    served.line.collector.control(Kind.PROFILE, served.line.secret.user_key("di"), **profile)
    served.line.learn_all()
    found = served.said("lookup", {"user": "di", "why": "asked why tea"}, by="Bo")
    assert found["profile"] == profile
    assert found["segments"] == ["returning"] and found["events"] == 5 and found["here"] > 0
    assert {event["title"] for event in found["recent"]} == {"Assam", "Darjeeling", "Mug", "Glass", "Bowl"}
    assert {one["category"]: one["items"] for one in found["interests"]} == {"tea": 2, "cups": 3}
    for item in found["items"]:
        assert sum(part["amount"] for part in item["why"]) == pytest.approx(item["score"], abs=1e-6)
    (entry,) = served.said("audit")["entries"]
    key = f"{served.line.secret.user_key('di'):016x}"
    assert (entry["action"], entry["by"], entry["why"], entry["user"]) == ("lookup", "Bo", "asked why tea", key)
    assert found["key"] == key and served.said("lookup", {"user": "nobody", "why": "a typo"})["events"] == 0
    served.line.snapshot()
    assert [row["by"] for row in exported(served.path, "di")["rows"] if row["kind"] == "lookup"] == ["Bo"]
    receipt = served.operator.forget("di")
    assert receipt["kinds"]["lookup"] == 1
    assert [entry["why"] for entry in served.said("audit")["entries"]] == ["a typo"]
    assert not exported(served.path, "di")["rows"]


def test_only_an_admins_token_in_a_header_opens_the_desk(start: Callable[..., Served]) -> None:
    served = stocked(start())
    admin, anna = mint_admin(served.line.keys, "Ada", 60), served.token("anna")
    other = mint_admin(type(served.line.keys).of(Secret(b"another deployment")), "Ada", 60)
    old = mint_admin(served.line.keys, "Ada", 60, time.time() - 61)
    for path in ("live", "products", "picks", "audit", "pick", "undo", "lookup"):
        method = "POST" if path in ("pick", "undo", "lookup") else "GET"
        for token in (anna, other, old, "rubbish", "é", admin[:-1] + "é", admin[1:]):
            headers = {"authorization": f"Bearer {token}".encode()}
            answer = served.client.request(method, f"/v1/desk/{path}", headers=headers)
            assert answer.status_code == 401 and list(answer.json()) == ["error"], (path, token)
        for params in ({"token": admin}, {}):
            assert served.client.request(method, f"/v1/desk/{path}", params=params).status_code == 401
    for path in ("stream", "recommend", "why?item=mug"):
        answer = served.client.get(f"/v1/{path}", headers={"authorization": f"Bearer {admin}"})
        assert answer.status_code == 401 and list(answer.json()) == ["error"]
    assert served.client.post("/v1/forget", json={"token": admin}).status_code == 401
    assert served.said("audit")["entries"] == [] and served.said("live", by="Ada Lovelace")["by"] == "Ada Lovelace"


@pytest.mark.parametrize(
    ("what", "body", "status", "words"),
    [
        ("pick", [], 400, "object"),
        ("pick", {"action": "pin", "item": "mug"}, 400, "why"),
        ("pick", {"action": "pin", "item": "mug", "why": "  "}, 400, "why"),
        ("pick", {"action": "love", "item": "mug", "why": "x"}, 400, "'pin', 'boost', 'bury' or 'block'"),
        ("pick", {"action": "pin", "item": "mug", "category": "tea", "why": "x"}, 400, "either"),
        ("pick", {"action": "pin", "category": "tea", "why": "x"}, 400, "a pin is of an item"),
        ("pick", {"action": "pin", "item": "mug", "position": 101, "why": "x"}, 400, "position = 101"),
        ("pick", {"action": "pin", "item": "mug", "slot": "HOME", "why": "x"}, 400, "slot"),
        ("pick", {"action": "pin", "item": "mug", "from": 9, "until": 8, "why": "x"}, 400, "after"),
        ("pick", {"action": "pin", "item": "mug", "segment": "vip", "why": "x"}, 400, "segment = 'vip'"),
        ("pick", {"action": "pin", "item": "mug", "by": "Bo", "why": "x"}, 400, "by"),
        ("pick", {"action": "pin", "item": "teapot", "why": "x"}, 409, "'teapot' is not known"),
        ("pick", {"action": "bury", "category": "soup", "why": "x"}, 409, "'soup'"),
        ("undo", {"id": "nothing", "why": "x"}, 409, "'nothing'"),
        ("lookup", {"user": "", "why": "x"}, 400, "user"),
        ("lookup", {"user": "anna", "why": ""}, 400, "why"),
    ],
)
def test_what_cannot_be_is_one_line(one: Served, what: str, body: Any, status: int, words: str) -> None:
    answer = one.ask(what, body)
    assert answer.status_code == status and words in answer.json()["error"] and "\n" not in answer.json()["error"]
    assert one.said("audit")["entries"] == []


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = stocked(Served(tmp_path_factory.mktemp("one")))
    yield served
    served.close()


def test_products_are_found_by_words_of_title_or_id(one: Served) -> None:
    assert [found["item"] for found in one.said("products", q="SEN cha")["items"]] == ["sencha"]
    assert len(one.said("products", q="")["items"]) == 6 and one.said("products", q="mug tea")["items"] == []
    assert one.said("products")["categories"] == ["cups", "tea"]


def test_an_undo_is_done_once(start: Callable[..., Served]) -> None:
    served = stocked(start())
    pinned = served.said("pick", {"action": "pin", "item": "bowl", "why": "x"})
    served.said("undo", {"id": pinned["id"], "why": "y"})
    again = served.ask("undo", {"id": pinned["id"], "why": "z"})
    assert again.status_code == 409 and "already" in again.json()["error"]


def test_live_numbers_are_those_of_what_happened(start: Callable[..., Served]) -> None:
    served = stocked(start())
    served.watch("anna", "bo")
    served.line.collector.collect([{"kind": "view", "user": "anna"}, {"kind": "view", "user": "anna", "item": ""}])
    token = served.token("anna")
    newest = served.client.get("/v1/recommend", params={"token": token}).json()["items"]
    shown = [{"kind": "impression", "item": item["item"]} for item in newest[:3]]
    events = [*shown, {"kind": "click", "item": newest[0]["item"]}, {"kind": "purchase", "item": newest[0]["item"]}]
    for event in events:
        answer = served.client.post("/v1/events", json={"token": token, "events": [event]})
        assert answer.json()["accepted"] == 1
    served.line.learn_all()
    assert served.line.push is not None and counted(served.line.push) > 0
    live = served.said("live")
    assert live["watched"] == 2 and live["rejected"] == sum(live["reasons"].values()) == 2
    assert live["delay"]["n"] == sum(live["delay"]["bars"]) > 0 and 0 < live["delay"]["p50"] <= live["delay"]["p99"]
    totals = [sum(one[name] for one in live["recommenders"]) for name in ("shown", "clicks", "bought")]
    assert totals == [3, 1, 1]


def test_what_a_visitor_does_after_their_login_is_of_the_list_of_their_account() -> None:
    why = {"pinned": False, "explored": False, "signal": bytes([SIGNALS.index("next")])}
    lists = {user: {"items": [{"item": item, "why": why}]} for user, item in ((7, "theirs"), (8, "shown"))}
    outcomes = Outcomes(Secret(b"0123456789abcdef"), lambda users: {u: lists[u] for u in users if u in lists})
    shown = [{"kind": kind, "item": "shown", "user_key": 7} for kind in ("impression", "click")]
    outcomes.note(shown)
    assert outcomes.rates() == []
    outcomes.join(7, 8)
    outcomes.note(shown)
    assert [(one["recommender"], one["shown"], one["clicks"]) for one in outcomes.rates()] == [("next", 1, 1)]


def test_what_came_of_a_list_counts_as_the_line_takes_it() -> None:
    secret = Secret(b"0123456789abcdef")
    why = {"pinned": False, "explored": False, "signal": bytes([SIGNALS.index("next")])}
    lists = {secret.user_key("7"): {"items": [{"item": "1000", "why": why}]}}
    outcomes = Outcomes(secret, lambda users: {u: lists[u] for u in users if u in lists})

    def counted(*rows: dict[str, Any]) -> list[int]:
        outcomes.note(list(rows))
        return [
            sum(n for (of, _), n in outcomes.counts.items() if of == kind) for kind in (Kind.IMPRESSION, Kind.CLICK)
        ]

    shown = {"user": "7", "item": "1000", "kind": "impression"}
    assert counted({**shown, "id": "a"}, {**shown, "id": "b"}, {**shown, "id": "a"}) == [2, 0]
    assert counted({**shown, "id": "b"}, {**shown, "user": "8", "id": "b"}) == [3, 0], "an id is its user's own"
    assert counted({"user_id": 7, "product_id": " 1000 ", "event_type": "Clicked", "event_id": "c"}) == [3, 1]
    assert counted({**shown, "user": 7, "item": 1000, "kind": "click"}, {**shown, "kind": "click", "id": "c"}) == [3, 2]
    senseless = {"time": time.time() + 1e6}, {"time": "soon"}, {"user": None}, {"item": ""}, {"consent": "no"}
    assert counted(*({**shown, **wrong} for wrong in senseless)) == [3, 2]
    rates = [(one["recommender"], one["shown"], one["clicks"]) for one in outcomes.rates()]
    assert rates == [("next", 2, 2)]
    assert counted({**shown, "list": ""}, {**shown, "kind": "click", "list": ""}) == [3, 2], "a tile of the shop's own"
    assert counted({**shown, "list": "1-1"}) == [4, 2]


def test_rates_are_of_all_since_the_start() -> None:
    why = {"pinned": False, "explored": False, "signal": bytes([SIGNALS.index("next")])}
    outcomes = Outcomes(Secret(b"0123456789abcdef"), lambda users: {7: {"items": [{"item": "a", "why": why}]}})
    first = [{"kind": kind, "item": "a", "user_key": 7} for kind in ("click", "purchase")]
    outcomes.note([*first, *({"kind": "impression", "item": "a", "user_key": 7} for _ in range(25_000))])
    found = {"recommender": "next", "shown": 25_000, "clicks": 1, "bought": 1, "ctr": 1 / 25_000, "cvr": 1.0}
    assert outcomes.rates() == [found]


def test_rates_by_recommender_add_up_to_those_of_evaluate() -> None:
    why = {"pinned": False, "explored": False, "signal": bytes([SIGNALS.index("next"), SIGNALS.index("items")])}
    lists = {7: {"items": [{"item": "a", "why": why}]}}
    outcomes = Outcomes(Secret(b"0123456789abcdef"), lambda users: {u: lists[u] for u in users if u in lists})
    kinds = ["impression", "click", "purchase", "impression", "click", "purchase", "click", "view"]
    rows = [{"kind": kind, "item": "a", "user_key": 7} for kind in kinds]
    outcomes.note(rows)
    lists[7] = {"items": [{"item": "b", "why": {**why, "pinned": True}}, {"item": "c", "why": {**why, "signal": b""}}]}
    outcomes.note([{"kind": "impression", "item": "b", "user_key": 7}, {"kind": "click", "item": "a", "user_key": 7}])
    outcomes.note([{"kind": "click", "item": "nowhere", "user": "x"}, {"kind": "click", "item": "b", "consent": "no"}])
    found = {one["recommender"]: one for one in outcomes.rates()}
    log = Events(
        kind=[Kind[kind.upper()] for kind in (*kinds, "click")], user=[7] * 9, item=[item_key("a")] * 9, time=range(9)
    )
    defined = rates(Dataset("d", NEXT_ITEM, log, None))
    assert found["next"]["ctr"] == defined["ctr"]["rate"] and found["next"]["cvr"] == defined["cvr"]["rate"]
    assert (found["pick"]["shown"], found["pick"]["clicks"], found["pick"]["ctr"], found["pick"]["cvr"]) == (
        1,
        0,
        0,
        None,
    )
