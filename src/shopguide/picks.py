"""Experts' picks: pin, boost, bury or block an item or a category, and undo that; and whom experts looked up.

A row with an id is an entry that stays, and what is in force is a function of the entries alone: an entry is, unless a
later one that is in force undoes it. So rows may come in any order and any number of times (each partition of the log
has them), and undoing what undid is no special case. Rows without an id are older: an item's newest one is its pick,
and "clear" takes it away.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

ACTIONS = ("pin", "boost", "bury", "block")
UNDO = "undo"
SEGMENTS = ("new", "returning", "buyers")  # on their first visit; on a later one; who have bought
KEPT = 10_000  # entries; beyond them the oldest that say nothing any more go
LOOKUPS = 1_000


@dataclass(frozen=True)
class Pick:
    """An expert's word on an item or on all of a category. Empty text, and 0, say nothing: all slots, everybody, the
    first place that is free, from the beginning, without an end. Times are epoch seconds."""

    id: str
    action: str
    item: int  # key of the item, or of the category
    category: str = ""
    slot: str = ""
    position: int = 0  # of a pin, from 1
    segment: str = ""
    begins: float = 0.0
    until: float = 0.0
    by: str = ""
    why: str = ""
    time: float = 0.0  # of the word; 0: of a snapshot that did not hold it
    undoes: str = ""  # the id of another entry

    @classmethod
    def said(cls, id_: str, item: int, details: dict[str, Any], time: float) -> Pick:
        """What the data of a PICK row says."""
        texts = {name: str(details.get(name, "")) for name in ("action", "category", "slot", "segment", "by", "why")}
        return cls(
            id_,
            item=item,
            position=int(details.get("position", 0)),
            begins=float(details.get("from", 0)),
            until=float(details.get("until", 0)),
            time=float(details.get("at", time)),
            undoes=str(details.get("undoes", "")),
            **texts,
        )

    def counts(self, slot: str, now: float, segments: Container[str]) -> bool:
        """Whether it is for a list in this slot, at this time, for a user of these segments."""
        meant = self.slot in ("", slot) and (not self.segment or self.segment in segments)
        return meant and self.begins <= now and (not self.until or self.until > now)


class InForce(NamedTuple):
    """The newest pick of each item, and of each category, that counts for a list; the oldest first."""

    items: dict[int, Pick]
    categories: dict[str, Pick]


class Picks:
    """Entries by id. ``kept``: how many of them."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._entries: dict[str, Pick] = {}
        self._plain: dict[int, str] = {}  # item -> the id that its row without one was given
        self._ordered: tuple[list[Pick], list[Pick]] | None = None  # all, and those in force; newest first

    def learn(self, item: int, offset: int, details: dict[str, Any], time: float) -> None:
        """Take in a PICK row of an item or category. Of an item's rows without an id, later ones come later."""
        self._ordered = None
        if "id" in details:
            pick = Pick.said(str(details["id"]), item, details, time)
            self._entries.setdefault(pick.id, pick)
            self._let_go()
            return
        self._entries.pop(self._plain.pop(item, ""), None)
        if details.get("action") != "clear":
            self._take_plain(Pick.said(f"{item:x}-{offset}", item, details, time))

    def in_force(self, slot: str, now: float, segments: Container[str] = ()) -> InForce:
        """The picks that count for a list in a slot at ``now`` (epoch s) for a user of some segments."""
        found = InForce({}, {})
        for pick in reversed(self._in_order()[1]):
            if pick.action != UNDO and pick.counts(slot, now, segments):
                if pick.category:
                    found.categories[pick.category] = pick
                else:
                    found.items.pop(pick.item, None)
                    found.items[pick.item] = pick
        return found

    def standing(self) -> list[Pick]:
        """The picks that nothing in force undoes, newest first, whatever their time."""
        return [pick for pick in self._in_order()[1] if pick.action != UNDO]

    def stands(self, id_: str) -> bool:
        """Whether an entry is there and in force."""
        return any(entry.id == id_ for entry in self._in_order()[1])

    def turns(self, after: float, until: float) -> bool:
        """Whether a pick begins or ends after one time and no later than another."""
        times = (time for pick in self.standing() for time in (pick.begins, pick.until))
        return any(after < time <= until for time in times)

    def get(self, id_: str) -> Pick | None:
        return self._entries.get(id_)

    def targets(self) -> set[int]:
        """The keys of items and categories that entries are about."""
        return {entry.item for entry in self._entries.values()}

    def __iter__(self) -> Iterator[Pick]:
        """All entries, newest first."""
        return iter(self._in_order()[0])

    def __len__(self) -> int:
        return len(self._entries)

    def dump(self) -> list[dict[str, Any]]:
        plain = set(self._plain.values())
        return [{**asdict(entry), "plain": entry.id in plain} for entry in self._entries.values()]

    def load(self, state: list[Any]) -> None:
        """Raises TypeError or ValueError for what :meth:`dump` did not give, now or when picks had no ids."""
        for entry in state:
            if isinstance(entry, dict):
                pick = Pick(**{name: value for name, value in entry.items() if name != "plain"})
                self._entries[pick.id] = pick
                if entry["plain"]:
                    self._plain[pick.item] = pick.id
            else:
                item, said = entry
                self._take_plain(Pick(f"{item:x}", item=item, **said))
        self._ordered = None

    def _take_plain(self, pick: Pick) -> None:
        self._entries[pick.id] = pick
        self._plain[pick.item] = pick.id

    def _in_order(self) -> tuple[list[Pick], list[Pick]]:
        if self._ordered is None:
            entries = sorted(self._entries.values(), key=lambda entry: (entry.time, entry.item, entry.id), reverse=True)
            undone: set[str] = set()
            standing = []
            for entry in entries:  # newest first: whatever could undo this one has been seen
                if entry.id not in undone:
                    standing.append(entry)
                    undone.add(entry.undoes)
            self._ordered = entries, standing
        return self._ordered

    def _let_go(self) -> None:
        """Of too many entries the oldest go that change nothing: what is undone, and what undoes nothing."""
        if len(self._entries) <= self._kept:
            return
        entries, standing = self._in_order()
        in_force = {entry.id for entry in standing if entry.action != UNDO or entry.undoes in self._entries}
        idle = [entry.id for entry in reversed(entries) if entry.id not in in_force]
        for id_ in idle[: len(entries) - self._kept]:
            del self._entries[id_]
        self._ordered = None


