"""The desk in a real Chromium, beside shoppers' pages: what is said at the one is on the others, and can be undone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from stranger import failures

from shopguide.cli.control import ask
from shopguide.keys import Secret
from shopguide.tokens import KeyRing, mint, mint_admin

pytestmark = pytest.mark.browser

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PATIENCE = 10.0  # seconds


@pytest.fixture
def keys(demo: dict[str, Any]) -> KeyRing:
    return KeyRing.of(Secret.load(demo["state"]))


@pytest.fixture
def open_page(browser: Any, base_url: str) -> Iterator[Callable[..., Any]]:
    """Opens an address in a context of its own; at the end nothing may have been logged as an error, but for
    refusals that a test means."""
    contexts: list[Any] = []
    errors: list[str] = []

    def begin(path: str, size: dict[str, int] = WIDE, **options: Any) -> Any:
        contexts.append(browser.new_context(viewport=size, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda m: m.type in ("error", "warning") and errors.append(m.text))
        failures(page, errors)
        page.goto(base_url + path)
        return page

    yield begin
    for context in contexts:
        context.close()
    assert [error for error in errors if "401" not in error and "409" not in error] == []


@pytest.fixture
def desk(open_page: Callable[..., Any], keys: KeyRing, demo: dict[str, Any]) -> Iterator[Callable[..., Any]]:
    """Opens the desk for somebody; at the end all picks are undone."""

    def begin(name: str = "Ada Lovelace", **options: Any) -> Any:
        page = open_page(f"/desk#token={mint_admin(keys, name, 600)}", **options)
        page.get_by_test_id("desk").wait_for()
        return page

    yield begin
    headers = {"authorization": f"Bearer {mint_admin(keys, 'the test', 600)}"}
    at = f"{demo['http']}/v1/desk"
    for pick in httpx.get(f"{at}/picks", headers=headers).json()["picks"]:
        assert httpx.post(f"{at}/undo", json={"id": pick["id"], "why": "over"}, headers=headers).status_code == 201


def until(page: Any, fits: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not fits():
        assert time.monotonic() < end
        page.wait_for_timeout(10)


def first(shopper: Any) -> str:
    return str(shopper.get_by_test_id("pick-title").first.text_content())


def pin(desk: Any, words: str, why: str) -> str:
    """Find an item by words, choose the first by keyboard, pin it; its title."""
    desk.get_by_test_id("item").click()
    desk.keyboard.type(words)
    found = desk.get_by_test_id("found").get_by_role("option")
    until(desk, lambda: all(words in text.lower() for text in found.all_inner_texts() or [""]))
    desk.keyboard.press("ArrowDown")
    title = str(desk.locator("[role=option][aria-selected=true] b").inner_text())
    desk.keyboard.press("Enter")
    assert title in desk.get_by_test_id("item").input_value()
    desk.get_by_test_id("why").fill(why)
    desk.get_by_test_id("pick-submit").click()
    return title


@pytest.mark.browsers("chromium", "firefox")
def test_a_pin_is_on_every_open_screen_is_audited_and_undone(open_page, desk, tmp_path) -> None:
    shoppers = [open_page("/"), open_page("/", PHONE)]
    for shopper in shoppers:
        shopper.get_by_test_id("pick").first.wait_for(state="attached")
    before = [first(shopper) for shopper in shoppers]
    ada = desk("Ada Lovelace")
    assert ada.url.endswith("/desk"), "the token stays in the address"
    title = pin(ada, "soup bowl", "photographed for spring")
    assert title not in before
    for shopper in shoppers:
        until(shopper, lambda shopper=shopper: first(shopper) == title)
    assert shoppers[0].get_by_test_id("pick-reason").first.inner_text().lower() == "picked by our experts"
    entry = ada.get_by_test_id("entry").first
    until(ada, lambda: title in ada.get_by_test_id("audit").inner_text())
    when, who, what, why, _ = entry.locator("td").all_inner_texts()
    assert who == "Ada Lovelace" and what.startswith(f"pinned {title}") and why == "photographed for spring"
    assert abs(datetime.strptime(when, "%d %b %Y, %H:%M:%S").timestamp() - time.time()) < 120
    ada.screenshot(path=tmp_path / "desk.png", full_page=True)
    shoppers[0].screenshot(path=tmp_path / "shop.png")

    bo = desk("Bo")
    bo.get_by_test_id("standing").get_by_role("button", name=re.compile("Undo")).first.click()
    bo.get_by_test_id("undo-why").fill("sold out")
    bo.screenshot(path=tmp_path / "undo.png")
    bo.keyboard.press("Enter")
    for shopper in shoppers:
        until(shopper, lambda shopper=shopper: first(shopper) != title)
    until(bo, lambda: "sold out" in bo.get_by_test_id("audit").inner_text())
    _, who, what, why, _ = bo.get_by_test_id("entry").first.locator("td").all_inner_texts()
    assert (who, why) == ("Bo", "sold out") and what == f"undid “pinned {title}”"
    bo.get_by_test_id("entry").first.get_by_test_id("undo").click()
    bo.get_by_test_id("undo-why").fill("found more")
    bo.keyboard.press("Enter")
    for shopper in shoppers:
        until(shopper, lambda shopper=shopper: first(shopper) == title)


def test_a_category_is_blocked_and_a_wrong_wish_is_told(open_page, desk) -> None:
    shopper = open_page("/")
    shopper.get_by_test_id("pick").first.wait_for()
    ada = desk()
    ada.get_by_label("Block", exact=True).check()
    ada.get_by_label("A category").check()
    until(ada, lambda: ada.get_by_test_id("category").locator("option").count() > 2)
    ada.get_by_test_id("category").select_option("Garden")
    ada.get_by_test_id("why").fill("out of season")
    ada.get_by_test_id("pick-submit").click()
    until(ada, lambda: "blocked all of Garden" in ada.get_by_test_id("standing").inner_text())
    items = {row["item"]: row for row in httpx.get(shopper.url + "v1/products").json()}
    ids = "rows => rows.map(row => row.dataset.item)"
    until(
        shopper,
        lambda: "Garden" not in {items[i]["category"] for i in shopper.get_by_test_id("pick").evaluate_all(ids)},
    )
    ada.get_by_label("Pin", exact=True).check()
    ada.get_by_test_id("item").fill("no such thing")
    ada.get_by_test_id("why").fill("a typo")
    ada.get_by_test_id("pick-submit").click()
    until(ada, lambda: "is not known" in ada.get_by_test_id("pick-wrong").inner_text())


def test_a_user_is_looked_up_and_that_is_logged(desk, demo, tmp_path) -> None:
    users, mapping = tmp_path / "users.csv", tmp_path / "crm.toml"
    users.write_text("nr,age,likes\nshopper-00001,30-39,green tea\n")
    mapping.write_text('user = "nr"\ninterests = ["likes"]\n[profile]\nage_band = "age"\n')
    assert ask(demo["state"], "take_in", paths=[str(users)], mapping=str(mapping))["kept"] == 1
    ada = desk()
    ada.get_by_test_id("user").fill("shopper-00001")
    ada.get_by_test_id("lookup-why").fill("asked why so much tea")
    ada.keyboard.press("Enter")
    ada.get_by_test_id("person").wait_for()
    facts = ada.get_by_test_id("facts").inner_text()
    assert "who have bought" in facts and "age_band: 30-39" in facts and "green tea" in facts
    assert ada.get_by_test_id("list").locator(":scope > li").count() == 20
    assert ada.get_by_test_id("list").locator(".bars").first.locator("li").count() >= 1
    until(ada, lambda: "asked why so much tea" in ada.get_by_test_id("audit").inner_text())
    assert ada.get_by_test_id("entry").first.get_by_test_id("undo").count() == 0
    ada.screenshot(path=tmp_path / "person.png", full_page=True)


def test_numbers_move(desk) -> None:
    ada = desk()
    until(ada, lambda: float(ada.get_by_test_id("rate").inner_text()) > 0)
    until(ada, lambda: ada.locator("#rate-chart path").get_attribute("d").count("L") >= 3)
    assert ada.get_by_test_id("trending").locator("li").count() > 1
    assert "live · Ada Lovelace" in ada.get_by_test_id("state").inner_text()


@pytest.mark.parametrize("wrong", ["rubbish", "a user's", "expired"])
def test_no_other_token_opens_it(open_page, keys, wrong) -> None:
    tokens = {
        "rubbish": "rübbish",
        "a user's": mint(keys, 7, 600),
        "expired": mint_admin(keys, "Ada", 5, time.time() - 6),
    }
    page = open_page("/desk")
    page.get_by_test_id("token").fill(tokens[wrong])
    page.keyboard.press("Enter")
    until(page, lambda: "token" in page.get_by_test_id("sign-in-wrong").inner_text())
    assert not page.get_by_test_id("desk").is_visible() and page.evaluate("sessionStorage.length") == 0


def test_it_ends_with_its_token_and_with_signing_out(desk, open_page, keys) -> None:
    short = open_page(f"/desk#token={mint_admin(keys, 'Bo', 3)}")
    short.get_by_test_id("desk").wait_for()
    until(short, lambda: "expired" in short.get_by_test_id("sign-in-wrong").inner_text())
    ada = desk()
    ada.reload()
    ada.get_by_test_id("desk").wait_for()
    ada.get_by_role("button", name="Sign out").click()
    assert not ada.get_by_test_id("desk").is_visible() and ada.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen(desk, size, scheme, tmp_path) -> None:
    ada = desk(size=size, color_scheme=scheme)
    until(ada, lambda: ada.get_by_test_id("trending").locator("li").count() > 1)
    assert ada.evaluate("document.documentElement.scrollWidth") <= size["width"]
    ada.screenshot(path=tmp_path / "desk.png", full_page=True)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_audit_finds_no_accessibility_fault(desk, open_page, size, scheme) -> None:
    """axe-core, of any impact: signed out, with all that the desk shows, and over an open dialog."""
    # the page's own policy lets no foreign script in: this context leaves it out to put axe beside the page
    faults = [broken(open_page("/desk", size, color_scheme=scheme, bypass_csp=True))]
    ada = desk(size=size, color_scheme=scheme, bypass_csp=True)
    pin(ada, "tote", "to be audited")
    ada.get_by_test_id("user").fill("shopper-00002")
    ada.get_by_test_id("lookup-why").fill("to be audited")
    ada.keyboard.press("Enter")
    ada.get_by_test_id("person").wait_for()
    until(ada, lambda: "to be audited" in ada.get_by_test_id("standing").inner_text())
    until(ada, lambda: ada.get_by_test_id("trending").locator("li").count() > 1)
    ada.get_by_test_id("item").click()
    ada.get_by_role("option").first.wait_for()
    faults.append(broken(ada))
    ada.get_by_test_id("standing").get_by_role("button", name=re.compile("Undo")).first.click()
    faults.append(broken(ada))
    assert faults == [[], [], []]


def broken(page: Any) -> list[str]:
    """The rules that a page breaks, and where."""
    found = Axe().run(page).response
    assert len(found["passes"]) > 10, "axe did not look"
    return [f"{one['impact']}: {one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]
