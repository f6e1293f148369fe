"""Sessions against an offline V-SKNN: dicts made anew from all events that remain, exact fractions, query by query."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray
from strategies import DEEP, MANY, SEED, assert_flat, endless

from shopguide._core import Sessions

TOP = 2**64 - 1
UNITS = [0, 1, 2, 3, 2**32, TOP - 1, TOP]
ITEMS = [0, 1, 2, 3, 4, 2**32, TOP - 1, TOP]
UNKNOWN = 77

Event = tuple[int, int, float]
EVENT = st.sampled_from([*product(UNITS, ITEMS, map(float, range(13)))])
PARTS = [0.0, 0.25, 0.5, 1.0]


def drawn(seed: int, most: int) -> list[Event]:
    random = Random(seed)
    return [
        (random.choice(UNITS), random.choice(ITEMS), float(random.randrange(13))) for _ in range(random.randrange(most))
    ]


class Offline:
    """What csrc/sg_nearest.h says, over whole histories."""

    def __init__(self, events: list[Event], history: int) -> None:
        kept: dict[int, list[int]] = defaultdict(list)
        self.last: dict[int, float] = {}
        for unit, item, time in events:
            if item not in kept[unit][-history:]:
                kept[unit].append(item)
            self.last[unit] = max(self.last.get(unit, time), time)
        self.holds = {unit: items[-history:] for unit, items in kept.items()}

    def holders(self, item: int) -> list[int]:
        """Newest first."""
        return sorted((u for u, items in self.holds.items() if item in items), key=lambda u: (-self.last[u], u))

    def nearest(
        self, items: list[int], weights: list[float], m: int, k: int, without: int | None
    ) -> list[tuple[int, Fraction, int]]:
        """(unit, similarity, place of the newest shared item), nearest first."""
        similarity: Counter[int] = Counter()
        step: dict[int, int] = {}
        for place, (item, weight) in enumerate(zip(items, weights, strict=True)):
            for unit in [u for u in self.holders(item) if u != without][:m]:
                if weight > 0:
                    step.setdefault(unit, place)
                    similarity[unit] += Fraction(weight)  # type: ignore[assignment]
        order = sorted(similarity, key=lambda u: (-similarity[u], -self.last[u], u))
        return [(u, Fraction(similarity[u]), step[u]) for u in order[:k]]

    def recommend(
        self,
        items: list[int],
        weights: list[float],
        decay: list[float],
        m: int,
        k: int,
        idf: float,
        without: int | None,
        near: list[float],
        half_life: float | None,
    ) -> dict[int, float]:
        scores: dict[int, Fraction] = defaultdict(Fraction)
        nearest = list(self.nearest(items, weights, m, k, without))
        newest = max((self.last[unit] for unit, _, _ in nearest), default=0)
        for unit, similarity, step in nearest:
            held = self.holds[unit]
            age = (newest - self.last[unit]) / half_life if half_life else 0
            for place, item in enumerate(held):
                distance = abs(place - held.index(items[step]))
                counts = (near[distance] if distance < len(near) else 0) if near else 1
                scores[item] += similarity * Fraction(decay[step]) * Fraction(counts) * Fraction(2.0**-age)
        units = len(self.holds)
        return {
            i: float(s) * (1 + idf * math.log(units / len(self.holders(i)))) if idf else float(s)
            for i, s in scores.items()
            if s > 0
        }


def columns(events: list[Event]) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float64]]:
    units, items, times = zip(*events, strict=True) if events else ((), (), ())
    return np.array(units, np.uint64), np.array(items, np.uint64), np.array(times, np.float64)


def compare(real: Sessions, offline: Offline, random: Random) -> None:
    """One query, drawn at random, asked of both."""
    items = random.sample([*ITEMS, UNKNOWN], random.randrange(5))
    weights, decay = ([random.choice(PARTS) for _ in items] for _ in range(2))
    m, k = random.choice([0, 1, 2, 3, 9]), random.choice([0, 1, 2, 4, 9])
    without = random.choice([None, None, *UNITS[:3], UNKNOWN])
    units, similarities = real.nearest(items, weights, m, k, without)
    nearest = offline.nearest(items, weights, m, k, without)
    assert units.tolist() == [u for u, _, _ in nearest]
    assert [Fraction(s) for s in similarities.tolist()] == [s for _, s, _ in nearest]
    idf, n = random.choice([0.0, 1.0, 5.0]), random.randrange(10)
    near = [random.choice(PARTS) for _ in range(random.randrange(4))]
    half_life = random.choice([None, 1.0])  # whole half-lives: exact
    found, scores = real.recommend(items, weights, decay, n, m, k, idf, without, near, half_life)
    expected = offline.recommend(items, weights, decay, m, k, idf, without, near, half_life)
    best = sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))[:n]
    assert list(zip(found.tolist(), scores.tolist(), strict=True)) == best


class SessionsMachine(RuleBasedStateMachine):
    """Any mix of calls against the events that remain."""

    @initialize(history=st.sampled_from([1, 2, 4, 50]))
    def begin(self, history: int) -> None:
        self.history = history
        self.real = Sessions(history=history)
        self.events: list[Event] = []

    @rule(event=EVENT)
    def observe(self, event: Event) -> None:
        self.real.observe(*event)
        self.events.append(event)

    @rule(seed=SEED)
    def observe_many(self, seed: int) -> None:
        events = drawn(seed, 20 if len(self.events) < MANY else 3)
        self.real.observe_many(*columns(events))
        self.events += events

    def take(self, event: Event) -> None:
        del self.events[len(self.events) - 1 - self.events[::-1].index(event)]

    @rule(seed=SEED)
    def retract(self, seed: int) -> None:
        """Some that are there, and perhaps some that never were."""
        random = Random(seed)
        events = random.sample(self.events, min(len(self.events), random.randrange(12))) + drawn(seed, 3)
        found = 0
        for event in events:
            if event in self.events:
                found += 1
                self.take(event)
        assert self.real.retract_many(*columns(events)) == found

    @rule(before=st.integers(0, 13).map(float))
    def expire(self, before: float) -> None:
        kept = [event for event in self.events if event[2] >= before]
        assert self.real.expire(before) == len(self.events) - len(kept)
        self.events = kept

    @rule()
    def compact(self) -> None:
        self.real.compact()
        assert self.real.stats()["units"] == len({unit for unit, _, _ in self.events})
        assert self.real.stats()["items"] == len({item for _, item, _ in self.events})

    @rule()
    def load_what_was_dumped(self) -> None:
        loaded = Sessions(history=self.history)
        loaded.load(self.real.dump())
        assert loaded.checksum() == self.real.checksum()
        self.real = loaded

    @rule(seed=SEED)
    def ask(self, seed: int) -> None:
        compare(self.real, Offline(self.events, self.history), Random(seed))

    @rule(event=EVENT, time=st.sampled_from([math.nan, math.inf, -math.inf]))
    def refuse_a_time_that_is_not_finite(self, event: Event, time: float) -> None:
        before = self.real.checksum()
        for call in (self.real.observe_many, self.real.retract_many):
            with pytest.raises(ValueError, match="finite"):
                call(*columns([event, (event[0], event[1], time)]))
        assert self.real.checksum() == before

    @invariant()
    def is_the_definition(self) -> None:
        self.real.check()
        offline = Offline(self.events, self.history)
        assert self.real.holding(ITEMS).tolist() == [len(offline.holders(i)) for i in ITEMS]
        assert self.real.stats()["events"] == len(self.events)


SessionsMachine.TestCase.settings = DEEP
TestSessions = SessionsMachine.TestCase


def test_a_weight_below_zero_is_refused() -> None:
    """Serenade's linear weight is negative from the twelfth item on; here that cannot be asked."""
    model = Sessions()
    model.observe_many([1] * 14, range(14), range(14))
    weights = 1 - 0.1 * np.arange(14)
    assert weights[11] < 0
    with pytest.raises(ValueError, match="out of range"):
        model.nearest(range(14), weights)
    assert model.nearest(range(14), np.maximum(weights, 0))[0].tolist() == [1]


