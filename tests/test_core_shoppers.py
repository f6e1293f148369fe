"""Recent, Users, Audience: every read after every step against plain dicts and lists, with keys that collide."""

from __future__ import annotations

import math
import struct
from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import product
from operator import itemgetter
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from strategies import DEEP, MANY, SEED, assert_flat, endless

from shopguide._core import Audience, Blend, Recent, Table, Users

KEYS = range(7)
KEY = st.integers(0, 6)
USERS = range(5)
USER = st.integers(0, 4)

HALF_LIFE = 10.0
GAP = 5.0


class RecentMachine(RuleBasedStateMachine):
    """Times are whole half-lives within 20 of one another, so that all sums are exact: the oracle has fractions."""

    def __init__(self) -> None:
        super().__init__()
        self.real = Recent(HALF_LIFE)
        self.seen: dict[int, Counter[tuple[int, int]]] = {}
        self.category: dict[int, int] = {}
        self.base = 0

    def alive(self) -> list[int]:
        return sorted(item for item, seen in self.seen.items() if seen)

    @initialize(base=st.sampled_from([-700, 0, 19676]))
    def begin(self, base: int) -> None:
        self.base = base

    @rule(seed=SEED)
    def observe(self, seed: int) -> None:
        random = Random(seed)
        rows = [(random.choice(KEYS), random.randrange(21), random.randrange(6)) for _ in range(random.randrange(5))]
        items, ages, weights = zip(*rows, strict=True) if rows else ((), (), ())
        self.real.observe(items, (self.base + np.array(ages)) * HALF_LIFE, weights)
        for item, age, weight in rows:
            self.seen.setdefault(item, Counter())[age, weight] += 1

    @precondition(lambda self: self.alive())
    @rule(seed=SEED)
    def retract_one_there(self, seed: int) -> None:
        random = Random(seed)
        item = random.choice(self.alive())
        age, weight = random.choice(sorted(self.seen[item]))
        assert self.real.retract([item], [(self.base + age) * HALF_LIFE], [weight]) == 1
        self.seen[item] -= Counter([(age, weight)])

    @rule(seed=SEED)
    def retract_all(self, seed: int) -> None:
        rows = [(item, *row) for item, seen in self.seen.items() for row in seen.elements()]
        Random(seed).shuffle(rows)
        items, ages, weights = zip(*rows, strict=True) if rows else ((), (), ())
        assert self.real.retract(items, (self.base + np.array(ages)) * HALF_LIFE, weights) == len(rows)
        self.seen.clear()

    @rule(item=KEY, age=st.integers(0, 20))
    def retract_of_an_unseen_item(self, item: int, age: int) -> None:
        if not self.seen.get(item):
            assert self.real.retract([item], [(self.base + age) * HALF_LIFE], [1]) == 0

    @rule(seed=SEED)
    def categorise(self, seed: int) -> None:
        random = Random(seed)
        rows = [(random.choice(KEYS), random.randrange(3)) for _ in range(random.randrange(4))]
        self.real.categorise([item for item, _ in rows], [category for _, category in rows])
        self.category |= dict(rows)

    @precondition(lambda self: not self.alive())
    @rule(base=st.sampled_from([-5000, 0, 600, 10**6]))
    def go_to_another_age(self, base: int) -> None:
        self.base = base

    @rule()
    def reload(self) -> None:
        state, self.real = self.real.dump(), Recent(HALF_LIFE)
        self.real.load(state)

    @invariant()
    def reads_are_those_of_the_oracle(self) -> None:
        self.real.check()
        now = (self.base + 20) * HALF_LIFE
        exact = {
            item: Fraction(sum(n * weight << age for (age, weight), n in seen.items()), 1 << 20)
            for item, seen in self.seen.items()
        }
        assert len(self.real) == len(self.alive())
        assert self.real.weight(KEYS, now).tolist() == [exact.get(item, 0) for item in KEYS]
        assert self.real.category(KEYS).tolist() == [self.category.get(item, 0) for item in KEYS]
        for category in range(3):
            members = [i for i in self.alive() if category in (0, self.category.get(i, 0))]
            ranked = sorted(members, key=lambda i: (-exact[i], i))
            for n in (0, 1, 3, 9):
                items, weights = self.real.top(n, category, now)
                assert items.tolist() == ranked[:n]
                assert weights.tolist() == [exact[item] for item in ranked[:n]]


