"""sg.js in a real Chromium: a stranger's static pages on another origin, one script tag, a real collector.

What counts is what the log has in the end, as ``shopguide export`` says it.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from stranger import KEPT, QUEUED, VISITOR, Collector, kinds, sent, until

pytestmark = pytest.mark.browser


@pytest.fixture
def shop(tmp_path: Path, site: tuple[Path, str]) -> Iterator[Callable[..., Collector]]:
    """Makes the stranger's pages, with ``tag`` in the script tag, and starts the collector they name."""
    folder, url = site
    started: list[Collector] = []

    def make(tag: str = 'data-consent="granted"', **settings: str) -> Collector:
        one = Collector(tmp_path / "state", url, **{"bots": "keep", **settings})
        started.append(one)
        script = f'<script src="{one.url}/sg.js" data-key="shop-1" {tag} async></script>'
        tiles = "".join(f'<p><a data-sg-item="p{k}" href="p{k}.html">Product {k}</a></p>' for k in range(5))
        late = '<div style="height: 3000px"></div><p data-sg-item="p9">Far below</p>'
        (folder / "index.html").write_text(f"<!doctype html><title>Shop</title>{script}{tiles}{late}")
        for k in range(5):
            product = json.dumps({"@type": "Product", "sku": f"p{k}"})
            markup = f'<script type="application/ld+json">{product}</script>' if k % 2 else f'<h1 data-sg-view="p{k}">'
            page = f"<!doctype html><title>{k}</title>{script}{markup}<a href=index.html>back</a>"
            (folder / f"p{k}.html").write_text(page)
        return one

    yield make
    for one in started:
        one.end()


def no_fetch(route: Any) -> None:
    """Only beacons get through."""
    if route.request.resource_type == "fetch":
        route.abort()
    else:
        route.continue_()


def test_five_products_browsed_are_in_the_log_each_once(shop, open_page, site):
    collector = shop()
    page = open_page()
    until(page, VISITOR)
    page.wait_for_timeout(1300)  # the tiles are in view for a second
    for k in range(5):
        page.click(f"[data-sg-item=p{k}]")
        page.wait_for_url(f"**/p{k}.html")
        until(page, "() => !!window.sg")
        page.go_back()
        until(page, "() => !!window.sg")
    page.evaluate(
        """() => {
          sg.search("red shoe"); sg.cart("p1"); sg.favourite({item: "p2"}); sg.view(""); sg.search("  ");
          sg.purchase(["p1", {item: "p3", value: 4}], 10);
        }"""
    )
    user = until(page, VISITOR)
    sent(page)
    rows = collector.held(user)
    found = kinds(rows)
    assert {k: n for k, n in found.items() if k[0] != "impression"} == {
        **{(kind, f"p{k}"): 1 for k in range(5) for kind in ("view", "click")},
        **dict.fromkeys([("search", "red shoe"), ("cart", "p1"), ("favourite", "p2")], 1),
        **dict.fromkeys([("purchase", "p1"), ("purchase", "p3")], 1),
    }
    assert [found["impression", f"p{k}"] >= 1 for k in range(5)] == [True] * 5
    assert found["impression", "p9"] == 0
    assert {row["item"]: row["value"] for row in rows if row["kind"] == "purchase"} == {"p1": 5, "p3": 4}
    assert page.evaluate("() => sg.lost") == 0
    addresses = [b"127.0.0.1", socket.inet_aton("127.0.0.1")]
    kept = [file for file in collector.state.rglob("*") if file.is_file() and file.name != "run.json"]
    assert kept and not [file for file in kept if addresses[0] in file.read_bytes() and "log" in file.parts]


def test_a_visit_says_how_it_came_about(shop, open_page):
    collector = shop()
    page = open_page("p1.html?utm_campaign=Spring%20Sale&utm_medium=email")
    user = until(page, VISITOR)
    page.goto(page.url.partition("?")[0].replace("p1", "p2"))
    until(page, "() => !!window.sg")
    sent(page)
    rows = [row for row in collector.held(user) if row["kind"] == "view"]
    context = {"device": "desktop", "region": "US", "referrer": "mail", "campaign": "spring sale"}
    assert [row["item"] for row in rows] == ["p1", "p2"]
    assert all({name: row[name] for name in context} == context for row in rows), "the visit's, not the page's"
    page.evaluate("() => sg.forgetMe()")
    assert page.evaluate("() => sg.context.referrer") == "direct"


def test_what_is_done_during_an_outage_arrives_once(shop, open_page):
    collector = shop()
    page = open_page()
    user = until(page, VISITOR)
    page.goto(page.url.replace("index", "p0"))
    until(page, "() => !!window.sg")
    sent(page)
    collector.kill()
    began = time.monotonic()
    for k in (1, 2, 3):
        page.goto(page.url.rsplit("/", 1)[0] + f"/p{k}.html")
        until(page, "() => !!window.sg")
    page.evaluate("() => sg.cart('p3')")
    page.wait_for_timeout(max(0, 5 - (time.monotonic() - began)) * 1000)
    assert page.evaluate(QUEUED) >= 4
    collector.start()
    page.evaluate("() => sg.view('p4')")
    sent(page)
    rows = collector.held(user)
    expected = {("view", f"p{k}"): 1 for k in range(5)} | {("cart", "p3"): 1}
    assert {k: n for k, n in kinds(rows).items() if k[0] in ("view", "cart")} == expected
    views = {row["item"]: datetime.fromisoformat(row["time"]) for row in rows if row["kind"] == "view"}
    assert (views["p4"] - views["p1"]).total_seconds() > 3, "what waited says when it was"


