"""The demo shop in a real Chromium: the list follows every click, on a phone and on a desk, by hand and by keyboard.

Elements are found by data-testid, so that any catalogue will do. Where a test needs the line to misbehave it starts
a scripted one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stranger import failures

pytestmark = pytest.mark.browser

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
SIZES = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
ITEMS = "rows => rows.map(row => row.dataset.item)"


class Visit:
    """A page, what it logged, and shorthands over its test ids."""

    def __init__(self, context: Any, url: str) -> None:
        self.errors: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.errors.append(m.text))
        failures(self.page, self.errors)
        self.page.goto(url)
        self.until("window.shopguide?.seq")
        self.find("product").first.wait_for()

    def until(self, expression: str, seconds: float = 10) -> None:
        """Poll from outside: the page's own policy forbids evaluating strings in it."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(10)

    def find(self, name: str) -> Any:
        return self.page.get_by_test_id(name)

    def picks(self) -> list[str]:
        return self.find("pick").evaluate_all(ITEMS)

    def guide(self, field: str) -> Any:
        return self.page.evaluate(f"window.shopguide.{field}")

    def focused(self) -> Any:
        return self.page.evaluate("document.activeElement.dataset.testid ?? document.activeElement.id")

    def await_list(self, action: Callable[[], None]) -> None:
        """Do something and wait until a new list is on screen and its latency is known."""
        before = self.guide("seq")
        action()
        self.until(f"String(window.shopguide.seq) !== '{before[0]},{before[1]}'")
        self.until("document.querySelector('.chip-ms.known') && !document.querySelector('.chip-ms:not(.known)')")

    def look_at(self, index: int) -> None:
        self.await_list(self.find("product-open").nth(index).click)


@pytest.fixture
def visit(browser: Any, base_url: str) -> Iterator[Callable[..., Visit]]:
    """Opens the page in a context of its own; at the end nothing may have been logged as an error."""
    contexts, visits = [], []

    def open_page(size: dict[str, int] = DESK, url: str = base_url, **options: Any) -> Visit:
        contexts.append(browser.new_context(viewport=size, **options))
        visits.append(Visit(contexts[-1], url))
        return visits[-1]

    yield open_page
    errors = [error for visit in visits for error in visit.errors]
    for context in contexts:
        context.close()
    assert errors == []


@SIZES
def test_the_list_follows_a_click_without_a_reload(visit, size, tmp_path):
    shop = visit(size)
    shop.page.evaluate("window.here = true")
    before = shop.picks()
    assert len(before) > 4
    shop.look_at(2)
    assert shop.picks() != before
    assert shop.page.evaluate("window.here") is True
    assert shop.guide("lastLatencyMs") > 0
    assert shop.find("detail").is_visible()
    assert shop.find("effect").inner_text().endswith("after your click")
    assert shop.find("rail-note").text_content().endswith("after your click")
    assert shop.page.screenshot(path=tmp_path / "detail.png")
    shop.find("detail-close").click()
    assert not shop.find("detail").is_visible()
    assert all(shop.find("pick-reason").all_inner_texts())
    assert shop.find("seen-event").first.get_attribute("data-kind") == "view"
    assert shop.find("guide-total").text_content().endswith("of it in the guide")


@SIZES
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_in_both_schemes(visit, size, scheme, tmp_path):
    shop = visit(size, color_scheme=scheme)
    shop.look_at(0)
    shop.find("detail-close").click()
    width = shop.page.evaluate("document.documentElement.scrollWidth")
    assert width <= size["width"]
    colours = shop.page.evaluate(
        "[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color]"
    )
    paper, ink = (sum(map(int, colour[4:-1].split(","))) for colour in colours)
    assert (paper < ink) == (scheme == "dark")
    assert abs(paper - ink) > 500
    shop.page.screenshot(path=tmp_path / "shop.png")


def test_a_subscriber_in_another_terminal_sees_the_same_lists(visit, demo):
    page = visit()
    page.look_at(2)
    user = page.guide("user")
    command = [sys.executable, "-c", "from shopguide.cli import main; main()"]
    watch = [*command, "watch", "--user", user, "--state", str(demo["state"]), "--json"]
    with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as subscriber:
        assert subscriber.stdout
        for line in subscriber.stdout:  # a second subscriber is news to the line: both may be told again
            newest = json.loads(line)
            page.page.wait_for_timeout(500)
            shown, seq = page.picks(), page.guide("seq")
            if newest["seq"] == seq:
                break
        subscriber.terminate()
    assert [item["item"] for item in newest["items"]] == shown


@SIZES
def test_not_this_goes_at_once_and_stays_away(visit, size):
    shop = visit(size)
    gone = shop.picks()[1]
    count = len(shop.picks())
    answer = shop.page.route("**/v1/dismiss", lambda route: (shop.page.wait_for_timeout(300), route.continue_()))
    shop.find("not-this").nth(1).click()
    assert gone not in shop.picks()
    assert len(shop.picks()) >= count - 1
    shop.page.unroute("**/v1/dismiss", answer)
    shop.find("seen-latency").filter(has_text="ms").wait_for()
    assert shop.find("seen-event").first.get_attribute("data-kind") == "dismiss"
    assert gone not in shop.picks()
    shop.look_at(1)
    assert gone not in shop.picks()


