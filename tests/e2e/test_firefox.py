"""What Firefox alone can be told here: somebody who wants pages dark and still, and lets none keep anything."""

from __future__ import annotations

import pytest
from stranger import SHOWN, VISITOR, WIDGET, kinds, until

from shopguide.keys import Secret
from shopguide.tokens import KeyRing, mint_admin

pytestmark = [pytest.mark.browser, pytest.mark.browsers("firefox")]

PREFERENCES = {
    "layout.css.prefers-color-scheme.content-override": 0,
    "ui.prefersReducedMotion": 1,
    "network.cookie.cookieBehavior": 2,
}
LIGHTNESS = "element => Number(/\\d+/.exec(getComputedStyle(element).backgroundColor)[0])"
BLOCKED = "() => { try { return Boolean(localStorage) } catch { return 'blocked' } }"
STILL = "() => document.getAnimations().length"


def test_the_script_and_the_widget(own_shop, open_page):
    collector, page_of = own_shop()
    page = open_page(page_of("quiet.html", f"<h1 data-sg-view=p0></h1>{WIDGET.replace(' ', ' scheme=auto ', 1)}"))
    assert page.evaluate(BLOCKED) == "blocked"
    before, user = until(page, SHOWN), until(page, VISITOR)
    assert page.locator("[part=item]").first.evaluate(LIGHTNESS) < 128
    page.evaluate("() => sg.view('p11')")
    until(page, SHOWN, lambda now: now != before)
    assert page.evaluate(STILL) == 0
    assert kinds(collector.held(user))["view", "p11"] == 1


def test_the_demo(browser, base_url):
    page = browser.new_page()
    page.goto(base_url)
    page.get_by_test_id("pick").first.wait_for()
    assert page.locator("html").evaluate(LIGHTNESS) < 128
    page.get_by_test_id("product-open").nth(2).click()
    page.get_by_test_id("effect").filter(has_text="after your click").wait_for()
    assert page.evaluate(STILL) == 0
    page.close()


def test_the_desk(browser, demo):
    page = browser.new_page()
    token = mint_admin(KeyRing.of(Secret.load(demo["state"])), "Ada", 600)
    page.goto(f"{demo['http']}/desk#token={token}")
    page.get_by_test_id("desk").wait_for()
    assert page.url.endswith("/desk")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_test_id("token").wait_for()
    page.close()
