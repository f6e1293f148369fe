"""Items against plain definitions: a dict that learns everything anew, and numpy counts for rows long enough to have
lists. Keys are few, so that repeats, ties and equal events happen."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.typing import NDArray
from strategies import DEEP, MANY, SEED, assert_flat, endless

from shopguide._core import simd_levels
from shopguide.errors import SettingError
from shopguide.recommenders import Items, Next

TOP = 2**64 - 1
UNITS = [0, 1, 2, 3, 2**32, 2**63, TOP - 1, TOP]
ITEMS = [0, 1, 2, 3, 4, 5, 2**31, 2**32, 2**32 + 1, 2**63, TOP - 1, TOP]
HALF_LIFE = 8.0
UNKNOWN = 77

Event = tuple[int, int, float]
EVENT = st.sampled_from([*product(UNITS, ITEMS, map(float, range(41)))])


def drawn(seed: int, most: int) -> list[Event]:
    random = Random(seed)
    return [
        (random.choice(UNITS), random.choice(ITEMS), float(random.randrange(41))) for _ in range(random.randrange(most))
    ]


class Oracle:
    """The definition, word by word, over all events in order."""

    def __init__(self, events: list[Event], history: int, half_life: float | None) -> None:
        kept: dict[int, list[int]] = defaultdict(list)
        self.count: Counter[int] = Counter()
        self.support: dict[int, Counter[int]] = defaultdict(Counter)
        self.weight: Counter[int] = Counter()
        self.pair_weight: dict[int, Counter[int]] = defaultdict(Counter)
        for unit, item, time in events:
            window = kept[unit][-history:]
            if item in window:
                continue
            weight = 2.0 ** (time / half_life) if half_life else 1.0
            self.count[item] += 1
            self.weight[item] += weight  # type: ignore[assignment]
            for other in window:
                for i, j in ((item, other), (other, item)):
                    self.support[i][j] += 1
                    self.pair_weight[i][j] += weight  # type: ignore[assignment]
            kept[unit].append(item)

    def similar(self, item: int) -> list[tuple[int, float]]:
        n = self.count
        order = sorted(self.support[item].items(), key=lambda p: (-Fraction(p[1] ** 2, n[p[0]]), p[0]))
        return [(j, c / math.sqrt(n[item] * n[j])) for j, c in order]

    def decayed(self, item: int) -> dict[int, float]:
        w = self.weight
        return {j: x / math.sqrt(w[item] * w[j]) for j, x in self.pair_weight[item].items()}


def columns(events: list[Event]) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float64]]:
    units, items, times = zip(*events, strict=True) if events else ((), (), ())
    return np.array(units, np.uint64), np.array(items, np.uint64), np.array(times, np.float64)


def fed(events: list[Event], history: int = 50, half_life: float | None = None) -> Items:
    items = Items(history=history, k=50, half_life=half_life)
    items.observe_many(*columns(events))
    return items


def assert_near(found: NDArray[np.float32], expected: list[float], rel: float = 0.0) -> None:
    """pytest.approx with abs=1e-6; it takes most of a machine's time."""
    assert len(found) == len(expected)
    assert all(abs(f - e) <= max(1e-6, rel * abs(e)) for f, e in zip(found.tolist(), expected, strict=True))


