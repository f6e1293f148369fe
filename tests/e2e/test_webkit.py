"""sg.js and <shop-guide> in WebKit, the nearest to Safari on Linux: a stranger's pages, a real collector."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stranger import KEPT, QUEUED, ROOT, SHOWN, VISITOR, WIDGET, Collector, Pages, kinds, sent, until
from webkit import Driver, Page

pytestmark = [pytest.mark.browser, pytest.mark.webkit]

REASONS = f"() => [...({ROOT}?.querySelectorAll('[part=reason]') ?? [])].map(row => row.textContent).join()"


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.end()


@pytest.fixture
def open_page(driver: Driver, site: tuple[Path, str]) -> Iterator[Callable[..., Page]]:
    opened: list[Page] = []

    def open_page(path: str, *arguments: str) -> Page:
        opened.append(driver.open(*arguments))
        opened[-1].goto(f"{site[1]}/{path}")
        return opened[-1]

    yield open_page
    for page in opened:
        page.close()


@pytest.fixture
def shop(tmp_path: Path, site: tuple[Path, str]) -> Iterator[Callable[..., Collector]]:
    pages = Pages(*site)
    yield lambda **attributes: pages.open(tmp_path / "state", **attributes)
    pages.close()


@pytest.mark.parametrize("arguments", [[], ["--private"]], ids=["", "private"])
def test_the_list_follows_through_an_outage(shop, open_page, arguments):
    collector = shop()
    page = open_page("p0.html", *arguments)
    until(page, REASONS, lambda now: "tea number 0" in now)
    user = until(page, VISITOR)
    page.evaluate("() => sg.view('p11')")
    until(page, REASONS, lambda now: "shoes number 1" in now)
    sent(page)
    collector.kill()
    before = page.evaluate(SHOWN)
    page.evaluate("() => sg.view('p22')")
    page.wait_for_timeout(1500)
    assert page.evaluate(SHOWN) == before
    collector.start()
    sent(page)
    until(page, REASONS, lambda now: "books number 2" in now)
    assert {item: n for (kind, item), n in kinds(collector.held(user)).items() if kind == "view"} == dict.fromkeys(
        ("p0", "p11", "p22"), 1
    )


def test_a_login_in_one_window_and_what_a_closed_one_has_done(shop, open_page, site):
    collector = shop()
    page = open_page("p0.html")
    user = until(page, VISITOR)
    back = page.open_window(f"{site[1]}/p1.html")
    assert until(page, VISITOR) == user
    page.evaluate("token => sg.identify(token)", collector.token("ann"))
    until(page, "() => sg.visitor?.joined")
    page.evaluate("() => sg.view('p11')")
    until(page, REASONS, lambda now: "shoes number 1" in now)
    sent(page)
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('none')); sg.cart('p3') }")
    page.wait_for_timeout(200)
    assert page.evaluate(QUEUED) == 1
    page.close_window(back)
    deadline = time.monotonic() + 10
    while not (found := kinds(collector.held("ann")))["cart", "p3"]:
        assert time.monotonic() < deadline
    page.goto(f"{site[1]}/p4.html")
    sent(page)
    found = kinds(collector.held("ann"))
    assert {key: n for key, n in found.items() if key[0] in ("view", "cart")} == {
        **{("view", item): 1 for item in ("p0", "p1", "p11", "p4")}, ("cart", "p3"): 1,
    }  # fmt: skip


def test_consent_why_not_this_and_forget_me(shop, open_page):
    collector = shop(consent="ask")
    page = open_page("p0.html")
    until(page, "() => !!window.sg?.collector")
    page.wait_for_timeout(300)
    assert page.evaluate(KEPT) == []
    page.evaluate("() => { sg.consent(true) }")
    until(page, SHOWN)
    user = until(page, VISITOR)
    page.wait_for_timeout(500)
    page.click(f"{ROOT}.querySelector('[part=why]')")
    assert float(until(page, f"() => {ROOT}.querySelector('[part=sum] b')?.innerText")) > 0
    page.click(f"{ROOT}.querySelector('[part=close]')")
    item = page.evaluate(SHOWN)[0]
    page.click(f"{ROOT}.querySelector('[part=not-this]')")
    until(page, SHOWN, lambda now: item not in now and len(now) == 5)
    sent(page)
    assert kinds(collector.held(user))["dismiss", item] == 1
    page.click(f"{ROOT}.querySelector('[part=forget]')")
    page.click(f"{ROOT}.querySelector('[part=confirm]')")
    until(page, f"() => {ROOT}.querySelector('[part=receipt]')?.innerText")
    assert (page.evaluate(KEPT), collector.held(user)) == (["sg:consent"], [])


def test_each_place_follows(own_shop, open_page):
    _, page_of = own_shop()
    places = "".join(WIDGET.replace(" ", f" id={place} place={place} ", 1) for place in ("home", "cart"))
    page = open_page(page_of("places.html", f"<h1 data-sg-view=p0></h1>{places}"))
    of = REASONS.replace("'shop-guide'", "'#{}'")
    for item, title in (("p0", "tea number 0"), ("p11", "shoes number 1"), ("p22", "books number 2")):
        page.evaluate("item => { document.body.click(); sg.view(item) }", item)
        for place in ("home", "cart"):
            until(page, of.replace("{}", place), lambda now, title=title: title in now)
