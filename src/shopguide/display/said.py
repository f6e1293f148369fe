"""What a request says as rows for the collector: a visitor's, the shop's own systems', a pixel's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shopguide.context import FIELDS
from shopguide.records import Kind

SHOPPER_KINDS = frozenset(k.name.lower() for k in Kind if Kind.VIEW <= k <= Kind.DISMISS)
VISITOR_FIELDS = ("kind", "item", "query", "value", "list", "id", "event", "session", "consent", *FIELDS)


def of_visitor(row: Any, user_key: int, now: float, max_age: float) -> dict[str, Any] | None:
    """A row as the token's user may send it; None where its kind is not a shopper's.

    A visitor says what they did, not what an item is called or costs. Who is ours to say, and when too, but for how
    long ago it was (``age_ms``), up to ``max_age`` seconds.
    """
    if not isinstance(row, dict):
        row = {}
    kind = row.get("kind", "view")
    if not isinstance(kind, str) or kind not in SHOPPER_KINDS:
        return None
    said = {field: row[field] for field in VISITOR_FIELDS if field in row}
    return {**said, "user_key": user_key, "time": now - _age(row.get("age_ms"), max_age)}


def of_shop(rows: list[Any]) -> list[dict[str, Any]]:
    """Rows as the shop's own systems send them: they name users, never keys."""
    said = [row if isinstance(row, dict) else {} for row in rows]
    keys = {name for name in set().union(*said) if name.strip().lower() == "user_key"}
    return [{k: v for k, v in row.items() if k not in keys} for row in said] if keys else said


def of_pixel(asked: Mapping[str, str], user_key: int, now: float) -> dict[str, Any] | None:
    """The same of the parameters of a pixel's address."""
    return of_visitor(dict(asked), user_key, now, 0)


def _age(given: Any, most: float) -> float:
    """Seconds; 0 for what is no length of time."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not given > 0:
        return 0.0
    return min(given, most * 1000) / 1000