class ItemsMachine(RuleBasedStateMachine):
    """Any mix of calls against the events that remain."""

    @initialize(history=st.sampled_from([1, 2, 3, 50]), half_life=st.sampled_from([None, HALF_LIFE]))
    def begin(self, history: int, half_life: float | None) -> None:
        self.history, self.half_life = history, half_life
        self.real = Items(history=history, k=50, half_life=half_life)
        self.events: list[Event] = []

    @rule(event=EVENT)
    def observe(self, event: Event) -> None:
        self.real.observe(*event)
        self.events.append(event)

    @rule(seed=SEED)
    def observe_many(self, seed: int) -> None:
        events = drawn(seed, 25 if len(self.events) < MANY else 3)
        self.real.observe_many(*columns(events))
        self.events += events

    def take(self, event: Event) -> None:
        newest = len(self.events) - 1 - self.events[::-1].index(event)
        del self.events[newest]

    @rule(seed=SEED)
    def retract(self, seed: int) -> None:
        """Some that are there, and perhaps some that never were."""
        random = Random(seed)
        events = random.sample(self.events, min(len(self.events), random.randrange(20))) + drawn(seed, 3)
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

    @rule()
    def compact(self) -> None:
        self.real.compact()
        assert self.real.stats()["units"] == len({unit for unit, _, _ in self.events})
        assert self.real.stats()["items"] == len({item for _, item, _ in self.events})

    @rule(before=st.integers(0, 41).map(float))
    def expire(self, before: float) -> None:
        kept = [event for event in self.events if event[2] >= before]
        assert self.real.expire(before) == len(self.events) - len(kept)
        self.events = kept

    @rule()
    def load_what_was_dumped(self) -> None:
        loaded = Items(history=self.history, k=50, half_life=self.half_life)
        loaded.load(self.real.dump())
        assert loaded.checksum() == self.real.checksum()
        self.real = loaded

    @rule(seed=SEED, k=st.sampled_from([1, 3, 50]))
    def recommend(self, seed: int, k: int) -> None:
        random = Random(seed)
        sources = random.sample([*ITEMS, UNKNOWN], random.randrange(5))
        weights = [random.random() for _ in sources]
        totals: dict[int, float] = defaultdict(float)
        for source, weight in zip(sources, weights, strict=True):
            for j, score in zip(*self.real.similar(source, k), strict=True):
                totals[int(j)] += weight * float(score)
        items, scores = self.real.recommend(sources, weights, 3, k)
        best = sorted(totals.values(), reverse=True)[:3]
        assert scores.tolist() == pytest.approx(best, rel=1e-6)
        assert [totals[i] for i in items.tolist()] == pytest.approx(best, rel=1e-6)

    @rule(event=EVENT, time=st.sampled_from([math.nan, math.inf, -math.inf]))
    def refuse_a_time_that_is_not_finite(self, event: Event, time: float) -> None:
        columns_ = columns([event, (event[0], event[1], time)])
        with pytest.raises(ValueError, match="finite"):
            self.real.observe_many(*columns_)
        with pytest.raises(ValueError, match="finite"):
            self.real.retract_many(*columns_)

    @invariant()
    def is_the_definition(self) -> None:
        self.real.check()
        oracle = Oracle(self.events, self.history, self.half_life)
        assert self.real.count(ITEMS).tolist() == [oracle.count[i] for i in ITEMS]
        for item in ITEMS:
            supports = [oracle.support[item][j] for j in ITEMS]
            assert self.real.support([item] * len(ITEMS), ITEMS).tolist() == supports
            keys, scores = self.real.similar(item, k=50)
            if self.half_life is None:
                expected = oracle.similar(item)
                assert keys.tolist() == [j for j, _ in expected]
                assert_near(scores, [s for _, s in expected])
            else:
                decayed = oracle.decayed(item)
                assert sorted(keys.tolist()) == sorted(decayed)
                assert_near(scores, sorted(decayed.values(), reverse=True), rel=1e-6)
                assert_near(scores, [decayed[j] for j in keys.tolist()], rel=1e-6)

    @invariant()
    def is_the_model_of_what_remains(self) -> None:
        fresh = fed(self.events, self.history, self.half_life)
        assert self.real.checksum() == fresh.checksum()
        units, items, times = self.real.events()
        again = Items(history=self.history, half_life=self.half_life)
        again.observe_many(units, items, times)
        assert again.checksum() == fresh.checksum()
        by_unit: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for unit, item, time in self.events:
            by_unit[unit].append((item, time))
        held: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for unit, item, time in zip(units.tolist(), items.tolist(), times.tolist(), strict=True):
            held[unit].append((item, time))
        assert held == by_unit


