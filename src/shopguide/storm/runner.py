"""The local runner: a streamparse Topology in one process, with the real pystorm components and Storm's rules.

Each task is a component without a pipe: what it would read is handed to it, and what it would write is handed over, as
it is. Groupings, anchors, acks, fails, ticks and bounded pending are Storm's; so is a crash: a component that raises
takes the whole worker along, which begins again from the newest snapshot.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pystorm.component import Tuple
from pystorm.spout import Spout

from shopguide.errors import ShopguideError
from shopguide.storm.deployment import task_of
from shopguide.tasks import Told

logger = logging.getLogger(__name__)

LEVELS = {0: logging.DEBUG, 1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
CRASHES = 3  # that get no further than the one before, until the run gives up


class WorkerError(ShopguideError):
    """A component kept raising on the same batch."""


class MemorySerializer:
    """Stands where pystorm's JSON or MessagePack serializer stands, for what a component tells of itself."""

    input_stream = output_stream = None
    in_memory = True  # what is emitted need not be bytes: see shopguide.storm.carried

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self.send_message = send


@dataclass
class Task:
    id: int
    name: str
    component_class: Any
    component: Any = None
    inbox: deque[Any] = field(default_factory=deque)  # of a bolt tuples, of a spout calls
    pending: int = 0  # spouts: batches neither acked nor failed


@dataclass
class Tree:
    """A spout's tuple and how many of its descendants are not acked; ``over``: it is acked or has failed."""

    task: Task
    tup_id: str
    open: int = 0
    over: bool = False


