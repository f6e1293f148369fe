"""Data sets: what the line's sources read, divided into what is learned and what is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shopguide.clean import clean
from shopguide.collect.encode import Encoder
from shopguide.collect.files import open_source
from shopguide.errors import SourceError
from shopguide.featurize.doubles import Doubles
from shopguide.keys import Secret
from shopguide.log import History
from shopguide.records import Batch, Events, Kind, Names
from shopguide.settings import CollectSettings, Settings, load

NEXT_ITEM, LEAVE_ONE_OUT = "next-item", "leave-one-out"
STATIC, PREQUENTIAL = "static", "prequential"
READ = 65536  # rows of a batch
_SECRET = Secret(b"shopguide evaluate")  # keys are of this process only

# Folders that are known by their files: (training part, test part), each a pattern and a format (empty: any).
_DIVIDED = (
    (("*train_full*", ""), ("*test*", "")),
    (("train_sequences*", "sequences"), ("test_pairs*", "pairs")),
    (("train.*", ""), ("test.*", "")),
)
_SEQUENCES = ("Beauty.txt*", "s3rec")


@dataclass(frozen=True)
class Dataset:
    """Clean events, each once. ``test`` None: one stream in order of time. ``rejected``: rows that make no sense, by
    reason; ``doubles``: rows with the id of one before."""

    name: str
    protocol: str
    train: Events
    test: Events | None
    rejected: Mapping[str, int] = field(default_factory=dict)
    doubles: int = 0

    @property
    def catalogue(self) -> Events:
        """What its training part says of items."""
        return self.train.take(self.train.kind == Kind.ITEM)

    def without_test(self) -> Dataset:
        """Its training part alone."""
        return replace(self, test=None)

    def settings(self, preset: str | None, path: Path | None) -> Settings:
        """Those to ask it under: where each user's last item is asked for, units are users."""
        return load(preset, path, {"learn.unit": "user" if self.protocol == LEAVE_ONE_OUT else None})


def open_dataset(
    path: Path,
    format_: str | None,
    protocol: str | None = None,
    told: Callable[[int], object] = lambda rows: None,
    collect: CollectSettings | None = None,
) -> Dataset:
    """``protocol`` None: what fits the data. ``told`` hears how many rows were read. ``collect``: what access logs are
    read under; None: the defaults. Raises SourceError, in one line, where it cannot be read."""
    reader = _Reader(told, collect)
    name = path.name.removesuffix(".gz")
    if path.is_dir() and format_ is None:
        for train, test in _DIVIDED:
            if (first := _find(path, *train)) and (second := _find(path, *test)):
                parts = reader.read(first), reader.read(second)
                return Dataset(name, protocol or NEXT_ITEM, *parts, reader.rejected, reader.doubles)
        if found := _find(path, *_SEQUENCES):
            events = reader.read(found)
            return Dataset(name, protocol or LEAVE_ONE_OUT, events, None, reader.rejected, reader.doubles)
    spec = f"file:{path}" + (f"?format={format_}" if format_ else "")
    protocol = protocol or (LEAVE_ONE_OUT if format_ == _SEQUENCES[1] else NEXT_ITEM)
    events = reader.read(spec)
    if not is_shoppers(events).any():
        why = f" ({in_words(reader.rejected)})" if reader.rejected else ""
        raise SourceError(f"{path}: none of its {reader.rejected.total():,} rows makes sense as an event{why}")
    return Dataset(name, protocol, events, None, reader.rejected, reader.doubles)


def events_of(
    log: History, name: str, told: Callable[[int], object] = lambda rows: None, kinds: Collection[Kind] = tuple(Kind)
) -> Dataset:
    """The events in a log, as they came, without those that were retracted, or whose user was forgotten later (a topic
    keeps their rows); of these ``kinds``. Raises StateError where it cannot be read."""
    wanted = np.isin(np.arange(256), [*kinds, Kind.RETRACT, Kind.FORGET])
    kept, sieve = [], Sieve(told)
    for partition in range(log.partitions):
        at, ids, read = 0, Doubles(), []
        while (batch := log.read(partition, at, READ)) is not None:
            sifted = sieve.sift(batch, ids)
            read.append(sifted.take(wanted[sifted.kind]))
            at = batch.last + 1
        kept.append(without_forgotten(Events.join(read)))
    events = without_retracted(Events.join(kept))
    return Dataset(name, NEXT_ITEM, events, None, sieve.rejected, sieve.doubles)


def without_forgotten(events: Events) -> Events:
    """What is left of a partition's rows where later ones forget a user."""
    forgets = np.flatnonzero(events.kind == Kind.FORGET)
    until = dict(zip(events.user[forgets].tolist(), events.offset[forgets].tolist(), strict=True))
    theirs = np.flatnonzero(np.isin(events.user, events.user[forgets]))
    gone = [row for row in theirs.tolist() if events.offset[row] < until[int(events.user[row])]]
    return events.take(np.delete(np.arange(len(events)), gone))


def without_retracted(events: Events) -> Events:
    """What is left where rows of the log take others back."""
    targets = [events.details(row)["target"] for row in np.flatnonzero(events.kind == Kind.RETRACT).tolist()]
    taken_back = np.isin(events.event, np.array(targets, np.uint64)) & (events.event != 0)
    return events.take(np.flatnonzero(~taken_back))


def in_words(rejected: Mapping[str, int]) -> str:
    """Reasons, the most frequent first, and their rows."""
    return ", ".join(f"{reason}: {n:,}" for reason, n in sorted(rejected.items(), key=lambda c: -c[1]))


def is_shoppers(events: Events) -> NDArray[np.bool_]:
    """Which rows the model learns from."""
    return np.isin(events.kind, (Kind.VIEW, Kind.CART, Kind.FAVOURITE, Kind.PURCHASE, Kind.CLICK))


def in_time(events: Events) -> Events:
    """In order of time, of equal times in theirs; the catalogue's rows stay before what followed them."""
    return events.take(np.argsort(events.time, kind="stable"))


def _find(folder: Path, pattern: str, format_: str) -> str | None:
    found = sorted(p for p in folder.glob(pattern) if p.is_file())
    return f"file:{found[0]}" + (f"?format={format_}" if format_ else "") if found else None


class Sieve:
    """Lets rows through that make sense, those of an id once, and counts the others; ``told`` hears how many came."""

    def __init__(self, told: Callable[[int], object]) -> None:
        self._told, self._rows = told, 0
        self.rejected = Counter[str]()
        self.doubles = 0

    def sift(self, batch: Batch, ids: Doubles, rows: int | None = None) -> Events:
        """``ids``: those seen before. ``rows``: so many it was in the source; None: as it is."""
        kept, bad = clean(batch)
        doubles = ids.among(kept.events, 0)
        self.rejected.update(bad.reason)
        self.doubles += len(doubles)
        self._rows += len(batch.events) if rows is None else rows
        self._told(self._rows)
        return kept.events.take(np.delete(np.arange(len(kept.events)), doubles))


class _Reader(Sieve):
    """Reads one part after another."""

    def __init__(self, told: Callable[[int], object], collect: CollectSettings | None) -> None:
        super().__init__(told)
        self._collect, self._ids = collect, Doubles()

    def read(self, spec: str) -> Events:
        kept: list[Events] = []
        encoder = Encoder(_SECRET)
        for chunk in open_source(spec, self._collect).chunks():
            events = encoder.encode(chunk).events
            kept.append(self.sift(Batch(0, 0, len(events) - 1, events, Names()), self._ids, chunk.rows))
        return Events.join(kept)
