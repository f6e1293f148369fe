"""Picks against their plain definition: what is in force, in whatever order rows come and however often."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from shopguide.picks import ACTIONS, SEGMENTS, UNDO, Lookup, Lookups, Pick, Picks

NOW = 100.0
SLOTS = ("home", "cart")
ITEMS = (1, 2, 3)


class Desk(RuleBasedStateMachine):
    """Experts at work, and a list of what they did. Rows reach the picks late, shuffled, and twice."""

    entries = Bundle("entries")

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.done: list[tuple[int, dict[str, Any]]] = []
        self.waiting: list[tuple[int, dict[str, Any]]] = []
        self.picks = Picks()

    def do(self, item: int, details: dict[str, Any]) -> str:
        row = item, {**details, "id": f"e{len(self.done)}", "at": float(len(self.done)), "by": "Ada", "why": "so"}
        self.done.append(row)
        self.waiting += [row, row]
        return str(row[1]["id"])

    @rule(
        target=entries,
        item=st.sampled_from(ITEMS),
        action=st.sampled_from(ACTIONS),
        slot=st.sampled_from(("", *SLOTS)),
        category=st.sampled_from(("", "", "tea")),
        segment=st.sampled_from(("", *SEGMENTS)),
        begins=st.sampled_from((0, NOW, NOW + 1)),
        until=st.sampled_from((0, NOW, NOW + 1)),
    )
    def pick(self, item: int, action: str, slot: str, category: str, segment: str, begins: float, until: float) -> str:
        action = "bury" if category and action == "pin" else action
        said = {"action": action, "slot": slot, "category": category, "segment": segment}
        return self.do(item, {**said, "from": begins, "until": until})

    @rule(target=entries, undone=entries)
    def undo(self, undone: str) -> str:
        return self.do(1, {"action": UNDO, "undoes": undone})

    @rule(undone=consumes(entries))
    def undo_twice(self, undone: str) -> None:
        self.undo(undone)
        self.undo(undone)

    @rule(n=st.integers(1, 8))
    def learn(self, n: int) -> None:
        for _ in range(min(n, len(self.waiting))):
            item, details = self.waiting.pop(self.random.randrange(len(self.waiting)))
            self.picks.learn(item, -1, details, 0.0)

    @rule()
    def begin_again(self) -> None:
        fresh = Picks()
        fresh.load(json.loads(json.dumps(self.picks.dump())))
        self.picks = fresh

    def stands(self, id_: str) -> bool:
        """By definition."""
        return not any(self.stands(str(d["id"])) for _, d in self.done if d.get("undoes") == id_)

    def counts(self, details: dict[str, Any], slot: str, segments: set[str]) -> bool:
        meant = details["slot"] in ("", slot) and (not details["segment"] or details["segment"] in segments)
        on = details["from"] <= NOW and (details["until"] == 0 or details["until"] > NOW)
        return bool(details["action"] != UNDO and self.stands(details["id"]) and meant and on)

    @invariant()
    def is_as_defined_once_all_has_come(self) -> None:
        self.learn(len(self.waiting))
        assert {entry.id for entry in self.picks} == {details["id"] for _, details in self.done}
        assert all(self.picks.stands(d["id"]) == self.stands(d["id"]) for _, d in self.done)
        for slot in SLOTS:
            for segments in (set(), {"new"}, {"returning", "buyers"}):
                rows = [row for row in self.done if row[1]["action"] != UNDO and self.counts(row[1], slot, segments)]
                found = self.picks.in_force(slot, NOW, segments)
                items = {item: d["id"] for item, d in rows if not d["category"]}
                categories = {d["category"]: d["id"] for _, d in rows if d["category"]}
                assert {item: pick.id for item, pick in found.items.items()} == items
                assert {name: pick.id for name, pick in found.categories.items()} == categories
                times = [pick.time for pick in found.items.values()]
                assert times == sorted(times)


TestDesk = Desk.TestCase


def learned(picks: Picks, *rows: dict[str, Any]) -> Picks:
    for row in rows:
        picks.learn(row.get("item", 1), -1, row, 0.0)
    return picks


def test_a_row_says_all_of_a_pick() -> None:
    row = {"id": "a", "action": "pin", "slot": "home", "position": 2, "segment": "buyers", "from": 5, "until": 9}
    (pick,) = learned(Picks(), {**row, "at": 4.5, "by": "Ada", "why": "spring", "item": 7})
    assert pick == Pick("a", "pin", 7, "", "home", 2, "buyers", 5.0, 9.0, "Ada", "spring", 4.5)
    assert not pick.counts("home", 4.9, {"buyers"}) and pick.counts("home", 5.0, {"buyers"})
    assert not pick.counts("home", 9.0, {"buyers"}) and not pick.counts("home", 5.0, {"new"})


def test_what_ends_or_begins_by_the_clock() -> None:
    picks = learned(
        Picks(),
        {"id": "a", "action": "pin", "from": 10, "until": 20, "at": 1},
        {"id": "b", "action": "pin", "from": 30, "at": 2},
        {"id": "c", "action": UNDO, "undoes": "b", "at": 3},
    )
    turns = [time for time in range(1, 40) if picks.turns(time - 1, time)]
    assert turns == [10, 20]


def test_beyond_the_bound_what_is_undone_goes_and_nothing_that_is_in_force() -> None:
    picks = Picks(kept=4)
    learned(picks, {"id": "stays", "action": "block", "at": 0})
    for n in range(20):
        learned(picks, {"id": f"p{n}", "action": "pin", "at": 2 * n + 1})
        learned(picks, {"id": f"u{n}", "action": UNDO, "undoes": f"p{n}", "at": 2 * n + 2})
        assert [pick.id for pick in picks.standing()] == ["stays"] and len(picks) <= 4
    for n in range(6):
        learned(picks, {"id": f"q{n}", "action": "boost", "item": n, "at": 100 + n})
    assert {pick.id for pick in picks.standing()} == {"stays", *(f"q{n}" for n in range(6))}


@given(st.permutations([("a", 1.0), ("b", 2.0), ("c", 2.0)]))
def test_rows_without_an_id_replace_each_other_by_offset(rows: list[tuple[str, float]]) -> None:
    picks = Picks()
    for offset, (by, time) in enumerate(rows):
        picks.learn(5, offset, {"action": "pin", "by": by}, time)
    (pick,) = picks
    assert pick.by == rows[-1][0]
    learned(picks, {"id": "x", "action": UNDO, "undoes": pick.id, "at": 9})
    assert picks.standing() == []
    picks.learn(5, 3, {"action": "bury"}, 3.0)
    assert [one.action for one in picks.standing()] == ["bury"]


def test_of_lookups_the_newest_are_kept_once_each() -> None:
    lookups = Lookups(kept=3)
    for time in (4.0, 1.0, 3.0, 2.0, 4.0):
        lookups.learn(int(time), {"by": "Ada", "why": "a call"}, time)
    assert [one.time for one in lookups] == [4.0, 3.0, 2.0]
    again = Lookups()
    again.load(json.loads(json.dumps(lookups.dump())))
    again.forget(3)
    assert list(again) == [Lookup(4, "Ada", "a call", 4.0), Lookup(2, "Ada", "a call", 2.0)]
