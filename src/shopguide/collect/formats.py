"""Formats of files: each knows its own when it sees the first line, and gives our columns.

A format is a small class, named in FORMATS: ``sniff`` the first line, then ``parse`` a file's lines into chunks.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import orjson

from shopguide.collect.access_log import AccessLog, Combined
from shopguide.collect.chunk import Chunk, Column, canonical, columns_of
from shopguide.collect.format import Format
from shopguide.collect.json_log import JsonLog
from shopguide.collect.lines import MAX_LINE, TOO_LONG, Fields
from shopguide.collect.requests import Requests
from shopguide.collect.sequences import Jd, Pairs, S3Rec, Sequences
from shopguide.collect.values import Cache, amount, floats
from shopguide.errors import SourceError
from shopguide.settings import CollectSettings

DELIMITERS = ",\t;|"
NOT_JSON = "no JSON object"


class Table(Format):
    """Delimited text. ``header`` names the fields; where the file has no header line, ``skip`` is 0."""

    header: Sequence[str]
    delimiter: str = ","
    skip = 1

    @classmethod
    def sniff(cls, first: str) -> bool:
        return _split(first, cls.delimiter) == list(cls.header)

    def __init__(self, first: str) -> None:
        if self.skip and not self.sniff(first):
            _demand(list(self.header), _split(first, self.delimiter))
        self._fields = Fields(self.delimiter, len(self.header))

    def parse(self, lines: list[bytes], last: bool) -> Chunk:
        rows, raw, problems = self._fields.split(lines, last)
        fields = dict(zip(self.header, zip(*rows, strict=True), strict=True)) if rows else {}
        columns = self.columns(fields, problems) if rows else {}
        return Chunk(len(rows), columns, raw.__getitem__, problems)

    @abstractmethod
    def columns(self, fields: Mapping[str, Sequence[str]], problems: dict[int, str]) -> dict[str, Column]:
        """Our columns from the file's; may add problems of rows that have none yet."""


class EventsTable(Table):
    """Text with a header that names user or session, item, time, and what else there is."""

    name = "events"

    @classmethod
    def sniff(cls, first: str) -> bool:
        return not _missing(canonical(header_of(first)[1]))

    def __init__(self, first: str) -> None:
        self.delimiter, self.header = header_of(first)
        self._theirs = event_columns(self.header)
        self.unread = [name for name in self.header if name not in self._theirs.values()]
        self._fields = Fields(self.delimiter, len(self.header))

    def columns(self, fields: Mapping[str, Sequence[str]], problems: dict[int, str]) -> dict[str, Column]:
        return {column: fields[theirs] for column, theirs in self._theirs.items()}


class Jsonl(Format):
    """A JSON object a line."""

    def __init__(self, first: str) -> None:
        pass

    def parse(self, lines: list[bytes], last: bool) -> Chunk:
        problems: dict[int, str] = {}
        try:
            objects = list(map(orjson.loads, lines))
        except orjson.JSONDecodeError:
            objects = [_loads(line) for line in lines]
        if not set(map(type, objects)) <= {dict}:
            for row, found in enumerate(objects):
                if type(found) is not dict:
                    problems[row] = TOO_LONG if len(lines[row]) > MAX_LINE else NOT_JSON
                    objects[row] = {}
        return self.chunk(objects, lines, problems)

    @abstractmethod
    def chunk(self, objects: list[dict[str, Any]], lines: list[bytes], problems: dict[int, str]) -> Chunk:
        """The rows of these objects; ``problems`` are of objects."""


class EventsJsonl(Jsonl):
    """An event a line, with the same names as in a table."""

    name = "events"

    @classmethod
    def sniff(cls, first: str) -> bool:
        found = _loads(first)
        return (
            isinstance(found, dict)
            and "events" not in found
            and not {"item", "kind", "time"}.isdisjoint(canonical(found))
        )

    def chunk(self, objects: list[dict[str, Any]], lines: list[bytes], problems: dict[int, str]) -> Chunk:
        return Chunk(len(objects), columns_of(objects), lines.__getitem__, problems)


class SessionRec(Table):
    """Clicks of sessions, as the session-rec framework writes them."""

    name = "session-rec"
    header = ("SessionId", "ItemId", "Time")
    delimiter = "\t"

    def columns(self, fields: Mapping[str, Sequence[str]], problems: dict[int, str]) -> dict[str, Column]:
        return {"session": fields["SessionId"], "item": fields["ItemId"], "time": fields["Time"]}


class Rees46(Table):
    """A month of a REES46 shop: views, carts, purchases."""

    name = "rees46"
    header = (
        "event_time", "event_type", "product_id", "category_id", "category_code", "brand", "price",
        "user_id", "user_session",
    )  # fmt: skip

    def columns(self, fields: Mapping[str, Sequence[str]], problems: dict[int, str]) -> dict[str, Column]:
        return {
            "time": fields["event_time"],
            "kind": fields["event_type"],
            "item": fields["product_id"],
            "category": fields["category_code"],
            "brand": fields["brand"],
            "price": fields["price"],
            "user": fields["user_id"],
            "session": fields["user_session"],
        }


class Taobao(Table):
    """Taobao's UserBehavior: no header."""

    name = "taobao"
    header = ("user", "item", "category", "kind", "time")
    skip = 0

    @classmethod
    def sniff(cls, first: str) -> bool:
        fields = first.split(",")
        return len(fields) == 5 and fields[3] in ("pv", "cart", "fav", "buy") and fields[4].isdecimal()

    def columns(self, fields: Mapping[str, Sequence[str]], problems: dict[int, str]) -> dict[str, Column]:
        return dict(fields)


