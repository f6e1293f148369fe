"""A visitor logs in on a stranger's page: the list on it is the account's from then on and follows what they do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from stranger import KEPT, VISITOR, Collector, Pages, kinds, post, sent, until

pytestmark = pytest.mark.browser

ROOT = "document.querySelector('shop-guide')?.shadowRoot"
REASONS = f"() => [...({ROOT}?.querySelectorAll('[part=reason]') ?? [])].map(row => row.textContent)"
ROWS = f"{ROOT}.querySelectorAll('[part=link]').length"
ACCOUNT = "() => sessionStorage['sg:account'] ?? null"
IDENTIFY = "token => sg.identify(token)"
SEEN = f"""() => {{
  window.seen = [];
  new MutationObserver(() => seen.push([...{ROOT}.querySelectorAll('[part=reason]')].map(row => row.textContent)))
    .observe({ROOT}, {{ subtree: true, childList: true }});
}}"""


@pytest.fixture
def shop(tmp_path: Path, site: tuple[Path, str]) -> Iterator[Callable[..., Collector]]:
    """Makes the stranger's pages, a widget on each, and starts the collector, which knows the shop's past."""
    pages = Pages(*site)
    yield lambda **attributes: pages.open(tmp_path / "state", **attributes)
    pages.close()


def because_of(page: Any, *titles: str) -> None:
    """Wait for a list that names each of them among its reasons."""
    until(page, REASONS, lambda now: all(any(title in reason for reason in now) for title in titles))


def nothing_of(page: Any, title: str) -> None:
    """Wait for a list that does not name it."""
    until(page, REASONS, lambda now: bool(now) and not any(title in reason for reason in now))


def refusals(page: Any) -> list[str]:
    """What the page is refused from now on, as it comes."""
    refused: list[str] = []
    page.on("response", lambda answer: answer.status == 401 and refused.append(answer.url.partition("?")[0]))
    return refused


@pytest.mark.browsers("chromium", "firefox")
def test_the_page_follows_what_is_done_after_the_login_and_the_next_pages_too(shop, open_page):
    collector = shop()
    page = open_page("p0.html")
    because_of(page, "tea number 0")
    page.evaluate(SEEN)
    page.evaluate(IDENTIFY, collector.token("ann"))
    until(page, ACCOUNT)
    page.wait_for_timeout(500)
    seen = [*page.evaluate("() => seen"), page.evaluate(REASONS)]
    assert all(any("tea number 0" in reason for reason in now) for now in seen), "no list without what they did"
    page.evaluate("() => sg.view('p11')")
    because_of(page, "shoes number 1")
    first = page.locator("[part=link]").first.get_attribute("data-sg-item")
    page.locator("[part=not-this]").first.click()
    until(page, f"() => !{ROOT}.querySelector('[data-sg-item={first}]')")
    page.locator("[part=why]").first.click()
    assert float(page.locator("[part=sum] b").inner_text()) > 0
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page.url.replace("p0", "p22"))
    because_of(page, "books number 2")
    page.reload()
    because_of(page, "books number 2")
    page.evaluate("() => sg.view('p5')")
    because_of(page, "tea number 5")
    assert not [url for url in asked if "/v1/identify" in url], "the tab knows it"
    sent(page)
    found = kinds(collector.held("ann"))
    assert {item: n for (kind, item), n in found.items() if kind == "view"} == {"p0": 1, "p11": 1, "p22": 2, "p5": 1}
    assert found["dismiss", first] == 1
    with urlopen(f"{collector.url}/v1/recommend?token={page.evaluate('() => sg.visitor.token')}", timeout=10) as answer:
        assert "shoes number 1" not in str([item["reasons"] for item in json.load(answer)["items"]])
    kept = page.evaluate("() => JSON.stringify(localStorage)")
    assert page.evaluate(ACCOUNT) and page.evaluate(ACCOUNT) not in kept, "the account's token is the tab's"


def test_a_token_that_expires_leaves_the_visitors_list_until_the_next_one(shop, open_page):
    collector = shop()
    page = open_page("p0.html")
    because_of(page, "tea number 0")
    refused = refusals(page)
    page.evaluate(
        """token => {
          addEventListener("sg:visitor", ({ detail }) => detail.expired && sg.identify(token));
          sg.identify(token);
          sg.view("p11");
        }""",
        collector.token("ann", 3),
    )  # a page that does not look what it says
    because_of(page, "shoes number 1")
    until(page, ACCOUNT, lambda now: now is None)
    nothing_of(page, "shoes number 1")
    page.wait_for_timeout(1500)
    assert (page.evaluate(ACCOUNT), len(refused) <= 2) == (None, True), refused
    page.evaluate("() => sg.view('p22')")
    sent(page)
    page.evaluate(IDENTIFY, collector.token("ann"))
    because_of(page, "books number 2")
    assert kinds(collector.held("ann"))["view", "p22"] == 1, "nothing is lost meanwhile"


def test_a_token_that_opens_nothing_is_tried_once(shop, open_page):
    shop()
    page = open_page("p0.html")
    because_of(page, "tea number 0")
    user, refused = page.evaluate(VISITOR), refusals(page)
    for nonsense in ("x" * 64, "x" * 64, 7):
        page.evaluate(IDENTIFY, nonsense)
        page.wait_for_timeout(500)
    assert [url.rpartition("/")[2] for url in refused] == ["identify"] * 4, "twice each: it may be the visitor's token"
    page.evaluate("() => sg.view('p1')")
    because_of(page, "tea number 1")
    assert page.evaluate(VISITOR) == user


@pytest.mark.browsers("chromium", "firefox")
def test_logging_out_takes_the_list_off_the_screens_of_all_tabs(shop, open_page):
    collector = shop()
    page = open_page("p11.html")
    until(page, VISITOR)
    other = open_page("p11.html", page.context)
    for each in (page, other):
        each.evaluate(IDENTIFY, collector.token("ann"))
        until(each, ACCOUNT)
        because_of(each, "shoes number 1")
    user = page.evaluate(VISITOR)
    left = page.evaluate(f"() => {{ sg.identify(null); return [{ROWS}, sessionStorage['sg:account'] ?? null]; }}")
    assert left == [0, None]
    for each in (page, other):
        until(each, VISITOR, lambda now: now not in (None, user))
        nothing_of(each, "shoes number 1")
        assert each.evaluate(ACCOUNT) is None
    page.evaluate("() => sg.view('p22')")
    because_of(page, "books number 2")
    sent(page)
    assert kinds(collector.held("ann"))["view", "p22"] == 0
    assert kinds(collector.held(page.evaluate(VISITOR)))["view", "p22"] == 1


def test_another_accounts_login_shows_nothing_of_the_first(shop, open_page):
    collector = shop()
    page = open_page("p11.html")
    page.evaluate(IDENTIFY, collector.token("ann"))
    until(page, ACCOUNT)
    because_of(page, "shoes number 1")
    page.evaluate(IDENTIFY, collector.token("bob"))
    page.evaluate("() => sg.view('p22')")
    because_of(page, "books number 2")
    nothing_of(page, "shoes number 1")
    sent(page)
    assert {item for _, item in kinds(collector.held("bob"))} >= {"p22"}
    assert kinds(collector.held("bob"))["view", "p11"] == 0 == kinds(collector.held("ann"))["view", "p22"]


def test_forget_me_forgets_the_account_and_a_no_holds(shop, open_page):
    collector = shop()
    post(f"{collector.url}/v1/events", [{"user": "ann", "kind": "purchase", "item": "p3"}])
    page = open_page("p11.html")
    user = until(page, VISITOR)
    token = collector.token("ann")
    page.evaluate(IDENTIFY, token)
    until(page, ACCOUNT)
    because_of(page, "shoes number 1")
    receipt = page.evaluate("() => sg.forgetMe()")
    assert (receipt["identities"], receipt["kinds"]["purchase"], receipt["kinds"]["view"]) == (2, 1, 1)
    assert (page.evaluate(ACCOUNT), collector.held("ann"), collector.held(user)) == (None, [], [])
    page.evaluate(IDENTIFY, token)  # void by now
    page.evaluate("() => sg.view('p1')")
    sent(page)
    assert collector.held("ann") == []
    page.evaluate(IDENTIFY, collector.token("ann"))
    until(page, ACCOUNT)
    page.evaluate("() => sg.consent(false)")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(IDENTIFY, collector.token("ann"))
    page.evaluate("() => sg.view('p2')")
    page.wait_for_timeout(300)
    assert (page.evaluate(KEPT), page.evaluate(ACCOUNT), asked) == (["sg:consent"], None, [])
    assert collector.held("ann") == []


def test_a_login_before_the_yes_waits_for_it(shop, open_page):
    collector = shop(consent="ask")
    page = open_page("p11.html")
    until(page, "() => !!window.sg")
    page.evaluate(IDENTIFY, collector.token("ann"))
    page.wait_for_timeout(300)
    assert (page.evaluate(KEPT), page.evaluate(ACCOUNT)) == ([], None)
    page.evaluate("() => sg.consent(true)")
    until(page, ACCOUNT)
    page.evaluate("() => sg.view('p22')")
    because_of(page, "books number 2")
    sent(page)
    assert json.loads(page.evaluate("() => localStorage['sg:visitor']"))["user"] != "ann"
    assert kinds(collector.held("ann"))["view", "p22"] == 1