class UsersMachine(RuleBasedStateMachine):
    """The oracle keeps a list a user, and derives all sessions from scratch."""

    def __init__(self) -> None:
        super().__init__()
        self.real = Users(GAP)
        self.kept: dict[int, list[dict[str, Any]]] = {}

    def with_sessions(self, user: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for event in self.kept.get(user, []):
            last = rows[-1] if rows else None
            if event["given"]:
                session = event["given"]
            elif last and last["derived"] and abs(event["time"] - last["time"]) <= GAP:
                session = last["session"]
            else:
                session = session_key(user, event["time"])
            rows.append({**event, "session": session, "derived": int(not event["given"])})
        return rows

    @rule(seed=SEED)
    def observe(self, seed: int) -> None:
        random, few = Random(seed), 6 if sum(map(len, self.kept.values())) < MANY // 2 else 2
        rows = [
            {
                "user": random.choice(USERS),
                "item": random.randrange(3),
                "time": float(random.randrange(31)),
                "given": random.choice([0, 0, 0, 1, 2]),
                "kind": random.choice([0, 1, 2, 31, 32, 255]),
                "offset": random.randrange(-3, 4),
                "event": random.randrange(3),
                "context": random.choice([0, 1, 2**32 - 1]),
            }
            for _ in range(random.randrange(few))
        ]
        names = ("user", "item", "time", "given", "kind", "offset", "event", "context")
        resolved = self.real.observe(*([row[name] for row in rows] for name in names))
        expected = []
        for row in rows:
            self.kept.setdefault(row["user"], []).append(row)
            expected.append(self.with_sessions(row["user"])[-1]["session"])
        assert resolved.tolist() == expected

    @precondition(lambda self: self.kept)
    @rule(seed=SEED)
    def remove(self, seed: int) -> None:
        random = Random(seed)
        user = random.choice(sorted(self.kept))
        index = random.randrange(len(self.kept[user]))
        self.real.remove(user, index)
        del self.kept[user][index]
        if not self.kept[user]:
            del self.kept[user]

    @rule(user=USER, beyond=st.integers(0, 2))
    def remove_what_is_not_there(self, user: int, beyond: int) -> None:
        for index in (len(self.kept.get(user, [])) + beyond, -1):
            with pytest.raises(ValueError, match="no event"):
                self.real.remove(user, index)

    @rule(
        users=st.lists(st.integers(0, 5), max_size=6),
        before=st.integers(-3, 4),
        since=st.sampled_from([-math.inf, -math.inf, 5.0, 20.0]),
        by_session=st.booleans(),
    )
    def expire(self, users: list[int], before: int, since: float, by_session: bool) -> None:
        expected = []
        for user in dict.fromkeys(users):
            was = self.with_sessions(user)
            stays = [event["offset"] >= before and event["time"] >= since for event in was]
            self.kept[user] = [e for e, stay in zip(self.kept.get(user, []), stays, strict=True) if stay]
            left = iter(self.with_sessions(user))
            now = [next(left)["session"] if stay else 0 for stay in stays]
            again = {s for e, n in zip(was, now, strict=True) if n not in (0, e["session"]) for s in (e["session"], n)}
            again = {unit if by_session else 0 for unit in again if by_session}
            for gone, stay in product(was, zip(was, now, strict=True)):
                twin = all(gone[name] == stay[0][name] for name in ("item", "time", *["session"] * by_session))
                if gone in [e for e, n in zip(was, now, strict=True) if not n] and stay[1] and twin:
                    again.add(gone["session"] if by_session else 0)
            for e, n in zip(was, now, strict=True):
                units = {e["session"], n} if by_session else {0}
                if not n or units & again:
                    expected.append((user, e["item"], e["time"], e["session"], n, e["kind"], e["context"]))
            if not self.kept[user]:
                del self.kept[user]
        assert moved(self.real.expire(users, before, since, by_session)) == expected

    @rule(user=USER)
    def drop(self, user: int) -> None:
        assert self.real.drop(user) == len(self.kept.pop(user, []))

    @rule()
    def reload(self) -> None:
        state, self.real = self.real.dump(), Users(GAP)
        self.real.load(state)

    @invariant()
    def reads_are_those_of_the_oracle(self) -> None:
        self.real.check()
        assert sorted(self.real.users().tolist()) == sorted(self.kept)
        assert len(self.real) == len(self.kept)
        assert self.real.total == sum(map(len, self.kept.values()))
        for user in USERS:
            rows = self.with_sessions(user)
            expected = unpacked(rows)
            assert unpacked(self.real.events(user)) == expected
            assert (user in self.real) == (user in self.kept)
            kinds = [(i, e["kind"]) for i, e in enumerate(rows) if e["item"] == 1]
            for mask in (0, 0b10, 0b101, 1 << 31):
                fitting = [i for i, kind in kinds if mask >> kind & 1]
                assert self.real.newest(user, 1, mask) == max(fitting, default=-1)
            for event in range(3):
                named = [i for i, e in enumerate(rows) if event and e["event"] == event]
                assert self.real.find(user, event) == max(named, default=-1)


@cache
def session_key(user: int, time: float) -> int:
    """splitmix64's finaliser over the user and the time's bits, their halves swapped."""
    low, high = struct.unpack("<II", struct.pack("<d", time))
    key = user ^ (low << 32 | high)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = (key ^ key >> shift) * factor % 2**64
    return (key ^ key >> 31) or 1


NAMES = ("item", "time", "session", "kind", "offset", "event", "derived", "context")
ROW = itemgetter(*NAMES)


def unpacked(events: Any) -> list[tuple[Any, ...]]:
    if isinstance(events, dict):
        return list(zip(*(column.tolist() for column in ROW(events)), strict=True))
    return [ROW(row) for row in events]


def moved(moves: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = ("user", "item", "time", "session", "now", "kind", "context")
    assert sorted(moves) == sorted(names)
    return list(zip(*(moves[name].tolist() for name in names), strict=True))


class AudienceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.real = Audience()
        self.touches: Counter[tuple[int, int]] = Counter()

    def users_of(self, item: int) -> set[int]:
        return {user for i, user in self.touches if i == item}

    def drawn(self, seed: int) -> list[tuple[int, int]]:
        random = Random(seed)
        return [(random.choice(KEYS), random.choice(KEYS)) for _ in range(random.randrange(13))]

    @rule(seed=SEED)
    def add(self, seed: int) -> None:
        pairs = self.drawn(seed)
        self.real.add([item for item, _ in pairs], [user for _, user in pairs])
        self.touches.update(pairs)

    @rule(seed=SEED)
    def sub(self, seed: int) -> None:
        pairs = self.drawn(seed)
        found = self.real.sub([item for item, _ in pairs], [user for _, user in pairs])
        left = self.touches - Counter(pairs)
        assert found == self.touches.total() - left.total()
        self.touches = left

    @rule()
    def reload(self) -> None:
        state, self.real = self.real.dump(), Audience()
        self.real.load(*state)

    @invariant()
    def reads_are_those_of_the_oracle(self) -> None:
        self.real.check()
        rows = zip(*(column.tolist() for column in self.real.dump()), strict=True)
        assert {(item, user): count for item, user, count in rows} == self.touches
        assert len(self.real) == len(self.touches)
        users = [self.users_of(item) for item in KEYS]
        assert self.real.count(KEYS).tolist() == [len(of) for of in users]
        for item in KEYS:
            both = [len(users[item] & others) for others in users]
            assert self.real.shared(item, KEYS).tolist() == both
            assert self.real.shared(item, KEYS, limit=2).tolist() == [min(n, 2) for n in both]


RecentMachine.TestCase.settings = UsersMachine.TestCase.settings = AudienceMachine.TestCase.settings = DEEP
TestRecent, TestUsers, TestAudience = RecentMachine.TestCase, UsersMachine.TestCase, AudienceMachine.TestCase


# ---- Recent ------------------------------------------------------------------------------------------------------


def shuffled(rng: np.random.Generator, n: int, distinct: int) -> np.ndarray[Any, Any]:
    return rng.choice(rng.integers(0, 2**64, distinct, dtype=np.uint64), n)


TIMES = st.floats(-1e4, 1e4).map(lambda time: 1.7e9 + time)


@given(st.lists(st.tuples(st.integers(0, 3), TIMES, st.floats(0, 10), st.booleans()), min_size=1))
def test_what_stays_weighs_as_if_the_rest_had_never_been(rows: list[tuple[int, float, float, bool]]) -> None:
    recent = Recent(100.0)
    recent.observe(*zip(*((item, time, weight) for item, time, weight, _ in rows), strict=True))
    for item, time, weight, stays in rows:
        if not stays:
            assert recent.retract([item], [time], [weight]) == 1
    recent.check()
    now = max(time for _, time, _, _ in rows)
    for item in range(4):
        amounts = [(weight * 2 ** ((time - now) / 100), stays) for i, time, weight, stays in rows if i == item]
        kept = [amount for amount, stays in amounts if stays]
        held = sum(amount for amount, _ in amounts)
        least = 1e-300  # less than a number can hold may come out as nothing
        assert recent.weight([item], now)[0] == pytest.approx(sum(kept), rel=1e-9, abs=1e-9 * held + least)
        assert kept or recent.weight([item], now)[0] == 0.0


@given(
    st.dictionaries(st.integers(1, 40), st.integers(1, 5)),
    st.sets(st.integers(1, 40)),
    st.lists(st.integers(1, 60), max_size=8, unique=True),
    st.integers(0, 12),
)
def test_what_is_put_into_a_blend_is_the_heaviest_and_what_it_has_but_for_some(
    counts: dict[int, int], but: set[int], had: list[int], n: int
) -> None:
    recent, blend, table = Recent(100.0), Blend(2), Table()
    recent.observe(list(counts), [0.0] * len(counts), list(counts.values()))
    table.index(sorted(but))
    blend.put(0, had, np.ones(len(had)))
    recent.put(blend, 1, n, 0.0, table)
    left = sorted((item for item in counts if item not in but), key=lambda item: (-counts[item], item))
    first = left[:n] + [item for item in had if item in left[n:]]
    _, items, _, amounts = (column[len(had) :] for column in blend.rows())
    most = max((counts[item] for item in first), default=1)
    assert items.tolist() == first and amounts == pytest.approx([counts[item] / most for item in first])
    blend.check()


@given(st.lists(st.tuples(KEY, st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e100)), max_size=30))
def test_no_time_makes_a_weight_that_is_not_finite(rows: list[tuple[int, float, float]]) -> None:
    recent = Recent(1.0)
    for now, (item, time, weight) in enumerate(rows):
        recent.observe([item], [time], [weight])
        recent.check()
        for at in (time, -1e308, 1e308, float(now)):
            items, weights = recent.top(9, 0, at)
            assert len(items) == len({i for i, _, _ in rows[: now + 1]})
            assert np.isfinite(weights).all()
            assert (np.diff(weights) <= 0).all()


def test_a_landmark_shift_multiplies_by_powers_of_two_only() -> None:
    recent, still = Recent(1.0), Recent(1.0)
    for model in (recent, still):
        model.observe([1, 1, 2], [0.3, 0.7, 0.1], [1, 3, 1])
    recent.observe([3], [900.0], [1])
    assert recent.dump()["landmark"].tolist() == [900]
    assert recent.weight([1, 2], 0.5).tolist() == still.weight([1, 2], 0.5).tolist()
    for model in (recent, still):
        model.retract([1], [0.7], [3])
    assert recent.weight([1], 0.5).tolist() == still.weight([1], 0.5).tolist()
    assert recent.top(3, 0, 900.0)[0].tolist() == [3, 1, 2]
    recent.check()


def test_what_has_underflowed_is_listed_by_key_until_it_is_taken_back() -> None:
    recent = Recent(1.0)
    recent.observe([5, 2, 9], [1.0, 0.0, 5000.0], [1, 1, 1])
    items, weights = recent.top(3, 0, 5000.0)
    assert (items.tolist(), weights.tolist()) == ([9, 2, 5], [1.0, 0.0, 0.0])
    assert recent.retract([5, 9], [1.0, 5000.0], [1, 1]) == 2
    assert recent.top(3, 0, 0.0)[0].tolist() == [2]


def test_the_top_of_many_items_is_that_of_a_full_sort() -> None:
    rng = np.random.default_rng(3)
    items, times = shuffled(rng, 200_000, 50_000), rng.integers(0, 20, 200_000) * 60.0
    recent = Recent(60.0)
    recent.categorise(items, items % 5)
    recent.observe(items, times, np.ones(len(items)))
    recent.retract(items[::3], times[::3], np.ones(len(items[::3])))
    recent.check()
    kept = np.ones(len(items), bool)
    kept[::3] = False
    keys, place = np.unique(items[kept], return_inverse=True)
    weights = np.bincount(place, 2.0 ** (times[kept] / 60))
    assert len(recent) == len(keys)
    for category in range(5):
        fits = keys % 5 == category if category else np.ones(len(keys), bool)
        order = np.lexsort((keys[fits], -weights[fits]))
        for n in (30, len(keys)):
            top, w = recent.top(n, category, 0.0)
            assert np.array_equal(top, keys[fits][order[:n]])
            assert np.array_equal(w, weights[fits][order[:n]])
    assert recent.nbytes < 200 * 50_000


@pytest.mark.parametrize("half_life", [0.0, -1.0, float("nan"), float("inf")])
def test_a_half_life_is_finite_and_above_zero(half_life: float) -> None:
    with pytest.raises(ValueError, match="half_life"):
        Recent(half_life)


@pytest.mark.parametrize(
    ("items", "times", "weights"),
    [
        ([1, 2], [0.0], [1.0]),
        ([1, 2], [0.0, float("nan")], [1.0, 1.0]),
        ([1, 2], [0.0, float("-inf")], [1.0, 1.0]),
        ([1, 2], [0.0, 0.0], [1.0, -1.0]),
        ([1, 2], [0.0, 0.0], [1.0, float("nan")]),
        ([1, 2], [0.0, 0.0], [1.0, 1e101]),
    ],
)
def test_recent_refuses_all_of_a_bad_call(items: Any, times: Any, weights: Any) -> None:
    recent = Recent(1.0)
    recent.observe([1, 2], [0.0, 0.0], [1.0, 1.0])
    for change in (recent.observe, recent.retract):
        with pytest.raises(ValueError):
            change(items, times, weights)
    assert recent.weight([1, 2], 0.0).tolist() == [1.0, 1.0]


def test_recent_refuses_reads_without_meaning() -> None:
    recent = Recent(1.0)
    for read in (
        lambda: recent.top(-1, 0, 0.0),
        lambda: recent.top(1, 0, float("nan")),
        lambda: recent.weight([1], float("inf")),
        lambda: recent.categorise([1, 2], [1]),
    ):
        with pytest.raises(ValueError):
            read()


# ---- Users -------------------------------------------------------------------------------------------------------


def one_user(users: Users, times: list[float], given: list[int] | None = None) -> np.ndarray[Any, Any]:
    n = len(times)
    return users.observe([7] * n, range(n), times, given or [0] * n, [1] * n, range(n), range(1, n + 1))


def test_a_session_ends_after_the_gap_and_not_at_it() -> None:
    a, b, c, d = one_user(Users(30.0), [100.0, 130.0, 160.1, 131.0]).tolist()
    assert a == b == session_key(7, 100.0)
    assert c == d == session_key(7, 160.1)


def test_a_derived_session_does_not_go_on_after_a_given_one() -> None:
    sessions = one_user(Users(30.0), [100.0, 101.0, 102.0], [0, 55, 0]).tolist()
    assert sessions == [session_key(7, 100.0), 55, session_key(7, 102.0)]


def test_taking_an_event_out_can_split_its_session_and_rename_it() -> None:
    users = Users(30.0)
    one_user(users, [100.0, 125.0, 150.0])
    users.remove(7, 1)
    assert users.events(7)["session"].tolist() == [session_key(7, 100.0), session_key(7, 150.0)]
    users.remove(7, 0)
    assert users.events(7)["session"].tolist() == [session_key(7, 150.0)]
    users.check()


def test_minus_zero_is_zero_and_the_largest_keys_are_keys() -> None:
    users, top = Users(0.0), 2**64 - 1
    keys = users.observe([0, 0, top], [top] * 3, [0.0, -0.0, 1.0], [0, 0, top], [255] * 3, [-1] * 3, [top] * 3)
    assert keys.tolist() == [session_key(0, 0.0), session_key(0, 0.0), top]
    assert users.find(top, top) == 0
    assert users.newest(0, top, 2**32 - 1) == -1


def test_long_and_many_rows_come_back_whole() -> None:
    rng = np.random.default_rng(5)
    n = 100_000
    who = np.where(rng.random(n) < 0.3, np.uint64(1), shuffled(rng, n, 20_000))
    columns = [who, shuffled(rng, n, 999), np.cumsum(rng.exponential(1, n)), np.where(rng.random(n) < 0.9, 0, 5)]
    columns += [rng.integers(0, 12, n), np.arange(n), rng.integers(0, 2**64, n, dtype=np.uint64)]
    users, one_by_one = Users(20.0), Users(20.0)
    resolved = users.observe(*columns)
    users.check()
    for begin in range(0, n, 999):
        part = one_by_one.observe(*(column[begin : begin + 999] for column in columns))
        assert np.array_equal(part, resolved[begin : begin + 999])
    longest = users.events(1)
    assert np.array_equal(longest["session"], resolved[who == 1])
    assert np.array_equal(longest["offset"], np.flatnonzero(who == 1))
    again = Users(20.0)
    again.load(users.dump())
    again.check()
    assert all(np.array_equal(again.dump()[name], column) for name, column in users.dump().items())
    assert n * 48 <= users.nbytes <= 2 * n * 48 + 100 * len(users)
    assert sum(users.drop(int(user)) for user in users.users()) == n
    assert (len(users), users.total) == (0, 0)


def test_what_goes_and_what_moves_are_told_user_by_user() -> None:
    users, one = Users(30.0), session_key(7, 100.0)
    one_user(users, [100.0, 125.0, 150.0, 300.0])
    users.observe([8, 8], [1, 2], [5.0, 6.0], [9, 0], [3, 4], [0, 7], [0, 0])
    moves = users.expire([8, 9, 7, 8], 1)
    assert {name: column.dtype.str for name, column in moves.items()} == {
        "user": "<u8",
        "item": "<u8",
        "time": "<f8",
        "session": "<u8",
        "now": "<u8",
        "kind": "|u1",
        "context": "<u4",
    }
    left = session_key(7, 125.0)
    assert moved(moves) == [
        (8, 1, 5.0, 9, 0, 3, 0),
        (7, 0, 100.0, one, 0, 1, 0),
        (7, 1, 125.0, one, left, 1, 0),
        (7, 2, 150.0, one, left, 1, 0),
    ]
    assert moved(users.expire([7, 8], 1)) == moved(users.expire([], 9)) == []
    assert len(moved(users.expire(users.users(), 2**63 - 1))) == 4
    assert (len(users), users.total) == (0, 0)
    with pytest.raises(OverflowError):
        users.expire([7], 2**63)


def test_users_stay_flat_on_an_endless_stream() -> None:
    """Of ten batches all events are kept; one user is in every batch."""
    users, sizes, batches = Users(30.0), [], []
    for batch, (units, items, times) in enumerate(endless()):
        units[::10] = 2**63
        batches.append(np.unique(units))
        n = len(units)
        users.observe(units, items, times, [0] * n, [1] * n, [batch] * n, [0] * n)
        if batch >= 10:
            moves = users.expire(batches[batch - 10], batch - 9)
            assert (moves["now"] == 0).sum() == n
        users.check()
        sizes.append({"bytes": users.nbytes, "pool_rest": 0})
    assert users.total == 50_000
    assert_flat(sizes)


@pytest.mark.parametrize("gap", [-1.0, float("nan"), float("inf")])
def test_a_gap_is_finite_and_not_negative(gap: float) -> None:
    with pytest.raises(ValueError, match="session_gap"):
        Users(gap)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_not_finite_applies_nothing(time: float) -> None:
    users = Users(30.0)
    with pytest.raises(ValueError):
        one_user(users, [1.0, time])
    with pytest.raises(ValueError, match="length"):
        users.observe([1], [1, 2], [1.0], [0], [0], [0], [0])
    with pytest.raises(ValueError, match="length"):
        users.observe([1], [1], [1.0], [0], [0], [0], [0], [1, 2])
    assert (len(users), users.total) == (0, 0)


# ---- Audience ----------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6)), max_size=40),
    st.lists(st.tuples(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)))), max_size=4),
    st.integers(0, 3),
)
def test_those_behind_the_strongest_causes_are_counted(
    touches: list[tuple[int, int]], sums: list[tuple[int, list[tuple[int, int]]]], most: int
) -> None:
    audience = Audience()
    audience.add([item for item, _ in touches], [user for _, user in touches])
    users = {item: {user for i, user in touches if i == item} for item in range(6)}
    expected = []
    for item, parts in sums:
        others = [cause for cause, _ in sorted(parts, key=itemgetter(1), reverse=True) if cause not in (0, item)]
        causes = list(dict.fromkeys(others))[:most]
        expected += [len(users[item] & users[cause]) if cause in causes else 0 for cause, _ in parts]
    parts = [part for _, of in sums for part in of]
    starts = np.cumsum([0, *(len(of) for _, of in sums)])
    items, causes = [item for item, _ in sums], [cause for cause, _ in parts]
    found = audience.behind(items, starts, causes, [float(amount) for _, amount in parts], most)
    assert found.tolist() == expected
    with pytest.raises(ValueError):
        audience.behind(items, [*starts.tolist(), 0], causes, [], most)


