"""Sources that end: what a SPEC of the command line names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from shopguide.collect import files, logs
from shopguide.collect.chunk import Chunk
from shopguide.collect.encode import Encoded


class Source(Protocol):
    """Rows in order, each with its number in what it comes from, so that a log takes it once. ``position`` of
    ``total`` are read, in bytes or rows."""

    total: int
    position: int

    @property
    def label(self) -> str:
        """What a progress bar calls it."""

    def chunks(
        self, sent: Callable[[int], int] = lambda source: -1, wait: Callable[[float], object] = time.sleep
    ) -> Iterator[Chunk | Encoded]:
        """See :meth:`shopguide.collect.files.Files.chunks`."""


def open_source(spec: str, state: Path) -> Source:
    """The source that a SPEC names, for the log of a state directory.

    Raises SourceError, in one line, where the SPEC is wrong or what it names cannot be read; SettingError where its
    rows are under another secret than the directory's.
    """
    scheme, _, location = spec.partition(":")
    return logs.open_source(location, state) if scheme == "log" else files.open_source(spec)
