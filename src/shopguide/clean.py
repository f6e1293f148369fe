"""clean: which rows make sense. A pure function of the rows and their arrival times; content never makes it raise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgpack
import numpy as np
import orjson
from numpy.typing import NDArray

from shopguide._core import judge
from shopguide.context import FIELDS, is_canonical, unpack_moved
from shopguide.errors import PackingError
from shopguide.picks import ACTIONS, SEGMENTS, UNDO
from shopguide.profile import are_attributes, are_interests
from shopguide.records import AHEAD, EARLIEST, I64, SIMILAR, TRENDING, Batch, Events, Kind

MOST = 100  # items in a list
NAME, ADDRESS = 10_000, 100_000  # most characters of what an item is called; of a URL, which may hold a picture

Bools = NDArray[np.bool_]
Check = Callable[[Any], bool]

_NO_OFFSETS = np.empty(0, np.int64)
_SHOPPERS = tuple(kind for kind in Kind if Kind.VIEW <= kind <= Kind.DISMISS)


@dataclass
class Rejects:
    """Rows that make no sense: where they stand in the log, why, and what they said."""

    partition: int
    offset: I64
    reason: list[str]
    raw: list[bytes]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 < value < 1


def _is_key(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**64


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_path(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(_is_key, value))


def _is_moved(value: Any) -> bool:
    """Whether this is a packed table of events that a shopper can have done."""
    try:
        events = unpack_moved(value)
    except (PackingError, ValueError, KeyError, TypeError, IndexError):
        return False
    return bool(np.isfinite(events.time).all() and np.isin(events.kind, _SHOPPERS).all())


def _one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _text_of(most: int) -> Check:
    return lambda value: isinstance(value, str) and len(value) <= most


_ATTRIBUTES: dict[str, Check] = {
    **dict.fromkeys(("title", "category", "brand"), _text_of(NAME)),
    **dict.fromkeys(("image", "url"), _text_of(ADDRESS)),
    **dict.fromkeys(("price", "stock", "until"), _is_number),
}
# What the data of a kind must have, and what it may have; fields that are not named here are let through.
REQUIRED: dict[int, dict[str, Check]] = {
    Kind.SEARCH: {"query": _is_text},
    Kind.PICK: {"action": _one_of(*ACTIONS, UNDO, "clear")},
    Kind.LOOKUP: {"by": _is_word, "why": _is_word},
    Kind.ACTIVATE: {"version": _is_word, "models": _are_texts},
    Kind.RETRACT: {"target": _is_key},
    Kind.ALIAS: {"account": _is_key},
    Kind.ADOPT: {"path": _is_path, "events": _is_moved},
    Kind.PROFILE: {"attributes": are_attributes, "interests": are_interests},
}
OPTIONAL: dict[int, dict[str, Check]] = {
    Kind.ITEM: {"op": _one_of("upsert", "mention", "delete", "stock"), **_ATTRIBUTES},
    Kind.WATCH: {"expires": _is_number, "slot": _is_text, "n": _is_count, "category": lambda v: v == 0 or _is_key(v)},
    Kind.PICK: {
        **dict.fromkeys(("slot", "category", "by", "why"), _is_text),
        **dict.fromkeys(("from", "until", "at"), _is_number),
        **dict.fromkeys(("id", "undoes"), _is_word),
        "position": _is_count,
        "segment": _one_of("", *SEGMENTS),
    },
    Kind.ACTIVATE: {"read": lambda value: value == 0 or _is_key(value), "share": _is_share},
    Kind.FORGET: {"by": _is_key},
    **{kind: {"list": _is_text} for kind in (Kind.IMPRESSION, Kind.CLICK, Kind.FAVOURITE, Kind.DISMISS)},
    Kind.ADOPT: {"queries": _are_texts},
    Kind.PROFILE: {"beneath": lambda value: isinstance(value, bool)},
}
_CONTEXT: dict[str, Check] = {name: partial(is_canonical, name) for name in FIELDS}
for _kind in (*_SHOPPERS, Kind.WATCH):
    OPTIONAL[_kind] = {**OPTIONAL.get(_kind, {}), **_CONTEXT}


def _kinds(*kinds: Kind) -> Bools:
    return np.isin(np.arange(256), kinds)


_KNOWN = _kinds(*Kind)
_NEED_ITEM = _kinds(*(kind for kind in _SHOPPERS if kind != Kind.SEARCH), Kind.ITEM, Kind.PICK)
_NEED_USER = _kinds(
    *_SHOPPERS, *(Kind.UNWATCH, Kind.FORGET, Kind.RETRACT, Kind.ALIAS, Kind.ADOPT, Kind.LOOKUP, Kind.PROFILE)
)
_JUDGED = _kinds(Kind.WATCH, *(Kind(kind) for kind in REQUIRED))
_ASKED = np.packbits([_KNOWN & ~_kinds(Kind.MALFORMED), _NEED_ITEM, _NEED_USER, _JUDGED], axis=0, bitorder="little")[0]


def clean(batch: Batch) -> tuple[Batch, Rejects]:
    """The rows that make sense, for the same range of offsets; and the others, each with a reason.

    Rows that make the judging itself fail are found by halving, and rejected with what it stumbled over.
    """
    try:
        return _judged(batch)
    except Exception as e:
        if not len(batch.events):
            raise
        if len(batch.events) == 1:
            return _poisonous(batch, e)
    middle = len(batch.events) // 2
    halves = [clean(_part(batch, *part)) for part in ((0, middle), (middle, len(batch.events)))]
    kept = Events.join([part.events for part, _ in halves])
    rejects = Rejects(
        batch.partition,
        np.concatenate([part.offset for _, part in halves]),
        [why for _, part in halves for why in part.reason],
        [raw for _, part in halves for raw in part.raw],
    )
    return Batch(batch.partition, batch.first, batch.last, kept, batch.names), rejects


def _part(batch: Batch, start: int, stop: int) -> Batch:
    return Batch(batch.partition, batch.first, batch.last, batch.events.slice(start, stop), batch.names)


def _poisonous(batch: Batch, why: Exception) -> tuple[Batch, Rejects]:
    """One row that cannot be judged. Its raw bytes are what it carries, as it came."""
    reason = f"cannot be judged: {type(why).__name__}"
    rejects = Rejects(batch.partition, batch.events.offset, [reason], [batch.events.data.bytes_at(0)])
    return _part(batch, 0, 0), rejects


def _judged(batch: Batch) -> tuple[Batch, Rejects]:
    events = batch.events
    fine, looked_into = judge(
        *(_ASKED, events.kind, events.item, events.user, events.time, events.value, events.arrived, events.data.starts),
        *(EARLIEST, AHEAD),
    )
    bad = {} if fine else {row: why for row, why in enumerate(_reasons(events)) if why}
    for row in looked_into:
        if row not in bad and (why := _judge(events, row)):
            bad[row] = why
    rows = sorted(bad)
    explained = [_explain(batch, row, bad[row]) for row in rows]
    ahead = events.time > events.arrived
    if np.count_nonzero(ahead):
        batch = _of_arrival(batch, ahead)
    if not bad:
        return batch, _no_rejects(batch)
    stay = np.ones(len(events), bool)
    stay[rows] = False
    rejects = Rejects(
        batch.partition, events.offset[rows], [why for why, _ in explained], [raw for _, raw in explained]
    )
    return Batch(batch.partition, batch.first, batch.last, batch.events.take(stay), batch.names), rejects


def _of_arrival(batch: Batch, ahead: Bools) -> Batch:
    """Rows ahead of their arrival, by a clock that is fast, are of then: else they would weigh more than all that has
    been, and under a retention let it go."""
    events = batch.events
    of_then = events.of({**events.columns(), "time": np.where(ahead, events.arrived, events.time)})
    return Batch(batch.partition, batch.first, batch.last, of_then, batch.names)


def _no_rejects(batch: Batch) -> Rejects:
    return Rejects(batch.partition, _NO_OFFSETS, [], [])


def _reasons(events: Events) -> NDArray[np.object_]:
    """What is wrong with each row's columns, the first of all there is; empty: nothing."""
    reason = np.full(len(events), "", object)

    def reject(rows: Bools, why: str) -> None:
        reason[rows & (reason == "")] = why

    reject(events.kind == Kind.MALFORMED, "malformed")
    reject(~_KNOWN[events.kind], "unknown kind")
    reject(~np.isfinite(events.time), "time is not finite")
    reject(events.time > events.arrived + AHEAD, "time is in the future")
    reject(events.time < EARLIEST, "time is too long ago")
    reject(_NEED_ITEM[events.kind] & (events.item == 0), "no item")
    reject(_NEED_USER[events.kind] & (events.user == 0), "no user")
    reject(~np.isfinite(events.value), "value is not a finite number")
    return reason