ItemsMachine.TestCase.settings = DEEP
TestItems = ItemsMachine.TestCase


class Counts:
    """Supports as matrices, with an unbounded window: what a unit adds is the outer product of its distinct items."""

    def __init__(self, n: int) -> None:
        self.support = np.zeros((n, n), np.int64)

    def add(self, items: list[int], sign: int) -> None:
        self.support[np.ix_(items, items)] += sign

    def similar(self, item: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Keys (of order KEYS) and scores, by (score down, key up)."""
        n, c = np.diag(self.support), self.support[item].copy()
        c[item] = 0
        others = np.flatnonzero(c)
        strength = c[others] ** 2 / n[others]
        order = np.lexsort((KEYS[others], -strength))
        return others[order], np.sqrt(strength[order] / n[item])


WIDE = 400
KEYS = np.random.default_rng(5).permutation(np.arange(WIDE, dtype=np.uint64) * np.uint64(0x0123456789ABCDEF))


class LongRowsMachine(RuleBasedStateMachine):
    """Rows of up to 400 entries, most of them ties: lists are made, cut, rescanned, and survive what is taken back."""

    @initialize(half_life=st.sampled_from([None, 1e6]), k=st.sampled_from([1, 20, 50, 200]))
    def begin(self, half_life: float | None, k: int) -> None:
        self.exact_order = half_life is None
        self.real = Items(history=WIDE, k=k, half_life=half_life)
        self.counts = Counts(WIDE)
        self.units: dict[int, list[int]] = {}
        self.next_unit = 0

    def observe(self, items: list[int]) -> None:
        unit, self.next_unit = self.next_unit, self.next_unit + 1
        self.units[unit] = items
        self.counts.add(items, +1)
        self.real.observe_many(np.full(len(items), unit), KEYS[items], np.zeros(len(items)))

    @rule(seed=SEED, size=st.integers(130, WIDE))
    def one_wide_unit(self, seed: int, size: int) -> None:
        self.observe(np.random.default_rng(seed).permutation(WIDE)[:size].tolist())

    @rule(seed=SEED, size=st.integers(2, 12), units=st.integers(1, 150), popular=st.sampled_from([0, 3]))
    def narrow_units(self, seed: int, size: int, units: int, popular: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(units):
            items = list(dict.fromkeys([*range(popular), *random.integers(0, WIDE, size).tolist()]))
            random.shuffle(items)
            self.observe(items)

    @precondition(lambda self: self.units)
    @rule(seed=SEED, share=st.sampled_from([0.02, 0.3, 0.9]))
    def take_units_back(self, seed: int, share: float) -> None:
        random = np.random.default_rng(seed)
        for unit in [u for u in self.units if random.random() < share]:
            items = self.units.pop(unit)
            self.counts.add(items, -1)
            order = random.permutation(items)
            assert self.real.retract_many(np.full(len(items), unit), KEYS[order], np.zeros(len(items))) == len(items)

    @precondition(lambda self: self.units)
    @rule(seed=SEED)
    def take_an_item_out_of_some_units(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        item = int(random.integers(0, 3)) if random.random() < 0.5 else int(random.integers(0, WIDE))
        for unit in [u for u, items in self.units.items() if item in items and random.random() < 0.5]:
            self.counts.add(self.units[unit], -1)
            self.units[unit] = [i for i in self.units[unit] if i != item]
            self.counts.add(self.units[unit], +1)
            assert self.real.retract_many([unit], KEYS[[item]], [0.0]) == 1

    @rule()
    def compact(self) -> None:
        self.real.compact()

    @rule(seed=SEED, k=st.sampled_from([0, 1, 50, 88, 89, 150, WIDE]), n=st.integers(1, 60))
    def similar(self, seed: int, k: int, n: int) -> None:
        self.compare(np.random.default_rng(seed).integers(0, WIDE, n).tolist(), k)

    @rule(k=st.sampled_from([1, 20, 50]))
    def similar_of_all(self, k: int) -> None:
        self.compare(range(WIDE), k)

    def compare(self, items: list[int] | range, k: int) -> None:
        starts, found, scores, rules = self.real.neighbours(KEYS[list(items)], k)
        for x, item in enumerate(items):
            others, expected = self.counts.similar(item)
            keys = found[starts[x] : starts[x + 1]]
            if self.exact_order:
                assert keys.tolist() == KEYS[others[:k]].tolist()
            part = slice(starts[x], starts[x + 1])
            assert scores[part] == pytest.approx(expected[:k], abs=1e-6)
            if self.exact_order:
                both = self.counts.support[item][others[:k]]
                assert rules[part] == pytest.approx(both / max(self.counts.support[item, item], 1), rel=1e-12)
            assert self.real.similar(int(KEYS[item]), k)[0].tolist() == keys.tolist()

    @invariant()
    def sound(self) -> None:
        self.real.check()
        assert self.real.count(KEYS).tolist() == np.diag(self.counts.support).tolist()


LongRowsMachine.TestCase.settings = settings(DEEP, max_examples=40, stateful_step_count=30)  # heavy ones
TestLongRows = LongRowsMachine.TestCase


@pytest.mark.parametrize("half_life", [None, 1e6])
def test_long_rows_go_every_way(half_life: float | None) -> None:
    """The machine's rules with seeds of our own, until every path of the lists has been taken."""
    machine, random = LongRowsMachine(), np.random.default_rng(8)
    machine.begin(half_life=half_life, k=50)
    for step in range(40):
        seeds = random.integers(0, 2**32, 4).tolist()
        if step % 3 == 0:
            machine.one_wide_unit(seed=seeds[0], size=300)
        machine.narrow_units(seed=seeds[1], size=8, units=60, popular=3)
        if step % 4 == 1:
            machine.take_units_back(seed=seeds[2], share=0.1)
        machine.take_an_item_out_of_some_units(seed=seeds[3])
        machine.similar(seed=seeds[2], k=[50, 88, 89, WIDE][step % 4], n=60)
        machine.sound()
    machine.similar_of_all(k=50)
    ways = (
        "short_reads",
        "list_reads",
        "rescans",
        "full_scans",
        "cuts",
        "admitted",
        "touched_again",
        "followed",
        "epochs",
    )
    stats = machine.real.stats()
    assert [way for way in ways if not stats[way]] == []
    assert stats["rescans"] < stats["list_reads"]


def stream(seed: int, n: int = 4000, units: int = 60, items: int = 300) -> list[Event]:
    random = np.random.default_rng(seed)
    popular = np.minimum(random.zipf(1.3, n), items)
    return list(
        zip(random.integers(0, units, n).tolist(), popular.tolist(), random.uniform(0, 1e6, n).tolist(), strict=True)
    )


def test_a_long_stream_with_repeats_equals_the_definition_before_and_after_taking_back() -> None:
    events = stream(1)
    model = fed(events)
    random = np.random.default_rng(2)
    for _ in range(4):
        oracle = Oracle(events, 50, None)
        for item in oracle.count:
            expected = oracle.similar(item)[:50]
            keys, scores = model.similar(item)
            assert keys.tolist() == [j for j, _ in expected]
            assert scores.tolist() == pytest.approx([s for _, s in expected], abs=1e-6)
        gone = [events[x] for x in random.permutation(len(events))[:700]]
        assert model.retract_many(*columns(gone)) == 700
        model.check()
        remaining = Counter(events) - Counter(gone)
        events = [e for e in events if remaining[e] > 0]
        assert model.checksum() == fed(events).checksum()


def test_the_checksum_does_not_depend_on_batches_interleaving_or_what_was_taken_back() -> None:
    events = stream(3, 600, 20, 40)
    expected = fed(events).checksum()
    one_by_one = Items()
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


def test_a_simd_level_that_is_not_to_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPGUIDE_SIMD", "neon")
    for model in (Items, Next):
        with pytest.raises(SettingError, match=r"SHOPGUIDE_SIMD = 'neon': this processor has scalar"):
            model()


@pytest.mark.parametrize("level", simd_levels())
def test_every_simd_level_makes_the_same_lists(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    best = fed(stream(4))
    monkeypatch.setenv("SHOPGUIDE_SIMD", level)
    forced = fed(stream(4))
    assert forced.stats()["simd"] == level
    keys = np.arange(1, 301)
    for model in (best, forced):
        model.neighbours(keys, 50)
        model.retract_many(*columns(stream(4)[::3]))
    for mine, theirs in zip(best.neighbours(keys, 50), forced.neighbours(keys, 50), strict=True):
        assert mine.tolist() == theirs.tolist()
    assert best.checksum() == forced.checksum()


def test_decay_keeps_scores_over_many_landmarks_and_takes_back_exactly() -> None:
    events = [(u, i, 3000.0 * (x // 50) + x) for x, (u, i, _) in enumerate(stream(6, 2000, 40, 30))]
    model, live = fed(events[:1], half_life=1000.0), events[-300:]
    for at in range(1, len(events), 100):
        model.observe_many(*columns(events[at : at + 100]))
    model.check()
    assert model.retract_many(*columns(events[:-300])) == len(events) - 300
    model.check()
    oracle = Oracle([(u, i, t - live[-1][2]) for u, i, t in live], 50, 1000.0)
    for item in oracle.count:
        decayed = oracle.decayed(item)
        keys, scores = model.similar(item, 50)
        assert scores.tolist() == pytest.approx([decayed[j] for j in keys.tolist()], rel=1e-6)
    assert model.checksum() == fed(live, half_life=1000.0).checksum()


@pytest.mark.parametrize("time", [1e300, -1e300, 1.7e9, 5e-324])
def test_absurd_times_stay_numbers(time: float) -> None:
    model = fed([(1, 1, 0.0), (1, 2, time), (2, 1, 0.0), (2, 2, 0.0), (2, 3, -time)], half_life=1e-3)
    model.check()
    for item in (1, 2, 3):
        assert np.isfinite(model.similar(item)[1]).all()
    assert model.retract_many([1, 2], [2, 3], [time, -time]) == 2
    model.compact()
    assert model.similar(1)[1].tolist() == pytest.approx([math.sqrt(0.5)], rel=1e-6)
    model.check()


def test_unknown_and_empty() -> None:
    model = Items()
    keys, scores = model.similar(5)
    assert (keys.dtype, len(keys), scores.dtype, len(scores)) == (np.uint64, 0, np.float32, 0)
    assert [a.tolist() for a in model.neighbours([], 5)] == [[0], [], [], []]
    assert model.neighbours([1, 2], 5)[0].tolist() == [0, 0, 0]
    assert model.retract_many([], [], []) == 0
    assert [len(a) for a in model.events()] == [0, 0, 0]
    assert model.checksum() == "0" * 32
    assert model.support([1], [2]).tolist() == [0]
    model.compact()
    model.check()
    assert set(model.nbytes) == {"tables", "events", "pairs", "lists", "pool_rest"}


def test_unequal_lengths_change_nothing() -> None:
    model = fed([(1, 2, 3.0)])
    before = model.checksum()
    with pytest.raises(ValueError, match="length"):
        model.observe_many([1, 2], [1, 2], [0.0])
    with pytest.raises(ValueError, match="length"):
        model.retract_many([1], [2, 3], [3.0])
    with pytest.raises(ValueError, match="length"):
        model.support([1], [2, 3])
    assert model.checksum() == before


@pytest.mark.parametrize(
    "wrong", [{"history": 0}, {"k": 0}, {"half_life": 0}, {"half_life": -1.0}, {"half_life": math.nan}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Items(**wrong)  # type: ignore[arg-type]


def test_compacting_gives_memory_back() -> None:
    events = stream(7, 20_000, 500, 2000)
    model = fed(events)
    full = sum(model.nbytes.values())
    model.retract_many(*columns(events[200:]))
    model.compact()
    assert sum(model.nbytes.values()) < full / 4
    assert model.checksum() == fed(events[:200]).checksum()


def test_memory_stays_flat_on_an_endless_stream() -> None:
    """New sessions and new items all the time, events of the last 1,000 s kept, lists read."""
    model, sizes = Items(), []
    for units, items, times in endless():
        model.observe_many(units, items, times)
        model.expire(times[-1] - 1000)
        model.neighbours(items[:500], 50)
        sizes.append(model.nbytes)
    model.check()
    assert model.stats()["lists"] > 100
    assert_flat(sizes)


@pytest.mark.parametrize("wrong", [{"row_cap": 0}, {"row_cap": 255}, {"row_cap": 2**32}, {"row_cap": 259, "k": 65}])
def test_a_row_cap_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="row_cap"):
        Items(**wrong)


class Capped:
    """A model with a row cap and its twin without; what they hold of 60,000 events over 1,500 zipf items, in order."""

    def __init__(self, half_life: float | None) -> None:
        self.random = np.random.default_rng(10)
        chance = 1 / np.arange(1, 1501)
        items = self.random.choice(1500, 60_000, p=chance / chance.sum())
        self.events = self.random.integers(0, 3000, 60_000), items, self.random.uniform(0, 1e6, 60_000)
        self.new = lambda cap=256: Items(half_life=half_life, row_cap=cap)
        self.real, self.whole = self.new(), self.new(None)
        self.held = np.array([], int)

    def observe(self, which: NDArray[np.int64]) -> None:
        for model in (self.real, self.whole):
            model.observe_many(*(column[which] for column in self.events))
        self.held = np.concatenate([self.held, which])

    def retract(self, n: int) -> None:
        gone = self.random.permutation(self.held)[:n]
        for model in (self.real, self.whole):
            assert model.retract_many(*(column[gone] for column in self.events)) == n
        self.held = self.held[~np.isin(self.held, gone)]

    def expire(self, before: float) -> None:
        kept = self.events[2][self.held] >= before
        for model in (self.real, self.whole):
            assert model.expire(before) == np.sum(~kept)
        self.held = self.held[kept]

    def compact(self) -> None:
        for model in (self.real, self.whole):
            model.compact()

    def compare(self) -> None:
        self.real.check()
        items = np.arange(1500)
        assert self.real.count(items).tolist() == self.whole.count(items).tolist()
        starts, *_ = self.real.neighbours(items, 1500)
        assert np.diff(starts.astype(int)).max() <= 256
        a, b = self.random.choice(self.events[1], (2, 20_000))
        supports, whole = self.real.support(a, b), self.whole.support(a, b)
        assert supports.tolist() == self.real.support(b, a).tolist()
        assert (supports <= whole).all()
        assert (supports < whole).any()
        again, by_unit = self.new(), self.held[np.argsort(self.events[0][self.held], kind="stable")]
        again.observe_many(*(column[by_unit] for column in self.events))
        assert self.real.checksum() == again.checksum()
        assert self.real.nbytes["pairs"] < self.whole.nbytes["pairs"]


@pytest.mark.parametrize("half_life", [None, 1e5])
def test_with_a_row_cap_pairs_may_count_too_little_and_all_else_is_as_without(half_life: float | None) -> None:
    models = Capped(half_life)
    for part in np.array_split(np.arange(60_000), 4):
        models.observe(part)
        models.compare()
        models.retract(2000)
        models.compare()
    models.expire(2e5)
    models.compare()
    models.compact()
    models.compare()
    models.retract(len(models.held))
    models.real.check()
    for model in (models.real, models.whole):
        assert model.stats()["pairs"] == model.stats()["items"] == 0
        assert not model.count(range(1500)).any()
    models.compact()
    models.observe(np.arange(60_000))
    models.compare()
