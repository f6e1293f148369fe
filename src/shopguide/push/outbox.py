"""What each user was last sent, and with it what the next message is: a diff where that is shorter. No sockets."""

from __future__ import annotations

import os
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from shopguide import wire

KEPT = 10_000  # users whose newest list is kept; about 20 kB each


class Sent(NamedTuple):
    """A user's newest list: the snapshot as its head and its items' JSON, and the whole recommendation as it came."""

    n: int
    partition: int
    offset: int
    head: wire.Message
    items: wire.Packed
    recommendation: bytes


class Outbox:
    """Gives messages their seq. Of at most ``kept`` users it knows the newest list, the longest unchanged going first.

    ``counts`` has a running total: changed, lists with other items, or in another order, than their user had.

    Invariant: a user's seq (epoch, n) never falls, also over :meth:`forget` and after the list had to go: who comes
    anew begins above every n that went. One thread writes; any may read.
    """

    def __init__(self, epoch: int, kept: int = KEPT) -> None:
        self.epoch = epoch
        self.counts: Counter[str] = Counter()
        self._kept = kept
        self._floor = 0
        self._sent: OrderedDict[int, Sent] = OrderedDict()
        self._lock = Lock()

    def recommend(self, recommendation: dict[str, Any], now: float, packed: bytes) -> bytes | None:
        """The message for a recommendation, as JSON; None for one that is no newer than the list the user has: a
        replay. It is the map that is ``packed`` (see :mod:`shopguide.lists`); ``now`` is epoch s. Raises KeyError,
        TypeError or PackingError, and nothing is changed, for what is no recommendation.
        """
        user = recommendation["user"]
        partition, offset = recommendation["partition"], recommendation["offset"]
        before = self._sent.get(user)
        if before is not None and partition == before.partition and offset <= before.offset:
            return None
        n = (self._floor if before is None else before.n) + 1
        head = wire.head((self.epoch, n), recommendation, now)
        wire.check({**head, "items": []})
        items = wire.items_of(recommendation["items"], recommendation["json"])
        self.counts["changed"] += before is None or list(items) != list(before.items)
        with self._lock:
            self._sent[user] = Sent(n, partition, offset, head, items, packed)
            self._sent.move_to_end(user)
            if len(self._sent) > self._kept:
                self._drop(next(iter(self._sent)))
        body = wire.pack_snapshot(head, items)
        if before is None or items.items().isdisjoint(before.items.items()):
            return body
        change = wire.pack_diff(head, items, before.n, before.items)
        return change if len(change) < len(body) else body

    def snapshot(self, user: int) -> bytes | None:
        """The user's newest list as a message, as JSON, with the seq it was first sent with."""
        sent = self._get(user)
        return wire.pack_snapshot(sent.head, sent.items) if sent else None

    def seq(self, user: int) -> wire.Seq:
        """The seq of the user's newest list; n is 0 where none is known."""
        sent = self._get(user)
        return (self.epoch, sent.n if sent else 0)

    def latest(self, user: int) -> bytes | None:
        """The user's newest recommendation as it came, with the ``why`` of its items."""
        sent = self._get(user)
        return sent.recommendation if sent else None

    def shows(self, user: int, items: Iterable[str]) -> bool:
        """Whether the user's newest list has one of the items (ids) in it."""
        sent = self._get(user)
        return sent is not None and not sent.items.keys().isdisjoint(items)

    def forget(self, user: int) -> None:
        """Keep nothing of the user."""
        with self._lock:
            if user in self._sent:
                self._drop(user)

    def __len__(self) -> int:
        return len(self._sent)

    def _get(self, user: int) -> Sent | None:
        with self._lock:
            return self._sent.get(user)

    def _drop(self, user: int) -> None:
        self._floor = max(self._floor, self._sent.pop(user).n)


def next_epoch(directory: Path | None, now: float | None = None) -> int:
    """An epoch above all that were given out before: the clock's second, or one more than the file ``push-epoch`` in
    the directory says; the file then says the new one."""
    epoch = int(time.time() if now is None else now)
    if directory is None:
        return epoch
    path = directory / "push-epoch"
    with suppress(OSError, ValueError):  # the first run, or a torn file: the clock is above what any run took
        epoch = max(epoch, int(path.read_text()) + 1)
    new = path.with_name("push-epoch.new")
    with new.open("w") as file:
        file.write(f"{epoch}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return epoch
