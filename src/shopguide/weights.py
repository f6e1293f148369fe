"""Weights of the blend: the settings' own, or a trained artefact, a JSON file that says what it was made from.

    {"format": 1, "version": "9f2c…", "linear": {"items": 0.2, …}, "trees": null | {…}, "trained": {…}}

The version is a hash of the weights, so equal weights have equal versions wherever they were trained.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from shopguide import durable
from shopguide.errors import SettingError
from shopguide.records import BASE, SIGNALS, SIMILAR, TRENDING
from shopguide.settings import ScoreSettings

FORMAT = 1
BLENDED = tuple(name for name in SIGNALS if name not in (SIMILAR.decode(), TRENDING.decode(), BASE))


@dataclass(frozen=True)
class Weights:
    """``linear``: a signal's weight by name. ``trees``: what re-ranks the best of the linear blend, as arrays by name
    (:mod:`shopguide.trees`); None: nothing does. ``trained``: what on, and how well it did."""

    linear: dict[str, float]
    trees: dict[str, Any] | None = None
    trained: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """16 hex digits."""
        said = json.dumps([self.linear, self.trees], sort_keys=True)
        return xxhash.xxh3_64_hexdigest(said.encode())

    @property
    def by_signal(self) -> NDArray[np.float64]:
        """float64[len(SIGNALS)]; of a list that answers for no user, a signal is its own."""
        return np.array([1.0 if n not in BLENDED else self.linear.get(n, 0.0) for n in SIGNALS])

    @classmethod
    def of(cls, score: ScoreSettings) -> Weights:
        """Those in force. Raises SettingError where ``score.weights`` is no file of weights."""
        if score.weights is None:
            return cls({name: float(getattr(score, name)) for name in BLENDED})
        return cls.load(score.weights, "score.weights")

    @classmethod
    def load(cls, path: Path, given: str = "") -> Weights:
        """Raises SettingError naming the file, what it was ``given`` as, and what is wrong with it."""
        named = f"{given} = {str(path)!r}" if given else str(path)
        try:
            found = json.loads(path.read_text())
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']}; this program reads {FORMAT}")
            linear = {str(name): float(weight) for name, weight in found["linear"].items()}
            if unknown := linear.keys() - set(BLENDED):
                raise ValueError(f"it weighs {', '.join(sorted(unknown))}, which this program does not know")
            if not np.isfinite(list(linear.values())).all():
                raise ValueError("a weight is not finite")
            return cls(linear, found["trees"], found["trained"])
        except OSError as e:
            raise SettingError(f"{named}: cannot be read: {e.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            raise SettingError(f"{named}: no file of `shopguide train`: {e}") from None

    def packed(self) -> bytes:
        """What :meth:`load` reads."""
        return json.dumps({"format": FORMAT, "version": self.version, **vars(self)}).encode()

    def save(self, path: Path) -> None:
        """Written whole or not at all."""
        durable.replace(path, self.packed())
