"""A web server's access log while it grows, over its rotations: ``follow:PATH``.

The generations of the log are PATH and what rotation leaves beside it, ``PATH.1`` or ``PATH-20261127.gz`` and so on, in
the order of their modification times. Each is known by its first line (:mod:`shopguide.collect.generation`), so it does
not matter which of them are renamed, compressed, or copied and truncated while nobody looks: every look at the folder
finds the files that are not open, and goes on where the state's log says that each was left.
"""

from __future__ import annotations

import logging
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import xxhash

from shopguide.collect.access_log import AccessLog, Combined
from shopguide.collect.chunk import Chunk
from shopguide.collect.generation import Generation, State, state_of
from shopguide.collect.json_log import JsonLog
from shopguide.collect.requests import Requests
from shopguide.errors import SourceError
from shopguide.settings import CollectSettings

logger = logging.getLogger(__name__)

SCHEME = "follow:"
POLL = 0.2  # seconds between looks
LINGER = 60.0  # seconds of silence after which a file that was rotated away is closed
NUMBER = r"\d[\d.:T_-]*"
DATE = r"\d{4}-?\d\d-?\d\d[\d.:T_-]*"

Sent = Callable[[int], int]


class Followed:
    """One log and its generations."""

    nap = POLL

    def __init__(self, path: Path, settings: CollectSettings) -> None:
        self._path = path
        requests = Requests.of(settings)
        self._combined, self._json = Combined.under(settings, requests), JsonLog.under(settings, requests)
        self._rotated = _rotated(path.name)
        self._open: dict[int, tuple[Generation, AccessLog]] = {}
        self._finished: set[State] = set()  # files as they were when they had been read to their end
        self._said = ""  # the last complaint

    @property
    def total(self) -> int:
        return sum(generation.size for generation, _ in self._open.values())

    @property
    def position(self) -> int:
        return sum(generation.position for generation, _ in self._open.values())

    def chunks(self, sent: Sent) -> Iterator[Chunk]:
        """The rows that have come since."""
        for source in list(self._open):
            yield from self._read(source)
        for path in self._unread():
            begun = self._begin(path, sent)
            if begun is not None:
                yield from self._read(begun)

    def close(self) -> None:
        for generation, _ in self._open.values():
            generation.close()
        self._open.clear()

    def _read(self, source: int) -> Iterator[Chunk]:
        """The rows of a generation; it is closed where no more can come."""
        generation, parser = self._open[source]
        yield from generation.chunks(parser, source)
        intact = generation.is_intact()
        if intact and not generation.packed and not self._is_left(generation):
            return
        if intact:
            if generation.waiting:
                yield generation.last(parser, source)
            self._finished.add(generation.state)
        generation.close()
        del self._open[source]

    def _is_left(self, generation: Generation) -> bool:
        """Whether a file has been silent for long and is not the one that is written to."""
        if time.monotonic() - generation.quiet < LINGER:
            return False
        written = state_of(self._path)
        return written is None or written[:2] != generation.state[:2]

    def _unread(self) -> Iterator[Path]:
        """The files that are not open and were not read as they are, oldest first."""
        try:
            names = {file.name for file in self._path.parent.iterdir() if self._rotated.fullmatch(file.name)}
        except OSError as e:
            self._complain(f"cannot read {self._path.parent}: {e.strerror}")
            return
        names -= {f"{name}.gz" for name in names}  # a file that is being compressed
        beside = [self._path.with_name(name) for name in sorted(names, reverse=True)]
        states = {path: state for path in [*beside, self._path] if (state := state_of(path)) is not None}
        self._finished &= set(states.values())
        opened = {generation.state[:2] for generation, _ in self._open.values()}
        for path in sorted(states, key=lambda path: (path == self._path, states[path][3])):
            if states[path] not in self._finished and states[path][:2] not in opened:
                yield path

    def _begin(self, path: Path, sent: Sent) -> int | None:
        """Open a file, at what the log does not have of it; its source. None: it cannot be known yet, or is open under
        another name: a copy that will be truncated."""
        try:
            generation = Generation(path)
        except FileNotFoundError:
            return None
        except OSError as e:
            self._complain(f"cannot read {path}: {e.strerror}")
            return None
        name = str(self._path.parent.resolve() / self._path.name).encode("utf-8", "surrogateescape")
        source = xxhash.xxh3_64_intdigest(name + b"\0" + generation.head)
        if not generation.head or source in self._open:
            generation.close()
            if generation.head and path == self._path:
                self._complain(f"{path} begins with the line that {self._open[source][0].path} began with: not read")
            return None
        generation.go_on(sent(source))
        is_json = generation.head.lstrip().startswith(b"{")
        self._open[source] = generation, (self._json if is_json else self._combined)("")
        return source

    def _complain(self, what: str) -> None:
        if what != self._said:
            logger.warning("%s", what)
        self._said = what


class Growing(Protocol):
    """What a follower looks at in turn. ``nap``: seconds between looks; ``chunks``: the rows that have come since."""

    nap: float

    @property
    def total(self) -> int: ...

    @property
    def position(self) -> int: ...

    def chunks(self, sent: Sent) -> Iterator[Chunk]: ...

    def close(self) -> None: ...


class Follower:
    """A source that does not end: some logs."""

    label = "following"

    def __init__(self, logs: Sequence[Growing]) -> None:
        self._logs = logs

    @property
    def total(self) -> int:
        return sum(log.total for log in self._logs)

    @property
    def position(self) -> int:
        return sum(log.position for log in self._logs)

    def chunks(self, sent: Sent = lambda source: -1, wait: Callable[[float], object] = time.sleep) -> Iterator[Chunk]:
        """All rows, and those to come; until ``wait``, which sleeps for seconds, returns something true."""
        try:
            while True:
                for log in self._logs:
                    yield from log.chunks(sent)
                if wait(min(log.nap for log in self._logs)):
                    return
        finally:
            for log in self._logs:
                log.close()


def open_follower(specs: Sequence[str], settings: CollectSettings, others: Sequence[Growing] = ()) -> Follower:
    """The logs that SPECs name, and others. Raises SourceError, in one line, where one can never be read."""
    return Follower([*(Followed(_path_of(spec), settings) for spec in dict.fromkeys(specs)), *others])


def _path_of(spec: str) -> Path:
    path = Path(spec.removeprefix(SCHEME)).absolute()
    if spec == SCHEME or "?" in spec:
        raise SourceError(f"source {spec!r}: should be follow:PATH, an access log; [collect] says what is in it")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(f"source {spec!r}: {path} is no regular file")
        path.open("rb").close()
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise SourceError(f"source {spec!r}: there is no folder {path.parent}") from None
        logger.warning("%s is not there yet: waiting for it", path)
    except OSError as e:
        raise SourceError(f"source {spec!r}: cannot read {path}: {e.strerror}") from None
    return path


def _rotated(name: str) -> re.Pattern[str]:
    """Matches what rotation calls the generations of a log: a number or date after its name or before its ending."""
    stem, dot, end = name.rpartition(".")
    beside = rf"{re.escape(name)}[.-]{NUMBER}"
    within = rf"|{re.escape(stem)}(?:\.\d+|[.-]{DATE}){re.escape(dot + end)}" if stem else ""
    return re.compile(rf"(?:{beside}{within})(?:\.gz)?")
