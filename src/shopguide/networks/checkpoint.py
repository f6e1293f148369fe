"""Training that was interrupted goes on after the last whole epoch, and comes to what it would have come to."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shopguide import durable


class Progress(NamedTuple):
    """``epoch``: the last whole one; ``since``: epochs since the best; ``said`` of the best, whose weights are
    ``best``."""

    epoch: int
    since: int
    said: dict[str, Any]
    best: list[NDArray[Any]]


class Checkpoint:
    """A file for one training, named by what it is of. Not there: it has not begun. ``path`` None: nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def save(self, model: Any, progress: Progress) -> None:
        """Everything that the next epoch begins with. Raises OSError where the disk refuses."""
        if self._path is None:
            return
        now = [*model.variables, *model.optimizer.variables]
        arrays: dict[str, Any] = {f"now{at}": np.asarray(variable) for at, variable in enumerate(now)}
        arrays |= {f"best{at}": weight for at, weight in enumerate(progress.best)}
        said = json.dumps([progress.epoch, progress.since, progress.said]).encode()
        file = io.BytesIO()
        np.savez(file, said=np.frombuffer(said, np.uint8), **arrays)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(self._path, file.getvalue())

    def load(self, model: Any) -> Progress | None:
        """Give the model what was saved; None: nothing was, or of another form."""
        if self._path is None or not self._path.exists():
            return None
        try:
            with np.load(self._path, allow_pickle=False) as saved:
                now = [*model.variables, *model.optimizer.variables]
                values = [saved[f"now{at}"] for at in range(len(now))]
                best = [saved[f"best{at}"] for at in range(len(model.weights))]
                epoch, since, said = json.loads(saved["said"].tobytes())
            for variable, value in zip(now, values, strict=True):
                variable.assign(value)
        except (OSError, ValueError, KeyError):
            return None
        return Progress(epoch, since, said, best)

    def drop(self) -> None:
        """The training is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