def _details(events: Events, row: int) -> Mapping[str, Any] | None:
    """The row's data; None where it is no msgpack map."""
    raw = events.data.bytes_at(row)
    try:
        details = msgpack.unpackb(raw) if raw else {}
    except ValueError:
        return None
    return details if isinstance(details, dict) else None


def _judge(events: Events, row: int) -> str:
    """What is wrong with a row's data; empty: nothing."""
    details, kind = _details(events, row), int(events.kind[row])
    if details is None:
        return "data is no map"
    for name, check in REQUIRED.get(kind, {}).items():
        if name not in details:
            return f"no {name}"
        if not check(details[name]):
            return f"{name} makes no sense"
    for name, check in OPTIONAL.get(kind, {}).items():
        if name in details and not check(details[name]):
            return f"{name} makes no sense"
    if kind == Kind.PICK:
        return _judge_pick(details)
    return _judge_watch(events, row, details) if kind == Kind.WATCH else ""


def _judge_pick(details: Mapping[str, Any]) -> str:
    action = details["action"]
    if action == UNDO and not {"id", "undoes"} <= details.keys():
        return "undo of what"
    return "a pin is of an item" if action == "pin" and details.get("category") else ""


def _judge_watch(events: Events, row: int, details: Mapping[str, Any]) -> str:
    slot = str(details.get("slot", "")).encode()
    if slot == SIMILAR and events.item[row] == 0:
        return "no item"
    return "no user" if slot not in (SIMILAR, TRENDING) and events.user[row] == 0 else ""


