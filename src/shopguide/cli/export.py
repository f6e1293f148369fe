"""Everything that a state directory holds about a person, in plain words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from shopguide.cli.at_rest import READ, AtRest
from shopguide.compaction import naming
from shopguide.context import unpack_moved
from shopguide.keys import Secret, query_key
from shopguide.log import Log
from shopguide.profile import NOTHING
from shopguide.records import Events, Kind
from shopguide.rejects import raw, read_row


def exported(path: Path, user: str) -> dict[str, Any]:
    """The log's rows of a user and all who are the same person, rejected ones, what was learned, and their list.

    A topic's rows are with the broker: then it is what the newest snapshot holds, and which topic keeps the rows.
    """
    found = AtRest(path)
    person = found.featurizer.person(Secret.load(path).user_key(user))
    partitions = range(found.settings.log.partitions)
    rows = [row for p in partitions for row in _rows(found, found.log, p, person)] if found.log else []
    at, names = {r["at"] for r in rows}, naming(person, [user])
    rejected = [row for p in partitions for row in _rejected(path, p, at, names)]
    learned = [event for key in person for event in _learned(found, key)]
    return {
        "user": user,
        "identities": len(person),
        "rows": [{name: value for name, value in row.items() if name != "at"} for row in rows],
        "rejected": rejected,
        "learned": learned,
        "profile": _profile(found, person),
        "trained_profile": _taste(found, person),
        **({"kept_by": f"topic {found.topic.topic}"} if found.topic else {}),
        "recommended": found.recommend(user, "home", 20)["items"],
    }


def _rows(found: AtRest, log: Log, partition: int, person: set[int]) -> list[dict[str, Any]]:
    users, rows, offset = np.fromiter(person, np.uint64), [], 0
    while (batch := log.read(partition, offset, READ)) is not None:
        mine = batch.events.take(np.isin(batch.events.user, users))
        rows += [_row(found, partition, mine, row) for row in range(len(mine))]
        offset = batch.last + 1
    return rows


def _row(found: AtRest, partition: int, events: Events, row: int) -> dict[str, Any]:
    details = events.details(row)
    if events.kind[row] == Kind.MALFORMED:
        details = {"reason": details.get("reason"), "raw": bytes(details.get("raw", b"")).decode("utf-8", "replace")}
    elif events.kind[row] == Kind.ADOPT:
        moved = unpack_moved(details["events"])
        queries = {query_key(text): text for text in details.get("queries", ())}
        theirs = zip(moved.kind, moved.item, moved.time, strict=True)
        details = {"events": [_event(found, event, queries) for event in theirs]}
    elif events.kind[row] in (Kind.ALIAS, Kind.RETRACT, Kind.FORGET):
        details = {}
    value = {"value": float(events.value[row])} if events.value[row] else {}
    said = _event(found, (events.kind[row], events.item[row], events.time[row]), {})
    return {"at": (partition, int(events.offset[row])), **said, **value, **details}


def _event(found: AtRest, said: tuple[Any, Any, Any], queries: dict[int, str]) -> dict[str, Any]:
    """``queries``: what searches are for, by the key that is their item."""
    kind, item, time = said
    if kind == Kind.SEARCH and item:
        return {"kind": "search", "query": queries.get(int(item), ""), "time": _when(float(time))}
    named = {"item": found.ranker.catalogue.name(int(item)) or f"{int(item):016x}"} if item else {}
    return {"kind": Kind(int(kind)).name.lower(), **named, "time": _when(float(time))}


def _when(time: float) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):  # of a rejected row: beyond all calendars
        return f"{time} s"


def _learned(found: AtRest, key: int) -> list[dict[str, Any]]:
    events, queries = found.featurizer.events_of(key), found.featurizer.queries_of(key)
    return [_event(found, e, queries) for e in zip(events["kind"], events["item"], events["time"], strict=True)]


def _profile(found: AtRest, person: set[int]) -> dict[str, Any]:
    """What was imported of a person."""
    profiles = [found.featurizer.profile_of(key) for key in sorted(person)]
    return next(filter(None, profiles), NOTHING).said()


def _taste(found: AtRest, person: set[int]) -> dict[str, Any]:
    """What the trained profiles in force say of a person; nothing where none do."""
    said = (found.scorer.profile.said(key, found.featurizer.past_of(key)) for key in sorted(person))
    return next((one for one in said if one.get("events")), {})


def _rejected(
    path: Path, partition: int, at: set[tuple[int, int]], names: Callable[[bytes], bool]
) -> list[dict[str, Any]]:
    """The rejected rows at some offsets, and those whose text names somebody."""
    file = path / "rejects" / f"p{partition:04d}.jsonl"
    rows = map(read_row, file.read_bytes().splitlines()) if file.exists() else ()
    theirs = (row for row in rows if row and ((partition, row["offset"]) in at or names(raw(row))))
    return [{k: row[k] for k in row if k != "offset"} for row in theirs]
