"""Pages as shops build them: routed in the browser, under strict policies, in tabs that hang, sleep or are made ahead.

What counts is what the log has in the end, each once, so that the desk's rates are right.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.request import Request, urlopen

import pytest
from stranger import KEPT, SHOWN, VISITOR, WIDGET, Collector, kinds, sent, until

pytestmark = pytest.mark.browser

HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def settled(page: Any, milliseconds: int = 1500) -> str:
    """The visitor's name, once what was in view has been for a second and all is sent."""
    user = str(until(page, VISITOR))
    page.wait_for_timeout(milliseconds)
    sent(page)
    return user


def of(collector: Collector, user: str, *wanted: str) -> dict[tuple[str, str], int]:
    return {key: n for key, n in kinds(collector.held(user)).items() if key[0] in wanted}


@pytest.mark.browsers("chromium", "firefox")
def test_a_page_that_is_routed_in_the_browser_counts_each_view_once(own_shop, open_page):
    collector, page_of = own_shop()
    show = "item => { main.innerHTML = item ? `<h1 data-sg-view='${item}'>${item}</h1>` : 'wait'; sg.page() }"
    page = open_page(page_of("app.html", "<div id=main></div>"))
    until(page, "() => !!window.sg?.collector")
    page.evaluate("() => setTimeout(() => { main.innerHTML = '<h1 data-sg-view=p1>late</h1>' }, 300)")
    page.wait_for_timeout(600)
    page.evaluate("() => { sg.page(); sg.page() }")  # a framework's effects run twice
    page.evaluate("() => { main.innerHTML = 'wait' }")
    page.wait_for_timeout(250)
    page.evaluate("() => { main.innerHTML = '<h1 data-sg-view=p1>late</h1>' }")
    page.wait_for_timeout(250)
    page.evaluate("() => { history.pushState(0, '', '/p2'); sg.page() }")  # asked before it is drawn
    page.evaluate("() => { main.firstChild.dataset.sgView = 'p2' }")
    page.wait_for_timeout(250)
    page.evaluate("() => history.pushState(0, '', '/')")
    page.evaluate(show, "")
    page.evaluate("() => history.pushState(0, '', '/p1')")
    page.evaluate(show, "p1")
    user = settled(page, 300)
    assert of(collector, user, "view") == {("view", "p1"): 2, ("view", "p2"): 1}
    page.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    settled(page, 300)
    assert of(collector, user, "view") == {("view", "p1"): 3, ("view", "p2"): 1}, "back from the browser's memory"


def test_what_the_shop_shows_by_itself_is_of_no_list(own_shop, open_page):
    collector, page_of = own_shop()
    tiles = "".join(f"<a data-sg-item=p{k} href=#p{k}>Product {k}</a> " for k in range(10))
    page = open_page(page_of("both.html", f"<h1 data-sg-view=p0>x</h1>{tiles}{WIDGET}"))
    listed = until(page, SHOWN)
    user = settled(page, 2000)
    assert {f"p{k}" for k in range(10)} >= set(listed)
    shown = [(row["item"], bool(row.get("list"))) for row in collector.held(user) if row["kind"] == "impression"]
    of_lists = [item for item, in_list in shown if in_list]
    assert sorted(item for item, in_list in shown if not in_list) == sorted(f"p{k}" for k in range(10))
    assert len(of_lists) == len(set(of_lists)) and set(of_lists) >= set(listed)
    assert rates(collector) == (len(of_lists), 0)
    page.click("[data-sg-item=p9]")
    page.evaluate("() => addEventListener('sg-open', event => event.preventDefault())")
    page.locator("[part=link]").first.click()
    settled(page, 200)
    assert rates(collector)[1] == 1


def rates(collector: Collector) -> tuple[int, int]:
    """What the desk says was shown and clicked of lists."""
    admin = collector.say("token", "--admin", "Ada").split()[0]
    request = Request(f"{collector.url}/v1/desk/live", headers={"authorization": f"Bearer {admin}"})
    with urlopen(request, timeout=10) as answer:
        recommenders = json.load(answer)["recommenders"]
    return sum(one["shown"] for one in recommenders), sum(one["clicks"] for one in recommenders)