def test_large_audiences_are_those_of_sets() -> None:
    rng = np.random.default_rng(7)
    n = 60_000
    items, users = rng.zipf(1.3, n) % 50, shuffled(rng, n, 9_000)
    audience = Audience()
    audience.add(items, users)
    audience.check()
    seen = {item: set(users[items == item].tolist()) for item in range(50)}
    assert audience.count(range(50)).tolist() == [len(seen[item]) for item in range(50)]
    for item in (0, 1, 2, 49):
        both = [len(seen[item] & seen[other]) for other in range(50)]
        assert audience.shared(item, range(50)).tolist() == both
        assert audience.shared(item, range(50), 100).tolist() == [min(100, count) for count in both]
    behind, starts = rng.integers(1, 50, 200), np.arange(0, 2001, 10)  # rows of all sizes, more causes than are marked
    causes = np.concatenate([rng.permutation(np.arange(1, 50))[:10] for _ in behind])
    found = audience.behind(behind, starts, causes, np.tile(np.arange(10.0), 200), 10).reshape(200, 10)
    for item, of, both in zip(behind.tolist(), causes.reshape(200, 10).tolist(), found.tolist(), strict=True):
        counted = [other for other in of[::-1] if other != item][:8]
        assert both == [len(seen[item] & seen[other]) if other in counted else 0 for other in of]
    audience.check()
    assert audience.nbytes < 32 * len(audience) + 64 * 9_000 + 10_000
    assert audience.sub(items, users) == n
    audience.check()
    assert (len(audience), audience.sub(items, users)) == (0, 0)


