"""Whatever comes from outside is read, or refused as promised: the parsers of parsers.py, a few hundred inputs each."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from parsers import Parser, attempt, changed, parsers

from shopguide.errors import StateError

ROOT = Path(__file__).parent.parent
NAMES = re.findall(r"^        \"(.+?)\": Parser\(", (ROOT / "tests" / "parsers.py").read_text(), re.M)
INPUTS = 300


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parser]:
    return parsers(tmp_path_factory.mktemp("parsers"))


def test_every_parser_is_tried(found: dict[str, Parser]) -> None:
    assert sorted(NAMES) == sorted(found)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_read_or_refused_as_promised(name: str, found: dict[str, Parser]) -> None:
    parser, chance = found[name], random.Random(name)
    taken = [attempt(parser, example) for example in parser.examples]
    assert any(taken) or name == "network's last layer", "no example is any"  # its graph is another file
    for number in range(INPUTS):
        example = chance.choice(parser.examples)
        if number % 4:
            attempt(parser, changed(example, chance.randbytes(5 * chance.randrange(1, 5))))
        else:
            attempt(parser, example[: chance.randrange(8)] + chance.randbytes(chance.randrange(80)))


DEEP = {
    "lists": b"[" * 100_000,
    "members": b'{"a":' * 50_000,
    "TOML": b"a = " + b"[" * 100_000,
    "tables": b"{a=" * 50_000,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_what_is_nested_too_deeply_is_refused(text: bytes, found: dict[str, Parser]) -> None:
    for name in NAMES:
        attempt(found[name], text)


def test_what_a_parser_should_not_raise_is_raised() -> None:
    def careless(data: bytes) -> None:
        raise {b"a": StateError("known"), b"b": IndexError("unknown")}[data]

    parser = Parser(careless, (StateError,), ())
    assert not attempt(parser, b"a")
    with pytest.raises(IndexError):
        attempt(parser, b"b")
