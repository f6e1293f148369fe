"""Files as a source: ``file:PATH[?format=F&speed=1|60|max]``; of an access log also ``&item=REGEX``.

PATH is a file, text (plain or gzip) or Parquet, or a folder of files of one format, read in the order of their names.
A row is identified by its file's path and its number in it, so that what the log has of a file is not taken twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl

import numpy as np
import xxhash

from shopguide.collect import parquet
from shopguide.collect.access_log import AccessLog
from shopguide.collect.chunk import Chunk
from shopguide.collect.format import Format
from shopguide.collect.formats import FORMATS, formats, shown
from shopguide.collect.lines import Lines
from shopguide.collect.values import Cache, epoch, times
from shopguide.errors import SourceError
from shopguide.records import AHEAD, EARLIEST, F64
from shopguide.settings import CollectSettings, Settings

logger = logging.getLogger(__name__)

CHUNK = 8192  # most rows of a chunk
NAP = 0.5  # seconds that a paced source sleeps at most before it looks whether to stop

Speed = float | Literal["max"]


class Reading(Protocol):
    """A file on its way: ``position`` of ``total`` bytes are read."""

    total: int

    @property
    def position(self) -> int: ...

    def chunks(self, source: int, rows: int) -> Iterator[Chunk]:
        """Its rows in chunks of at most ``rows``."""


@dataclass
class Found:
    """A file whose format is known."""

    path: Path
    format: str
    open: Callable[[], Reading]

    @property
    def source(self) -> int:
        """What the log calls this file."""
        return xxhash.xxh3_64_intdigest(str(self.path.resolve()).encode("utf-8", "surrogateescape"))


class Files:
    """A finite source. ``position`` of ``total`` bytes are read."""

    def __init__(self, files: list[Found], speed: Speed = "max", passed_over: list[Path] | None = None) -> None:
        self.files = files
        self.speed = speed
        self.passed_over = passed_over or []  # files of the folder that are in no format we know, or not meant
        self.total = sum(found.path.stat().st_size for found in files)
        self.position = 0

    @property
    def label(self) -> str:
        return f"{len(self.files)} files"

    def chunks(
        self, sent: Callable[[int], int] = lambda source: -1, wait: Callable[[float], object] = time.sleep
    ) -> Iterator[Chunk]:
        """All rows, in order.

        ``sent`` of a source is the number of its last row that was sent before: up to there nothing is paced (the
        rows come all the same, the collector knows which the log has). ``wait`` sleeps for seconds; where it returns
        something true the source stops.
        """
        pace = Pace(self.speed, wait)
        known: dict[Any, tuple[Any, ...]] = {}
        before = 0
        for found in self.files:
            reading = found.open()
            for chunk in reading.chunks(found.source, CHUNK):
                self.position = before + reading.position
                chunk.known = known
                if self.speed == "max":
                    yield chunk
                    continue
                yield from pace.pieces(chunk, sent(found.source))
                if pace.stopped:
                    return
            before += reading.total
        self.position = self.total


class Pace:
    """Lets rows go when they are due: event time runs ``speed`` times as fast as the clock."""

    def __init__(
        self, speed: Speed, wait: Callable[[float], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._speed = float(speed) if speed != "max" else float("inf")
        self._wait = wait
        self._clock = clock
        self._times = Cache(epoch, limit=1 << 12)
        self._begin: tuple[float, float] | None = None  # clock and event time of the first paced row
        self._newest = -np.inf
        self.stopped = False

    def pieces(self, chunk: Chunk, sent: int) -> Iterator[Chunk]:
        """The chunk in pieces, each when its rows are due; rows up to number ``sent`` at once."""
        due = self._due(chunk)
        timeless = int(np.searchsorted(due, -np.inf, side="right"))
        before = int(np.searchsorted(chunk.rows_numbered(), sent, side="right"))
        at = max(before, timeless)
        if at:
            yield chunk.slice(0, at)
        while at < chunk.rows:
            if self._begin is None:
                self._begin = self._clock(), due[at]
            began, first = self._begin
            now = first + (self._clock() - began) * self._speed
            end = int(np.searchsorted(due, now, side="right"))
            if end > at:
                yield chunk.slice(at, end)
                at = end
            elif self._wait(min((due[at] - now) / self._speed, NAP)):
                self.stopped = True
                return

    def _due(self, chunk: Chunk) -> F64:
        """Event times, never falling; a row whose time makes no sense goes with the row before it."""
        column = chunk.columns.get("time")
        event = np.full(chunk.rows, np.nan) if column is None else times(column, self._times)
        event = np.where((event >= EARLIEST) & (event <= time.time() + AHEAD), event, -np.inf)
        due = np.maximum.accumulate(np.concatenate([[self._newest], event]))[1:]
        self._newest = due[-1] if len(due) else self._newest
        return due


def open_source(spec: str, settings: CollectSettings | None = None) -> Files:
    """The source that a SPEC names; ``settings`` (None: the defaults) say what requests in access logs mean.

    Raises SourceError, in one line, where there is no such file, it is in no format we know, or the SPEC is wrong.
    """
    scheme, _, rest = spec.partition(":")
    location, _, query = rest.partition("?")
    if scheme != "file" or not location:
        raise SourceError(
            f"source {spec!r}: should be file:PATH[?format=F&speed=1|60|max] or log:DIR; with `shopguide run` also"
            " follow:PATH, http:, sim: or kafka://HOST:PORT/TOPIC"
        )
    options = dict(parse_qsl(query, keep_blank_values=True))
    forced, speed = options.pop("format", None), options.pop("speed", "max")
    item = options.pop("item", None)
    if options:
        raise SourceError(f"source {spec!r}: no option {', '.join(options)}; there are format, speed and item")
    names = sorted({format_.name for format_ in FORMATS} | {parquet.NAME})
    if forced is not None and forced not in names:
        raise SourceError(f"source {spec!r}: format {forced!r} is none of {', '.join(names)}")
    if item is not None and forced != AccessLog.name:
        raise SourceError(f"source {spec!r}: item goes with format={AccessLog.name} only")
    candidates = [f for f in formats(settings or Settings().collect, item) if forced in (None, f.name)]
    path = Path(location)
    if path.is_dir():
        files, passed_over = _folder(path, forced, candidates)
        if passed_over:
            logger.warning("%s: files passed over: %s", path, shown([file.name for file in passed_over]))
    else:
        files, passed_over = [_recognise(path, forced, candidates)], []
    return Files(files, _speed_of(spec, speed), passed_over)


def _speed_of(spec: str, text: str) -> Speed:
    if text == "max":
        return "max"
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise SourceError(f"source {spec!r}: speed {text!r} should be 1, 60, or another factor above 0, or max")
    return speed


def _folder(folder: Path, forced: str | None, candidates: list[type[Format]]) -> tuple[list[Found], list[Path]]:
    """The files of a folder that belong together, and the others."""
    try:
        paths = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    except OSError as e:
        raise SourceError(f"cannot read {folder}: {e.strerror}") from None
    found: list[Found] = []
    first = ""  # reason
    for path in paths:
        try:
            found.append(_recognise(path, forced, candidates))
        except SourceError as e:
            if forced is not None:
                raise
            first = first or f": {e}"
    if not found:
        raise SourceError(f"{folder}: none of its {len(paths)} files is in a format we know{first}")
    found = _train_and_test(found)
    if len(formats := {f.format for f in found}) > 1:
        raise SourceError(f"{folder}: its files are in several formats ({', '.join(sorted(formats))}); name one file")
    chosen = {f.path for f in found}
    return found, [path for path in paths if path not in chosen]


def _train_and_test(found: list[Found]) -> list[Found]:
    """Of a session-rec folder the whole training part, then the test part: the others repeat it."""
    if {f.format for f in found} != {"session-rec"}:
        return found
    test = [f for f in found if "test" in f.path.name]
    train = [f for f in found if "train_full" in f.path.name] or [
        f for f in found if "train" in f.path.name and "valid" not in f.path.name
    ]
    return [*train, *test] if train and test else found


def _recognise(path: Path, forced: str | None, candidates: list[type[Format]]) -> Found:
    """Which of the candidates a file's format is. Raises SourceError where it cannot be read or is in none."""
    lines = Lines(path)
    if forced == parquet.NAME or (forced is None and parquet.is_parquet(path)):
        parquet.Parquet(path)
        return Found(path, parquet.NAME, lambda: parquet.Parquet(path))
    first = next(iter(next(lines.blocks())), b"")
    if not first and lines.position < lines.total:
        raise SourceError(f"{path} is no text: its first line does not end")
    if not first:
        raise SourceError(f"{path} is {'damaged from its beginning on' if lines.damage else 'empty'}")
    text = first.decode(errors="replace")
    if "\0" in text or "\ufffd" in text:
        raise SourceError(f"{path} is no text: formats are {', '.join(sorted({f.name for f in FORMATS}))}")
    try:
        format_ = _format_of(text, candidates)
    except SourceError as e:
        raise SourceError(f"{path}: {e}") from None
    return Found(path, format_.name, lambda: Text(path, format_, text))


