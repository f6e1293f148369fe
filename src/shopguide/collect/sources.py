"""What SPECs of the command line name: sources that end, and logs that are followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from shopguide.collect import files, follow, logs
from shopguide.collect.chunk import Chunk
from shopguide.collect.encode import Encoded
from shopguide.errors import SourceError
from shopguide.settings import CollectSettings


class Source(Protocol):
    """Rows in order, each with its number in what it comes from, so that a log takes it once. ``position`` of
    ``total`` are read, in bytes or rows."""

    @property
    def total(self) -> int: ...

    @property
    def position(self) -> int: ...

    @property
    def label(self) -> str:
        """What a progress bar calls it."""

    def chunks(
        self, sent: Callable[[int], int] = lambda source: -1, wait: Callable[[float], object] = time.sleep
    ) -> Iterator[Chunk | Encoded]:
        """See :meth:`shopguide.collect.files.Files.chunks`."""


def open_sources(
    specs: Sequence[str], state: Path, settings: CollectSettings, others: Sequence[follow.Growing] = ()
) -> list[Source]:
    """The sources that SPECs name: those that end, then one that does not, of all that are followed, ``others`` among
    them. Raises as :func:`open_source`."""
    followed = [spec for spec in specs if spec.startswith(follow.SCHEME)]
    finite = [open_source(spec, state, settings) for spec in specs if spec not in followed]
    return [*finite, follow.open_follower(followed, settings, others)] if followed or others else finite


def open_source(spec: str, state: Path, settings: CollectSettings) -> Source:
    """The source that ends and that a SPEC names, for the log of a state directory.

    Raises SourceError, in one line, where the SPEC is wrong or what it names cannot be read; SettingError where its
    rows are under another secret than the directory's.
    """
    if spec.startswith(follow.SCHEME):
        raise SourceError(
            f"source {spec!r} does not end: `shopguide run` follows it; here file:PATH reads what is there"
        )
    scheme, _, location = spec.partition(":")
    return logs.open_source(location, state) if scheme == "log" else files.open_source(spec, settings)
