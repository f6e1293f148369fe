"""What a task counts of its own work. Its numbers are taken every two seconds, in its own thread: who asks for them
later neither waits for the task nor makes it wait. On a cluster they go to a file, for the process that holds the state
directory (shopguide.tasks)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from shopguide.featurize import Featurizer
from shopguide.metrics import ROWS, SECONDS, Histogram, Sample
from shopguide.records import Kind
from shopguide.storm.deployment import Deployment
from shopguide.storm.readings import readings
from shopguide.tasks import Tasks

EVERY = 2.0  # seconds between two takings of the numbers
KINDS = {kind.name.lower() for kind in Kind}


class Meter:
    """Of one task, from its beginning on."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._seconds, self._rows = Histogram(SECONDS), Histogram(ROWS)
        self._took: list[float] = []  # since the numbers were taken last
        self.took = self._took.append  # of a tuple, its seconds
        self.carried = self._rows.observe  # of a tuple, how many rows it carries into the stages
        self._counts: Counter[tuple[str, str]] = Counter()
        self._before: Counter[str] = Counter()  # what the stage had counted when it began
        self._next = 0.0
        self.numbers: list[Sample] = []

    def begin(self, stage: Any) -> None:
        """The stage has begun, from a snapshot maybe: what that counted was another life's."""
        self._before = stage.counts if isinstance(stage, Featurizer) else Counter()

    def count(self, metric: str, n: int = 1, label: str = "") -> None:
        self._counts[metric, label] += n

    def tell(self, stage: Any) -> None:
        """Take the numbers, where it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY
        self.numbers = list(self._take(stage))
        if not self._deployment.local:
            with suppress(OSError):  # the directory is not there yet, or its disk is full: the next ones
                Tasks(self._deployment.state.path).tell(self._deployment.name, self._deployment.width, self.numbers)

    def _take(self, stage: Any) -> Iterator[Sample]:
        task, component = self._deployment.name, self._deployment.component
        for seconds in self._took:
            self._seconds.observe(seconds)
        self._took.clear()
        yield Sample("shopguide_stage_seconds", [component, task], self._seconds.dump())
        if len(self._rows):
            yield Sample("shopguide_batch_rows", [task], self._rows.dump())
        for (metric, label), n in self._counts.items():
            yield Sample(f"shopguide_{metric}", [label, task] if label else [task], n)
        if isinstance(stage, Featurizer):
            yield from self._kept(stage)
        for metric, labels, value in readings(stage):
            yield Sample(f"shopguide_{metric}", [*labels, task], value)

    def _kept(self, stage: Featurizer) -> Iterator[Sample]:
        counts = stage.counts - self._before
        for kind in sorted(counts.keys() & KINDS):
            yield Sample("shopguide_events_kept_total", [kind, self._deployment.name], counts[kind])
        yield Sample("shopguide_events_double_total", [self._deployment.name], counts["doubles"])
