"""Access logs of a web server: product pages that were looked at, searches; everything else in them is passed over.

Where a visitor came from is cut here: no row that leaves this module, a rejected one neither, has a whole address.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

import xxhash

from shopguide.collect.chunk import Chunk, Column
from shopguide.collect.format import Format
from shopguide.collect.lines import MAX_LINE, NOT_UTF8, TOO_LONG
from shopguide.collect.values import Cache
from shopguide.errors import SourceError

NO_RECORD = "no record in Combined Log Format"
NO_TIME = "time cannot be read"
QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
RECORD = re.compile(
    r"(\S+) \S+ (.{1,256}?) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    rf"{QUOTED} (\d{{3}}) (?:\d+|-) {QUOTED} {QUOTED}",
    re.ASCII,
)
TIME = "%d/%m/%Y:%H:%M:%S %z"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TARGET = re.compile(r"GET (?:https?://[^/?\s]*)?(/[^?\s]*)(?:\?(\S*))?(?: HTTP/\S+)?")
ITEM = re.compile(r"/(?:product|item|p)/(?:.*/)?([^/]+)$")
ASSET = re.compile(r"\.(?:avif|css|eot|gif|ico|jpe?g|js|json|map|mjs|mp4|png|svg|ttf|txt|webm|webp|woff2?|xml)$", re.I)
BOT = re.compile(r"bot|crawl|spider", re.I)
SEEN = ("200", "304")
NOBODY = ("-", '""')
HOST = re.compile(r"[\w.:%-]+", re.ASCII)
NAMED = re.compile(r"(?:[\w-]+\.)*[a-z]+", re.I | re.ASCII)
V4 = re.compile(r"(?<!\d)(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}(?!\d)", re.ASCII)
V6 = re.compile(r"[0-9a-f:.]{3,}", re.I)  # or some other text of its characters
MOMENT = re.compile(r"\d{4}:\d\d:\d\d:\d\d", re.ASCII)
V6_KEPT = ((1 << 48) - 1) << 80


class Hit(NamedTuple):
    """A row on its way. ``time`` is in epoch s; ``why`` says what is wrong with it; ``line`` is as in the file."""

    user: str = ""
    item: str = ""
    query: str = ""
    kind: str = ""
    time: float = math.nan
    why: str = ""
    line: bytes = b""


class AccessLog(Format):
    """Combined Log Format. A page that was there (200, 304) and whose path has an item is a view; ``/search?q=`` (or
    ``query=``) a search. A user is the name that the server knows, else what is kept of the address together with
    the browser; a bot is nobody."""

    name = "access-log"
    path_item = ITEM  # found in a product page's path without its last slash; its first group is the item

    @classmethod
    def sniff(cls, first: str) -> bool:
        return RECORD.fullmatch(first) is not None

    @classmethod
    def where(cls, item: str) -> type[AccessLog]:
        """The format for a shop whose product pages have ``item``, a regular expression with one group, in their
        path. Raises SourceError where it is none."""
        try:
            pattern = re.compile(item)
        except re.error as e:
            raise SourceError(f"item={item!r} is no regular expression: {e}") from None
        if pattern.groups != 1:
            raise SourceError(f"item={item!r} should have one group, the item's id")
        return type(cls.__name__, (cls,), {"path_item": pattern})

    def __init__(self, first: str) -> None:
        self._times = Cache(_epoch, limit=1 << 12)
        self._networks = Cache(network, limit=1 << 12)
        self._browsers = Cache(_browser, limit=1 << 12)

    def parse(self, lines: list[bytes], last: bool) -> Chunk:
        hits = [hit for line in lines if (hit := self._hit(line)) is not None]
        fields = dict(zip(Hit._fields, zip(*hits, strict=True), strict=True)) if hits else {}
        columns: dict[str, Column] = {name: fields[name] for name in Hit._fields[:5]} if hits else {}
        problems = {at: hit.why for at, hit in enumerate(hits) if hit.why}
        return Chunk(len(hits), columns, lambda at: without_addresses(hits[at].line), problems)

    def _hit(self, line: bytes) -> Hit | None:
        """The row of a line; None where it is none of a shopper's."""
        if len(line) > MAX_LINE:
            return Hit(why=TOO_LONG, line=line)
        try:
            record = RECORD.fullmatch(line.decode())
        except UnicodeDecodeError:
            return Hit(why=NOT_UTF8, line=line)
        if record is None:
            return Hit(why=NO_RECORD, line=line)
        host, name, moment, request, status, _, browser = record.groups()
        target = TARGET.fullmatch(request)
        if target is None or status not in SEEN or not self._browsers[browser]:
            return None
        item, query = self._meant(target[1], target[2] or "")
        if not item and not query:
            return None
        time = self._times[moment]
        return Hit(
            user=f"{self._networks[host]} {self._browsers[browser]}" if name in NOBODY else name,
            item=item,
            query=query,
            kind="search" if query else "view",
            time=time,
            why=NO_TIME if math.isnan(time) else "",
            line=line,
        )

    def _meant(self, path: str, query: str) -> tuple[str, str]:
        """The item that a path shows, or the words that were searched for; both empty where it is another page."""
        path = path.rstrip("/")
        if path.endswith("/search"):
            asked = parse_qs(query)
            return "", next((words for name in ("q", "query") for words in asked.get(name, []) if words.strip()), "")
        found = None if ASSET.search(path) else self.path_item.search(path)
        return unquote(found[1] or "").strip() if found else "", ""


def network(host: str | None) -> str:
    """What is kept of where a visitor came from: an IPv4 address without its last octet, an IPv6 address without its
    last 80 bits, of a host's name at most the last two labels and never the first of several; ``-`` where it is none
    of these."""
    host = host or ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        labels = host.split(".") if NAMED.fullmatch(host) else ["-"]
        return ".".join(labels[1:][-2:]) or labels[0]
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    kept = int(address) & (0xFFFFFF00 if isinstance(address, IPv4Address) else V6_KEPT)
    return str(type(address)(kept))


def without_addresses(line: bytes) -> bytes:
    """A line with the visitor's host, its first word, cut as in ``network``, and so all addresses elsewhere in it."""
    text = line.decode("latin-1")
    host = HOST.match(text)
    begin = host.end() if host and text[host.end() : host.end() + 1].strip() == "" else 0
    rest = V6.sub(_cut, V4.sub(r"\1.0", text[begin:]))
    return ((network(text[:begin]) if begin else "") + rest).encode("latin-1")


def _cut(found: re.Match[str]) -> str:
    """What is kept of a text of an IPv6 address's characters: all, where it is none nor the beginning of one; else
    three groups of digits."""
    text = found[0]
    if MOMENT.fullmatch(text) or ("::" not in text and text.count(":") < 3):
        return text
    return ":".join(text.lstrip(":").partition("::")[0].split(":")[:3]) + "::"


def _browser(agent: str | None) -> str:
    """A browser's hash; empty: it is a bot."""
    return "" if BOT.search(agent or "") else xxhash.xxh3_64_hexdigest((agent or "").encode())


def _epoch(moment: str | None) -> float:
    """Epoch seconds of a time such as 10/Oct/2000:13:55:36 -0700; NaN where there was no such time."""
    day, month, rest = (moment or "//").split("/", 2)
    try:
        return datetime.strptime(f"{day}/{MONTHS.index(month) + 1}/{rest}", TIME).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return math.nan
