"""Access logs of a web server: who asked for what, and so what a shopper did; everything else is passed over.

A row's number is that of its line, so that rules can change while a log is being read.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import xxhash

from shopguide.agents import is_program
from shopguide.collect.addresses import network, without_addresses
from shopguide.collect.chunk import Chunk, Column
from shopguide.collect.format import Format
from shopguide.collect.lines import MAX_LINE, NOT_UTF8, TOO_LONG
from shopguide.collect.requests import Requests
from shopguide.collect.values import Cache
from shopguide.settings import CollectSettings, Settings

NO_RECORD = "no record in Combined Log Format"
NO_TIME = "time cannot be read"
QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
RECORD = re.compile(
    r"(\S+) \S+ (.{1,256}?) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    rf"{QUOTED} (\d{{3}}) (?:\d+|-) {QUOTED} {QUOTED}",
    re.ASCII,
)
REQUEST = re.compile(r"([A-Z]+) (\S+)(?: HTTP/\S+)?")
TIME = "%d/%m/%Y:%H:%M:%S %z"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NOBODY = ("", "-", '""')


class Record(NamedTuple):
    """What a line says. ``moment`` is as it is written there."""

    host: str
    name: str
    moment: Any
    method: str
    target: str
    status: str
    agent: str


class Hit(NamedTuple):
    """A row on its way. ``time`` is in epoch s; ``why`` says what is wrong with it; ``line`` is as in the file."""

    user: str = ""
    item: str = ""
    query: str = ""
    kind: str = ""
    value: str = ""
    time: float = math.nan
    why: str = ""
    line: bytes = b""


class AccessLog(Format):
    """A user is the name that the server knows, else what is kept of the address together with the browser; a program
    is nobody. What requests mean is in the settings (:mod:`shopguide.collect.requests`)."""

    name = "access-log"
    settings = Settings().collect
    requests = Requests.of(settings)

    @classmethod
    def under(cls, settings: CollectSettings, requests: Requests) -> type[AccessLog]:
        """The format under these settings."""
        return type(cls.__name__, (cls,), {"settings": settings, "requests": requests})

    def __init__(self, first: str) -> None:
        self._networks = Cache(network, limit=1 << 12)
        self._browsers = Cache(_browser, limit=1 << 12)

    @abstractmethod
    def record(self, line: bytes) -> Record | str | None:
        """What a line says; None: nothing about a request; a text: why it cannot be read. Raises
        UnicodeDecodeError."""

    @abstractmethod
    def time(self, moment: Any) -> float:
        """Epoch s; NaN where it cannot be read."""

    def parse(self, lines: list[bytes], last: bool) -> Chunk:
        hits = [(at, hit) for at, line in enumerate(lines) if (hit := self._hit(line)) is not None]
        rows = [hit for _, hit in hits]
        fields = zip(Hit._fields, zip(*rows, strict=True), strict=True) if rows else ()
        columns: dict[str, Column] = {name: column for name, column in fields if name not in ("why", "line")}
        problems = {row: hit.why for row, hit in enumerate(rows) if hit.why}
        numbers = np.array([at for at, _ in hits], np.int64)
        return Chunk(len(rows), columns, lambda row: without_addresses(rows[row].line), problems, numbers=numbers)

    def _hit(self, line: bytes) -> Hit | None:
        """The row of a line; None where it is none of a shopper's."""
        if len(line) > MAX_LINE:
            return Hit(why=TOO_LONG, line=line)
        try:
            record = self.record(line)
        except UnicodeDecodeError:
            return Hit(why=NOT_UTF8, line=line)
        if not isinstance(record, Record):
            return None if record is None else Hit(why=record, line=line)
        meaning = self.requests.meaning(record.method, record.target, record.status)
        if meaning is None or not (browser := self._browsers[record.agent]):
            return None
        time = self.time(record.moment)
        return Hit(
            user=f"{self._networks[record.host]} {browser}" if record.name in NOBODY else record.name,
            item=meaning.item,
            query=meaning.query,
            kind=meaning.kind,
            value=meaning.value,
            time=time,
            why=NO_TIME if math.isnan(time) else "",
            line=line,
        )


class Combined(AccessLog):
    """Combined Log Format."""

    @classmethod
    def sniff(cls, first: str) -> bool:
        return RECORD.fullmatch(first) is not None

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._times = Cache(logged_time, limit=1 << 12)

    def record(self, line: bytes) -> Record | str | None:
        found = RECORD.fullmatch(line.decode())
        if found is None:
            return NO_RECORD
        host, name, moment, request, status, _, agent = found.groups()
        asked = REQUEST.fullmatch(request)
        return None if asked is None else Record(host, name, moment, asked[1], asked[2], status, agent)

    def time(self, moment: str) -> float:
        return self._times[moment]


def _browser(agent: str | None) -> str:
    """A browser's hash; empty: it is a program."""
    return "" if is_program(agent or "") else xxhash.xxh3_64_hexdigest((agent or "").encode("utf-8", "replace"))


def logged_time(moment: str | None) -> float:
    """Epoch seconds of a time such as 10/Oct/2000:13:55:36 -0700; NaN where there was no such time."""
    day, month, rest = (moment or "//").split("/", 2)
    try:
        return datetime.strptime(f"{day}/{MONTHS.index(month) + 1}/{rest}", TIME).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return math.nan
