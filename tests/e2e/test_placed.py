"""<shop-guide> wherever a shop puts it: beside a router, taken out of the page, in narrow places, with odd products,
before a collector that falls silent."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from stranger import ROOT, SHOWN, VISITOR, WIDGET, post, until

pytestmark = pytest.mark.browser


def test_a_stream_that_has_ended_unheard_is_opened_anew(own_shop, open_page, monkeypatch):
    monkeypatch.setenv("SHOPGUIDE_PUSH_HEARTBEAT", "0.5")
    collector, page_of = own_shop()
    page = open_page(page_of("still.html", f"<h1 data-sg-view=p0></h1>{WIDGET}"))
    until(page, SHOWN)
    asked: list[str] = []
    page.on("request", lambda request: "/v1/stream" in request.url and asked.append(request.url))
    page.wait_for_timeout(3000)
    assert asked == [], "heartbeats come"
    os.kill(collector.process.pid, signal.SIGSTOP)
    try:
        page.wait_for_timeout(3000)
        assert asked
    finally:
        os.kill(collector.process.pid, signal.SIGCONT)
    before = page.evaluate(SHOWN)
    page.evaluate("() => sg.view('p11')")
    until(page, SHOWN, lambda now: now != before)


def test_the_receipt_leaves_the_focus_where_it_is_and_goes_with_a_new_yes(own_shop, open_page):
    _, page_of = own_shop()
    page = open_page(page_of("asked.html", f"<h1 data-sg-view=p0></h1><input id=search>{WIDGET}"))
    focused = "() => document.activeElement.id"
    until(page, SHOWN)
    page.focus("#search")
    page.evaluate("() => sg.forgetMe()")
    page.locator("[part=anew]").wait_for()
    page.evaluate("() => sg.view('p2')")
    until(page, VISITOR)
    assert page.evaluate(focused) == "search"
    assert page.locator("[part=anew]").count() == 1, "somebody new goes on, and the receipt stays"
    page.evaluate("() => sg.consent(false)")
    page.wait_for_timeout(300)
    page.evaluate("() => sg.consent(true)")
    until(page, SHOWN)
    assert (page.evaluate(focused), page.locator("[part=receipt]").count()) == ("search", 0)


@pytest.mark.browsers("chromium", "firefox")
def test_a_router_is_asked_for_plain_clicks_and_links_without_an_address_take_the_keyboard(own_shop, open_page):
    _, page_of = own_shop()
    script = "<script>window.opened = []; addEventListener('sg-open', event => {"
    script += "event.preventDefault(); opened.push(event.detail.item) })</script>"
    page = open_page(page_of("router.html", f"<h1 data-sg-view=p0></h1>{script}{WIDGET}"))
    until(page, SHOWN)
    page.locator("[part=link]").first.click(modifiers=["Control"])
    page.wait_for_timeout(500)
    assert (page.evaluate("() => opened"), len(page.context.pages)) == ([], 2)
    page.evaluate("() => document.querySelector('shop-guide').removeAttribute('url')")
    page.wait_for_timeout(500)
    link = page.locator("[part=link]").first
    link.focus()
    item = link.get_attribute("data-sg-item")
    page.keyboard.press("Enter")
    assert page.evaluate("() => opened") == [item]


def test_a_widget_out_of_the_page_asks_for_nothing(own_shop, open_page):
    _, page_of = own_shop()
    page = open_page(page_of("slots.html", f"<h1 data-sg-view=p0></h1>{WIDGET}"))
    until(page, SHOWN)
    asked: list[str] = []
    page.on("request", lambda request: "/v1/stream" in request.url and asked.append(request.url))
    page.evaluate("() => { const one = document.querySelector('shop-guide'); one.remove(); one.setAttribute('n', 3) }")
    page.wait_for_timeout(1000)
    assert asked == []


PLACES = "".join(WIDGET.replace(" ", f" id={place} place={place} ", 1) for place in ("home", "cart"))
REASONS = """() => ["home", "cart"].map(id => {
  const rows = document.getElementById(id)?.shadowRoot?.querySelectorAll("[part=reason]") ?? [];
  return [...rows].map(row => row.textContent).join();
})"""


def because_of(page: Any, title: str, seconds: float = 5) -> None:
    """Wait until the lists in both places name it among their reasons."""
    until(page, REASONS, lambda now: all(title in reasons for reasons in now), seconds)


@pytest.mark.browsers("chromium", "firefox")
def test_each_place_of_a_page_follows_and_has_its_own_sums(own_shop, open_page):
    _, page_of = own_shop()
    page = open_page(page_of("places.html", f"<h1 data-sg-view=p0></h1>{PLACES}"))
    asked: list[str] = []
    page.on("request", lambda request: "/v1/recommend" in request.url and asked.append(request.url))
    because_of(page, "tea number 0")
    for item, title in (("p11", "shoes number 1"), ("p22", "books number 2"), ("p3", "tea number 3")):
        page.evaluate("item => { document.body.click(); sg.view(item) }", item)
        because_of(page, title)
    page.wait_for_timeout(1500)
    questions = len(asked)
    page.wait_for_timeout(3000)
    assert (len(asked), questions <= 8) == (questions, True), "the places do not ask in turn for ever"
    for place in ("home", "cart"):
        page.locator(f"#{place} [part=why]").first.click()
        assert float(page.locator(f"#{place} [part=sum] b").inner_text()) > 0
        page.keyboard.press("Escape")


def test_another_window_with_another_place_follows_and_they_do_not_ask_for_ever(own_shop, open_page):
    _, page_of = own_shop()
    page = open_page(page_of("home.html", f"<h1 data-sg-view=p0></h1>{WIDGET}"))
    until(page, SHOWN)
    other = open_page(
        page_of("cart.html", f"<h1 data-sg-view=p1></h1>{WIDGET.replace(' ', ' place=cart ', 1)}"), page.context
    )
    until(other, SHOWN)
    reasons = f"() => [...{ROOT}.querySelectorAll('[part=reason]')].map(row => row.textContent).join()"
    for item, title in (("p11", "shoes number 1"), ("p22", "books number 2")):
        page.evaluate("item => { document.body.click(); sg.view(item) }", item)
        for each in (page, other):
            until(each, reasons, lambda now, title=title: title in now, 10)
    asked: list[str] = []
    for each in (page, other):
        each.on("request", lambda request: "/v1/recommend" in request.url and asked.append(request.url))
    page.wait_for_timeout(8000)
    assert len(asked) < 8, "less and less often"


SAID = f"""() => {{
  window.said = [];
  const status = {ROOT}.querySelector("[role=status]");
  new MutationObserver(() => said.push(status.textContent)).observe(status, {{ childList: true }});
}}"""


def test_what_is_said_of_the_list_is_said_once_it_rests_and_of_new_items_only(own_shop, open_page):
    _, page_of = own_shop()
    page = open_page(page_of("said.html", f"<h1 data-sg-view=p0></h1>{WIDGET}"))
    until(page, SHOWN)
    page.evaluate(SAID)
    for item in ("p11", "p22", "p12", "p23", "p13"):
        page.evaluate("item => sg.view(item)", item)
        page.wait_for_timeout(900)
    assert page.evaluate("() => said") == []
    (said,) = until(page, "() => said", seconds=5)
    first = page.locator("[part=title]").first.inner_text()
    assert said.endswith(f" new suggestions. First: {first}.")
    page.evaluate("() => sg.view('p24')")
    page.wait_for_timeout(4000)
    assert page.evaluate("() => said.length") == 1, "not again within ten seconds"


def test_what_is_pointed_at_stays_on_a_page_without_a_doctype(own_shop, open_page, site):
    _, page_of = own_shop()
    file = site[0] / page_of("quirks.html", f"<h1 data-sg-view=p0></h1>{WIDGET}")
    file.write_text(file.read_text().removeprefix("<!doctype html>"))
    page = open_page(file.name)
    before = until(page, SHOWN)
    page.wait_for_timeout(500)
    page.locator("[part=item]").nth(2).hover()
    item = page.evaluate(SHOWN)[2]
    page.evaluate("() => ['p10', 'p11', 'p12', 'p13'].forEach(item => sg.view(item))")
    until(page, SHOWN, lambda now: now[0] != before[0])
    assert page.evaluate(SHOWN)[2] == item


def test_it_stands_wherever_and_whatever_it_shows(own_shop, open_page):
    collector, page_of = own_shop()
    long = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen"
    odd = ["<b>Bold</b> \"quoted\" 'it'", "كرسي خشبي قابل للطي", "Very long title " * 18, long]
    rows = [{"kind": "item", "item": f"p{k}", "title": title} for k, title in enumerate(odd, 1)]
    post(f"{collector.url}/v1/events", [*rows, {"kind": "item", "item": "p1", "image": "/none.png"}])
    widget = WIDGET.replace("EUR", "€").replace('n="5"', 'n="20" heading=""')
    style = "<style>body { font: 24px/1.4 serif }</style>"
    body = f"<h1 data-sg-view=p0>x</h1><div style='display: flex'>{widget}</div>"
    page = open_page(page_of("odd.html", body, style), viewport={"width": 700, "height": 800})
    until(page, SHOWN)
    page.evaluate("() => ['p11', 'p1', 'p4', 'p3', 'p22'].forEach(item => sg.view(item))")
    until(page, SHOWN, lambda now: {"p1", "p3", "p4"} <= set(now))
    page.wait_for_timeout(600)
    list_ = page.locator("[part=list]")
    assert list_.evaluate("list => [list.scrollLeft, list.offsetWidth > 600]") == [0, True]
    texts = page.locator("[part=title]").all_inner_texts()
    assert odd[0] in texts and page.locator("[part=title] b").count() == 0
    faults = page.evaluate(
        f"""() => [...{ROOT}.querySelectorAll("[part=item]")].flatMap(row => {{
          const [title, reason, price] =
            ["title", "reason", "price"].map(name => row.querySelector(`[part=${{name}}]`));
          const under = price.getBoundingClientRect().top >= reason.getBoundingClientRect().bottom - 1;
          return under && title.scrollWidth <= title.clientWidth ? [] : [row.textContent];
        }})"""
    )
    assert faults == []
    broken = page.locator("[data-sg-item=p1] img")
    page.locator("[data-sg-item=p1]").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    assert not broken.is_visible() and not page.locator("[part=heading]").is_visible()
    assert "€" not in page.locator("[part=price]").first.inner_text()
    page.set_viewport_size({"width": 390, "height": 800})
    page.evaluate("() => document.querySelector('shop-guide').setAttribute('layout', 'list')")
    assert page.locator("[part=title]").first.evaluate("title => title.clientWidth") > 120
