"""A mapping file: which columns of somebody else's file say who a shopper is, and what they like (TOML).

    user = "customer_no"                       # the shop's own id of the user
    consent = "gdpr_ok"                        # optional: only rows with a clear yes are kept
    interests = ["likes", "favourite_brand"]   # words, lists of them, or several in one text, parted by
    separator = ","
    [profile]                                  # attribute = column
    age_band = "age_group"

Instead of a profile a row may be something that the user did elsewhere, as a like:

    user = "member"
    [social]
    item = "sku"
    time = "liked_at"
    kind = "favourite"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from shopguide.collect.chunk import Chunk, Column
from shopguide.collect.formats import shown
from shopguide.collect.values import is_blank, texts
from shopguide.errors import SettingError, SourceError
from shopguide.profile import ATTRIBUTES, INTERESTS, LONGEST, are_attributes

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Social(_Part):
    """Columns of what a user did, and what that was."""

    item: ColumnName
    time: ColumnName
    kind: Literal["favourite", "view", "cart", "purchase"] = "favourite"


class Mapping(_Part):
    """See the module."""

    user: ColumnName
    consent: ColumnName | None = None
    profile: dict[str, ColumnName] = Field({}, max_length=ATTRIBUTES)
    interests: list[ColumnName] = []
    separator: Annotated[str, StringConstraints(min_length=1)] = ","
    social: Social | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Mapping:
        if not are_attributes(dict.fromkeys(self.profile, "-")):
            raise ValueError(f"names of attributes should have 1 to {LONGEST} printable characters")
        if (self.social is None) == (not self.profile and not self.interests):
            raise ValueError("should have [profile] or interests, or else [social]")
        return self

    @property
    def columns(self) -> dict[str, str]:
        """All that are named, and the key that names each."""
        named = {self.user: "user"}
        if self.consent is not None:
            named[self.consent] = "consent"
        named |= {column: f"profile.{name}" for name, column in self.profile.items()}
        named |= dict.fromkeys(self.interests, "interests")
        if self.social is not None:
            named |= {self.social.item: "social.item", self.social.time: "social.time"}
        return named

    def demand(self, header: Sequence[str]) -> dict[str, str]:
        """The columns under their own names. Raises SourceError naming the first that a file does not have."""
        for column, key in self.columns.items():
            if column not in header:
                raise SourceError(f"no column for the mapping's {key} = {column!r}; it has {shown(header)}")
        return {name: name for name in self.columns}

    def chunk(self, theirs: Chunk) -> Chunk:
        """A file's rows as ours. One that cannot be read has no consent where there has to be some."""
        columns: dict[str, Column] = {"user": _of(theirs, self.user)}
        problems = dict(theirs.problems)
        if self.consent is not None:
            columns["consent"] = [False if is_blank(value) else value for value in _of(theirs, self.consent)]
        if self.social is not None:
            columns |= {"item": _of(theirs, self.social.item), "time": _of(theirs, self.social.time)}
            columns["kind"] = [self.social.kind] * theirs.rows
        else:
            columns["kind"] = ["profile"] * theirs.rows
            columns["profile"] = self._profiles(theirs, problems)
        return replace(theirs, columns=columns, problems=problems)

    def _profiles(self, theirs: Chunk, problems: dict[int, str]) -> list[dict[str, Any]]:
        """What each row says; problems of rows that have none yet are added."""
        said: list[dict[str, Any]] = [{"attributes": {}, "interests": []} for _ in range(theirs.rows)]
        for name, column in self.profile.items():
            for row, value in enumerate(_words(_of(theirs, column))):
                if value is None or len(value) > LONGEST:
                    problems.setdefault(row, f"{name} is {'no text' if value is None else 'too long'}")
                elif value:
                    said[row]["attributes"][name] = value
        for column in self.interests:
            for row, value in enumerate(_of(theirs, column)):
                interests = self._interests(value)
                if interests is None:
                    problems.setdefault(row, f"{column} is no text and no list of texts")
                else:
                    said[row]["interests"] += interests
        for row, one in enumerate(said):
            one["interests"] = list(dict.fromkeys(one["interests"]))[:INTERESTS]
            if not one["attributes"] and not one["interests"]:
                problems.setdefault(row, "nothing is said")
        return said

    def _interests(self, value: Any) -> list[str] | None:
        """The interests in a value, those too long left out; None: it is none."""
        parts = value if isinstance(value, list) else value.split(self.separator) if isinstance(value, str) else [value]
        words = list(_words(parts))
        return None if None in words else [word for word in words if word and len(word) <= LONGEST]


def load_mapping(path: Path) -> Mapping:
    """The mapping in a file. Raises SettingError, in one line, naming the key and what is allowed."""
    try:
        return Mapping.model_validate(read_toml(path))
    except ValidationError as e:
        raise SettingError(f"the mapping {path}: {_line(e.errors()[0])}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """What a mapping's file says. Raises SettingError, in one line."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as e:
        raise SettingError(f"cannot read the mapping {path}: {e.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as e:
        raise SettingError(f"the mapping {path} is no TOML: {e}") from None


def _line(error: Any) -> str:
    """A validation error as "key = value: what is allowed"."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{key} is missing"
    if error["type"] == "extra_forbidden":
        allowed = Social if error["loc"][0] == "social" else Mapping
        return f"{key} = {error['input']!r:.80}: no such key; allowed are {', '.join(allowed.model_fields)}"
    if not key:
        return str(error["msg"].removeprefix("Value error, "))
    return f"{key} = {error['input']!r:.80}: {error['msg'].removeprefix('Value error, ')}"


def _of(chunk: Chunk, name: str) -> Column:
    """A column; of a piece that is no row, nothing."""
    return chunk.columns.get(name, [None] * chunk.rows)


def _words(column: Column) -> Iterator[str | None]:
    """Values as text on one line; empty where there is none, None for what has no text."""
    for value in texts([("no", "yes")[value] if isinstance(value, bool) else value for value in column]):
        text = " ".join((value or "").split())
        yield text if text.isprintable() else None
