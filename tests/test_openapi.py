"""The interface as a document: it is OpenAPI, names every public route and no other, and random requests to a real line
by it are never answered with an error of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import hypothesis
import openapi_spec_validator
import pytest
import schemathesis

from shopguide import __version__
from shopguide.display.app import create_app
from shopguide.display.routes import STATIC
from shopguide.keys import Secret
from shopguide.settings import Settings
from shopguide.state import StateDir
from shopguide.tokens import KeyRing, mint_admin

DOCUMENT = json.loads((STATIC / "openapi.json").read_text())
NOT_FOR_PROGRAMS = {"/", "/desk", "/metrics", "/favicon.ico", "/sg.js", "/sg-widget.js", "/sg-zh.js", "/static"}
CASES = int(os.environ.get("SHOPGUIDE_CASES", "40"))  # random requests to each route, at most
SECONDS = 0.15 * CASES  # for them, at most


def test_it_is_openapi() -> None:
    openapi_spec_validator.validate(DOCUMENT)
    assert DOCUMENT["info"]["version"] == __version__


def test_it_names_the_routes_there_are() -> None:
    routes = create_app(None, Settings()).routes  # type: ignore[arg-type]
    there = {route.path: (getattr(route, "methods", None) or set()) - {"HEAD"} for route in routes}  # type: ignore[attr-defined]
    named = {path: {method.upper() for method in methods} for path, methods in DOCUMENT["paths"].items()}
    assert named == {path: methods for path, methods in there.items() if path not in NOT_FOR_PROGRAMS}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateDir]:
    """The directory of a real line."""
    state = tmp_path_factory.mktemp("state")
    command = [sys.executable, "-c", "from shopguide.cli import main; main()", "run", "--source", "http:"]
    where = ["--http", "127.0.0.1:0", "--push", "tcp://127.0.0.1:*", "--state", str(state)]
    process = subprocess.Popen([*command, *where], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while "http" not in StateDir(state).running():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield StateDir(state)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in err, err


ROUTES = [path for path in DOCUMENT["paths"] if path != "/v1/stream"]  # a stream has no end


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.filterwarnings("default")  # schemathesis' own
def test_random_requests_are_answered(served: StateDir, path: str) -> None:
    address = served.running()["http"]
    token = httpx.post(f"{address}/v1/visitor", timeout=10).json()["token"]
    if path.startswith("/v1/desk/"):
        token = mint_admin(KeyRing.of(Secret.load(served.path)), "Ada", 3600)
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.config.update(base_url=address)
    (method,) = DOCUMENT["paths"][path]
    operation = schema[path][method.upper()]
    ends = time.monotonic() + SECONDS

    @hypothesis.given(case=operation.as_strategy(), known=hypothesis.strategies.booleans())
    @hypothesis.settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def ask(case, known) -> None:
        if time.monotonic() > ends:
            return
        headers = {"authorization": f"Bearer {token}"} if known and path != "/v1/forget" else None
        answer = case.call(headers=headers, timeout=10)
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
        if answer.status_code >= 400:
            assert list(answer.json()) == ["error"]
        assert str(answer.status_code) in DOCUMENT["paths"][path][method]["responses"]

    ask()
