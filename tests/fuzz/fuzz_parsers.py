"""Every parser of bytes from outside (tests/parsers.py), led by coverage: it may raise what it promises, nothing else.

The first byte of an input says which parser. Run by run.py; alone: fuzz_parsers.py FILE.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent))
TRACED = ("wire", "records", "columns", "segment", "partition", "snapshot", "tokens", "collect", "display", "kafka")
TRACED += ("artefacts", "weights", "tastes", "receipts", "cli.control", "push.outbox")

with atheris.instrument_imports(include=[f"shopguide.{name}" for name in TRACED]):
    from parsers import attempt, parsers

FOLDER = tempfile.TemporaryDirectory()
PARSERS = [parser for _, parser in sorted(parsers(Path(FOLDER.name)).items())]


def check_input(raw: bytes) -> None:
    if raw:
        attempt(PARSERS[raw[0] % len(PARSERS)], raw[1:])


def write_corpus(directory: Path) -> None:
    for number, parser in enumerate(PARSERS):
        for which, example in enumerate(parser.examples):
            (directory / f"{number}-{which}").write_bytes(bytes([number]) + example)


if __name__ == "__main__":
    logging.disable()
    if directory := next((arg for arg in sys.argv[1:] if Path(arg).is_dir()), None):
        write_corpus(Path(directory))
    atheris.Setup(sys.argv, check_input)
    atheris.Fuzz()