class OnlineRetail(Table):
    """Invoices of a gift shop. An invoice is a session; one that begins with C takes back; one without a customer is
    an anonymous basket. A line's price depends on its quantity: an item's price is the first one in the file."""

    name = "online-retail"
    header = (
        "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country",
    )  # fmt: skip

    def __init__(self, first: str) -> None:
        super().__init__(first)
        self._amounts = Cache(amount)
        self._products = Cache(lambda code: (code or "")[:1].isdigit())
        self._customers = Cache(lambda text: (text or "").removesuffix(".0"))
        self._prices: dict[str | None, str] = {}

    def columns(self, fields: Mapping[str, Sequence[str]], problems: dict[int, str]) -> dict[str, Column]:
        invoices, codes = fields["InvoiceNo"], fields["StockCode"]
        quantity = floats(fields["Quantity"], self._amounts)
        price = floats(fields["UnitPrice"], self._amounts)
        back = np.fromiter(map(str.startswith, invoices, repeat("C")), bool, len(invoices))
        product = np.fromiter(map(self._products.__getitem__, codes), bool, len(codes))
        for bad, why in (
            (~product, "not a product"),
            (np.isnan(quantity), "quantity is not a finite number"),
            (~back & (quantity <= 0), "quantity is not positive"),
            (price <= 0, "price is not positive"),
        ):
            for row in np.flatnonzero(bad).tolist():
                problems.setdefault(row, why)
        sold: list[str | None] = list(codes)
        for row in problems:
            sold[row] = None
        return {
            "kind": list(map(("purchase", "remove").__getitem__, back.tolist())),
            "user": list(map(self._customers.__getitem__, fields["CustomerID"])),
            "session": invoices,
            "item": codes,
            "time": fields["InvoiceDate"],
            "value": quantity * price,
            "title": fields["Description"],
            "price": list(map(self._prices.setdefault, sold, fields["UnitPrice"])),
        }


class Otto(Jsonl):
    """A session a line, with its clicks, carts and orders; a row is one of them."""

    name = "otto"
    _kinds = {"clicks": "view", "carts": "cart", "orders": "purchase"}

    @classmethod
    def sniff(cls, first: str) -> bool:
        found = _loads(first)
        return isinstance(found, dict) and "session" in found and isinstance(found.get("events"), list)

    def chunk(self, objects: list[dict[str, Any]], lines: list[bytes], problems: dict[int, str]) -> Chunk:
        rows: list[dict[str, Any]] = []
        unread: dict[int, bytes] = {}
        bad: dict[int, str] = {}
        for at, (found, line) in enumerate(zip(objects, lines, strict=True)):
            events = found.get("events")
            if at in problems or not isinstance(events, list) or not all(isinstance(e, dict) for e in events):
                bad[len(rows)] = problems.get(at, "no session with events")
                unread[len(rows)] = line
                rows.append({})
                continue
            rows += [{"session": found.get("session"), **event} for event in events]
        columns: dict[str, Column] = {name: [row.get(theirs) for row in rows] for name, theirs in _OTTO.items()}
        columns["kind"] = [self._kinds.get(k, "?") if isinstance(k, str) else "?" for k in columns["kind"]]
        return Chunk(len(rows), columns, lambda row: unread.get(row) or orjson.dumps(rows[row]), bad)


_OTTO = {"session": "session", "item": "aid", "time": "ts", "kind": "type"}

FORMATS: tuple[type[Format], ...] = (
    OnlineRetail, Rees46, SessionRec, Taobao, Otto, Jd, Pairs, Sequences, S3Rec, JsonLog, Combined, EventsJsonl,
    EventsTable,
)  # fmt: skip


def formats(settings: CollectSettings, item: str | None = None) -> list[type[Format]]:
    """The formats, those of access logs under settings. Raises SourceError where ``item``, what product pages have in
    their paths instead, is no such expression."""
    requests = Requests.of(settings) if item is None else Requests.of(settings).with_item(item)
    return [f.under(settings, requests) if issubclass(f, AccessLog) else f for f in FORMATS]


def event_columns(header: Sequence[str]) -> dict[str, str]:
    """Our columns to their names in the header of a table of events. Raises SourceError where it does not do."""
    ours = canonical(header)
    if missing := _missing(ours):
        _demand(missing, header)
    if "event" in ours and "kind" not in ours and ours["event"][0].strip().lower() == "event":
        ours["kind"] = [ours["event"].pop(0)]  # what others call an event is its kind
    return {column: theirs[0] for column, theirs in ours.items() if theirs}


def _loads(line: bytes | str) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def header_of(line: str) -> tuple[str, list[str]]:
    """The delimiter and the names of a header line."""
    delimiter = max(DELIMITERS, key=line.count)
    return delimiter, _split(line, delimiter)


def _split(header: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"') for name in header.split(delimiter)]


def _missing(ours: Mapping[str, Any]) -> list[str]:
    needed = [] if "user" in ours or "session" in ours else ["user or session"]
    return needed + [name for name in ("item", "time") if name not in ours]


def _demand(wanted: list[str], found: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in found]
    raise SourceError(f"the header lacks {', '.join(missing)}; it has {shown(found)}")


def shown(names: Sequence[str]) -> str:
    """Names cut to a length that fits a line, without control characters."""
    text = ", ".join(names)
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 100 else text[:100] + " ..."
