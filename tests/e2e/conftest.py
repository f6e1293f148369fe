"""A page to test: that of the real demo; and the app over a scripted line, for tests that need a line to misbehave."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from stranger import Collector, Pages, failures, ready

from shopguide.display import Server, create_app
from shopguide.errors import TokenError
from shopguide.settings import Settings

SHELVES = {
    "outdoor": ("Trail shoe", "Rain jacket", "Dome tent", "Headlamp", "Trekking poles", "Camp stove"),
    "kitchen": ("Chef's knife", "Dutch oven", "Pour-over set", "Cutting board", "Pepper mill", "Enamel kettle"),
    "audio": ("Studio headphones", "Field recorder", "Turntable", "Shelf speaker", "Earbuds", "Desk microphone"),
    "desk": ("Reading lamp", "Fountain pen", "Notebook set", "Monitor stand", "Desk mat", "Wooden organizer"),
    "garden": ("Pruning shears", "Herb planter", "Watering can", "Seed box", "Garden fork", "Rain gauge"),
}
BRANDS = ("Norvik", "Halden", "Ostra", "Milo & Finch")
HUES = dict(zip(SHELVES, (158, 22, 262, 210, 95), strict=True))


def _image(category: str, k: int) -> str:
    hue, shift = HUES[category], 14 * k
    colours = [f"hsl({hue + shift} {rest})" for rest in ("38% 86%", "42% 66%", "46% 42%")]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 300">'
        f'<rect width="400" height="300" fill="{colours[0]}"/>'
        f'<circle cx="{140 + 20 * k}" cy="160" r="92" fill="{colours[1]}"/>'
        f'<rect x="{180 - 8 * k}" y="110" width="120" height="120" rx="{10 + 8 * k}" fill="{colours[2]}"/></svg>'
    )
    return "data:image/svg+xml," + quote(svg)


def _catalogue() -> list[dict[str, Any]]:
    return [
        {
            "item": f"{category}-{k}-{brand}", "title": f"{title}, {brand}", "category": category, "brand": brand,
            "price": 19.0 + 7.5 * k + 3 * b, "image": _image(category, k),
        }
        for b, brand in enumerate(BRANDS) for k in range(6)
        for category, titles in SHELVES.items() for title in (titles[k],)
    ]  # fmt: skip


class ScriptedLine:
    """After each event but an impression: the newest item's category first, then the others in catalogue order; no
    dismissed item."""

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self.catalogue = _catalogue()
        self.by_item = {p["item"]: p for p in self.catalogue}
        self.rows: dict[int, list[dict]] = defaultdict(list)
        self.lists: dict[int, list[dict]] = {}
        self.seq: dict[int, int] = defaultdict(int)
        self.watchers: dict[int, set[asyncio.Queue]] = defaultdict(set)

    async def append(self, batches: list[list[dict]]) -> list[SimpleNamespace]:
        return [self._collect(rows) for rows in batches]

    async def commit(self) -> None:
        await asyncio.sleep(0.002)

    def _collect(self, rows: list[dict]) -> SimpleNamespace:
        done = [row for row in rows if row["kind"] != "impression"]
        for user in {row["user_key"] for row in done}:
            self.rows[user] += [row for row in done if row["user_key"] == user]
            self._push(user)
        return SimpleNamespace(accepted=len(rows), refused=0)

    def busy(self) -> str | None:
        return None

    def mint(self, user: str, ttl: float | None = None) -> str:
        return f"{user}|{time.time() + (ttl or self.ttl)}"

    def verify(self, token: str) -> int:
        user, _, expires = token.partition("|")
        if not expires or float(expires) < time.time():
            raise TokenError("the token has expired")
        return int.from_bytes(user.encode()[-8:], "little")

    def list_of(self, user: int) -> list[dict]:
        rows = self.rows[user]
        gone = {r["item"] for r in rows if r["kind"] in ("dismiss", "purchase")}
        looked = [self.by_item[r["item"]] for r in rows if r["kind"] in ("view", "cart") and r["item"] in self.by_item]
        newest = looked[-1] if looked else None

        def score(p: dict) -> float:
            return sum(1 / (1 + age) for age, q in enumerate(reversed(looked)) if q["category"] == p["category"])

        best = sorted(self.catalogue, key=lambda p: -score(p))
        kept = [p for p in best if p["item"] not in gone and p is not newest][:20]
        return [{**p, "score": score(p) + 0.1, "reasons": [self._reason(p, looked)]} for p in kept]

    def _reason(self, product: dict, looked: list[dict]) -> dict:
        cause = next((q for q in reversed(looked) if q["category"] == product["category"]), None)
        if cause is None:
            return {"text": "popular today", "because": None, "share": 1.0}
        return {
            "text": f"because you looked at {cause['title']}; 12 shoppers chose both",
            "because": cause["item"],
            "share": 0.9,
        }

    def _push(self, user: int) -> None:
        old, new = self.lists.get(user, []), self.list_of(user)
        base, self.seq[user] = self.seq[user], self.seq[user] + 1
        self.lists[user] = new
        put = {i["item"]: i for i in new if i not in old}
        times = {"event": self.rows[user][-1]["time"], "pushed": time.time()}
        diff = {
            "v": 1,
            "type": "diff",
            "seq": [1, self.seq[user]],
            "slot": "home",
            "base": base,
            "put": put,
            "times": times,
        }
        for queue in self.watchers[user]:
            queue.put_nowait((f"1-{self.seq[user]}", json.dumps({**diff, "order": [i["item"] for i in new]})))

    def _snapshot(self, user: int) -> dict:
        items = self.lists.setdefault(user, self.list_of(user))
        return {"v": 1, "type": "snapshot", "seq": [1, self.seq[user]], "slot": "home", "items": items}

    async def recommend(self, token: str, n: int, slot: str, timeout: float, context: Any = ()) -> dict | None:
        return self._snapshot(self.verify(token))

    async def similar(self, item: str, n: int) -> dict | None:
        near = self.by_item.get(item)
        items = [p for p in self.catalogue if near and p["category"] == near["category"] and p is not near]
        return {"items": items[:n]} if near else None

    async def trending(self, category: str | None, n: int) -> dict | None:
        return {"items": self.catalogue[:n]}

    async def why(self, token: str, item: str) -> dict | None:
        found = next((i for i in self.lists.get(self.verify(token), []) if i["item"] == item), None)
        if found is None:
            return None
        shares = [
            (0.62, found["reasons"][0]["text"]),
            (0.23, "fits what you did in this visit"),
            (0.15, "popular today"),
        ]
        parts = [
            {"signal": "items", "because": None, "title": None, "amount": s * found["score"], "text": text}
            for s, text in shares
        ]
        return {"item": item, "title": found["title"], "score": found["score"], "parts": parts}

    async def subscribe(
        self, token: str, slot: str | None = None, context: Any = ()
    ) -> AsyncGenerator[tuple[str, str], None]:
        user = self.verify(token)
        queue: asyncio.Queue = asyncio.Queue()
        self.watchers[user].add(queue)
        try:
            snapshot = self._snapshot(user)
            yield f"1-{snapshot['seq'][1]}", json.dumps(snapshot)
            while (left := float(token.partition("|")[2]) - time.time()) > 0:
                with suppress(TimeoutError):
                    yield await asyncio.wait_for(queue.get(), left)
        finally:
            self.watchers[user].discard(queue)

    scene = "shop"

    def products(self) -> list[dict]:
        return self.catalogue

    def counts(self) -> dict:
        return {"events": sum(map(len, self.rows.values())), "rejected": 0, "events_per_second": 0.0}

    def alive(self) -> dict:
        return {"line": {"ok": True, "said": "works"}}


class Running:
    """The app in a thread of its own, on one port, so that it can stop and come back."""

    def __init__(self, ttl: float = 3600) -> None:
        self.line = ScriptedLine(ttl)
        self.ttl = ttl
        self.port = 0
        self.start()

    def start(self) -> None:
        settings = Settings.model_validate({"http": {"port": self.port, "visitor_ttl": self.ttl}})
        self.server = Server(create_app(self.line, settings), settings)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            time.sleep(0.01)
        self.port = self.server.port

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A real ``shopguide demo`` in a process of its own: where it can be reached, and its ``state`` directory."""
    state = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-c", "from shopguide.cli import main; main()", "demo", "--port", "0", "--state", state]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    yield {**ready(process, state), "state": state}
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and b"Traceback" not in err, (out, err)


