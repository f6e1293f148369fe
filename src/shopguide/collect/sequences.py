"""Formats with a session, or a user, a line: items or steps in order, separated by spaces, without a time.

They get a made one, in epoch s from CLOCK on, that depends on nothing but where a step stands in its file, so that a
file read again gives the same rows again.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from itertools import accumulate
from typing import NamedTuple

import xxhash

from shopguide.collect.chunk import Chunk, Column
from shopguide.collect.format import Format
from shopguide.collect.lines import MAX_LINE, NOT_UTF8, TOO_LONG, UNSPLIT, WRONG_COUNT

CLOCK = 1_451_606_400.0  # 2016-01-01, when the first session of a file begins
DAY = 86_400.0
YEAR = 365 * DAY
BETWEEN = DAY / 1240  # seconds from one session's beginning to the next one's: 1,240 a day, as Diginetica has
CLICK = 0.001  # seconds from one click of a session to the next
NO_ITEM = "line without an item"
NO_STEP = "step is not sku+type+category+interval+dwell"
STEP = re.compile(r"([^\s+]+)\+(10|[1-9])\+([^\s+]*)\+(\d{1,9})\+\d{1,9}", re.ASCII)
KINDS = {**dict.fromkeys("12345678", "view"), "9": "cart", "10": "purchase"}


class Row(NamedTuple):
    """A row on its way. ``time`` is in epoch s; ``why`` says what is wrong with it, ``raw`` is then what it was read
    from."""

    user: str = ""
    session: str = ""
    item: str = ""
    time: float = math.nan
    kind: str = ""
    category: str = ""
    why: str = ""
    raw: bytes = b""


class Steps(Format):
    """Several rows, or none, a line. A line that cannot be read is one row with its reason."""

    columns: tuple[str, ...]

    @classmethod
    def sniff(cls, first: str) -> bool:
        """Never: items in a row look alike in several formats, so a file of this one has to be called so."""
        return False

    def __init__(self, first: str) -> None:
        self.number = -1  # of the line that is being read, from 0, broken ones counted

    def parse(self, lines: list[bytes], last: bool) -> Chunk:
        rows: list[Row] = []
        for line in lines:
            self.number += 1
            try:
                rows += self.rows(line)
            except _UnreadError as e:
                rows.append(Row(why=str(e), raw=line))
        fields = dict(zip(Row._fields, zip(*rows, strict=True), strict=True)) if rows else {}
        columns: dict[str, Column] = {name: fields[name] for name in self.columns} if rows else {}
        problems = {at: row.why for at, row in enumerate(rows) if row.why}
        return Chunk(len(rows), columns, lambda at: rows[at].raw or rows[at].item.encode(), problems)

    @abstractmethod
    def rows(self, line: bytes) -> list[Row]:
        """The rows of a line. Raises _UnreadError, with the reason, where it cannot be read at all."""


class _UnreadError(Exception):
    """A line cannot be read; the message is the reason of its row. Goes no further than ``Steps.parse``."""


class Sequences(Steps):
    """The items of a session a line. Line n is session ``s{n}``; it begins n * BETWEEN after CLOCK."""

    name = "sequences"
    columns = ("session", "item", "time")

    def rows(self, line: bytes) -> list[Row]:
        return _session(f"s{self.number}", _items(_words(_text(line))), CLOCK + self.number * BETWEEN)


class Pairs(Steps):
    """``items<TAB>next item`` a line, of each session all its prefixes, the longest first: a session's rows are those
    of its first line, the lines that repeat its beginning are none. Session n is ``t{n}``, a YEAR after that of
    ``sequences``, so that a test part follows its training part."""

    name = "pairs"
    columns = ("session", "item", "time")

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._sessions = 0
        self._shorter: list[str] = []  # the items of the next line, if that one still belongs to the session

    @classmethod
    def sniff(cls, first: str) -> bool:
        """By items that are numbers, two or more before the tab: one could be any table's."""
        return re.fullmatch(r"\d+( \d+)+\t\d+", first, re.ASCII) is not None

    def rows(self, line: bytes) -> list[Row]:
        expected, self._shorter = self._shorter, self._shorter[:-1]
        fields = _text(line).split("\t")
        prefix, target = map(_words, fields) if len(fields) == 2 else ([], [])
        if not prefix or len(target) != 1:
            raise _UnreadError(WRONG_COUNT)
        items = prefix + target
        self._shorter = prefix
        if items == expected:
            return []
        number, self._sessions = self._sessions, self._sessions + 1
        return _session(f"t{number}", items, CLOCK + YEAR + number * BETWEEN)


class S3Rec(Steps):
    """A user and their items a line. Everybody's k-th item (from 0) is of the k-th day after CLOCK, users in the
    order of their lines: each day is a session of one item, what belongs together is the user."""

    name = "s3rec"
    columns = ("user", "item", "time")

    def rows(self, line: bytes) -> list[Row]:
        user, *items = _items(_words(_text(line)))
        begin = CLOCK + self.number * CLICK
        return [Row(user=user, item=item, time=begin + day * DAY) for day, item in enumerate(_items(items))]


class Jd(Steps):
    """Steps ``sku+type+category+interval+dwell`` of a session a line: what was looked at and how. ``interval`` is
    seconds until the next step; dwell, their sum over an item, is not read. A step that cannot be read costs itself
    only. Samples of the same shop come in several files: a session's name has its line's hash, too."""

    name = "jd"
    columns = ("session", "item", "time", "kind", "category")

    @classmethod
    def sniff(cls, first: str) -> bool:
        words = _words(first)
        return bool(words) and all(map(STEP.fullmatch, words))

    def rows(self, line: bytes) -> list[Row]:
        words = _items(_words(_text(line)))
        session = f"j{self.number}.{xxhash.xxh3_64_hexdigest(line)}"
        steps = [STEP.fullmatch(word) for word in words]
        passed = accumulate((int(step[4]) if step else 0 for step in steps), initial=CLOCK + self.number * BETWEEN)
        return [
            Row(session=session, item=step[1], time=time, kind=KINDS[step[2]], category=step[3])
            if step
            else Row(session=session, time=time, why=NO_STEP, raw=word.encode())
            for word, step, time in zip(words, steps, passed, strict=False)
        ]


def _text(line: bytes) -> str:
    if len(line) > MAX_LINE:
        raise _UnreadError(TOO_LONG)
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise _UnreadError(NOT_UTF8) from None


def _words(text: str) -> list[str]:
    return [word for word in text.split(" ") if word]


def _items(words: list[str]) -> list[str]:
    """The words, if they can be items: a tab would be of another format."""
    if not words:
        raise _UnreadError(NO_ITEM)
    if any("\t" in word for word in words):
        raise _UnreadError(UNSPLIT)
    return words


def _session(name: str, items: list[str], begin: float) -> list[Row]:
    """A row for each item of a session that begins at ``begin`` (epoch s)."""
    return [Row(session=name, item=item, time=begin + at * CLICK) for at, item in enumerate(items)]