def test_not_this_comes_back_where_it_did_not_arrive(visit):
    shop = visit()
    before = shop.picks()
    shop.page.route("**/v1/dismiss", lambda route: route.abort())
    shop.find("not-this").first.click()
    shop.until(f"document.querySelectorAll('[data-testid=pick]').length === {len(before)}")
    assert shop.picks() == before
    assert "try again" in shop.find("toasts").inner_text()
    shop.errors.clear()  # the aborted request


@SIZES
def test_why_opens_the_whole_sum(visit, size, tmp_path):
    shop = visit(size)
    shop.look_at(0)
    shop.find("detail-close").click()
    shop.find("why").first.focus()
    shop.page.keyboard.press("Enter")
    shop.find("why-dialog").wait_for()
    amounts = shop.find("why-part").locator(".bar-amount").all_inner_texts()
    assert amounts
    total = sum(float(amount.replace("−", "-")) for amount in amounts)
    assert total == pytest.approx(float(shop.find("why-score").inner_text()), abs=0.0005 * (len(amounts) + 1))
    widths = shop.page.eval_on_selector_all(".bar-fill", "bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert widths == sorted(widths, reverse=True)
    shop.page.screenshot(path=tmp_path / "why.png")
    shop.page.keyboard.press("Escape")
    assert not shop.find("why-dialog").is_visible()
    assert shop.focused() == "why"


@pytest.mark.browsers("chromium", "firefox")
def test_the_keyboard_alone_is_enough(visit):
    shop = visit()
    shop.find("product-open").nth(1).focus()
    shop.await_list(lambda: shop.page.keyboard.press("Enter"))
    assert shop.focused() == "detail-title"
    shop.page.keyboard.press("Tab")
    assert shop.focused() == "add-to-cart"
    shop.await_list(lambda: shop.page.keyboard.press("Enter"))
    assert shop.focused() == "add-to-cart"
    shop.page.keyboard.press("Escape")
    assert shop.focused() == "product-open"
    shop.find("not-this").first.focus()
    shop.await_list(lambda: shop.page.keyboard.press("Enter"))
    assert shop.focused() == "not-this"


@pytest.mark.parametrize("rank", [0, 8])
def test_focus_stays_in_the_list_when_it_moves(visit, rank):
    shop = visit()
    pick = shop.find("pick").nth(rank)
    item = pick.get_attribute("data-item")
    pick.get_by_test_id("why").focus()
    add = "document.querySelectorAll('[data-testid=product-add]')[3].click()"  # leaves the focus alone
    shop.await_list(lambda: shop.page.evaluate(add))
    focused = shop.page.evaluate("document.activeElement.closest('[data-testid=pick]')?.dataset.item")
    assert focused == item if item in shop.picks() else focused in shop.picks()
    assert shop.focused() == "why"


def test_search_and_categories_narrow_the_shelves(visit):
    shop = visit()
    word = shop.find("product").first.locator(".card-title").inner_text().split()[0].strip(",")
    everything = shop.find("product").count()
    shop.find("search").fill(word)
    shop.await_list(lambda: shop.find("search").press("Enter"))
    titles = shop.find("product").locator(".card-title").all_inner_texts()
    assert 0 < len(titles) <= everything
    assert shop.find("seen-event").first.get_attribute("data-kind") == "search"
    shop.find("search").fill("no such thing anywhere")
    assert shop.find("product").count() == 0
    assert shop.find("products-empty").is_visible()
    shop.find("products-empty").get_by_role("button").click()
    assert shop.find("product").count() == everything
    shop.find("chip").nth(1).click()
    assert shop.find("chip").nth(1).get_attribute("aria-pressed") == "true"
    assert shop.find("product").count() > 0


@SIZES
def test_cart_and_purchase(visit, size, tmp_path):
    shop = visit(size)
    shop.await_list(shop.find("product-add").first.click)
    shop.await_list(shop.find("product-add").nth(1).click)
    assert shop.find("cart-count").inner_text() == "2"
    shop.find("cart").click()
    assert shop.find("cart-rows").get_by_role("button").count() == 2
    shop.page.screenshot(path=tmp_path / "cart.png")
    shop.await_list(shop.find("cart-rows").get_by_role("button").first.click)
    assert shop.find("seen-event").first.get_attribute("data-kind") == "remove"
    shop.await_list(shop.find("checkout").click)
    assert shop.find("cart-count").inner_text() == "0"
    assert shop.find("seen-event").first.get_attribute("data-kind") == "purchase"


def test_a_suggestion_can_be_followed(visit):
    shop = visit()
    title = shop.find("pick-title").first.inner_text()
    shop.await_list(shop.find("pick-open").first.click)
    assert shop.page.locator("#detail-title").inner_text() == title
    kinds = shop.find("seen-event").evaluate_all("rows => rows.map(row => row.dataset.kind)")
    assert kinds[:2] == ["view", "click"]


def test_what_stood_in_view_is_said_once_and_answered_by_no_list(visit):
    said: list[dict[str, Any]] = []
    shop = visit()
    shop.page.reload()
    shop.page.on("request", lambda r: r.url.endswith("/v1/events") and said.extend(r.post_data_json["events"]))
    shop.until("window.shopguide?.seq")
    seq, shown = shop.guide("seq"), shop.picks()
    shop.page.wait_for_timeout(2500)
    kinds = {row["kind"] for row in said}
    items = [row["item"] for row in said]
    assert kinds == {"impression"} and items == shown[: len(items)] and 3 < len(items) < len(shown)
    assert {row["list"] for row in said} == {"-".join(map(str, seq))}
    assert shop.guide("seq") == seq and shop.find("seen-event").count() == 0
    shop.find("pick").last.scroll_into_view_if_needed()
    shop.page.wait_for_timeout(2500)
    items = [row["item"] for row in said]
    assert shown[-1] in items and len(items) == len(set(items))


def test_a_visitor_stays_the_same_until_they_start_over(visit):
    shop = visit()
    user = shop.guide("user")
    assert f"shopguide watch --user {user}" in shop.find("watch-command").inner_text()
    shop.look_at(3)
    before = shop.picks()
    shop.page.reload()
    shop.until("window.shopguide?.seq")
    assert shop.guide("user") == user
    assert len(set(shop.picks()) & set(before)) > len(before) / 2  # the shop's other shoppers go on meanwhile
    shop.find("new-visitor").click()
    shop.until(f"window.shopguide.user !== '{user}'")
    assert shop.find("seen-event").count() == 0
    assert visit().guide("user") not in (user, shop.guide("user"))


@pytest.mark.parametrize("kept", ['{"user": "a", "token": "forged", "expires": 9e9}', '{"expires": 1}', "{"])
def test_a_token_that_no_longer_holds_makes_a_new_visitor(visit, kept):
    shop = visit()
    user = shop.guide("user")
    shop.page.evaluate("kept => localStorage.setItem('shopguide.visitor', kept)", kept)
    shop.page.reload()
    shop.until("window.shopguide?.seq")
    assert shop.guide("user").startswith("guest-")
    assert shop.guide("user") != user
    shop.look_at(0)
    shop.errors.clear()  # the refused stream


def test_a_token_is_renewed_before_it_ends(visit, start_line):
    line = start_line(ttl=3)
    shop = visit(url=f"http://127.0.0.1:{line.port}")
    token = "JSON.parse(localStorage.getItem('shopguide.visitor')).token"
    user, first = shop.guide("user"), shop.page.evaluate(token)
    shop.look_at(0)
    shop.page.wait_for_timeout(3500)
    assert shop.page.evaluate(token) != first
    shop.await_list(shop.find("add-to-cart").click)
    assert shop.guide("user") == user


def test_a_list_that_changed_out_of_sight_says_so(visit):
    shop = visit(PHONE)
    shop.find("product").nth(9).scroll_into_view_if_needed()
    shop.page.wait_for_timeout(100)
    shop.await_list(shop.find("product-add").nth(9).click)
    shop.find("peek").click()
    shop.find("peek").wait_for(state="hidden")
    assert shop.focused() == "picks"


def test_little_moves_for_who_wants_it_so(visit):
    shop = visit(reduced_motion="reduce")
    shop.look_at(0)
    assert shop.page.evaluate("document.getAnimations().length") == 0


def test_a_message_that_does_not_fit_brings_a_snapshot(visit, start_line):
    own_line = start_line()
    shop = visit(url=f"http://127.0.0.1:{own_line.port}")
    shop.look_at(0)
    shop.find("detail-close").click()
    line = own_line.line
    (user,) = line.lists
    for product in line.catalogue:
        product["price"] += 1000
    line.lists[user] = line.list_of(user)  # the page never gets this one
    line.seq[user] += 1
    shop.find("product-open").nth(1).click()
    shop.until("window.shopguide.seq[1] === 3")
    assert shop.picks() == [item["item"] for item in line.lists[user]]
    assert all("1,0" in price for price in shop.find("pick").locator(".pick-price").all_inner_texts())


@pytest.mark.browsers("chromium", "firefox")
def test_a_lost_line_is_said_and_found_again(visit, start_line, tmp_path):
    own_line = start_line()
    shop = visit(url=f"http://127.0.0.1:{own_line.port}")
    shop.look_at(0)
    before = shop.picks()
    own_line.stop()
    shop.find("banner").wait_for()
    assert shop.find("live").get_attribute("data-state") == "reconnecting"
    assert shop.picks() == before
    shop.find("detail-close").click()
    shop.find("product-open").nth(4).click()
    shop.page.screenshot(path=tmp_path / "reconnecting.png")
    seq = shop.guide("seq")
    own_line.start()
    shop.until(f"window.shopguide.seq[1] > {seq[1]}", 20)
    assert shop.find("live").get_attribute("data-state") == "live"
    assert not shop.find("banner").is_visible()
    assert shop.picks() != before
    shop.errors.clear()  # refused connections