def _format_of(first: str, candidates: list[type[Format]]) -> type[Format]:
    """The format of a file with this first line; where none knows it, the last, which says what is wrong."""
    for format_ in candidates:
        if format_.sniff(first):
            return format_
    candidates[-1](first)
    return candidates[-1]


class Text:
    """A text file in a format; what its end lacks is one more, malformed row."""

    def __init__(self, path: Path, format_: Callable[[str], Format], first: str) -> None:
        self._lines = Lines(path)
        self._parser = format_(first)
        self.total = self._lines.total
        if self._parser.unread:
            logger.warning("%s: columns that nothing is made of: %s", path.name, shown(self._parser.unread))

    @property
    def position(self) -> int:
        return self._lines.position

    def chunks(self, source: int, rows: int) -> Iterator[Chunk]:
        """See Reading."""
        lines, number, skip = self._lines, 0, self._parser.skip
        blocks = lines.blocks()
        block = next(blocks)
        while True:
            following = next(blocks, None)
            for start in range(skip, max(len(block), skip + 1), rows):
                last = following is None and start + rows >= len(block)
                piece = block[start : start + rows]
                chunk = self._parser.parse(piece, last)
                chunk.source, chunk.first = source, number
                if chunk.numbers is None:
                    number += chunk.rows
                else:
                    chunk.numbers += number
                    number += len(piece)
                if chunk.rows:
                    yield chunk
            skip = 0
            if following is None:
                break
            block = following
        if lines.damage:
            yield Chunk(1, {}, lambda row: lines.rest, {0: lines.damage}, source, number)
