"""Next against its plain definition, learned anew from the events that remain, bit for bit. Keys are few, so that
repeats, ties and equal events happen."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.typing import NDArray
from strategies import DEEP, MANY, SEED, assert_flat, endless

from shopguide._core import Next

TOP = 2**64 - 1
UNITS = [0, 1, 2**32, TOP]
ITEMS = [0, 1, 2, 3, 2**32, 2**63, TOP]
UNKNOWN = 77
UNIT = 2520  # of weights, as integers

Event = tuple[int, int, float]
Weights = list[tuple[int, float]]
EVENT = st.sampled_from([*product(UNITS, ITEMS, map(float, range(31)))])


def drawn(seed: int, most: int) -> list[Event]:
    random = Random(seed)
    return [
        (random.choice(UNITS), random.choice(ITEMS), float(random.randrange(31))) for _ in range(random.randrange(most))
    ]


class Oracle:
    """The definition, word by word, over all events in order."""

    def __init__(self, events: list[Event], history: int, steps: int) -> None:
        kept: dict[int, list[int]] = defaultdict(list)
        self.weight: dict[int, Counter[int]] = defaultdict(Counter)
        for unit, item, _ in events:
            before = kept[unit]
            if item in before[-history:]:
                continue
            for d in range(1, min(steps, len(before)) + 1):
                self.weight[before[-d]][item] += UNIT // d
            before.append(item)

    def ranked(self, item: int) -> list[tuple[int, int]]:
        return sorted(self.weight[item].items(), key=lambda p: (-p[1], p[0]))

    def following(self, item: int, k: int = 50) -> Weights:
        return [(y, w / UNIT) for y, w in self.ranked(item)[:k]]

    def two_hops(self, seeds: Weights, first: int, second: int, limit: int) -> Weights:
        scores: dict[int, float] = defaultdict(float)
        for x, w in seeds:
            for y, to_y in self.ranked(x)[:first]:
                if not self.weight[y]:
                    continue
                step = w * (to_y / self.weight[x].total()) / self.weight[y].total()
                for z, to_z in self.ranked(y)[:second]:
                    scores[z] += step * to_z
        best = sorted(((z, s) for z, s in scores.items() if s > 0), key=lambda p: (-p[1], p[0]))
        return best[:limit]


def columns(events: list[Event]) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float64]]:
    units, items, times = zip(*events, strict=True) if events else ((), (), ())
    return np.array(units, np.uint64), np.array(items, np.uint64), np.array(times, np.float64)


def fed(events: list[Event], history: int = 50, steps: int = 10, k: int = 50) -> Next:
    model = Next(steps=steps, history=history, k=k)
    model.observe_many(*columns(events))
    return model


def pairs(found: tuple[NDArray[np.uint64], NDArray[np.float64]]) -> Weights:
    return list(zip(found[0].tolist(), found[1].tolist(), strict=True))


def seeds_of(seeds: Weights) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    return np.array([x for x, _ in seeds], np.uint64), np.array([w for _, w in seeds], np.float64)


class NextMachine(RuleBasedStateMachine):
    """Any mix of calls against the events that remain."""

    @initialize(history=st.sampled_from([3, 4, 5]), steps=st.sampled_from([1, 2, 3]), k=st.sampled_from([1, 50]))
    def begin(self, history: int, steps: int, k: int) -> None:
        self.history, self.steps = history, steps
        self.real = Next(steps=steps, history=history, k=k)
        self.events: list[Event] = []

    @rule(event=EVENT)
    def observe(self, event: Event) -> None:
        self.real.observe(*event)
        self.events.append(event)

    @rule(seed=SEED)
    def observe_many(self, seed: int) -> None:
        events = drawn(seed, 41 if len(self.events) < MANY else 3)
        self.real.observe_many(*columns(events))
        self.events += events

    def take(self, event: Event) -> None:
        newest = len(self.events) - 1 - self.events[::-1].index(event)
        del self.events[newest]

    @precondition(lambda self: self.events)
    @rule(seed=SEED)
    def retract(self, seed: int) -> None:
        event = Random(seed).choice(self.events)
        assert self.real.retract_many(*columns([event])) == 1
        self.take(event)

    @precondition(lambda self: self.events)
    @rule(seed=SEED)
    def retract_some_and_others_that_never_were(self, seed: int) -> None:
        random = Random(seed)
        events = random.sample(self.events, min(len(self.events), random.randrange(21))) + drawn(seed, 4)
        found = 0
        for event in events:
            if event in self.events:
                found += 1
                self.take(event)
        assert self.real.retract_many(*columns(events)) == found

    @rule(event=EVENT)
    def retract_what_never_was(self, event: Event) -> None:
        before = self.real.checksum()
        assert self.real.retract_many(*columns([(event[0], event[1], -1.0), (UNKNOWN, event[1], event[2])])) == 0
        assert self.real.checksum() == before

    @rule(before=st.integers(0, 31).map(float))
    def expire(self, before: float) -> None:
        old = [event for event in self.events if event[2] < before]
        assert self.real.expire(before) == len(old)
        self.events = [event for event in self.events if event[2] >= before]
        assert self.real.expire(before) == 0

    @rule()
    def compact(self) -> None:
        self.real.compact()

    @rule()
    def dump_and_load(self) -> None:
        loaded = Next(steps=self.steps, history=self.history)
        loaded.load(self.real.dump())
        assert loaded.checksum() == self.real.checksum()
        self.real = loaded

    @rule(event=EVENT, time=st.sampled_from([math.nan, math.inf, -math.inf]))
    def refuse_a_time_that_is_not_finite(self, event: Event, time: float) -> None:
        columns_ = columns([event, (event[0], event[1], time)])
        with pytest.raises(ValueError, match="finite"):
            self.real.observe_many(*columns_)
        with pytest.raises(ValueError, match="finite"):
            self.real.retract_many(*columns_)

    @rule(seed=SEED)
    def two_hops(self, seed: int) -> None:
        random = Random(seed)
        sources = random.choices([*ITEMS, UNKNOWN], k=random.randrange(7))
        seeds = [(source, random.choice([0.0, 0.5, 1.0, 3.0])) for source in sources]
        hops = random.randrange(9), random.randrange(9), random.randrange(9)
        oracle = Oracle(self.events, self.history, self.steps)
        assert pairs(self.real.two_hops(*seeds_of(seeds), *hops)) == oracle.two_hops(seeds, *hops)

    @rule(item=st.sampled_from(ITEMS), k=st.integers(-1, 8))
    def following(self, item: int, k: int) -> None:
        assert pairs(self.real.following(item, k)) == Oracle(self.events, self.history, self.steps).following(
            item, max(k, 0)
        )

    @invariant()
    def is_the_definition(self) -> None:
        self.real.check()
        oracle = Oracle(self.events, self.history, self.steps)
        for item in ITEMS:
            assert pairs(self.real.following(item)) == oracle.following(item)
        seeds = [(item, 1.0 + x) for x, item in enumerate(ITEMS)]
        assert pairs(self.real.two_hops(*seeds_of(seeds))) == oracle.two_hops(seeds, 12, 50, 50)
        stats = self.real.stats()
        assert stats["units"] == len({unit for unit, _, _ in self.events})
        assert stats["items"] == len({item for _, item, _ in self.events})
        assert stats["events"] == len(self.events)

    @invariant()
    def is_the_model_of_what_remains(self) -> None:
        assert self.real.checksum() == fed(self.events, self.history, self.steps).checksum()
        by_unit: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for unit, item, time in self.events:
            by_unit[unit].append((item, time))
        held: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for unit, item, time in zip(*(column.tolist() for column in self.real.events()), strict=True):
            held[unit].append((item, time))
        assert held == by_unit


NextMachine.TestCase.settings = DEEP
TestNext = NextMachine.TestCase


def stream(seed: int, n: int = 4000, units: int = 300, items: int = 300) -> list[Event]:
    random = np.random.default_rng(seed)
    popular = np.minimum(random.zipf(1.3, n), items)
    return list(
        zip(random.integers(0, units, n).tolist(), popular.tolist(), random.uniform(0, 1e6, n).tolist(), strict=True)
    )


def assert_is_the_definition(model: Next, events: list[Event]) -> None:
    model.check()
    oracle = Oracle(events, 50, 10)
    items = sorted({item for _, item, _ in events})
    for item in items:
        assert pairs(model.following(item)) == oracle.following(item)
    random = np.random.default_rng(len(events))
    for _ in range(20):
        seeds = list(zip(random.choice(items, 5).tolist(), random.uniform(0, 2, 5).tolist(), strict=True))
        assert pairs(model.two_hops(*seeds_of(seeds))) == oracle.two_hops(seeds, 12, 50, 50)


def test_long_rows_keep_their_lists_exact_while_events_come_and_go() -> None:
    """Lists are made by the first reads, then changed in place by all that follows."""
    events = stream(1)
    model = fed(events)
    random = np.random.default_rng(2)
    assert_is_the_definition(model, events)
    for seed in range(3, 7):
        gone = [events[x] for x in random.permutation(len(events))[:700]]
        assert model.retract_many(*columns(gone)) == 700
        remaining = Counter(events) - Counter(gone)
        events = [e for e in events if remaining[e] > 0]
        assert_is_the_definition(model, events)
        more = stream(seed, 600)
        model.observe_many(*columns(more))
        events += more
        assert_is_the_definition(model, events)
    cut = float(np.median([time for _, _, time in events]))
    assert model.expire(cut) == sum(time < cut for _, _, time in events)
    events = [e for e in events if e[2] >= cut]
    assert_is_the_definition(model, events)
    assert model.checksum() == fed(events).checksum()
    stats = model.stats()
    assert [way for way in ("short_reads", "list_reads", "rebuilds", "admitted") if not stats[way]] == []
    assert stats["rebuilds"] < stats["list_reads"] / 5


def test_the_checksum_does_not_depend_on_batches_interleaving_or_what_was_taken_back() -> None:
    events = stream(3, 600, 20, 40)
    expected = fed(events).checksum()
    one_by_one = Next()
    for event in events:
        one_by_one.observe(*event)
    by_unit = fed(sorted(events, key=lambda e: e[0]))
    visitors = [(unit + 1000, item + 7, time) for unit, item, time in events[:200]]
    visited = fed(visitors + events)
    visited.retract_many(*columns(visitors))
    assert {m.checksum() for m in (one_by_one, by_unit, visited)} == {expected}
    assert fed(events[::-1]).checksum() != expected
    assert fed(events[:-1]).checksum() != expected
    assert fed([(u + 1, i, t) for u, i, t in events]).checksum() != expected
    assert fed(events, steps=9).checksum() != expected


def test_direction_and_distance() -> None:
    model = fed([(1, 10, 0.0), (1, 20, 1.0), (1, 30, 2.0)], steps=2)
    assert pairs(model.following(10)) == [(20, 1.0), (30, 0.5)]
    assert pairs(model.following(20)) == [(30, 1.0)]
    assert pairs(model.following(30)) == []
    assert pairs(model.two_hops([10], [3.0])) == [(30, 3.0 * (2 / 3))]
    assert model.retract_many([1], [20], [1.0]) == 1
    assert pairs(model.following(10)) == [(30, 1.0)]


def test_unknown_and_empty() -> None:
    model = Next()
    keys, weights = model.following(5)
    assert (keys.dtype, len(keys), weights.dtype, len(weights)) == (np.uint64, 0, np.float64, 0)
    assert pairs(model.two_hops([], [])) == pairs(model.two_hops([1, 2], [1.0, 0.0])) == []
    assert model.retract_many([], [], []) == 0
    assert model.expire(math.inf) == 0
    assert [len(a) for a in model.events()] == [0, 0, 0]
    assert model.checksum() == "0" * 32
    model.load(model.dump())
    model.compact()
    model.check()
    assert set(model.nbytes) == {"tables", "events", "pairs", "lists", "pool_rest"}


def test_what_does_not_fit_changes_nothing() -> None:
    model = fed([(1, 2, 3.0), (1, 3, 3.0)])
    before = model.checksum()
    with pytest.raises(ValueError, match="length"):
        model.observe_many([1, 2], [1, 2], [0.0])
    with pytest.raises(ValueError, match="length"):
        model.retract_many([1], [2, 3], [3.0])
    with pytest.raises(ValueError, match="length"):
        model.two_hops([1, 2], [1.0])
    for weight in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="range"):
            model.two_hops([2, 3], [1.0, weight])
    with pytest.raises(ValueError, match="finite"):
        model.observe(5, 5, math.nan)
    with pytest.raises(ValueError, match="finite"):
        model.expire(math.nan)
    with pytest.raises(ValueError, match="empty"):
        model.load(model.dump())
    assert model.checksum() == before
    assert pairs(model.two_hops([2, 2], [1.0, 1e308])) == []
    assert model.stats()["events"] == 2
    model.check()


@pytest.mark.parametrize("wrong", [{"history": 0}, {"k": 0}, {"steps": 0}, {"steps": 11}, {"steps": 4, "history": 3}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Next(**wrong)


def test_compacting_gives_memory_back() -> None:
    events = stream(7, 20_000, 2000, 2000)
    model = fed(events)
    full = sum(model.nbytes.values())
    model.retract_many(*columns(events[200:]))
    model.compact()
    assert sum(model.nbytes.values()) < full / 4
    assert model.checksum() == fed(events[:200]).checksum()


def test_memory_stays_flat_on_an_endless_stream() -> None:
    """New sessions and new items all the time, events of the last 1,000 s kept, lists read."""
    model, sizes = Next(), []
    for units, items, times in endless():
        model.observe_many(units, items, times)
        model.expire(times[-1] - 1000)
        for item in items[:500].tolist():
            model.following(item)
        sizes.append(model.nbytes)
    model.check()
    assert model.stats()["lists"] > 100
    assert_flat(sizes)
