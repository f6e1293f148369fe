"""Reading single values: ids, numbers, times, kinds, consent. Never raises: what cannot be read has a marker.

A :class:`Cache` works each distinct text out once, so a column that is looked up in it costs no Python work for values
seen before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import numpy as np

from shopguide._core import is_text
from shopguide.collect.chunk import Column
from shopguide.records import F64, Kind

V = TypeVar("V")

NO_ID = "\ud800"  # stands for a value that is no id: a lone surrogate, which no UTF-8 text can hold
MAX_ID = 512  # characters
UNKNOWN = 255  # the kind of a name that we do not know
MILLISECONDS = 1e11  # epoch times above it are in milliseconds (in seconds: the year 5138)

KINDS: dict[str, Kind] = {
    **{kind.name.lower(): kind for kind in Kind if Kind.VIEW <= kind <= Kind.ITEM},
    **dict.fromkeys(
        ("views", "viewed", "pv", "page_view", "pageview", "product_view", "view_item", "detail", "detail_view"),
        Kind.VIEW,
    ),
    **dict.fromkeys(("searched", "search_query"), Kind.SEARCH),
    **dict.fromkeys(("add_to_cart", "addtocart", "add-to-cart", "carts", "basket", "add_to_basket"), Kind.CART),
    **dict.fromkeys(("fav", "favorite", "like", "liked", "wishlist", "add_to_wishlist"), Kind.FAVOURITE),
    **dict.fromkeys(("buy", "bought", "order", "orders", "ordered", "purchased", "transaction"), Kind.PURCHASE),
    **dict.fromkeys(("remove_from_cart", "removed", "return", "returned", "refund", "cancel"), Kind.REMOVE),
    **dict.fromkeys(("unfavourite", "unfavorite", "unlike", "unfollow", "remove_from_wishlist"), Kind.REMOVE),
    **dict.fromkeys(("impressions", "shown", "exposure"), Kind.IMPRESSION),
    **dict.fromkeys(("clicked",), Kind.CLICK),
    **dict.fromkeys(("dismissed", "not_this", "dislike"), Kind.DISMISS),
}
# What only sources that an operator named may say: files and topics, not whoever can reach the collector.
CONTROLS = {
    "alias": Kind.ALIAS,
    "identify": Kind.ALIAS,
    "forget": Kind.FORGET,
    "retract": Kind.RETRACT,
    "profile": Kind.PROFILE,
}
_YES = frozenset(("", "true", "t", "yes", "y", "1", "on", "granted", "given"))


class Cache(dict[Any, V], Generic[V]):
    """``work`` of a text, once for each distinct one; begins afresh at ``limit`` entries."""

    def __init__(self, work: Callable[[str | None], V], limit: int = 1 << 16) -> None:
        super().__init__()
        self._work = work
        self._limit = limit

    def __missing__(self, text: str | None) -> V:
        if len(self) >= self._limit:
            self.clear()
        value = self[text] = self._work(text)
        return value


def texts(column: Column) -> list[str | None]:
    """A column of ids or words as text or None; numbers as they are written, NO_ID for anything else."""
    if isinstance(column, list) and is_text(column):
        return column
    return [value if value is None or type(value) is str else _text_of(value) for value in column]


def _text_of(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2**64:
        return NO_ID
    return str(int(value)) if value == int(value) else repr(float(value))


def id_text(text: str | None) -> str:
    """The id in a text, without the blanks around it; empty where there is none, or none that can be used."""
    stripped = (text or "").strip()
    return stripped if len(stripped) <= MAX_ID and (stripped.isascii() or _is_utf8(stripped)) else ""


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_blank(value: Any) -> bool:
    """Whether a row says nothing here."""
    return value is None or (isinstance(value, str) and not value.strip())


def floats(column: Column, cache: Cache[float]) -> F64:
    """A column of numbers; ``cache`` reads the texts among them. NaN or infinite where there is no number."""
    if isinstance(column, np.ndarray):
        return column
    types = set(map(type, column))
    if types <= {int, float}:
        try:
            return np.fromiter(column, np.float64, len(column))
        except OverflowError:
            pass
    if types <= {str, type(None)}:
        return np.fromiter(map(cache.__getitem__, column), np.float64, len(column))
    return np.array([_float_of(value, cache) for value in column], np.float64)


def _float_of(value: Any, cache: Cache[float]) -> float:
    if value is None or isinstance(value, str):
        return cache[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def amount(text: str | None) -> float:
    """A number in a text; 0 where there is none, NaN where it cannot be read."""
    if is_blank(text):
        return 0.0
    try:
        return float(text)  # type: ignore[arg-type]
    except ValueError:
        return math.nan


def times(column: Column, cache: Cache[float]) -> F64:
    """A column of times as epoch seconds; ``cache`` reads the texts that are no plain number."""
    if not isinstance(column, np.ndarray) and set(map(type, column)) == {str}:
        try:
            return _seconds(np.fromiter(map(float, column), np.float64, len(column)))
        except ValueError:
            return floats(column, cache)
    if isinstance(column, np.ndarray) or set(map(type, column)) <= {int, float}:
        return _seconds(floats(column, cache))
    given = np.fromiter((isinstance(value, (int, float)) for value in column), bool, len(column))
    numbers = floats(column, cache)
    return np.where(given, _seconds(numbers), numbers)


def _seconds(time: F64) -> F64:
    milliseconds = np.abs(time) > MILLISECONDS
    return np.where(milliseconds, time / 1000, time) if np.count_nonzero(milliseconds) else time


def epoch(text: str | None) -> float:
    """Epoch seconds of a time in ISO 8601 (UTC where it names no zone) or a number of s or ms; NaN: no such thing."""
    if is_blank(text):
        return math.nan
    assert text is not None
    try:
        return float(_seconds(np.float64(text)))  # type: ignore[arg-type]
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return math.nan


def kind_of(text: str | None) -> int:
    """The kind that a word means, VIEW where none is given, UNKNOWN for a word that we do not know."""
    word = (text or "").strip().lower().replace(" ", "_")
    return int(KINDS.get(word, UNKNOWN)) if word else int(Kind.VIEW)


def kind_or_control_of(text: str | None) -> int:
    """The same for a source that may also control us."""
    return int(CONTROLS.get((text or "").strip().lower(), kind_of(text)))


def consents(value: Any) -> bool:
    """Whether a row may be kept: nothing said, or a clear yes. Anything else is no."""
    if isinstance(value, str):
        return value.strip().lower() in _YES
    return value is None or (isinstance(value, (int, float)) and value == 1)
