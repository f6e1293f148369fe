"""What all tests share: where the public data sets are, and that nothing skips where everything is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("SHOPGUIDE_DATA", ROOT / ".." / "shared" / "data"))

os.environ["SHOPGUIDE_SECRET"] = "a secret for the tests only"  # of every process that a test starts

settings.register_profile("default", deadline=None)
settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = {
        "data": None if DATA.is_dir() else f"no data sets in {DATA}; set SHOPGUIDE_DATA",
        "browser": None if shutil.which("chromium") else "no chromium on PATH",
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