def test_audience_and_recent_stay_flat_on_an_endless_stream() -> None:
    audience, recent, sizes, batches = Audience(), Recent(600.0), [], []
    for users, items, times in endless():
        weights = np.ones(len(items))
        audience.add(items, users)
        recent.observe(items, times, weights)
        batches.append((users, items, times))
        if len(batches) > 10:
            past = batches.pop(0)
            assert audience.sub(past[1], past[0]) == recent.retract(past[1], past[2], weights) == len(items)
        audience.check()
        recent.check()
        sizes.append({"audience": audience.nbytes, "recent": recent.nbytes, "pool_rest": 0})
    assert_flat(sizes)


def test_audience_refuses_unequal_lengths() -> None:
    audience = Audience()
    for change in (audience.add, audience.sub):
        with pytest.raises(ValueError, match="length"):
            change([1, 2], [1])


# ---- snapshots ---------------------------------------------------------------------------------------------------


def a_recent() -> Recent:
    recent = Recent(10.0)
    recent.observe([1, 2, 1], [0.0, 5.0, 9.0], [1, 1, 2])
    recent.categorise([1, 3], [4, 4])
    return recent


def a_users() -> Users:
    users = Users(30.0)
    one_user(users, [100.0, 110.0, 200.0], [0, 0, 9])
    users.observe([8], [1], [1.0], [0], [1], [9], [0])
    return users


