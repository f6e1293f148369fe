"""How long from what a visitor does to the new list on their screen, in a real Chromium on another site's page.

    python bench/bench_screen.py [--views N] [--json FILE]

A demo shop with its simulated shoppers in one process; a static page of another origin with the two tags. Each view is
noted by sg.js, collected, logged to disk, learned, scored, ranked, pushed, put into the widget; the clock stops at the
frame after.
Baseline of the same run: the browser's own round trip for one event, until its 202.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright
from table import Base, Table, machine

from shopguide.state import StateDir

GOAL = 150.0  # ms, p99 from event to screen
PRODUCTS = 600
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Another shop</title>
<script src="{url}/sg.js" data-consent="granted" async></script>
<main><h1>Shop</h1><shop-guide url="/{{item}}" n="8"></shop-guide></main></html>"""
FILLED = "() => !!document.querySelector('shop-guide')?.shadowRoot?.querySelector('[part=link]')"
VIEW = """item => new Promise((resolve) => {
  const began = performance.now();
  const shown = () => requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - began)));
  document.querySelector("shop-guide").addEventListener("sg-list", shown, { once: true });
  sg.view(item);
})"""
ROUND_TRIP = """async item => {
  const began = performance.now();
  const body = JSON.stringify({ token: sg.visitor.token, consent: true, events: [{ kind: "impression", item }] });
  const asked = { method: "POST", headers: { "content-type": "text/plain" }, body };
  await (await fetch(sg.collector + "v1/events", asked)).json();
  return performance.now() - began;
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@contextmanager
def site(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@contextmanager
def demo(state: Path, origin: str) -> Iterator[str]:
    environment = {**os.environ, "SHOPGUIDE_HTTP_ORIGINS": origin, "SHOPGUIDE_HTTP_BOTS": "keep"}
    code = "from shopguide.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", "--port", "0", "--state", str(state)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while "http" not in StateDir(state).running():
        if process.poll() is not None:
            sys.exit("bench_screen: the demo does not start")
        time.sleep(0.05)
    yield str(StateDir(state).running()["http"])
    process.terminate()
    process.wait(60)


def measure(page: Any, table: Table, views: int) -> None:
    rng = random.Random(1)
    items = [f"p{rng.randrange(PRODUCTS):04d}" for _ in range(views + 20)]
    for item in items[:20]:
        page.evaluate(VIEW, item)
    trips = np.array([page.evaluate(ROUND_TRIP, item) for item in items[20:]])
    spent = np.array([page.evaluate(VIEW, item) for item in items[20:]])
    base = Base("trip", table.line("screen", f"the browser's round trip for an event, p50 of {views}", trips, "ms"))
    table.line("screen", "event to screen, p50", [np.percentile(spent, 50)], "ms", base)
    table.line("screen", "event to screen, p99", [np.percentile(spent, 99)], "ms", base, at_most=GOAL)
    table.line("screen", "event to screen, the slowest", [spent.max()], "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--views", type=int, default=300)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = Table(judged=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        table.skip("screen", "event to screen", "no chromium on this machine")
        return
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with (
        TemporaryDirectory() as folder,
        TemporaryDirectory() as state,
        site(Path(folder)) as origin,
        demo(Path(state), origin) as url,
        sync_playwright() as playwright,
    ):
        Path(folder, "index.html").write_text(PAGE.format(url=url))
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page()
        page.goto(f"{origin}/index.html")
        page.wait_for_function(FILLED)
        measure(page, table, options.views)
        browser.close()
    print(f"\n{machine()}\n{table.summary()}")
    if options.json:
        table.save(options.json, machine=machine())


if __name__ == "__main__":
    main()
