"""<shop-guide> wherever a shop puts it: beside a router, taken out of the page, in narrow places, with odd products,
before a collector that falls silent."""

from __future__ import annotations

import os
import signal

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
