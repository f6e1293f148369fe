"""A running line in numbers: what its tasks told of themselves, and what is read here when somebody asks. Nothing is
read of a stage, so nobody waits for the line, or the line for anybody."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from shopguide import __version__
from shopguide.cli.door import Line
from shopguide.cli.health import Health
from shopguide.cli.outcomes import Outcomes
from shopguide.log import Log
from shopguide.metrics import Sample
from shopguide.push import PushProcess
from shopguide.records import Kind
from shopguide.topologies.recommend import Recommend

OUTCOMES = {Kind.IMPRESSION: "impressions", Kind.CLICK: "clicks", Kind.PURCHASE: "purchases"}
PUSHED = {  # what the push server counts, by its metric
    "pushed": "messages_pushed_total",
    "changed": "lists_changed_total",
    "refused": "subscriptions_refused_total",
    "rejected": "push_rejected_total",
    "gaps": "gap_requests_total",
    "restarts": "push_restarts_total",
}


def samples(line: Line, push: PushProcess, outcomes: Outcomes, health: Health, uptime: float) -> Iterator[Sample]:
    """All but what the web server counts."""
    yield _of("build_info", 1, __version__)
    yield _of("uptime_seconds", uptime)
    for name, check in health.ready().items():
        yield _of("check_ok", int(check["ok"]), name)
    yield from _log(line)
    yield from _topics(line)
    yield from _disk(line)
    yield from _tasks(line)
    yield from _push(push)
    for (kind, recommender), n in sorted(outcomes.counts.items()):
        yield _of(f"{OUTCOMES[Kind(kind)]}_total", n, recommender or "none")


def _of(name: str, value: Any, *labels: object) -> Sample:
    return Sample(f"shopguide_{name}", [str(label) for label in labels], value)


def _log(line: Line) -> Iterator[Sample]:
    log, stride = line.log, line.log.stride
    for partition, position in line.positions().items():
        end = log.end(partition)
        yield _of("events_total", end // stride, partition)
        yield _of("frontier_lag_rows", (end - position) // stride, partition)
        with suppress(FileNotFoundError):  # compaction took it in this moment
            sizes = log.sizes(partition) if isinstance(log, Log) else {}
            yield _of("log_bytes", sum(sizes.values()), partition)
            yield _of("log_segments", len(sizes), partition)


def _topics(line: Line) -> Iterator[Sample]:
    for followed in line.followed:
        for partition, lag in followed.lags().items():
            yield _of("topic_lag_messages", lag, followed.topic, partition)
    if line.publisher is not None:
        yield _of("topic_undelivered_messages", line.publisher.undelivered())


def _disk(line: Line) -> Iterator[Sample]:
    disk = shutil.disk_usage(line.state.path)
    yield _of("disk_free_bytes", disk.free)
    yield _of("disk_size_bytes", disk.total)
    with suppress(FileNotFoundError):  # a newer one took its place in this moment
        for newest in line.state.snapshots()[-1:]:
            yield _of("snapshot_timestamp_seconds", newest["time"])
            yield _of("snapshot_bytes", newest["bytes"])
    saved = line.saved
    if saved.written:
        yield _of("snapshot_duration_seconds", saved.seconds)
    yield _of("snapshots_total", saved.written)
    yield _of("snapshot_failures_total", saved.failed)


def _tasks(line: Line) -> Iterator[Sample]:
    told = line.numbers()
    heard = Counter(task.rpartition("-")[0] for task in told)
    for stage in sorted({spec.name for spec in Recommend.specs} | heard.keys()):
        yield _of("tasks", heard[stage], stage)  # 0 where none is: what is missing makes no alert
    yield _of("worker_restarts_total", line.restarts)
    for of in told.values():
        yield from (Sample(*sample) for sample in of.numbers)


def _push(push: PushProcess) -> Iterator[Sample]:
    yield _of("watched_users", push.watched())
    for counted, name in PUSHED.items():
        yield _of(name, push.counts[counted])
    yield _of("push_delay_seconds", push.delay.dump())