@pytest.fixture(scope="session")
def base_url(demo: dict[str, Any]) -> str:
    return str(demo["http"])


@pytest.fixture
def start_line() -> Iterator[Callable[..., Running]]:
    """Starts scripted lines that a test may break and stop; ``ttl``: seconds that their tokens live."""
    started: list[Running] = []

    def start(ttl: float = 3600) -> Running:
        started.append(Running(ttl))
        return started[-1]

    yield start
    for app in started:
        app.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test runs in the browsers that it is marked with, any other in the one that SHOPGUIDE_BROWSER names: Chromium,
    where none is named."""
    if "browser" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("browsers")
        names = marked.args if marked else [os.environ.get("SHOPGUIDE_BROWSER", "chromium")]
        engines = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in names]
        ids = names if len(names) > 1 else [pytest.HIDDEN_PARAM]
        metafunc.parametrize("browser", engines, ids=ids, indirect=True, scope="module")


@pytest.fixture(scope="module")  # its event loop would be in the way of other modules' tests
def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A module's PREFERENCES are Firefox's, which knows some that no page can be given."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        if request.param == "firefox":
            preferences = getattr(request.module, "PREFERENCES", {})
            browser = _firefox(playwright, tmp_path_factory.mktemp("firefox"), preferences)
        else:
            browser = _chromium(playwright)
        yield browser
        browser.close()


def _chromium(playwright: Any) -> Any:
    return playwright.chromium.launch(
        executable_path=shutil.which("chromium"),
        args=["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    )


def _firefox(playwright: Any, folder: Path, preferences: dict[str, Any]) -> Any:
    """As it is on a desk, with a mouse: without a screen it would have none."""
    command = folder / "firefox"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("firefox.py")}" "$@"\n')
    command.chmod(0o755)
    mouse = {"ui.primaryPointerCapabilities": 6, "ui.allPointerCapabilities": 6}
    return playwright.firefox.launch(
        channel="moz-firefox", executable_path=command, firefox_user_prefs={**mouse, **preferences}
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder of pages, and where a web server that knows nothing of us shows them."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def open_page(browser: Any, site: tuple[Path, str]) -> Iterator[Callable[..., Any]]:
    """A page of a browser that nobody knows yet, at the stranger's shop; at the end no script may have failed."""
    contexts: list[Any] = []
    errors: list[str] = []

    def open_page(path: str = "index.html", context: Any = None, **options: Any) -> Any:
        if context is None:
            context = browser.new_context(**options)
            contexts.append(context)
        page = context.new_page()
        failures(page, errors)
        page.goto(f"{site[1]}/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def own_shop(tmp_path: Path, site: tuple[Path, str]) -> Iterator[Callable[..., tuple[Collector, Callable[..., str]]]]:
    """Starts the collector, which knows the shop's past; what it gives makes a page: its name, its body."""
    pages = Pages(*site)

    def start() -> tuple[Collector, Callable[..., str]]:
        collector = pages.open(tmp_path / "state")

        def page(name: str, body: str, head: str = "", nonce: str = "", root: str = "lang=en") -> str:
            script = (
                f'<script src="{collector.url}/sg.js" data-key="shop-1" data-consent="granted"{nonce} async></script>'
            )
            text = f"<!doctype html><html {root}><meta charset=utf-8>{head}<title>A shop</title>{script}{body}</html>"
            (site[0] / name).write_text(text)
            return name

        return collector, page

    yield start
    pages.close()
