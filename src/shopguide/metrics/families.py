"""Every metric: what it is called, counted by and means. docs/operations.md has the same table for operators."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple


class Sample(NamedTuple):
    """``labels`` in the order in which the family names them; ``value`` a number, or a histogram's dump."""

    name: str
    labels: list[str]
    value: Any


class Family(NamedTuple):
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


TASK = ("task",)
PARTITION = ("partition",)
FAMILIES: dict[str, Family] = {
    f"shopguide_{name}": family
    for name, family in {
        "build_info": Family("gauge", "The version that serves, always 1.", ("version",)),
        "uptime_seconds": Family("gauge", "Since this process serves."),
        "check_ok": Family("gauge", "Whether a check of /readyz passes: 1; 0 where it fails.", ("check",)),
        # the log
        "events_total": Family("counter", "Rows that the log has taken, those that steer the line too.", PARTITION),
        "frontier_lag_rows": Family("gauge", "Rows of the log that the stages have not read yet.", PARTITION),
        "log_bytes": Family("gauge", "Bytes of the log on disk.", PARTITION),
        "log_segments": Family("gauge", "Segment files of the log.", PARTITION),
        "topic_lag_messages": Family(
            "gauge", "Messages of a followed topic that are not in the log yet.", ("topic", "partition")
        ),
        "topic_undelivered_messages": Family("gauge", "Lists and rejected rows that wait for a broker or their topic."),
        "disk_free_bytes": Family("gauge", "Free on the disk of the state directory."),
        "disk_size_bytes": Family("gauge", "Of the disk of the state directory."),
        # snapshots
        "snapshot_timestamp_seconds": Family("gauge", "When the newest snapshot was written (Unix time)."),
        "snapshot_bytes": Family("gauge", "Bytes of the newest snapshot."),
        "snapshot_duration_seconds": Family("gauge", "How long the last snapshot of this process took to write."),
        "snapshots_total": Family("counter", "Snapshots written by this process."),
        "snapshot_failures_total": Family("counter", "Snapshots that this process could not write."),
        # the stages
        "tasks": Family("gauge", "Tasks of a stage that were heard of lately.", ("stage",)),
        "worker_restarts_total": Family("counter", "Times that the stages began again from the newest snapshot."),
        "batch_rows": Family("histogram", "Rows that one tuple carries into the stages.", TASK),
        "stage_seconds": Family("histogram", "What a stage takes for one tuple.", ("stage", "task")),
        "tuples_failed_total": Family("counter", "Tuples that have to come again.", ("stage", "task")),
        "events_kept_total": Family(
            "counter", "Rows that were learned from, by kind, since the task began.", ("kind", "task")
        ),
        "events_rejected_total": Family(
            "counter", "Rows that make no sense, by reason, since the task began.", ("reason", "task")
        ),
        "events_double_total": Family("counter", "Rows dropped since their id had come before.", TASK),
        "events_expired_total": Family("counter", "Rows of the log that are beyond retention.", ("partition", "task")),
        "double_ids": Family("gauge", "Ids of events that are remembered, against doubles.", TASK),
        "double_ids_evicted_total": Family("counter", "Ids of events that were let go of, being old.", TASK),
        "users": Family("gauge", "Users of whom there are events.", TASK),
        "user_events": Family("gauge", "Events that are kept of users.", TASK),
        "items": Family("gauge", "Items that a model has learned from.", ("model", "task")),
        "units": Family("gauge", "Sessions, or users, that a model has learned from.", ("model", "task")),
        "pairs": Family("gauge", "Pairs that a model keeps.", ("model", "task")),
        "pairs_evicted_total": Family(
            "counter", "Pairs that learn.row_cap took, in each direction.", ("model", "task")
        ),
        "structure_bytes": Family("gauge", "Memory by structure.", ("structure", "task")),
        "catalogue_items": Family("gauge", "Items that the catalogue knows.", TASK),
        "model_info": Family(
            "gauge",
            "The trained version that each model is of: 1, and 0 where it cannot be loaded.",
            ("model", "version", "task"),
        ),
        # lists
        "lists_total": Family("counter", "Lists made.", TASK),
        "lists_changed_total": Family("counter", "Lists with other items, or in another order, than their user had."),
        "lists_dropped_total": Family("counter", "Lists that the push server was too slow for.", TASK),
        "watched_users": Family("gauge", "Users who are watched: somebody is subscribed to their lists."),
        "messages_pushed_total": Family("counter", "Messages to subscribers, heartbeats too."),
        "subscriptions_refused_total": Family("counter", "Subscriptions without a valid token."),
        "push_rejected_total": Family("counter", "What came to the push server and was no list."),
        "push_restarts_total": Family("counter", "Times that the push server's process was begun again."),
        "gap_requests_total": Family("counter", "Snapshots that subscribers asked for."),
        "push_delay_seconds": Family("histogram", "From an event's being in the log to the push of its list."),
        # HTTP
        "http_requests_total": Family("counter", "Requests answered.", ("method", "route", "status")),
        "http_streams": Family("gauge", "Open streams of server-sent events."),
        "http_refused_total": Family("counter", "What was turned away at the door.", ("reason",)),
        "impressions_total": Family("counter", "Items that stood in view.", ("recommender",)),
        "clicks_total": Family("counter", "Clicks on items of a list.", ("recommender",)),
        "purchases_total": Family("counter", "Purchases of items that stood in a list.", ("recommender",)),
    }.items()
}

REASONS = frozenset(
    (
        "malformed",
        "unknown kind",
        "unknown op",
        "time is not finite",
        "time is in the future",
        "time is too long ago",
        "time cannot be read",
        "value is not a finite number",
        "no user and no session",
        "data is no map",
        "undo of what",
        "a pin is of an item",
        "list is no id",
    )
)
PATTERNS = (
    (re.compile(r"no \w+"), "lacks a field"),
    (re.compile(r"\w+ (makes no sense|is no id)"), "a field makes no sense"),
)


def reason_word(reason: str) -> str:
    """A row's reason as a label: one of a fixed set, whatever its words hold."""
    if reason in REASONS:
        return reason
    return next((word for pattern, word in PATTERNS if pattern.fullmatch(reason)), "other")
