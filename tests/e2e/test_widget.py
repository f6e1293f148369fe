"""<shop-guide> in a real Chromium, on a stranger's static pages: one script tag, one widget tag, a real collector."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from stranger import KEPT, VISITOR, Collector, Pages, kinds, sent, until

from shopguide.context import DEVICES, REFERRERS, Clock, packed, segments_of, words
from shopguide.rank.reasons import CAUSELESS, NEW, PICK, UNNAMED, WORDS, Cause

pytestmark = pytest.mark.browser

IDS = "document.querySelector('shop-guide')?.shadowRoot?.querySelectorAll('[part=link]')"
SHOWN = f"() => [...({IDS} ?? [])].map(link => link.dataset.sgItem)"
FOCUSED = "() => document.activeElement?.shadowRoot?.activeElement?.getAttribute('part')"
WHERE = "row => { const { left, top } = row.getBoundingClientRect(); return [Math.round(left), Math.round(top)] }"


@pytest.fixture
def shop(tmp_path: Path, site: tuple[Path, str]) -> Iterator[Callable[..., Collector]]:
    """Makes the stranger's pages, a widget on each, and starts the collector, which knows the shop's past."""
    pages = Pages(*site)
    yield lambda **attributes: pages.open(tmp_path / "state", **attributes)
    pages.close()


def shown(page: Any, wanted: Callable[[list[str]], bool] = bool) -> list[str]:
    return list(until(page, SHOWN, wanted))


def changed_by(page: Any, act: Callable[[], object]) -> list[str]:
    before = shown(page)
    act()
    return shown(page, lambda now: now != before and bool(now))


def ask(url: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """What the collector says to somebody who has just this address."""
    request = Request(url, json.dumps(body).encode() if body is not None else None)
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except OSError as e:
        return e.code, json.load(e)  # type: ignore[attr-defined]


@pytest.mark.browsers("chromium", "firefox")
def test_five_products_fill_the_widget_and_change_it_at_each_view(shop, open_page):
    collector = shop()
    page = open_page("p0.html")
    assert page.locator("script, shop-guide").count() == 2
    lists = [tuple(shown(page, lambda now: len(now) == 5))]
    for k in (1, 2, 7, 12):
        page.goto(page.url.rsplit("/", 1)[0] + f"/p{k}.html")
        lists.append(tuple(shown(page, lambda now: len(now) == 5 and tuple(now) != lists[-1])))
    page.wait_for_timeout(1300)  # the items are in view for a second
    followed = shown(page)[0]
    page.locator("[part=link]").first.click()
    page.wait_for_url(f"**/{followed}.html")
    shown(page)
    user = until(page, VISITOR)
    sent(page)
    rows = collector.held(user)
    found = kinds(rows)
    assert {k: n for k, n in found.items() if k[0] not in ("impression", "watch", "unwatch")} == {
        **{("view", f"p{k}"): 1 for k in (0, 1, 2, 7, 12)},
        ("click", followed): 1,
        ("view", followed): 1 + (followed in ("p0", "p1", "p2", "p7", "p12")),
    }
    assert all(found["impression", item] >= 1 for item in lists[-1])
    assert all(row["list"].split("-")[1].isdecimal() for row in rows if row["kind"] in ("click", "impression"))


@pytest.mark.browsers("chromium", "firefox")
def test_the_list_stays_in_an_outage_and_goes_on_after_it(shop, open_page):
    collector = shop()
    page = open_page("p0.html")
    before = shown(page)
    user = until(page, VISITOR)
    sent(page)
    collector.kill()
    page.evaluate("() => { for (const item of ['p10', 'p11', 'p12']) sg.view(item) }")
    page.wait_for_timeout(5000)
    assert shown(page) == before
    collector.start()
    page.evaluate("() => sg.flush()")
    sent(page)
    shown(page, lambda now: now != before)
    found = kinds(collector.held(user))
    assert {item: n for (kind, item), n in found.items() if kind == "view"} == dict.fromkeys(
        ("p0", "p10", "p11", "p12"), 1
    )


@pytest.mark.browsers("chromium", "firefox")
def test_without_consent_there_is_no_widget_and_with_none_left_a_receipt(shop, open_page):
    collector = shop(consent="ask")
    page = open_page("p0.html")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    until(page, "() => !!window.sg")
    page.wait_for_timeout(500)
    assert (page.evaluate(KEPT), [url for url in asked if collector.url in url]) == ([], [])
    page.evaluate("() => sg.consent(true)")
    shown(page)
    user = until(page, VISITOR)
    sent(page)
    page.evaluate("() => { sg.consent(false) }")
    page.locator("[part=receipt]").wait_for()
    assert "looked at 1" in page.locator("[part=receipt]").inner_text()
    assert page.locator("[part=anew]").count() == 0
    receipt = json.loads(page.locator("pre").text_content())
    assert receipt["kinds"]["view"] == 1 and receipt["signature"]
    page.wait_for_timeout(1500)
    assert page.evaluate(KEPT) == ["sg:consent"]
    assert collector.held(user) == []
    page.reload()
    until(page, "() => !!window.sg")
    assert not page.evaluate("() => !!customElements.get('shop-guide')")


def test_another_visitors_token_opens_nothing_of_mine(shop, open_page):
    collector = shop()
    mine, theirs = open_page("p0.html"), open_page("p11.html")
    my_list, their_list = shown(mine), shown(theirs)
    assert my_list != their_list
    token = "() => sg.visitor.token"
    my_token, their_token = mine.evaluate(token), theirs.evaluate(token)
    body = bytearray(base64.urlsafe_b64decode(their_token))
    body[5:13] = base64.urlsafe_b64decode(my_token)[5:13]  # their token with my user in it
    forged = base64.urlsafe_b64encode(bytes(body)).decode()
    full, other = (ask(f"{collector.url}/v1/recommend?token={each}")[1]["items"] for each in (my_token, their_token))
    my_item = next(each["item"] for each in full if each["item"] not in [item["item"] for item in other])
    for path in ("stream", "recommend", f"why?item={my_item}"):
        joint = "&" if "?" in path else "?"
        assert ask(f"{collector.url}/v1/{path}{joint}token={forged}")[0] == 401, path
    for path in ("events", "dismiss", "forget", "identify"):
        said = {"token": forged, "item": my_item, "events": [{"item": my_item}], "account": their_token}
        assert ask(f"{collector.url}/v1/{path}", said)[0] == 401, path
    assert ask(f"{collector.url}/v1/why?item={my_item}&token={their_token}")[0] == 404
    theirs.evaluate("item => sg.dismiss(item)", my_item)
    sent(theirs)
    theirs.evaluate("() => sg.forgetMe()")
    for path in ("stream", "recommend"):
        assert ask(f"{collector.url}/v1/{path}?token={their_token}")[0] == 401, path
    assert shown(mine) == my_list
    assert kinds(collector.held(mine.evaluate(VISITOR)))["view", "p0"] == 1


@pytest.mark.browsers("chromium", "firefox")
def test_why_like_not_this_and_forget_me(shop, open_page):
    collector = shop()
    page = open_page("p0.html")
    shown(page)
    page.locator("[part=why]").first.click()
    score = float(page.locator("[part=sum] b").inner_text())
    amounts = page.locator("[part=parts] b").all_inner_texts()
    assert sum(float(text.replace("−", "-")) for text in amounts) == pytest.approx(score, abs=0.01)
    page.keyboard.press("Escape")
    assert page.evaluate(FOCUSED) == "why"
    page.locator("[part=like]").first.click()
    assert page.locator("[part=like]").first.get_attribute("aria-pressed") == "true"
    first = shown(page)[0]  # it stays where it is while it is pointed at
    page.locator("[part=item]").nth(1).hover()
    second = shown(page)[1]
    page.locator("[part=not-this]").nth(1).click()
    shown(page, lambda now: second not in now and len(now) == 5)
    assert page.evaluate(FOCUSED) == "not-this"
    user = until(page, VISITOR)
    sent(page)
    rows = {row["kind"]: row for row in collector.held(user)}
    assert (rows["favourite"]["item"], rows["dismiss"]["item"]) == (first, second)
    page.locator("[part=forget]").click()
    page.locator("[part=confirm]").click()
    page.locator("[part=receipt]").wait_for()
    assert page.evaluate(KEPT) == []
    assert collector.held(user) == []
    page.locator("[part=anew]").click()
    shown(page)
    assert page.evaluate(VISITOR) != user


@pytest.mark.browsers("chromium", "firefox")
def test_what_is_pointed_at_or_has_the_focus_stays_where_it_is(shop, open_page):
    shop()
    page = open_page("p0.html")
    shown(page)
    held = page.locator("[part=item]").nth(2)
    held.hover()
    item = held.locator("[part=link]").get_attribute("data-sg-item")
    place = held.evaluate(WHERE)
    changed_by(page, lambda: page.evaluate("() => ['p10', 'p11', 'p12', 'p13'].forEach(item => sg.view(item))"))
    sent(page)
    assert shown(page)[2] == item
    assert held.evaluate(WHERE) == place
    page.mouse.move(5, 5)
    assert shown(page, lambda now: item not in now[2:3])
    focused = page.locator("[part=item]").nth(1).locator("[part=not-this]")
    focused.focus()
    item = shown(page)[1]
    changed_by(page, lambda: page.evaluate("() => ['p0', 'p1', 'p2', 'p3', 'p4'].forEach(item => sg.view(item))"))
    assert shown(page)[1] == item
    assert page.evaluate(FOCUSED) == "not-this"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(FOCUSED) == "like"


def test_the_page_does_not_jump_and_says_what_changed(shop, open_page):
    shop()
    page = open_page("p0.html")
    height = "() => document.querySelector('shop-guide').offsetHeight"
    until(page, "() => document.querySelector('shop-guide').shadowRoot?.querySelector('.awaited, [part=link]')")
    tall = page.evaluate(height)
    shown(page)
    assert page.evaluate(height) == tall
    changed_by(page, lambda: page.evaluate("() => sg.view('p11')"))
    assert page.evaluate(height) == tall
    status = page.locator("[role=status]")
    assert until(
        page, "() => document.querySelector('shop-guide').shadowRoot.querySelector('[role=status]').textContent"
    )
    assert "First: " in status.text_content()


@pytest.mark.browsers("chromium", "firefox")
def test_a_strict_policy_of_the_page_lets_it_be(shop, open_page):
    collector = shop(
        policy=lambda url: (
            f"default-src 'none'; script-src {url}; connect-src {url}; img-src data:; style-src 'none'; base-uri 'none'"
        )
    )
    page = open_page("p0.html")
    blocked: list[str] = []
    page.on("console", lambda message: "Content Security Policy" in message.text and blocked.append(message.text))
    page.reload()
    shown(page)
    page.locator("[part=why]").first.click()
    fill = page.locator("[part=parts] i").first
    assert fill.evaluate("bar => bar.getBoundingClientRect().width") > 100, "styles without a style attribute"
    assert blocked == []
    assert collector.url


def test_a_stream_that_never_comes_is_made_up_for_by_asking(shop, open_page, browser):
    shop()
    context = browser.new_context()
    context.route("**/v1/stream*", lambda route: route.abort())
    page = open_page("p0.html", context)
    before = shown(page)
    page.evaluate("() => sg.view('p11')")
    shown(page, lambda now: now != before)
    context.close()


def test_where_nothing_is_sent_by_itself_there_is_a_list_all_the_same(shop, open_page):
    collector = shop(auto="off")
    page = open_page("p0.html")
    shown(page)
    changed_by(page, lambda: page.evaluate("() => sg.view('p11')"))
    page.wait_for_timeout(1300)
    user = until(page, VISITOR)
    sent(page)
    assert {kind for kind, _ in kinds(collector.held(user))} - {"watch", "unwatch"} == {"view"}


def test_a_place_has_its_own_list(shop, open_page, browser):
    shop(attributes='place="cart"')
    context = browser.new_context()
    context.route("**/v1/recommend*", lambda route: route.abort())
    page = open_page("p0.html", context)
    shown(page)  # lists of other places are not shown
    changed_by(page, lambda: page.evaluate("() => sg.view('p11')"))
    context.close()


def test_dark_follows_the_page_or_the_attribute(shop, open_page):
    shop()
    lightness = "row => Number(/\\d+/.exec(getComputedStyle(row).backgroundColor)[0])"
    for scheme, other in (("dark", "light"), ("light", "dark")):
        page = open_page("p0.html", color_scheme=scheme)
        shown(page)
        row = page.locator("[part=item]").first
        assert (row.evaluate(lightness) < 128) == (scheme == "dark")
        page.evaluate("scheme => document.querySelector('shop-guide').setAttribute('scheme', scheme)", other)
        assert (row.evaluate(lightness) < 128) == (other == "dark")


def every_segment() -> set[int]:
    """Of each device, kind of referrer and part of the day, of a country, and of a campaign."""
    said = [{"device": one} for one in DEVICES] + [{"referrer": one} for one in REFERRERS]
    said += [{"region": "DE"}, {"campaign": "spring"}]
    return {
        segment
        for context in map(packed, said)
        for hour in (0, 6, 12, 18)
        for segment in segments_of(context, 3600.0 * hour, Clock("UTC"))
    }


def test_chinese_in_all_that_it_says(shop, open_page):
    collector = shop(lang="zh-CN")
    page = open_page("p0.html")
    shown(page)
    assert page.locator("[part=heading]").inner_text() == "为您推荐"
    assert all(
        "您" in text or "热门" in text or "「" in text for text in page.locator("[part=reason]").all_inner_texts()
    )
    causes = [
        Cause("p0", "Red shoe", did.format("Red shoe"), did.format("it"))
        for did in ("looked at {}", "liked {}", "put {} in your cart", "bought {}")
    ]
    of_items = [
        text for signal, text in WORDS.items() if signal not in ("segment", "welcome")
    ]  # these are a shop's own
    said = {text.format(**cause._asdict(), shared=12) for text in of_items for cause in causes}
    said |= {*UNNAMED.values(), *CAUSELESS.values(), PICK["text"], NEW["text"]}
    said |= {WORDS["segment"].format(title=words(segment)) for segment in every_segment()}
    translated = page.evaluate(
        "async ([url, texts]) => texts.map((await import(url)).CHINESE.reason)",
        [f"{collector.url}/sg-zh.js", sorted(said)],
    )
    left = [
        text
        for text in translated
        if text.replace("Red shoe", "").strip(" 0123456789").isascii() or "undefined" in text
    ]
    assert left == [], "reasons that Chinese has no words for"
    assert any("Red shoe" in text for text in translated)