def test_repeats_count_once() -> None:
    model = Sessions()
    model.observe_many([1, 1, 1, 2, 2], [5, 6, 5, 5, 7], range(5))
    assert model.nearest([5], [1.0])[1].tolist() == [1.0, 1.0]
    assert dict(zip(*(a.tolist() for a in model.recommend([5], [1.0], [1.0], idf=0)), strict=True)) == {
        5: 2,
        6: 1,
        7: 1,
    }


@pytest.mark.parametrize(
    ("items", "weights", "k"),
    [([1, 1], [1, 1], 5), ([1], [1.5], 5), ([1], [math.nan], 5), (list(range(65)), [1] * 65, 5), ([1], [1], 20_000)],
)
def test_a_query_out_of_range_is_refused(items: list[int], weights: list[float], k: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Sessions().nearest(items, weights, 10, k)
    with pytest.raises(ValueError, match="out of range"):
        Sessions().recommend(items, weights, weights, 20, 10, k)


@pytest.mark.parametrize(
    ("near", "half_life"), [([1.5], None), ([-0.1], None), ([math.nan], None), ([], math.inf), ([], -1.0)]
)
def test_a_distance_or_an_age_out_of_range_is_refused(near: list[float], half_life: float | None) -> None:
    with pytest.raises(ValueError):
        Sessions().recommend([1], [1.0], [1.0], near=near, half_life=half_life)


def test_what_is_near_the_shared_item_and_not_long_ago_counts_more() -> None:
    model = Sessions()
    model.observe_many([1] * 4, [5, 6, 7, 8], [0.0] * 4)
    model.observe_many([2] * 2, [9, 6], [10.0] * 2)
    found = model.recommend([6], [1.0], [1.0], idf=0, near=[0, 1, 0.5], half_life=10.0)
    assert dict(zip(*(a.tolist() for a in found), strict=True)) == {9: 1.0, 5: 0.5, 7: 0.5, 8: 0.25}


def test_unequal_lengths_are_refused() -> None:
    model = Sessions()
    with pytest.raises(ValueError, match="length"):
        model.observe_many([1, 2], [1], [1.0])
    with pytest.raises(ValueError, match="length"):
        model.recommend([1, 2], [1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="history"):
        Sessions(history=0)


def test_memory_stays_flat_on_an_endless_stream() -> None:
    """New sessions and new items all the time, events of the last 1,000 s kept."""
    model, sizes = Sessions(), []
    for units, items, times in endless():
        model.observe_many(units, items, times)
        model.expire(times[-1] - 1000)
        sizes.append(model.nbytes)
    model.check()
    assert_flat(sizes)


@pytest.mark.parametrize("cap", [0, -1, 2**32])
def test_a_unit_cap_out_of_range_is_refused(cap: int) -> None:
    with pytest.raises(ValueError, match="unit_cap"):
        Sessions(unit_cap=cap)


def capped_and_whole(times: NDArray[np.float64]) -> tuple[Sessions, Sessions]:
    """3,000 units over 200 zipf items; the cap of 40 is below what many of them have."""
    random, n = np.random.default_rng(3), len(times)
    units, items = random.integers(0, 3000, n), np.minimum(random.zipf(1.2, n), 200)
    models = Sessions(unit_cap=40), Sessions()
    for model in models:
        model.observe_many(units, items, times)
    return models


def answers(model: Sessions) -> list[object]:
    """Of queries that read at most 40 units an item."""
    random, found = np.random.default_rng(4), []
    for _ in range(300):
        items = random.permutation(200)[: random.integers(1, 10)] + 1
        weights, decay = random.random((2, len(items)))
        m, k = int(random.choice([1, 7, 40])), int(random.choice([1, 10, 500]))
        found.append([column.tolist() for column in model.nearest(items, weights, m, k)])
        found.append([column.tolist() for column in model.recommend(items, weights, decay, 50, m, k)])
    return found


@pytest.mark.parametrize("late", [False, True])
def test_a_unit_cap_of_m_and_more_changes_no_answer_until_something_is_taken_back(late: bool) -> None:
    times = np.arange(20_000.0)
    capped, whole = capped_and_whole(np.random.default_rng(5).permutation(times) if late else times)

    def compare() -> bool:
        """Whether all answers are the same."""
        for model in (capped, whole):
            model.check()
        assert capped.holding(range(201)).tolist() == whole.holding(range(201)).tolist()
        assert capped.checksum() == whole.checksum()
        assert capped.nbytes["postings"] < whole.nbytes["postings"]
        return answers(capped) == answers(whole)

    def compact() -> None:
        for model in (capped, whole):
            model.compact()

    assert compare()
    gone = np.random.default_rng(6).permutation(20_000)[:12_000]
    events = whole.events()
    for model in (capped, whole):
        assert model.retract_many(*(column[gone] for column in events)) == 12_000
    assert not compare()
    compact()
    assert compare()
    assert capped.expire(15_000) == whole.expire(15_000) > 0
    compare()
    compact()
    assert compare()