def test_a_click_is_what_follows_a_link_wherever_in_the_tile(own_shop, open_page):
    collector, page_of = own_shop()
    card = "<script>customElements.define('my-card', class extends HTMLElement { connectedCallback() {"
    card += "this.attachShadow({ mode: 'open' }).innerHTML = '<b>Card</b>' } })</script>"
    body = f"<div id=sg></div><a data-sg-item=p1 href=#1><my-card></my-card></a>{card} <a data-sg-item=p2 href=#2>2</a>"
    page = open_page(page_of("tiles.html", f"{body} <a data-sg-item=p3 href=#3>3</a>"))
    until(page, "() => !!window.sg?.collector")
    page.click("my-card b")
    page.click("[data-sg-item=p2]", button="right")
    page.click("[data-sg-item=p3]", button="middle")
    user = settled(page, 300)
    assert of(collector, user, "click") == {("click", "p1"): 1, ("click", "p3"): 1}


def test_what_is_followed_at_once_was_seen_too(own_shop, open_page):
    collector, page_of = own_shop()
    page_of("next.html", "<h1 data-sg-view=p1></h1>")
    page = open_page(page_of("fast.html", "<a data-sg-item=p1 href=next.html>1</a> <a data-sg-item=p2 href=#2>2</a>"))
    until(page, "() => !!window.sg?.collector")
    page.click("[data-sg-item=p1]")
    page.wait_for_url("**/next.html")
    user = settled(page, 200)
    seen = of(collector, user, "impression", "click")
    assert (seen["impression", "p1"], seen["click", "p1"]) == (1, 1)


def test_what_is_in_view_counts_when_it_is_seen(own_shop, open_page):
    collector, page_of = own_shop()
    page = open_page(page_of("tab.html", "<a data-sg-item=p1 href=#1>1</a><h1 data-sg-view=p0></h1>"))
    until(page, VISITOR)
    page.evaluate(
        "() => { const { impression } = sg; window.n = 0; sg.impression = item => { n++; impression(item) } }"
    )
    page.evaluate(HIDE, True)
    page.wait_for_timeout(1500)
    page.evaluate(HIDE, False)
    page.wait_for_timeout(500)
    assert page.evaluate("() => n") == 0
    user = settled(page)
    assert of(collector, user, "impression") == {("impression", "p1"): 1}
    page.evaluate("() => { history.pushState(0, '', '/other'); sg.page() }")
    settled(page)
    assert of(collector, user, "impression", "view") == {("impression", "p1"): 2, ("view", "p0"): 1}


def test_a_page_made_ahead_has_not_been_looked_at(own_shop, browser, open_page):
    collector, page_of = own_shop()
    context = browser.new_context()
    context.add_init_script("Object.defineProperty(document, 'prerendering', { configurable: true, value: true })")
    page = open_page(page_of("ahead.html", "<h1 data-sg-view=p0></h1>"), context)
    until(page, "() => !!window.sg?.collector")
    page.evaluate("() => sg.cart('p1')")
    page.wait_for_timeout(500)
    assert page.evaluate(KEPT) == []
    page.evaluate("() => { delete document.prerendering; document.dispatchEvent(new Event('prerenderingchange')) }")
    user = settled(page, 300)
    assert of(collector, user, "view", "cart") == {("view", "p0"): 1, ("cart", "p1"): 1}
    context.close()


def test_an_order_counts_once_however_often_its_page_is_loaded(own_shop, open_page):
    collector, page_of = own_shop()
    call = 'window.sg = window.sg || []; sg.push(["purchase", ["p1", "p2", "p1"], 30, "A-1"])'
    page = open_page(page_of("thanks.html", f"<script>{call}</script>"))
    user = settled(page, 0)
    page.reload()
    until(page, "() => !!window.sg?.collector")
    page.evaluate("() => { sg.cart({ sku: 'p1' }); sg.view(new Event('click')); sg.purchase('p2', 5, 'A-2') }")
    settled(page, 300)
    assert of(collector, user, "purchase", "view", "cart") == {("purchase", "p1"): 2, ("purchase", "p2"): 2}