@dataclass(frozen=True)
class Lookup:
    """An expert looked at what is held of a user (key): who, why, when (epoch s)."""

    user: int
    by: str
    why: str
    time: float


class Lookups:
    """The newest of them. A user who is forgotten is in none."""

    def __init__(self, kept: int = LOOKUPS) -> None:
        self._kept = kept
        self._lookups: dict[tuple[float, int], Lookup] = {}

    def learn(self, user: int, details: dict[str, Any], time: float) -> None:
        """Take in a LOOKUP row; twice is once."""
        self._lookups[time, user] = Lookup(user, str(details.get("by", "")), str(details.get("why", "")), time)
        if len(self._lookups) > self._kept:
            del self._lookups[min(self._lookups)]

    def forget(self, user: int) -> None:
        """This user is forgotten."""
        self._lookups = {key: lookup for key, lookup in self._lookups.items() if lookup.user != user}

    def __iter__(self) -> Iterator[Lookup]:
        """Newest first."""
        return iter([self._lookups[key] for key in sorted(self._lookups, reverse=True)])

    def dump(self) -> list[dict[str, Any]]:
        return [asdict(lookup) for lookup in self._lookups.values()]

    def load(self, state: list[dict[str, Any]]) -> None:
        self._lookups = {(said["time"], said["user"]): Lookup(**said) for said in state}
