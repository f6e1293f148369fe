"""What is there when a process begins is left alone by the cyclic collector; threads give way to each other soon; and
memory between what is held goes back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shopguide import interpreter

CODE = """
import gc, sys
from shopguide import interpreter
before = gc.get_freeze_count()
interpreter.tune()
print(before, gc.get_freeze_count() > 10_000, gc.get_threshold()[0], sys.getswitchinterval())
"""


def test_it_is_set_up() -> None:
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["0", "True", "100000", "0.0005"]


HOLES = """
from pathlib import Path
from shopguide import interpreter
def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
held = [b"x" * (16 * 4096) for _ in range(1000)]
del held[::2]
before = pages()
interpreter.give_back()
print(before - pages())
"""


@pytest.mark.skipif(interpreter._trim is None, reason="another C library's allocator")
def test_what_is_free_between_what_is_held_goes_back() -> None:
    said = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True).stdout
    assert int(said) > 500 * 16 / 2
