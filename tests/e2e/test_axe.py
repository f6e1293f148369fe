"""axe-core finds no serious fault: the demo shop and a stranger's page with the widget, in each state they have."""

from __future__ import annotations

from pathlib import Path

import pytest
from stranger import Pages, serious, until

pytestmark = pytest.mark.browser

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
LOOKS = pytest.mark.parametrize(
    ("size", "scheme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")],
    ids=["desk-light", "desk-dark", "phone-light", "phone-dark"],
)  # fmt: skip


@LOOKS
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_demo_shop(browser, base_url, size, scheme, lang):
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{base_url}/?lang={lang}")
    page.get_by_test_id("pick").first.wait_for()
    page.get_by_test_id("product").first.wait_for()
    assert serious(page) == [], "the list"
    page.get_by_test_id("why").first.click()
    page.get_by_test_id("why-part").first.wait_for()
    assert serious(page) == [], "why"
    page.keyboard.press("Escape")
    page.get_by_test_id("product-open").nth(2).click()
    page.get_by_test_id("similar").locator("li").first.wait_for()
    assert serious(page) == [], "a product"
    page.get_by_test_id("add-to-cart").click()
    page.get_by_test_id("detail-close").click()
    page.get_by_test_id("cart").click()
    assert serious(page) == [], "the cart"
    context.close()


@LOOKS
@pytest.mark.parametrize("lang", ["en", "zh-CN"])
def test_a_strangers_page_with_the_widget(browser, site, open_page, tmp_path: Path, size, scheme, lang):
    pages = Pages(*site)
    try:
        pages.open(tmp_path / "state", lang=lang)
        page = open_page("p0.html", viewport=size, color_scheme=scheme)
        page.locator("[part=link]").first.wait_for()
        for layout in ("row", "grid", "list"):
            page.evaluate("layout => document.querySelector('shop-guide').setAttribute('layout', layout)", layout)
            assert serious(page) == [], layout
        page.locator("[part=like]").first.click()
        page.locator("[part=why]").first.click()
        assert serious(page) == [], "why"
        page.keyboard.press("Escape")
        page.locator("[part=forget]").click()
        assert serious(page) == [], "forget me"
        page.locator("[part=confirm]").click()
        page.locator("summary").click()
        until(page, "() => !sg.visitor")
        assert serious(page) == [], "the receipt"
    finally:
        pages.close()
