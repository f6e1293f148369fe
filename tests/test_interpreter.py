"""What is there when a process begins is left alone by the cyclic collector; threads give way to each other soon."""

from __future__ import annotations

import subprocess
import sys

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