def test_where_the_browser_has_no_room_left_the_page_goes_on(own_shop, open_page):
    collector, page_of = own_shop()
    page_of("full.html", f"<h1 data-sg-view=p0></h1>{WIDGET}")
    page = open_page(page_of("fill.html", ""))
    until(page, "() => !!window.sg?.collector")
    page.evaluate(
        """() => {
          for (let text = "x".repeat(1e6), k = 0; text; k++) {
            try { localStorage["shop" + k] = text } catch { text = text.slice(0, text.length >> 1) }
          }
        }"""
    )
    page.goto(page.url.replace("fill", "full"))
    until(page, SHOWN)
    user = settled(page)
    assert of(collector, user, "view") == {("view", "p0"): 1}
    assert of(collector, user, "impression")
    page.evaluate("() => sg.consent(false)")
    page.evaluate("() => sg.cart('p1')")
    assert page.evaluate("() => sg.consented") is False
    page.wait_for_timeout(300)
    assert collector.held(user) == []


@pytest.mark.browsers("chromium", "firefox")
def test_where_the_browser_keeps_nothing_the_page_is_a_visit(site, open_page, tmp_path):
    """In a frame of no origin there is neither storage nor a lock."""
    collector = Collector(tmp_path / "state", "*", bots="keep")
    script = f'<script src="{collector.url}/sg.js" data-key="shop-1" data-consent="granted" async></script>'
    (site[0] / "inside.html").write_text(f"<!doctype html>{script}<h1 data-sg-view=p0></h1>")
    (site[0] / "frame.html").write_text("<!doctype html><iframe sandbox=allow-scripts src=inside.html></iframe>")
    try:
        frame = open_page("frame.html").frames[1]
        user = until(frame, "() => window.sg?.visitor?.user")
        frame.evaluate("() => sg.cart('p1')")
        deadline, wanted = time.monotonic() + 10, {("view", "p0"): 1, ("cart", "p1"): 1}
        while of(collector, user, "view", "cart") != wanted:
            assert time.monotonic() < deadline
    finally:
        collector.end()


def test_a_request_that_hangs_holds_no_other_tab_up(own_shop, browser, open_page):
    collector, page_of = own_shop()
    page_of("p90.html", f"<h1 data-sg-view=p0></h1>{WIDGET}")
    context = browser.new_context()
    context.add_init_script("const { timeout } = AbortSignal; AbortSignal.timeout = ms => timeout(Math.min(ms, 8000))")
    page = open_page("p90.html", context)
    user = settled(page)
    page.route("**/v1/events*", lambda route: None)  # neither answered nor refused
    page.evaluate("() => sg.cart('p1')")
    page.wait_for_timeout(300)
    other = open_page("p90.html", context)
    until(other, SHOWN, seconds=6)
    page.unroute("**/v1/events*")
    sent(page)
    assert of(collector, user, "cart") == {("cart", "p1"): 1}
    context.close()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_trusted_types_and_nonces_let_it_be(own_shop, open_page, lang):
    collector, page_of = own_shop()
    policy = "default-src 'none'; script-src 'nonce-abc' 'strict-dynamic'; img-src data:; base-uri 'none'; "
    policy += f"connect-src {collector.url}; require-trusted-types-for 'script'"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    body = f"<h1 data-sg-view=p0></h1><a data-sg-item=p4 href=#4>4</a>{WIDGET}"
    page = open_page(page_of("strict.html", body, head, ' nonce="abc"', f"lang={lang}"))
    until(page, SHOWN)
    assert page.locator("[part=heading]").inner_text() == {"en": "For you", "zh": "为您推荐"}[lang]
    page.click("[data-sg-item=p4]")
    user = settled(page)
    assert of(collector, user, "click") == {("click", "p4"): 1}


def test_a_widget_that_did_not_come_is_fetched_again(own_shop, browser, open_page):
    _, page_of = own_shop()
    context = browser.new_context()
    context.route("**/sg-widget.js", lambda route: route.abort())
    page = open_page(page_of("again.html", f"<h1 data-sg-view=p0></h1>{WIDGET}"), context)
    until(page, VISITOR)
    page.wait_for_timeout(500)
    context.unroute("**/sg-widget.js")
    until(page, SHOWN)
    context.close()