BREAKS: list[tuple[Any, dict[str, Any]]] = [
    (a_recent, {"items": np.array([1, 1, 3], np.uint64)}),
    (a_recent, {"items": np.array([1, 2], np.uint64)}),
    (a_recent, {"weights": np.array([1.0, -1.0, 0.0])}),
    (a_recent, {"weights": np.array([1.0, np.inf, 0.0])}),
    (a_recent, {"weights": np.array([1.0, np.nan, 0.0])}),
    (a_recent, {"weights": np.array([1.0, 1.0, 1.0])}),
    (a_recent, {"counts": np.array([2, 0, 0], np.uint32)}),
    (a_recent, {"categories": np.array([4, 0, 0], np.uint64)}),
    (a_recent, {"counts": np.array([2, 1, 0], np.int64)}),
    (a_recent, {"categories": np.zeros((3, 1), np.uint64)}),
    (a_recent, {"landmark": np.zeros(2, np.int64)}),
    (a_recent, {"landmark": np.array([2**62])}),
    (a_recent, {"half_life": np.array([11.0])}),
    (a_users, {"users": np.array([7, 7], np.uint64)}),
    (a_users, {"users": np.array([7], np.uint64)}),
    (a_users, {"starts": np.array([0, 3, 5], np.uint64)}),
    (a_users, {"starts": np.array([1, 3, 4], np.uint64)}),
    (a_users, {"starts": np.array([0, 4, 4], np.uint64)}),
    (a_users, {"starts": np.array([0, 2**64 - 1, 4], np.uint64)}),
    (a_users, {"starts": np.array([], np.uint64)}),
    (a_users, {"users": np.array([], np.uint64), "starts": np.array([], np.uint64)}),
    (a_users, {"session": np.array([1, 2, 3, 4], np.uint64)}),
    (a_users, {"derived": np.array([0, 0, 0, 0], np.uint8), "session": np.zeros(4, np.uint64)}),
    (a_users, {"derived": np.array([1, 1, 2, 1], np.uint8)}),
    (a_users, {"time": np.array([1.0, np.nan, 2.0, 3.0])}),
    (a_users, {"kind": np.zeros(3, np.uint8)}),
    (a_users, {"session_gap": np.array([31.0])}),
]


