"""Networks from the files that training exported."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from shopguide.errors import StateError
from shopguide.networks.serving import SEQUENTIAL, Layer, Served, Titles

NETWORKS = (*SEQUENTIAL, "title")
Files = Mapping[str, bytes | Path]  # by name: an artefact's


def load(kind: str, files: Files) -> Served:
    """What training exported. Raises StateError where the files are broken, SettingError without ONNX Runtime."""
    if kind == "title":
        return Titles(files["title.onnx"])
    given = files[f"{kind}.npz"]
    try:
        with np.load(io.BytesIO(given) if isinstance(given, bytes) else given, allow_pickle=False) as columns:
            layer = Layer(columns["keys"], columns["weights"], columns["bias"])
    except Exception as e:  # numpy and zipfile raise many kinds; all mean the same to the caller
        raise StateError(f"{kind}.npz is no last layer of a network: {e}") from None
    return SEQUENTIAL[kind](files[f"{kind}.onnx"], layer)