def _explain(batch: Batch, row: int, why: str) -> tuple[str, bytes]:
    """A rejected row's reason, and its raw bytes: as they came where collect kept them, else its fields as JSON."""
    events = batch.events
    details = _details(events, row)
    if events.kind[row] == Kind.MALFORMED:
        kept = details or {}
        raw = kept.get("raw", b"")
        return str(kept.get("reason") or why), raw if isinstance(raw, bytes) else str(raw).encode("utf-8", "replace")
    kind, item = int(events.kind[row]), int(events.item[row])
    at = np.flatnonzero(batch.names.key == events.item[row])
    fields: dict[str, Any] = {
        "kind": Kind(kind).name.lower() if _KNOWN[kind] else kind,
        "user": f"{int(events.user[row]):016x}",
        "session": f"{int(events.session[row]):016x}",
        "item": batch.names.text.bytes_at(int(at[0])).decode("utf-8", "replace") if len(at) else f"{item:016x}",
        **{name: _readable(float(getattr(events, name)[row])) for name in ("time", "value", "arrived")},
        "event": f"{int(events.event[row]):016x}",
        "data": events.data.bytes_at(row).hex() if details is None else details,
    }
    try:
        return why, orjson.dumps(fields, default=repr)
    except TypeError:  # data that JSON cannot say: too deep, or with keys that are no text
        return why, orjson.dumps({**fields, "data": events.data.bytes_at(row).hex()})


def _readable(number: float) -> float | str:
    return number if math.isfinite(number) else repr(number)