def test_nothing_leaves_and_nothing_is_kept_without_consent(shop, open_page):
    collector = shop(tag="")
    page = open_page("p1.html")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    until(page, "() => !!window.sg")
    page.evaluate("() => sg.cart('p1')")
    page.wait_for_timeout(300)
    assert (page.evaluate(KEPT), [url for url in asked if "/v1/" in url]) == ([], [])
    page.evaluate("() => sg.consent(false)")
    page.evaluate("() => sg.cart('p2')")
    page.reload()
    until(page, "() => !!window.sg")
    page.evaluate("() => sg.cart('p3')")
    page.wait_for_timeout(300)
    assert page.evaluate(KEPT) == ["sg:consent"]
    assert [url for url in asked if "/v1/" in url] == []
    with urlopen(f"{collector.url}/healthz", timeout=10) as answer:
        assert json.load(answer)["rows"] == 0


def test_what_waits_for_an_answer_is_sent_when_it_is_yes(shop, open_page):
    collector = shop(tag="")
    page = open_page("p1.html")
    until(page, "() => !!window.sg")
    page.evaluate("() => { sg.cart('p1'); return sg.consent(true) }")
    user = until(page, VISITOR)
    sent(page)
    assert kinds(collector.held(user)) == {("view", "p1"): 1, ("cart", "p1"): 1}
    receipt = page.evaluate("() => sg.consent(false)")
    assert (receipt["kinds"]["view"], receipt["kinds"]["cart"]) == (1, 1) and receipt["signature"]
    assert page.evaluate(KEPT) == ["sg:consent"]
    assert collector.held(user) == []


def test_a_privacy_signal_is_a_no(shop, browser, open_page, site):
    shop()
    context = browser.new_context()
    context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', { value: true })")
    page = open_page("p1.html", context)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    until(page, "() => !!window.sg")
    page.evaluate("() => { sg.cart('p1'); sg.flush() }")
    page.wait_for_timeout(300)
    assert (page.evaluate(KEPT), [url for url in asked if "/v1/" in url]) == ([], [])
    context.close()


@pytest.mark.browsers("chromium", "firefox")
def test_a_tab_that_is_closed_keeps_what_the_beacon_promised(shop, open_page):
    collector = shop()
    page = open_page("p0.html")
    user = until(page, VISITOR)
    sent(page)
    context = page.context
    context.route("**/v1/events*", no_fetch)
    page.evaluate("() => { sg.cart('p0'); sg.view('p3') }")
    page.wait_for_timeout(200)
    assert page.evaluate(QUEUED) == 2
    page.close(run_before_unload=True)
    deadline = time.monotonic() + 10
    expected = {("view", "p0"): 1, ("cart", "p0"): 1, ("view", "p3"): 1}
    while kinds(collector.held(user)) != expected:
        assert time.monotonic() < deadline, kinds(collector.held(user))
    context.unroute("**/v1/events*")
    again = open_page("p4.html", context)  # sends again what nobody had acknowledged
    sent(again)
    assert again.evaluate(VISITOR) == user
    assert kinds(collector.held(user)) == {**expected, ("view", "p4"): 1}


def test_tabs_share_the_visitor_and_a_login_joins_them(shop, open_page):
    collector = shop()
    first = open_page("p0.html")
    user = until(first, VISITOR)
    second = open_page("p1.html", first.context)
    assert until(second, VISITOR) == user
    sent(second)
    account = json.loads(collector.say("token", "--user", "ann", "--json"))["token"]
    second.evaluate("token => sg.identify(token)", account)
    until(second, "() => sg.visitor?.joined")
    first.evaluate("() => sg.cart('p0')")
    sent(first)
    assert kinds(collector.held("ann")) == {("view", "p0"): 1, ("view", "p1"): 1, ("cart", "p0"): 1}
    second.evaluate("() => { sg.identify(null); sg.view('p4') }")
    other = until(second, VISITOR, lambda now: now not in (None, user))
    sent(second)
    assert kinds(collector.held(other)) == {("view", "p4"): 1}
    receipt = second.evaluate("() => sg.forgetMe()")
    assert receipt["kinds"]["view"] == 1
    assert second.evaluate(KEPT) == []


def test_a_driven_browser_is_a_bot(shop, open_page):
    collector = shop(bots="refuse")
    page = open_page("p0.html")
    user = until(page, VISITOR)
    sent(page)
    assert collector.held(user) == []


def test_the_queue_is_bounded_and_says_what_it_lost(shop, open_page):
    collector = shop()
    page = open_page("p0.html")
    user = until(page, VISITOR)
    sent(page)
    page.context.set_offline(True)
    page.evaluate("() => { for (let k = 0; k < 520; k++) sg.view('q' + k) }")
    assert (page.evaluate(QUEUED), page.evaluate("() => sg.lost")) == (500, 20)
    page.context.set_offline(False)
    sent(page)
    found = kinds(collector.held(user))
    assert found["view", "q19"] == 0
    assert [found["view", f"q{k}"] for k in range(20, 520)] == [1] * 500