class LocalRunner:
    """Runs a topology class. ``seed`` None: messages in the order they were sent; else a random interleaving, the same
    for the same seed. ``restore`` gives the configuration afresh after a crash (with the newest snapshot's parts)."""

    def __init__(
        self, topology: Any, restore: Callable[[], dict[str, Any]], seed: int | None = None, pending: int = 16
    ) -> None:
        self._topology = topology
        self._restore = restore
        self._random = random.Random(seed)
        self._shuffled = seed is not None
        self._pending = pending
        self.crashes = self.restarts = 0
        self._furthest = -1  # most batches acked in one life of the worker
        self._build()

    def step(self) -> bool:
        """Deliver one message, or ask the spouts for the next batch; False when there was nothing to do."""
        if not self._waiting:
            self._tick()
        if self._waiting and not self._shuffled:
            self._run(self._take())
            return True
        spouts = [t for t in self.spouts if t.pending < self._pending]
        if self._shuffled and spouts and self._random.random() < 0.25:
            return any([self._next(t) for t in spouts]) or bool(self._waiting)
        if self._waiting:
            self._run(self._take())
            return True
        return any([self._next(t) for t in spouts])

    def drain(self) -> None:
        """Work until the log is read to its end and everything is acked or failed."""
        while self.step() or self._waiting:
            pass

    def settle(self) -> None:
        """Work until everything under way is acked or failed, without asking the spouts for more."""
        while self._waiting:
            self._run(self._take())

    def close(self) -> None:
        """Let every component that holds files or sockets go of them."""
        for task in self._tasks:
            if hasattr(task.component, "close"):
                task.component.close()

    def stages(self) -> dict[str, Any]:
        """The stage object of each task that holds state, by ``component-index``."""
        return {
            f"{name}-{index}": task.component.stage
            for name, tasks in self._by_name.items()
            for index, task in enumerate(tasks)
            if hasattr(task.component, "stage")
        }

    def widths(self) -> dict[str, int]:
        return {name: len(tasks) for name, tasks in self._by_name.items()}

    def numbers(self) -> dict[str, Told]:
        """What each task has told of itself; any thread may ask."""
        return {
            f"{name}-{index}": Told(len(tasks), task.component.meter.numbers)
            for name, tasks in self._by_name.items()
            for index, task in enumerate(tasks)
            if hasattr(task.component, "meter")
        }

    def _build(self) -> None:
        conf = {"topology.name": self._topology.__name__, **self._topology.config, **self._restore()}
        self._tick_every = conf.get("topology.tick.tuple.freq.secs")
        self._next_tick = time.monotonic() + (self._tick_every or 0)
        self._ids = 0
        self._acked = 0
        self._waiting: deque[Task] = deque()
        self._take = self._draw if self._shuffled else self._waiting.popleft
        self._trees: dict[str, Tree | None] = {}  # of the tuples that bolts have not acked
        specs = self._topology.specs
        self._tasks: list[Task] = []
        for spec in specs:
            for _ in range(spec.par):
                task = Task(len(self._tasks) + 1, spec.name, spec.component_cls)
                task.component = self._component(task)
                self._tasks.append(task)
        self._by_name = {spec.name: [t for t in self._tasks if t.name == spec.name] for spec in specs}
        self.spouts = [t for t in self._tasks if isinstance(t.component, Spout)]
        self._conf, self._names = conf, {str(t.id): t.name for t in self._tasks}
        for task in self._tasks:
            self.set_up(task)
        self._subscribers = self._subscriptions(specs)

    def _component(self, task: Task) -> Any:
        component = task.component_class(None, None, rdb_signal=None, serializer="msgpack")
        component.serializer = MemorySerializer(partial(self._log, task))
        if isinstance(component, Spout):
            component._run = partial(_do_next, task.inbox)
            component.emit = partial(self._plant, task)
        else:
            component.read_tuple = task.inbox.popleft
            component.emit, component.ack, component.fail = partial(self._emit, task), self._ack, self._fail
        return component

    def set_up(self, task: Task) -> None:
        """pystorm's own set-up, without the log handler that it would hang on the root logger for every task."""
        conf, context = self._conf, {"taskid": task.id, "componentid": task.name, "task->component": self._names}
        root = logging.getLogger()
        handlers = root.handlers[:]
        task.component._setup_component(conf, context)
        root.handlers[:] = handlers
        task.component.initialize(conf, context)

    def _subscriptions(self, specs: list[Any]) -> dict[tuple[str, str], list[Any]]:
        """(component, stream) to [(tasks, grouping, the fields' places in the tuple)]. Whose ``listens`` is false has
        nothing to do with any tuple."""
        subscribers: dict[tuple[str, str], list[Any]] = {}
        for spec in specs:
            if not any(getattr(task.component, "listens", True) for task in self._by_name[spec.name]):
                continue
            for source, grouping in (spec.inputs or {}).items():
                producer = next(s for s in specs if s.name == source.componentId)
                fields = producer.outputs[source.streamId].output_fields
                places = [fields.index(f) for f in grouping.fields] if grouping.fields else None
                subscribers.setdefault((source.componentId, source.streamId), []).append(
                    (self._by_name[spec.name], grouping, places)
                )
        return subscribers

    def _draw(self) -> Task:
        self._waiting.rotate(-self._random.randrange(len(self._waiting)))
        return self._waiting.popleft()

    def _next(self, task: Task) -> bool:
        before = task.pending
        task.inbox.appendleft(task.component.next_tuple)
        self._run(task)
        return task.pending > before

    def _run(self, task: Task) -> None:
        try:
            task.component._run()
        except Exception as e:
            task.component.logger.exception("%s raised", task.name)
            task.component._handle_run_exception(e)
            self._crash(task, e)

    def _crash(self, task: Task, error: Exception) -> None:
        self.crashes = 1 if self._acked > self._furthest else self.crashes + 1
        self._furthest = max(self._furthest, self._acked)
        if self.crashes > CRASHES:
            raise WorkerError(f"{task.name} raised {self.crashes} times at the same place: {error}") from error
        self.restarts += 1
        logger.warning("worker begins again from the newest snapshot", extra={"task": task.name})
        self.close()
        self._build()

    def _tick(self) -> None:
        if self._tick_every is None or time.monotonic() < self._next_tick:
            return
        self._next_tick = time.monotonic() + self._tick_every
        for task in self._tasks:
            if task not in self.spouts:
                self._deliver(task, "__system", "__tick", -1, [self._tick_every], None)

    def _plant(self, task: Task, values: list[Any], tup_id: str | None = None, stream: str = "default") -> None:
        """A spout's tuple."""
        tree = Tree(task, tup_id) if tup_id is not None else None
        task.pending += tree is not None
        self._send(task, stream, values, tree)
        if tree is not None:
            self._settle(tree)

    def _emit(self, task: Task, values: list[Any], stream: str = "default") -> None:
        """A bolt's tuple, anchored to the one that it works on."""
        (tup,) = task.component._current_tups
        self._send(task, stream, values, self._trees.get(tup.id))

    def _send(self, task: Task, stream: str, values: list[Any], tree: Tree | None) -> None:
        for tasks, grouping, places in self._subscribers.get((task.name, stream), ()):
            for target in tasks if len(tasks) == 1 else self._targets(tasks, grouping, places, values):
                self._deliver(target, task.name, stream, task.id, values, tree)

    def _targets(self, tasks: list[Task], grouping: Any, places: list[int] | None, values: list[Any]) -> list[Task]:
        if grouping.all is not None:
            return tasks
        if grouping.fields is not None and places is None:
            return tasks[:1]
        if places is not None:
            return [tasks[task_of([values[p] for p in places], len(tasks))]]
        return [self._random.choice(tasks)]

    def _deliver(self, target: Task, source: str, stream: str, task: int, values: list[Any], tree: Tree | None) -> None:
        self._ids += 1
        tup = Tuple(str(self._ids), source, stream, task, tuple(values))
        self._trees[tup.id] = tree
        if tree is not None:
            tree.open += 1
        target.inbox.append(tup)
        self._waiting.append(target)

    def _ack(self, tup: Any) -> None:
        tree = self._trees.pop(tup.id, None)
        if tree is not None:
            tree.open -= 1
            self._settle(tree)

    def _settle(self, tree: Tree) -> None:
        if not tree.open and not tree.over:
            self._acked += 1
            self._end(tree, tree.task.component.ack)

    def _fail(self, tup: Any) -> None:
        tree = self._trees.pop(tup.id, None)
        if tree is not None and not tree.over:
            self._end(tree, tree.task.component.fail)

    def _end(self, tree: Tree, tell: Callable[[str], None]) -> None:
        tree.over = True
        tree.task.pending -= 1
        tree.task.inbox.append(partial(tell, tree.tup_id))
        self._waiting.append(tree.task)

    @staticmethod
    def _log(task: Task, message: dict[str, Any]) -> None:
        if message["command"] in ("log", "error") and not message["msg"].startswith("pystorm StormHandler"):
            level = LEVELS.get(message.get("level", 4), logging.INFO)
            logging.getLogger(f"shopguide.storm.{task.name}").log(level, "%s", message["msg"])


def _do_next(calls: deque[Callable[[], None]]) -> None:
    calls.popleft()()
