"""A stranger's shop: its pages on an origin that is not ours, and a real collector that can be killed and comes back.

What counts is what the log has in the end, as ``shopguide export`` says it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from axe_playwright_python.sync_playwright import Axe

from shopguide.keys import Secret
from shopguide.signing import load_ring
from shopguide.state import StateDir
from shopguide.tokens import mint

COMMAND = [sys.executable, "-c", "from shopguide.cli import main; main()"]
KEPT = "() => Object.keys(localStorage).sort()"
QUEUED = "() => Object.keys(localStorage).filter(name => name.startsWith('sg:q.')).length"
VISITOR = "() => window.sg?.visitor?.user ?? null"
WIDGET = '<shop-guide url="/{item}.html" n="5" currency="EUR"></shop-guide>'
ROOT = "document.querySelector('shop-guide')?.shadowRoot"
SHOWN = f"() => [...({ROOT}?.querySelectorAll('[part=link]') ?? [])].map(link => link.dataset.sgItem)"

OF_THE_NETWORK = ("The Same Origin Policy", "The page’s settings", "The connection to", "Firefox can’t establish")


def failures(page: Any, into: list[str]) -> None:
    """Keep what scripts of a page fail with, from now on; what Firefox says of the network is told like that, too."""
    page.on("pageerror", lambda e: str(e).startswith(OF_THE_NETWORK) or into.append(str(e)))


class Collector:
    """A ``shopguide run`` that can be killed and comes back at its port."""

    def __init__(self, state: Path, site: str, **settings: str) -> None:
        self.state, self.address = state, "127.0.0.1:0"
        settings = {"origins": site, "write_keys": "shop-1", **settings}
        names = {f"SHOPGUIDE_HTTP_{name.upper()}": value for name, value in settings.items()}
        self.environment = {**os.environ, **names}
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> None:
        where = ["--http", self.address, "--push", "tcp://127.0.0.1:*", "--state", str(self.state)]
        command = [*COMMAND, "run", "--source", "http:", *where]
        self.process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.address = ready(self.process, self.state)["http"].removeprefix("http://")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)

    def say(self, *arguments: str) -> Any:
        command = [*COMMAND, *arguments, "--state", str(self.state)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    def token(self, user: str, ttl: float = 3600) -> str:
        """As the shop mints it for an account."""
        secret = Secret.load(self.state)
        return mint(load_ring(secret, self.state), secret.user_key(user), ttl)

    def held(self, user: str) -> list[dict[str, Any]]:
        """The user's events in the log."""
        rows = json.loads(self.say("export", "--user", user))["rows"]
        return [row for row in rows if row["kind"] not in ("alias", "adopt")]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            _, err = self.process.communicate(timeout=60)
            assert "Traceback" not in err, err


def ready(process: subprocess.Popen[Any], state: Path) -> dict[str, Any]:
    """Where a process on a state directory can be reached, once it serves."""
    deadline = time.monotonic() + 90
    while StateDir(state).running().get("pid") != process.pid:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return StateDir(state).running()


def until(page: Any, expression: str, wanted: Callable[[Any], bool] = bool, seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while not wanted(found := page.evaluate(expression)):
        assert time.monotonic() < end, (expression, found, page.evaluate(KEPT))
        page.wait_for_timeout(20)
    return found


def sent(page: Any) -> None:
    until(page, QUEUED, lambda left: left == 0)


def kinds(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((row["kind"], row.get("item") or row.get("query")) for row in rows)


def serious(page: Any) -> list[tuple[str, str, str]]:
    """What axe finds serious or critical: the rule, where, and what is wrong there. Colours are judged at rest."""
    page.wait_for_timeout(600)
    found = Axe().run(page).response
    assert len(found["passes"]) > 10
    return [
        (fault["id"], str(node["target"]), node["failureSummary"])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


STYLE = """
  body { background: #fff; color: #111; }
  @media (prefers-color-scheme: dark) { body { background: #111; color: #eee; } }
"""


class Pages:
    """Thirty product pages, each with the two tags, and the collector they name; it knows the shop's past."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.collectors: list[Collector] = []

    def open(
        self,
        state: Path,
        consent: str = "granted",
        auto: str = "on",
        attributes: str = "",
        lang: str = "en",
        policy: Callable[[str], str] | None = None,
    ) -> Collector:
        """``policy``: of the collector's address, the pages' content security policy."""
        collector = Collector(state, self.url, bots="keep")
        self.collectors.append(collector)
        head = "<meta charset=utf-8><meta name=color-scheme content='light dark'><title>A shop</title>"
        if policy is None:
            head += f"<style>{STYLE}</style>"
        else:
            head += f'<meta http-equiv="Content-Security-Policy" content="{policy(collector.url)}">'
        head += f'<script src="{collector.url}/sg.js" data-key="shop-1" data-consent="{consent}"'
        head += f' data-auto="{auto}" async></script>'
        widget = f'<shop-guide url="/{{item}}.html" n="5" currency="EUR" {attributes}></shop-guide>'
        for k in range(30):
            main = f'<main><h1 data-sg-view="p{k}">Product {k}</h1>{widget}</main>'
            page = f'<!doctype html><html lang="{lang}">{head}{main}</html>'
            (self.folder / f"p{k}.html").write_text(page)
        post(f"{collector.url}/v1/events", [*catalogue(), *past()])
        return collector

    def close(self) -> None:
        for collector in self.collectors:
            collector.end()


def catalogue() -> list[dict[str, Any]]:
    """Thirty products on three shelves."""
    svg = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 3'><path fill='{}' d='M0 0h4v3H0z'/></svg>"
    shelves = (("tea", "olive"), ("shoes", "sienna"), ("books", "slateblue"))
    return [
        {
            "kind": "item", "item": f"p{10 * s + k}", "title": f"{shelf} number {k}", "category": shelf,
            "price": 5 + 3 * k, "image": "data:image/svg+xml," + quote(svg.format(colour)),
        }
        for s, (shelf, colour) in enumerate(shelves) for k in range(10)
    ]  # fmt: skip


def past() -> list[dict[str, Any]]:
    """Sixty shoppers who stay on one shelf each."""
    return [
        {"user": f"shopper-{n}", "kind": "view", "item": f"p{10 * (n % 3) + (n // 3 + step) % 10}"}
        for n in range(60)
        for step in range(4)
    ]


def post(url: str, rows: list[dict[str, Any]]) -> None:
    with urlopen(Request(url, json.dumps(rows).encode()), timeout=30) as answer:
        assert json.load(answer)["accepted"] == len(rows)
