"""Another log as a source: ``log:PATH``, where PATH is a state directory or the log in it.

Its rows are encoded already and are taken as they are, each to the partition that its key has here. A row is
identified by its partition's path and its offset there. Keys of users are made from the secret, so both directories
have to have the same; a new one takes over the other's.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import xxhash

from shopguide import private
from shopguide.collect.encode import Encoded
from shopguide.errors import SettingError, SourceError, StateError
from shopguide.log import Log
from shopguide.records import Names

READ = 8192  # most rows taken at once


class LogCopy:
    """The rows that a log has when it is opened, one partition after the other: an order that no model depends on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = Log(path, Log.partitions_of(path, 0), readonly=True)
        self._ends = [self._log.end(partition) for partition in range(self._log.partitions)]
        self.total = sum(self._ends)
        self.position = 0

    @property
    def label(self) -> str:
        return f"{self._log.partitions} partitions"

    def chunks(
        self, sent: Callable[[int], int] = lambda source: -1, wait: Callable[[float], object] = time.sleep
    ) -> Iterator[Encoded]:
        """All rows; nothing is paced. Raises StateError where the log is corrupt."""
        before = 0
        for partition, end in enumerate(self._ends):
            for encoded, read in self._rows(partition, end):
                self.position = before + read
                yield encoded
            before += end
        self.position = self.total
        self._log.close()

    def _rows(self, partition: int, end: int) -> Iterator[tuple[Encoded, int]]:
        """A partition's rows below an offset, and how far they go."""
        name = f"{self._path.resolve()}/p{partition:04d}"
        source = xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogateescape"))
        at, names = 0, Names()
        while at < end and (batch := self._log.read(partition, at, min(READ, end - at))) is not None:
            at, events = batch.last + 1, batch.events
            named = names.take(np.isin(names.key, events.item))  # a frame's names came with its first row
            names = Names.join([batch.names, named])
            offsets = events.offset.copy()
            if len(events):
                yield Encoded(events, names, offsets, np.zeros(len(events), bool), np.empty(0, np.int64), source), at


def open_source(location: str, state: Path) -> LogCopy:
    """The log at a location, for a state directory, which is given the log's secret where it is new.

    Raises SourceError where there is no log or it is the directory's own, SettingError where their secrets differ.
    """
    path = Path(location)
    if not (path / "meta.json").exists():
        path = path / "log"
    if not location or not (path / "meta.json").exists():
        raise SourceError(f"source 'log:{location}': there is no log; it should be log:DIR, a state directory")
    if path.resolve() == (state / "log").resolve():
        raise SourceError(f"source 'log:{location}' is the log of {state} itself")
    _share_secret(path.parent, state)
    try:
        return LogCopy(path)
    except (StateError, OSError, ValueError, KeyError) as e:
        raise SourceError(f"source 'log:{location}' cannot be read: {e}") from None


def _share_secret(theirs: Path, ours: Path) -> None:
    """See that both directories make the same keys of users."""
    if os.environ.get("SHOPGUIDE_SECRET") or os.environ.get("SHOPGUIDE_SECRET_FILE"):
        return
    secret, own = theirs / "secret", ours / "secret"
    if not secret.exists():
        raise SettingError(f"the users of {theirs} are under a secret that is not there: set SHOPGUIDE_SECRET to it")
    if own.exists():
        if not hmac.compare_digest(private.read(own).strip(), private.read(secret).strip()):
            raise SettingError(f"{theirs} and {ours} have different secrets: a user would have another key in each")
    elif (ours / "log" / "meta.json").exists():
        raise SettingError(f"the users of {ours} are under a secret that is not there: set SHOPGUIDE_SECRET to it")
    else:
        ours.mkdir(parents=True, exist_ok=True)
        private.write(own, private.read(secret))
