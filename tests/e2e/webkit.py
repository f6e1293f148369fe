"""WebKit's own browser by W3C WebDriver, on a screen that nobody sees: as much of a page as tests of it need, spelt as
Playwright's."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # by which name WebDriver passes one on
BROWSER = "lib*/*/webkit2gtk-4.*/MiniBrowser"
CALL = """
  const [given, done] = arguments;
  new Promise(answer => { const one = (%s); answer(typeof one === "function" ? one(given) : one); })
    .then(value => done([true, value]), error => done([false, String(error)]));
"""


class Driver:
    """The driver and its screen; each page is of a browser of its own, whom nobody knows yet."""

    def __init__(self) -> None:
        screen = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
        self._screen = subprocess.Popen(screen, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._screen.stdout
        display = f":{self._screen.stdout.readline().strip()}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        plain = {"DISPLAY": display, "GDK_BACKEND": "x11", "WEBKIT_DISABLE_COMPOSITING_MODE": "1"}
        self._driver = subprocess.Popen(
            ["WebKitWebDriver", f"--port={port}"],
            env={**os.environ, **plain}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                self._http.get("/status")
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise TimeoutError("WebKitWebDriver does not answer")

    def say(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, path, json=body)
        value = answer.json()["value"]
        assert answer.status_code == 200, (path, value)
        return value

    def open(self, *arguments: str) -> Page:
        (browser, *_) = Path("/usr").glob(BROWSER)
        options = {"binary": str(browser), "args": ["--automation", *arguments]}
        wanted = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
        return Page(self, self.say("POST", "/session", wanted)["sessionId"])

    def end(self) -> None:
        self._http.close()
        for process in (self._driver, self._screen):
            process.terminate()
            process.communicate(timeout=30)


class Page:
    def __init__(self, driver: Driver, session: str) -> None:
        self._driver, self._at = driver, f"/session/{session}"

    def _say(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._driver.say(method, self._at + path, body)

    def goto(self, url: str) -> None:
        self._say("POST", "/url", {"url": url})

    def evaluate(self, expression: str, given: Any = None) -> Any:
        well, value = self._say("POST", "/execute/async", {"script": CALL % expression, "args": [given]})
        assert well, value
        return value

    def wait_for_timeout(self, milliseconds: float) -> None:
        time.sleep(milliseconds / 1000)

    def click(self, expression: str) -> None:
        """What a JavaScript expression finds."""
        found = self._say("POST", "/execute/sync", {"script": f"return {expression}", "args": []})
        self._say("POST", f"/element/{found[ELEMENT]}/click", {})

    def open_window(self, url: str) -> str:
        """Go on in another window of the same browser (a tab would be hidden); the one left behind."""
        before = str(self._say("GET", "/window"))
        self._say("POST", "/window", {"handle": self._say("POST", "/window/new", {"type": "window"})["handle"]})
        self.goto(url)
        return before

    def close_window(self, back: str) -> None:
        self._say("DELETE", "/window")
        self._say("POST", "/window", {"handle": back})

    def close(self) -> None:
        self._say("DELETE", "")
