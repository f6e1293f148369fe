"""What goes out of the log: the rows of forgotten people, and what is older than the model looks back.

Complete segments are replaced by ones that stand for the same offsets with rows missing; small neighbours become one.
Of a forgotten row that had a producer's event id an ERASED row stays, with the id's key and nothing else. Of rows
beyond retention those stay that the catalogue is made of (an item's newest attributes, all picks, and the items' names,
each as long as the catalogue itself knows it), those that say whose visitor somebody is who is still heard of, and
those that profiles are made of.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide import catalogue
from shopguide.catalogue import SAYS
from shopguide.clean import clean
from shopguide.keys import own_event_key
from shopguide.log import Log
from shopguide.records import EARLIEST, Batch, Events, Kind, Names
from shopguide.segment import Header, frame

FRAME_ROWS = 8192  # that neighbouring frames may hold to become one
TOGETHER = 64  # frames that become one at a time

_LASTING = frozenset((Kind.ITEM, Kind.PICK, Kind.ACTIVATE, Kind.ALIAS, Kind.PROFILE, Kind.FORGET))
Offsets = NDArray[np.int64]
Left = Callable[[Batch], Batch]  # a frame's batch without what goes
_NOTHING: Offsets = np.empty(0, np.int64)


@dataclass
class Found:
    """Rows of the log: their offsets by partition, how many of each kind, and a SHA-256 over all they say."""

    offsets: dict[int, Offsets] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    digest: str = ""


@dataclass(frozen=True)
class Kept:
    """Where a partition's retention begins, and what is to be remembered from before: the visitors' accounts, of the
    catalogue what it knows (keys; None: all), and the profiles of these users. All keys are put in order."""

    from_: int
    visitors: NDArray[np.uint64]
    known: NDArray[np.uint64] | None = None
    profiled: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))

    def __post_init__(self) -> None:
        for name in ("visitors", "known", "profiled"):
            if (keys := getattr(self, name)) is not None:
                object.__setattr__(self, name, np.sort(keys))

    def knows(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        return np.ones(len(keys), bool) if self.known is None else _among(keys, self.known)


def find(log: Log, keys: Iterable[int], ids: Iterable[str]) -> Found:
    """The rows of forgotten users: by key, up to the FORGET row in their partition; by id in what could not be read.

    ``log`` is rolled first, so that all rows are looked at.
    """
    users, pattern = np.fromiter(keys, np.uint64), _pattern(ids)
    found, digest = Found(), hashlib.sha256()
    for partition in range(log.partitions):
        with log.compacting:
            log.roll(partition)
            segments = log.complete(partition)
            frames = log.frames(partition, 0, segments[-1][1]) if segments else ()
            rows = Events.join([b.events.take(_theirs(b.events, users, pattern)) for _, b in frames])
        rows = rows.take(~_came_back(rows, users))
        found.kinds.update(Kind(kind).name.lower() for kind in rows.kind.tolist())
        for row in range(len(rows)):
            digest.update(repr(_said(rows, row)).encode())
        found.offsets[partition] = rows.offset
    found.digest = digest.hexdigest()
    return found


def erase(log: Log, offsets: dict[int, Offsets]) -> None:
    """Take rows out of the complete segments. Raises StateError where the disk refuses; done again, it goes on."""
    for partition, gone in offsets.items():
        with log.compacting:
            for first, end in _runs(log, partition, 0, gone):
                log.replace(partition, first, end, _frames(log, partition, first, end, _without(gone)))


def retain(log: Log, kept: dict[int, Kept], from_: dict[int, int]) -> dict[int, int]:
    """Take what is beyond retention out of the complete segments that lie below it.

    ``from_`` names the offsets up to which that was done before; returns the new ones.
    """
    done = dict(from_)
    for partition, keeps in kept.items():
        ends = [end for _, end in log.complete(partition) if end <= keeps.from_]
        if ends and ends[-1] > done.get(partition, 0):
            with log.compacting:
                left = _remembered(log, partition, ends[-1], keeps)
                for first, end in _runs(log, partition, ends[-1]):
                    log.replace(partition, first, end, _frames(log, partition, first, end, left))
            done[partition] = ends[-1]
    return done


def naming(keys: Iterable[int], ids: Iterable[str]) -> Callable[[bytes], bool]:
    """Whether some text names one of the users: says an id as a word, or a key in hexadecimal."""
    pattern = _pattern([*ids, *(f"{key:016x}" for key in keys)])
    return lambda text: pattern is not None and pattern.search(text) is not None


def _pattern(ids: Iterable[str]) -> re.Pattern[bytes] | None:
    """Finds ids in raw bytes, as text and as JSON and CSV write it, but not as a part of a longer word."""
    words = [b"".join(map(_written, one)) for one in sorted(ids) if one]
    if not words:
        return None
    begins = rb"(?:(?<![0-9A-Za-z_-])|(?<=\\[bfnrt]))"  # the letter of an escape is no part of a word
    return re.compile(begins + rb"(?:" + b"|".join(words) + rb")(?![0-9A-Za-z_-])")


def _written(character: str) -> bytes:
    """Matches what may stand for a character of an id."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    forms = {character.encode("utf-8", "surrogatepass"), json.dumps(character)[1:-1].encode()}
    forms |= {'"': {b'""'}, "/": {rb"\/"}}.get(character, set())
    escaped = "".join(rf"\\u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4)).encode()
    return b"(?:" + b"|".join([*map(re.escape, sorted(forms)), escaped]) + b")"


def _theirs(events: Events, users: NDArray[np.uint64], pattern: re.Pattern[bytes] | None) -> NDArray[np.bool_]:
    """Rows of the users, rows that name one as account, malformed rows that say an id."""
    theirs: NDArray[np.bool_] = np.isin(events.user, users)
    for row in np.flatnonzero(~theirs & (events.kind == Kind.ALIAS)).tolist():
        theirs[row] = events.details(row).get("account") in users
    if pattern is not None:
        for row in np.flatnonzero(~theirs & (events.kind == Kind.MALFORMED)).tolist():
            theirs[row] = pattern.search(events.details(row).get("raw", b"")) is not None
    theirs[events.kind == Kind.ERASED] = False
    return theirs


def _came_back(rows: Events, users: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Rows of users after their last FORGET row, or who have none."""
    back = np.zeros(len(rows), bool)
    for user in users:
        mine = rows.user == user
        back |= mine & (rows.offset > rows.offset[mine & (rows.kind == Kind.FORGET)].max(initial=-1))
    return back


def _said(rows: Events, row: int) -> list[Any]:
    return [column.bytes_at(row) if name == "data" else column[row].item() for name, column in rows.columns().items()]


def _runs(log: Log, partition: int, below: int, gone: Offsets = _NOTHING) -> Iterator[tuple[int, int]]:
    """Neighbouring segments that may become one, and of which something goes: a row of ``gone``, or (``below``) all
    that is beyond retention."""
    segments = [s for s in log.complete(partition) if not below or s[1] <= below]
    sizes = log.sizes(partition)
    at = 0
    while at < len(segments):
        first, end = segments[at]
        room = log.segment_bytes - sizes[first]
        at += 1
        while at < len(segments) and sizes[segments[at][0]] <= room:
            room -= sizes[segments[at][0]]
            end = segments[at][1]
            at += 1
        if below or np.searchsorted(gone, first) < np.searchsorted(gone, end):
            yield first, end


def _frames(log: Log, partition: int, first: int, end: int, left: Left) -> Iterator[bytes]:
    """The frames first..end without what goes, small neighbours as one."""
    waiting: list[tuple[Header, Batch]] = []
    for header, whole in log.frames(partition, first, end):
        batch = left(whole)
        if waiting and not _fit(waiting, header, len(batch.events)):
            yield _joined(waiting)
            waiting = []
        waiting.append((header, batch))
    if waiting:
        yield _joined(waiting)


def _without(gone: Offsets) -> Left:
    """Some rows go; a producer's event id stays known."""
    first_said = _FirstSaid()

    def left(batch: Batch) -> Batch:
        names = batch.names.take(first_said(batch.names))
        return replace(batch, events=_blanked(batch.events, gone), names=names)

    return left


def _remembered(log: Log, partition: int, end: int, keeps: Kept) -> Left:
    """All that is below ``end`` goes, but for what the catalogue and profiles are made of, and whose visitor somebody
    is."""
    stays, first_said = _newest(log, partition, end, keeps), _FirstSaid()

    def left(batch: Batch) -> Batch:
        names = batch.names.take(keeps.knows(batch.names.key))
        events = batch.events.take(_among(batch.events.offset, stays))
        return replace(batch, events=events, names=names.take(first_said(names)))

    return left


class _FirstSaid:
    """Which names were not said before."""

    def __init__(self) -> None:
        self._said: set[tuple[int, bytes]] = set()

    def __call__(self, names: Names) -> NDArray[np.bool_]:
        said = [(key, names.text.bytes_at(row)) for row, key in enumerate(names.key.tolist())]
        first = np.array([one not in self._said for one in said], bool)
        self._said.update(said)
        return first


def _blanked(events: Events, gone: Offsets) -> Events:
    """The rows without those that go, which leave their producer's event id."""
    goes = np.isin(events.offset, gone) & (events.kind != Kind.ERASED)
    if not goes.any():
        return events
    erased = events.take(goes & (events.event != 0))
    n = len(erased)
    blank = Events(
        offset=erased.offset,
        arrived=np.full(n, EARLIEST),
        kind=np.full(n, Kind.ERASED),
        time=np.full(n, EARLIEST),
        event=own_event_key(erased.event, erased.user),
    )
    joined = Events.join([events.take(~goes), blank])
    return joined.take(np.argsort(joined.offset, kind="stable"))


def _newest(log: Log, partition: int, end: int, keeps: Kept) -> Offsets:
    """The rows that stay beyond retention: picks, and which models are in force; of items, aliases and profiles each
    that no later one says all of again, and an item's first, which says since when it is there. What was said of a user
    before a FORGET row does not."""
    frames = (batch for _, batch in log.frames(partition, 0, end) if not _LASTING.isdisjoint(batch.events.kinds))
    rows = [events for batch in frames if len(events := clean(_lasting(batch, keeps))[0].events)]
    stays = list(_first_words(rows).values())
    said: dict[tuple[int, int], set[str]] = {}  # of whom and which kind: what the later rows say
    forgotten: set[int] = set()
    for events in reversed(rows):
        for row in reversed(range(len(events))):
            details, kind = events.details(row), int(events.kind[row])
            if kind == Kind.FORGET:
                forgotten.add(int(events.user[row]))
            if kind == Kind.FORGET or (kind == Kind.PROFILE and int(events.user[row]) in forgotten):
                continue
            if kind == Kind.ACTIVATE or (kind == Kind.PICK and "id" in details):
                stays.append(int(events.offset[row]))
                continue
            key = int(events.item[row] if kind in (Kind.ITEM, Kind.PICK) else events.user[row]), kind
            says, settles = _says(kind, details)
            if key not in said or not says <= said[key]:
                stays.append(int(events.offset[row]))
            said.setdefault(key, set()).update(settles)
    return np.array(sorted(set(stays)), np.int64)


def _first_words(rows: list[Events]) -> dict[int, int]:
    """The offset of each item's first row that says anything of it."""
    found: dict[int, int] = {}
    for events in rows:
        for item, offset, details in catalogue.items(events):
            if details.get("op") != "delete":
                found.setdefault(item, offset)
    return found


def _says(kind: int, details: dict[str, Any]) -> tuple[set[str], set[str]]:
    """What a row says, and what of it no earlier row has a say in."""
    if kind == Kind.PROFILE:
        says = {f"attribute {name}" for name in details["attributes"]}
        says |= {"interests"} if details["interests"] else set()
        return says, set() if details.get("beneath") else says
    op = details.get("op", "upsert") if kind == Kind.ITEM else ""
    says = {name for name in SAYS if op not in ("", "delete") and details.get(name) is not None}
    says |= {"there"} if op in ("upsert", "delete") else set()
    # categories are learned from upserts and mentions that name one
    return says, says if op in ("upsert", "mention") and details.get("category") else says - {"category"}


def _lasting(batch: Batch, keeps: Kept) -> Batch:
    """The rows of a batch that may stay: what catalogues learn from and know, who is whose visitor, and profiles; and
    what ends these."""
    of_items = np.isin(batch.events.kind, (Kind.ITEM, Kind.PICK)) & keeps.knows(batch.events.item)
    learned = batch.events.take(of_items | (batch.events.kind == Kind.ACTIVATE))
    aliases = batch.events.take((batch.events.kind == Kind.ALIAS) & _among(batch.events.user, keeps.visitors))
    of_profiles = np.isin(batch.events.kind, (Kind.PROFILE, Kind.FORGET)) & _among(batch.events.user, keeps.profiled)
    events = Events.join([learned, aliases, batch.events.take(of_profiles)])
    return replace(batch, events=events.take(np.argsort(events.offset)))


def _among(some: NDArray[Any], ordered: NDArray[Any]) -> NDArray[np.bool_]:
    """Which are among those that are in order: these are not sorted again for each frame."""
    return np.searchsorted(ordered, some, "right") > np.searchsorted(ordered, some)


def _fit(waiting: list[tuple[Header, Batch]], header: Header, rows: int) -> bool:
    """Whether a frame can become one with those waiting: few frames and rows, and of one source at most."""
    sources = {h.source for h, _ in [*waiting, (header, None)] if h.row >= 0}
    few = len(waiting) < TOGETHER and len(sources) <= 1
    return few and sum(len(b.events) for _, b in waiting) + rows <= FRAME_ROWS


def _joined(waiting: list[tuple[Header, Batch]]) -> bytes:
    headers, batches = zip(*waiting, strict=True)
    events = Events.join([b.events for b in batches])
    names = Names.join([b.names for b in batches])
    source = max(((h.row, h.source) for h in headers), default=(-1, 0))
    batch = Batch(batches[0].partition, batches[0].first, batches[-1].last, events, names)
    return frame(batch, source[1] if source[0] >= 0 else 0, source[0])[0]
