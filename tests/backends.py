"""The same code on another backend of Keras, in a process of its own: a process has one backend."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest


def on_tensorflow(code: str) -> None:
    """Run it there, with tests/ to import from."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("no tensorflow: `make test` installs it")
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    told = {**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
