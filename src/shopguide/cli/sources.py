"""Sources into the log, with a progress bar where a person looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from shopguide.collect.collector import Collector
from shopguide.collect.sources import Source
from shopguide.log import Log

if TYPE_CHECKING:
    from shopguide.kafka.log import KafkaLog


class Share(ProgressColumn):
    """How much is done, where it is known of how much."""

    def render(self, task: Task) -> Text:
        share = "" if task.total is None else f"{task.percentage:>3.0f}%"
        return Text(f"{share:4}  {task.fields['rows']:>9,} rows")


def progress() -> Progress:
    """A bar on stderr; its tasks have a description and a field ``rows``."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        Share(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def feed(
    log: Log | KafkaLog,
    collector: Collector,
    sources: Sequence[Source],
    stopped: threading.Event,
    each: Callable[[], object] = lambda: None,
) -> None:
    """Load every source in turn, durable chunk by chunk, until stopped; after each chunk, and when a source waits, call
    ``each``."""

    def sent(source: int) -> int:
        return max(log.last_row(source, partition) for partition in range(log.partitions))

    def wait(seconds: float) -> bool:
        each()
        return stopped.wait(seconds)

    with progress() as bar:
        for source in sources:
            task = bar.add_task(source.label, total=source.total, rows=0)
            rows = 0
            for chunk in source.chunks(sent, wait):
                collector.load(chunk)
                collector.commit()
                each()
                rows += chunk.rows
                bar.update(task, completed=source.position, total=source.total, rows=rows)
                if stopped.is_set():
                    return
