"""The demo as a newspaper and as a video site, in a real Chromium: what the presets promise, in English and Chinese."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from stranger import failures, ready, serious, until

pytestmark = pytest.mark.browser

ITEMS = "rows => rows.map(row => row.dataset.item)"
DEMO = [sys.executable, "-c", "from shopguide.cli import main; main()", "demo", "--port", "0"]


@pytest.fixture(scope="module")
def demo_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The address of a demo of a preset, which is started when it is first asked for."""
    started: dict[str, tuple[Any, str]] = {}

    def start(preset: str) -> str:
        if preset not in started:
            state = tmp_path_factory.mktemp(preset)
            command = [*DEMO, "--preset", preset, "--state", str(state)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            started[preset] = process, str(ready(process, state)["http"])
        return started[preset][1]

    yield start
    for process, _ in started.values():
        process.terminate()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0 and b"Traceback" not in err, err


@pytest.fixture
def open_scene(browser: Any, demo_of: Callable[[str], str]) -> Iterator[Callable[..., Any]]:
    """The page of a demo; at the end nothing may have been logged as an error."""
    contexts: list[Any] = []
    errors: list[str] = []

    def open_page(preset: str, path: str = "", **options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda m: m.type in ("error", "warning") and errors.append(m.text))
        failures(page, errors)
        page.goto(f"{demo_of(preset)}/{path}")
        page.get_by_test_id("product").first.wait_for()
        page.get_by_test_id("pick").first.wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    with urlopen(Request(url, None if body is None else json.dumps(body).encode()), timeout=20) as answer:
        return json.load(answer)


def products(url: str) -> dict[str, dict[str, Any]]:
    return {product["item"]: product for product in ask(f"{url}/v1/products")}


def look(page: Any, index: int) -> None:
    before = page.evaluate("() => window.shopguide.seq[1]")
    page.get_by_test_id("product-open").nth(index).click()
    until(page, "() => window.shopguide.seq[1]", lambda n: n > before)
    page.get_by_test_id("detail-close").click()


@pytest.mark.parametrize(("preset", "wanted"), [("news", ("ago", "just now")), ("live", ("watching", "Off the air"))])
def test_it_says_what_counts_here_and_sells_nothing(open_scene, preset, wanted):
    page = open_scene(preset)
    look(page, 2)
    facts = page.locator(".price:visible, .pick-price:visible").all_inner_texts()
    assert len(facts) > 20 and all(any(word in text for word in wanted) for text in facts), facts
    assert not page.get_by_test_id("cart").is_visible()
    assert not page.get_by_test_id("product-add").first.is_visible()
    assert all(page.get_by_test_id("pick-title").all_inner_texts())
    assert serious(page) == []


@pytest.mark.parametrize("preset", ["news", "live"])
def test_it_speaks_chinese(open_scene, preset):
    page = open_scene(preset, "?lang=zh", locale="zh-CN")
    look(page, 2)
    page.get_by_test_id("why").first.click()
    page.get_by_test_id("why-part").first.wait_for()
    parts = ("h1", "h2", ".hero p", ".chip", ".bar-text", ".pick-reason", ".chip-ms", "#rail-note", ".sum span")
    said = page.locator(", ".join(f"{part}:visible" for part in parts)).all_inner_texts()
    assert serious(page) == []
    latin = [text for text in said if text and text.isascii() and not text.endswith("ms")]
    assert latin == [page.locator("#why-title").inner_text()], "the title of a product is its own"
    page.keyboard.press("Escape")
    page.get_by_test_id("language").click()
    page.get_by_role("heading", name="For you", exact=True).wait_for()


def test_news_are_read_once_and_a_topic_tires(demo_of):
    url = demo_of("news")
    there = products(url)
    topic = [item for item, product in there.items() if product["category"] == "Science"]
    token = ask(f"{url}/v1/visitor", {})["token"]
    newest, shares = ask(f"{url}/v1/recommend?token={token}"), []
    for item in topic[:5]:
        before = newest["seq"]
        ask(f"{url}/v1/events", {"token": token, "events": [{"kind": "view", "item": item}]})
        deadline = time.monotonic() + 20
        while newest["seq"] == before:
            assert time.monotonic() < deadline
            newest = ask(f"{url}/v1/recommend?token={token}")
        shares.append(sum(each["category"] == "Science" for each in newest["items"]))
        assert not {each["item"] for each in newest["items"]} & set(topic[: len(shares)])
    assert max(shares[:2]) <= 6 and shares[2] <= 3 and shares[4] <= 1, shares


def test_a_stream_that_ends_leaves_the_list_while_one_looks(open_scene, demo_of):
    page = open_scene("live")
    look(page, 0)
    here = set(page.get_by_test_id("pick").evaluate_all(ITEMS))
    deadline = time.monotonic() + 120
    while not (ended := {item for item, product in products(demo_of("live")).items() if not product["stock"]} & here):
        assert time.monotonic() < deadline, "no stream of the list has ended"
        here = set(page.get_by_test_id("pick").evaluate_all(ITEMS))  # those that end meanwhile leave at once
        page.wait_for_timeout(250)
    item = ended.pop()
    until(page, f"() => !document.querySelector('.pick[data-item={item}]')")
