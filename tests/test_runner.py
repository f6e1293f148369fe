"""The local runner keeps Storm's rules, with the real pystorm components."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from streamparse import Bolt, Grouping, Spout, Stream, Topology

from shopguide.storm.runner import LocalRunner, WorkerError

SEEN: list[tuple[str, int, Any]] = []


class Numbers(Spout):
    """Emits 0..limit-1 as (parity, number); a failed number comes again."""

    outputs = ["parity", "number"]

    def initialize(self, conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.todo = list(range(conf["limit"]))
        self.acked: list[int] = []
        self.failed: list[int] = []

    def next_tuple(self) -> None:
        if self.todo:
            number = self.todo.pop(0)
            self.emit([number % 2, number], tup_id=str(number))

    def ack(self, tup_id: str) -> None:
        self.acked.append(int(tup_id))

    def fail(self, tup_id: str) -> None:
        self.failed.append(int(tup_id))
        self.todo.append(int(tup_id))


class Note(Bolt):
    """Writes down what it gets and passes it on."""

    outputs = [Stream(fields=["parity", "number"]), Stream(fields=["number"], name="odd")]

    def initialize(self, conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.stage = self

    def process(self, tup: Any) -> None:
        SEEN.append((self.component_name, self.task_id, tup.values[-1]))
        self.emit(list(tup.values))
        if tup.values[-1] % 2:
            self.emit([tup.values[-1]], stream="odd")

    def process_tick(self, tup: Any) -> None:
        SEEN.append((self.component_name, self.task_id, "tick"))


class FailOnce(Note):
    """Fails number 3 the first time."""

    auto_ack = False

    def initialize(self, conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.failed = False

    def process(self, tup: Any) -> None:
        if tup.values[1] == 3 and not self.failed:
            self.failed = True
            self.fail(tup)
            return
        super().process(tup)
        self.ack(tup)


class Raise(Note):
    """Raises on number 2, as often as the configuration says."""

    raised = 0

    def initialize(self, conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.times = conf.get("raise", 0)

    def process(self, tup: Any) -> None:
        if tup.values[1] == 2 and Raise.raised < self.times:
            Raise.raised += 1
            raise ZeroDivisionError("planted")
        super().process(tup)


class Wide(Topology):
    numbers = Numbers.spec()
    fields = Note.spec(inputs={numbers: Grouping.fields("parity")}, par=3)
    everyone = Note.spec(inputs={fields: Grouping.ALL}, par=2)
    only_one = Note.spec(inputs={fields: Grouping.GLOBAL}, par=2)
    shuffled = Note.spec(inputs={fields["odd"]: Grouping.SHUFFLE}, par=2)


class DeafNote(Note):
    listens = False


class Deaf(Topology):
    numbers = Numbers.spec()
    hears = Note.spec(inputs={numbers: Grouping.SHUFFLE})
    deaf = DeafNote.spec(inputs={numbers: Grouping.SHUFFLE, hears: Grouping.SHUFFLE})


class Failing(Topology):
    numbers = Numbers.spec()
    first = Note.spec(inputs={numbers: Grouping.SHUFFLE})
    fails = FailOnce.spec(inputs={first: Grouping.SHUFFLE})


class Raising(Topology):
    numbers = Numbers.spec()
    raises = Raise.spec(inputs={numbers: Grouping.SHUFFLE})


@pytest.fixture(autouse=True)
def _fresh() -> None:
    SEEN.clear()
    Raise.raised = 0


def run(topology: Any, limit: int = 20, seed: int | None = None, **conf: Any) -> LocalRunner:
    runner = LocalRunner(topology, lambda: {"limit": limit, **conf}, seed=seed, pending=conf.pop("pending", 4))
    runner.drain()
    return runner


def spout(runner: LocalRunner) -> Any:
    return runner.spouts[0].component


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_groupings(seed: int | None) -> None:
    runner = run(Wide, seed=seed)
    assert sorted(spout(runner).acked) == list(range(20))
    tasks = {name: {t for n, t, _ in SEEN if n == name} for name in ("fields", "everyone", "only_one", "shuffled")}
    by_parity = {parity: {t for n, t, v in SEEN if n == "fields" and v % 2 == parity} for parity in (0, 1)}
    assert all(len(t) == 1 for t in by_parity.values())
    counts = Counter(n for n, _, _ in SEEN)
    assert counts == {"fields": 20, "everyone": 40, "only_one": 20, "shuffled": 10}
    assert len(tasks["everyone"]) == 2 and len(tasks["only_one"]) == 1


@pytest.mark.parametrize("seed", [None, 5])
def test_a_failed_tuple_comes_again_and_its_whole_tree_with_it(seed: int | None) -> None:
    runner = run(Failing, 8, seed=seed)
    assert spout(runner).failed == [3] and sorted(spout(runner).acked) == list(range(8))
    assert Counter(v for n, _, v in SEEN if n == "first")[3] == 2
    assert Counter(v for n, _, v in SEEN if n == "fails")[3] == 1


def test_a_crash_takes_the_worker_along_and_it_begins_again() -> None:
    runner = run(Raising, 5, **{"raise": 2})
    assert sorted(spout(runner).acked) == list(range(5))
    assert [v for _, _, v in SEEN] == [0, 1, 0, 1, 0, 1, 2, 3, 4]


def test_a_batch_that_always_crashes_ends_the_run_with_its_reason() -> None:
    with pytest.raises(WorkerError, match=r"raises raised .* planted"):
        run(Raising, 1 + 2, **{"raise": 99})


def test_pending_is_bounded_under_any_interleaving() -> None:
    runner = LocalRunner(Wide, lambda: {"limit": 40}, seed=3, pending=3)
    most = 0
    while runner.step():
        most = max(most, runner.spouts[0].pending)
    assert most == 3 and sorted(spout(runner).acked) == list(range(40))


def test_the_same_seed_gives_the_same_interleaving_and_another_seed_another() -> None:
    def trace(seed: int) -> list[Any]:
        SEEN.clear()
        run(Wide, 30, seed=seed)
        return SEEN[:]

    assert trace(1) == trace(1) != trace(2)


def test_messages_between_two_tasks_keep_their_order() -> None:
    run(Wide, 40, seed=9)
    for parity in (0, 1):
        numbers = [v for n, _, v in SEEN if n == "fields" and v % 2 == parity]
        assert numbers == sorted(numbers)


def test_ticks_reach_every_bolt_task() -> None:
    runner = LocalRunner(Wide, lambda: {"limit": 0, "topology.tick.tuple.freq.secs": 0.01})
    deadline = time.monotonic() + 5
    while len({t for _, t, v in SEEN if v == "tick"}) < 9 and time.monotonic() < deadline:
        runner.step()
    assert len({t for _, t, v in SEEN if v == "tick"}) == 9


def test_who_does_not_listen_gets_nothing_and_holds_nothing_up() -> None:
    done = run(Deaf)
    assert sorted(spout(done).acked) == list(range(20))
    assert Counter(name for name, _, _ in SEEN) == {"hears": 20}
    done._next_tick, done._tick_every = 0.0, 1
    done.drain()
    assert [name for name, _, said in SEEN if said == "tick"] == ["hears", "deaf"]


def test_stages_and_widths_by_component() -> None:
    runner = run(Wide, 1)
    assert runner.widths() == {"numbers": 1, "fields": 3, "everyone": 2, "only_one": 2, "shuffled": 2}
    assert set(runner.stages()) >= {"fields-0", "fields-2", "everyone-1"} and "numbers-0" not in runner.stages()