@pytest.mark.parametrize(("make", "broken"), BREAKS)
def test_a_broken_snapshot_is_refused_and_changes_nothing(make: Any, broken: dict[str, Any]) -> None:
    model = make()
    state = model.dump()
    with pytest.raises(ValueError):
        model.load(state | broken)
    for name in state:
        with pytest.raises(ValueError, match="no '"):
            model.load({other: column for other, column in state.items() if other != name})
    assert all(np.array_equal(model.dump()[name], column) for name, column in state.items())
    model.load(state)
    model.check()


@pytest.mark.parametrize(
    "state",
    [([1, 1], [2, 2], [1, 1]), ([1, 1], [2, 3], [1, 0]), ([1], [2, 3], [1, 1])],
    ids=["twice", "zero", "length"],
)
def test_a_broken_audience_is_refused_and_changes_nothing(state: Any) -> None:
    audience = Audience()
    audience.add([1, 1, 2], [5, 5, 6])
    with pytest.raises(ValueError):
        audience.load(*state)
    assert [column.tolist() for column in audience.dump()] == [[1, 2], [5, 6], [2, 1]]


def test_what_is_gone_is_in_no_snapshot() -> None:
    recent, users, audience = a_recent(), a_users(), Audience()
    recent.retract([2], [5.0], [1])
    users.drop(7)
    audience.add([1, 2], [5, 6])
    audience.sub([2], [6])
    assert recent.dump()["items"].tolist() == [1, 3]
    assert users.dump()["users"].tolist() == [8]
    assert audience.dump()[1].tolist() == [5]
