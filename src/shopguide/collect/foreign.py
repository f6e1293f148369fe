"""A mapping of somebody else's messages: where in their JSON stands what an event says (TOML).

    user = ["customer.id", "customer.anonymousId"]   # paths into the message: the first that says something
    item = "order.lines.sku"
    time = "occurredAt"
    id = "eventId"
    kind = "eventType"
    consent = "customer.consent.personalisation"     # optional: only messages with a clear yes are kept
    each = "order.lines"                             # optional: a list; where there is one, a row for each of it
    [kinds]
    pdp_view = "view"
    order_placed = "purchase"
    "*" = "ignore"                                   # all others are passed over

A message of a catalogue's topic has a kind of its own, and no value where its item is no more:

    item = "@key"                                    # @key, @time: of the message itself
    title = "name"
    price = "price.amount"
    [always]
    kind = "item"
    [tombstone]
    op = "delete"
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from shopguide.collect.chunk import ATTRIBUTES, Column
from shopguide.collect.formats import NOT_JSON
from shopguide.collect.mapping import read_toml
from shopguide.collect.values import CONTROLS, KINDS, is_blank
from shopguide.context import FIELDS
from shopguide.errors import SettingError

PathName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
KEY, TIME = "@key", "@time"
IGNORE, OTHERS = "ignore", "*"
NO_VALUE = "message without a value"
SEVERAL = 1000  # rows of a message at most
TOO_MANY = f"more than {SEVERAL:,} rows in a message"
OF_EVENTS = ("user", "session", "item", "time", "kind", "value", "id", "query", "consent", "op")
COLUMNS: tuple[str, ...] = (*OF_EVENTS, *FIELDS, *ATTRIBUTES, "account", "target")


class Told(NamedTuple):
    """A row of a message: canonical fields, or what keeps it from being read."""

    fields: dict[str, Any]
    problem: str | None = None


class Foreign(BaseModel):
    """See the module. A name of :data:`COLUMNS` has one path, or several."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    each: PathName | None = None
    kinds: dict[str, str] = {}
    always: dict[str, str | int | float] = {}
    tombstone: dict[str, str | int | float] = {}
    __pydantic_extra__: dict[str, Annotated[PathName | list[PathName], Field()]] = {}

    @model_validator(mode="after")
    def _says_what_is_known(self) -> Foreign:
        named = {**(self.__pydantic_extra__ or {}), **self.always, **self.tombstone}
        for name in named:
            if name not in COLUMNS:
                raise ValueError(f"{name}: no such name; there are {', '.join((*COLUMNS, 'each'))}")
        for theirs, ours in self.kinds.items():
            if ours != IGNORE and ours not in KINDS and ours not in CONTROLS:
                raise ValueError(f"kinds.{theirs} = {ours!r}: should be a kind (view, cart, …) or {IGNORE!r}")
        if not {"user", "session", "item"} & {*(self.__pydantic_extra__ or {}), *self.always}:
            raise ValueError("should say where user, session or item stand")
        return self

    @cached_property
    def _paths(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """Canonical columns, and the paths of each."""
        given = (self.__pydantic_extra__ or {}).items()
        return [
            ("event" if name == "id" else name, [_steps(path) for path in ([said] if isinstance(said, str) else said)])
            for name, said in given
        ]

    def rows(self, value: bytes | None, key: str | None, time: float) -> list[Told]:
        """The rows of a message with this key, and timestamp in epoch s: none, where its kind is ignored."""
        if not value:
            return self._tombstone(key, time)
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError:
            return [Told(self._unsaid(), NOT_JSON)]
        messages = found if isinstance(found, list) else [found]
        told = [row for one in messages[: SEVERAL + 1] for row in self._rows(one, key, time)]
        return told if len(told) <= SEVERAL else [Told(self._unsaid(), TOO_MANY)]

    def columns(self, rows: list[dict[str, Any]], own: Sequence[tuple[str | None, float]]) -> dict[str, Column]:
        """The columns of rows, which have canonical names."""
        names = {name: None for row in rows for name in row}
        return {name: [row.get(name) for row in rows] for name in names}

    def _rows(self, message: Any, key: str | None, time: float) -> Iterator[Told]:
        if not isinstance(message, dict):
            yield Told(self._unsaid(), NOT_JSON)
            return
        own = {KEY: key, TIME: time}
        each = _steps(self.each) if self.each else ()
        parts = _at({**own, **message}, each) if each else None
        if not isinstance(parts, list) or not parts:
            parts = [None]
        for at, part in enumerate(parts):
            fields = {name: self._said(paths, message, own, each, part) for name, paths in self._paths}
            if len(parts) > 1 and not is_blank(fields.get("event")):
                fields["event"] = f"{fields['event']}:{at}"  # an id is of one row
            if self._keeps(fields):
                yield Told(self._finished(fields, time))

    def _said(
        self,
        paths: list[tuple[str, ...]],
        message: dict[str, Any],
        own: dict[str, Any],
        each: tuple[str, ...],
        part: Any,
    ) -> Any:
        """What the first of the paths says that says something."""
        for path in paths:
            within = part is not None and path[: len(each)] == each
            found = own[path[0]] if path[0] in own else _at(part, path[len(each) :]) if within else _at(message, path)
            if not is_blank(found):
                return found
        return None

    def _keeps(self, fields: dict[str, Any]) -> bool:
        """Whether the row is of a kind that is not ignored; its kind becomes one of ours where the mapping says so."""
        kind = fields.get("kind")
        if isinstance(kind, str) and kind.strip().lower() in CONTROLS and not {kind, OTHERS} & self.kinds.keys():
            fields["kind"] = f"{kind}, which [kinds] does not name"  # a word of theirs forgets nobody
        elif self.kinds and isinstance(kind, str):
            fields["kind"] = self.kinds.get(kind, self.kinds.get(OTHERS, kind))
        elif self.kinds and kind is None:
            fields["kind"] = self.kinds.get(OTHERS)
        return fields.get("kind") != IGNORE

    def _finished(self, fields: dict[str, Any], time: float) -> dict[str, Any]:
        if is_blank(fields.get("time")):
            fields["time"] = time
        if isinstance(fields.get("stock"), bool):  # available or not
            fields["stock"] = int(fields["stock"])
        if "consent" in fields and is_blank(fields["consent"]):
            fields["consent"] = False
        return {**fields, **self.always}

    def _tombstone(self, key: str | None, time: float) -> list[Told]:
        """A message without a value: what [tombstone] says of its key."""
        if not self.tombstone:
            return [Told(self._unsaid(), NO_VALUE)]
        own = {KEY: key, TIME: time}
        fields = {name: own[path[0]] for name, paths in self._paths for path in paths if path[0] in own}
        return [Told({**self._finished(fields, time), **self.tombstone})]

    def _unsaid(self) -> dict[str, Any]:
        """Of what cannot be read: no consent, where there has to be some."""
        return {"consent": False} if "consent" in (self.__pydantic_extra__ or {}) else {}


def load_foreign(path: Path) -> Foreign:
    """The mapping in a file. Raises SettingError, in one line, naming the key and what is allowed."""
    try:
        return Foreign.model_validate(read_toml(path))
    except ValidationError as e:
        error = e.errors()[0]
        key = ".".join(
            str(step)
            for step in error["loc"]
            if step not in ("str", "int", "float", "constrained-str", "list[constrained-str]")
        )
        said = error["msg"].removeprefix("Value error, ")
        raise SettingError(f"the mapping {path}: {f'{key}: ' if key else ''}{said}") from None


def _steps(path: str) -> tuple[str, ...]:
    return (path,) if path in (KEY, TIME) else tuple(path.split("."))


def _at(found: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path: by names in objects, by numbers in lists; None where nothing does."""
    for step in path:
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found
