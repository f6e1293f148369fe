"""What a process tells of itself: each line's form, what is never in it, and an event followed through the stages."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from running import Running

from shopguide import journal
from shopguide.cli.control import ask
from shopguide.client import Subscriber
from shopguide.keys import Secret
from shopguide.tokens import KeyRing, mint, mint_admin

SECRET = "a secret for the tests only"  # of conftest


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Said]:
    """What stderr got; the handlers are put back."""
    root, names = logging.getLogger(), list(logging.Logger.manager.loggerDict)
    before, levels = root.handlers[:], {name: logging.getLogger(name).level for name in [*names, *journal.OURS]}
    yield lambda: capsys.readouterr().err
    root.handlers[:] = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def tell(form: journal.Form, level: journal.Level = "info") -> None:
    journal.begin(form, level)
    logger = logging.getLogger("shopguide.somewhere")
    logger.info("read %s rows", 7, extra={"partition": 3, "offset": 12, "strange": 1})
    logger.debug("nobody asks")
    try:
        raise ValueError("it broke")
    except ValueError:
        logger.exception("at the end")


def test_json_lines(said: Said) -> None:
    tell("json")
    first, second = map(json.loads, said().splitlines())
    assert abs(datetime.fromisoformat(first.pop("time")).timestamp() - time.time()) < 60
    told = {"level": "info", "logger": "shopguide.somewhere", "message": "read 7 rows", "partition": 3, "offset": 12}
    assert first == told and journal.in_json()
    assert second["level"] == "error" and second["exception"].endswith("ValueError: it broke")


def test_lines_for_people(said: Said) -> None:
    tell("text")
    text = said()
    assert text.splitlines()[0].partition(" ")[2] == "info shopguide.somewhere: read 7 rows partition=3 offset=12"
    assert "nobody asks" not in text and not journal.in_json()


def test_tokens_and_bytes_are_left_out(said: Said) -> None:
    journal.begin("text", "debug")
    keys = KeyRing.of(Secret(SECRET.encode()))
    tokens = [mint(keys, 1, 5), mint_admin(keys, "a", 5)]
    raw = [b'{"user": "anna", "item": "lamp"}', b"{'user': 'anna', 'item': 'lamp'} \" \x00"]
    try:
        raise ValueError(f"{tokens[1]} {raw!r}")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("GET /v1/stream?token=%s: %r", tokens[0], raw[0])
    text = said()
    assert not any(token in text for token in tokens) and "anna" not in text
    assert text.count("[token]") >= 2 and "GET /v1/stream?token=[token]" in text


@pytest.mark.parametrize("engine", ["local", "beside"])
def test_one_event_is_followed_through_the_stages(tmp_path: Path, engine: str) -> None:
    flags = ["--engine", engine, "--logs", "json", "--log-level", "debug"]
    with Running(tmp_path / "s", *flags, state_every=0.5) as running:
        token = running.post("/v1/visitor", {})
        with Subscriber(token["token"], running.where["push"], running.where["gap"]) as subscriber:
            assert subscriber.receive(10) is not None
            running.post(
                "/v1/events", [{"user": f"anna{at}", "item": f"lamp{at % 3}", "kind": "view"} for at in range(9)]
            )
            running.post("/v1/events", [{"user": "anna1", "kind": "fly"}])
            running.post("/v1/events", {"token": token["token"], "events": [{"kind": "view", "item": "lamp1"}]})
            assert subscriber.receive(10) is not None
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{running.where['http']}/v1/recommend?token={token['token'][:-2]}xx", timeout=10)
        ask(tmp_path / "s", "activate", version="off", models=["rnn"])
        ask(tmp_path / "s", "forget", user="anna2")
        err = running.stop()
    lines = [json.loads(line) for line in err.splitlines()]
    ranked = [line for line in lines if line["message"] == "ranked"][-1]
    at = ranked["partition"], ranked["offset"]
    said = [line["message"] for line in lines if holds(line, *at)]
    way = [said.index(word) for word in ("read", "clean", "learned", "scored", "ranked", "handed to the push server")]
    assert way == sorted(way) and "logged" in said  # by another thread: it may say so a moment later
    told = {line["message"]: line for line in lines}
    assert told["rejected: unknown kind"]["offset"] >= 0
    assert told["snapshot written"].keys() >= {"offsets", "seconds", "bytes"}
    assert (told["a model is in force"]["model"], told["a model is in force"]["version"]) == ("rnn", "off")
    assert told["somebody is forgotten"]["rows"] >= 1 and len(told["somebody is forgotten"]["offsets"]) == 1
    assert any(message.startswith("serving http://") for message in told)
    for never in ("anna", token["token"], token["user"], SECRET):
        assert never not in err


def holds(line: dict[str, Any], partition: int, offset: int) -> bool:
    """Whether a line is about an event."""
    return line.get("partition") == partition and line["offset"] <= offset <= line.get("last", line["offset"])


def test_the_last_word_is_json_too(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from shopguide.cli import main; main()", "run", "--source", "http:"]
    command += ["--logs", "json", "--state", str(tmp_path / "s")]
    with Running(tmp_path / "s"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "is in use by process" in json.loads(done.stderr)["message"]
