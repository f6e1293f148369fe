"""What all tests share: where the public data sets are, ports of their own, and that nothing skips where everything
is there."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
OURS = (7201, 7202, 8080)  # what settings.sections has for the push server and for HTTP
DATA = Path(os.environ.get("SHOPGUIDE_DATA", ROOT / ".." / "shared" / "data"))

os.environ["SHOPGUIDE_SECRET"] = "a secret for the tests only"  # of every process that a test starts

settings.register_profile("default", deadline=None)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    """Our own ports are taken: a test that does not ask for a free one fails always, not when it meets another."""
    if hasattr(config, "workerinput"):
        return
    for port in OURS:
        taken = socket.socket()
        config.add_cleanup(taken.close)
        with suppress(OSError):  # somebody's shop runs here
            taken.bind(("127.0.0.1", port))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = {
        "data": None if DATA.is_dir() else f"no data sets in {DATA}; set SHOPGUIDE_DATA",
        "chromium": None if shutil.which("chromium") else "no chromium on PATH",
        "firefox": None if shutil.which("firefox") or shutil.which("firefox-esr") else "no firefox on PATH",
        "webkit": None
        if shutil.which("WebKitWebDriver") and shutil.which("Xvfb")
        else "no WebKitWebDriver or no Xvfb on PATH",
        "kafka": None if shutil.which("java") and shutil.which("mvn") else "no java or no mvn on PATH",
        "storm": None if shutil.which("javac") and shutil.which("mvn") else "no JDK or no mvn on PATH",
    }
    for item in items:
        for name, reason in missing.items():
            if reason and name in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """With SHOPGUIDE_NO_SKIP a skipped test is a failed one, unless the processor itself lacks what it needs."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("SHOPGUIDE_NO_SKIP") and "this processor" not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may skip: {report.longrepr}"


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA
