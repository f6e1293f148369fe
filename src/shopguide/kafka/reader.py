"""The topic's messages, fetched by a thread into a bounded queue a partition."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Fetched

from shopguide.collect.encode import Encoder
from shopguide.errors import StateError
from shopguide.kafka.client import Outage, base
from shopguide.kafka.cluster import Cluster
from shopguide.kafka.messages import SHIFT, Message, Rows
from shopguide.records import Batch

logger = logging.getLogger(__name__)

MOST_WAITING = 20_000  # messages of a partition that wait to be read
MOST_BYTES = 8 << 20  # of a partition's messages that wait to be read
FETCH = 1000  # messages taken from the client at once
LOOK = 10.0  # seconds between looks at how many partitions there are
PATIENCE = 10.0  # seconds for a broker to answer a question


@dataclass
class Feed:
    """One partition. ``moved``: the thread has to begin at ``next``; what it had fetched does not count."""

    next: int = 0  # the message to take next has at least this offset
    end: int = 0  # offset that the topic's next message will have, as far as is known
    reached: int = 0  # every message below it was fetched
    waiting: deque[Message] = field(default_factory=deque)
    bytes: int = 0
    moved: bool = False
    begun: bool = False
    paused: bool = False

    def is_full(self) -> bool:
        return len(self.waiting) > MOST_WAITING or self.bytes > MOST_BYTES

    def is_low(self) -> bool:
        return len(self.waiting) <= MOST_WAITING // 2 and self.bytes <= MOST_BYTES // 2


class Reader:
    """Reads every partition of a topic, each from where :meth:`go` says; sets ``appended`` when something came.

    Raises StateError where the broker does not answer at the start; :meth:`raise_error` does, from then on, where the
    topic is gone or does not hold what is asked for.
    """

    def __init__(
        self, cluster: Cluster, topic: str, partitions: int, outage: Outage, appended: threading.Event
    ) -> None:
        self._topic = topic
        self._outage = outage
        self._appended = appended
        self._lock = threading.Lock()
        self._feeds = [Feed() for _ in range(partitions)]
        self._error: StateError | None = None
        self._closing = threading.Event()
        self.grown = ""  # that there are partitions of which nothing is read
        self._next_look = time.monotonic() + LOOK
        self._doubted = False  # the client said that something is wrong with the topic
        self._consumer = Consumer({**_configuration(cluster, outage), "error_cb": self._heard})
        self._asking: deque[threading.Event] = deque()  # who wants to know the ends; set when they are known
        self._ask_ends()
        self._thread = threading.Thread(target=self._work, name="kafka reader", daemon=True)
        self._thread.start()

    def go(self, partition: int, offset: int) -> None:
        """Read on from a message's offset; nothing to do where that is the next one."""
        feed = self._feeds[partition]
        with self._lock:
            if feed.begun and feed.next == offset:
                return
            feed.next, feed.reached, feed.bytes = offset, 0, 0
            feed.waiting.clear()
            feed.begun = feed.moved = True

    def take(self, partition: int) -> Message | None:
        """The next message; None: there is none yet."""
        feed = self._feeds[partition]
        with self._lock:
            if not feed.waiting:
                feed.next = max(feed.next, feed.reached)
                return None
            message = feed.waiting.popleft()
            feed.bytes -= _size(message)
            feed.next = message.offset + 1
            return message

    def next(self, partition: int) -> int:
        """Everything below this offset was taken, or is nothing that can be taken."""
        return self._feeds[partition].next

    def end(self, partition: int) -> int:
        """The offset that the topic's next message will have, as far as is known."""
        return self._feeds[partition].end

    def look(self) -> None:
        """Let the thread ask for the end of each partition. Raises StateError where no broker answers."""
        known = threading.Event()
        self._asking.append(known)
        if not known.wait(2 * PATIENCE):
            self.raise_error()
            raise StateError(f"topic {self._topic!r}: no answer in time")

    def holds(self, partition: int, offset: int) -> None:
        """The topic is known to hold this offset."""
        feed = self._feeds[partition]
        with self._lock:
            feed.end = max(feed.end, offset + 1)

    def raise_error(self) -> None:
        """Raises what ended the thread."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._consumer.close()

    def _work(self) -> None:
        try:
            while not self._closing.is_set():
                self._move()
                first = self._consumer.poll(0.05)
                if first is not None:
                    for fetched in [first, *self._consumer.consume(FETCH, 0)]:
                        self._receive(fetched)
                    self._outage.over()
                    self._appended.set()
                self._throttle()
                self._answer()
                self._make_sure()
                self._count()
        except KafkaException as e:
            self._error = StateError(f"topic {self._topic!r} cannot be read: {e.args[0].str()}")
        except StateError as e:
            self._error = e
        self._appended.set()

    def _move(self) -> None:
        """Begin where readers want to begin."""
        with self._lock:
            moved = [(partition, feed) for partition, feed in enumerate(self._feeds) if feed.moved]
            starts = [TopicPartition(self._topic, partition, feed.next) for partition, feed in moved]
            for _, feed in moved:
                feed.moved = feed.paused = False
        if not starts:
            return
        assigned = {place.partition for place in self._consumer.assignment()}
        self._consumer.incremental_unassign([start for start in starts if start.partition in assigned])
        self._consumer.incremental_assign(starts)
        self._consumer.resume(starts)

    def _receive(self, fetched: Fetched) -> None:
        error, partition, offset = fetched.error(), fetched.partition(), fetched.offset()
        if error is not None:
            self._note(error, partition, offset)
            return
        assert offset is not None and partition is not None
        feed = self._feeds[partition]
        key: Any = fetched.key()
        value: Any = fetched.value()
        message = Message(offset, fetched.timestamp()[1] / 1000, key, value)
        with self._lock:
            if feed.moved or offset < feed.next:
                return
            feed.waiting.append(message)
            feed.bytes += _size(message)
            feed.reached = offset + 1
            feed.end = max(feed.end, feed.reached)

    def _note(self, error: KafkaError, partition: int | None, offset: int | None) -> None:
        """What came instead of a message."""
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            assert partition is not None and offset is not None
            with self._lock:
                feed = self._feeds[partition]
                if not feed.moved:
                    feed.reached = max(feed.reached, offset)
                    feed.end = max(feed.end, offset)
        elif code == KafkaError._AUTO_OFFSET_RESET:
            assert partition is not None
            self._skip(partition)
        else:
            logger.debug("%s", error.str())

    def _skip(self, partition: int) -> None:
        """The message asked for is not there: go on with the oldest one that is."""
        feed = self._feeds[partition]
        low, high = self._watermarks(partition)
        asked = max(feed.next, feed.reached)
        if asked >= low:
            raise StateError(
                f"topic {self._topic!r} ends at {high} in partition {partition}, before {asked} was reached"
            )
        logger.warning("topic %s no longer holds %s..%s of partition %s", self._topic, asked, low - 1, partition)
        place = TopicPartition(self._topic, partition, low)
        self._consumer.incremental_unassign([place])
        self._consumer.incremental_assign([place])

    def _throttle(self) -> None:
        """Fetch no more of partitions whose queues are full, until they are half empty."""
        for partition, feed in enumerate(self._feeds):
            if not feed.begun or feed.moved:
                continue
            place = TopicPartition(self._topic, partition)
            self.holds(partition, self._consumer.get_watermark_offsets(place, cached=True)[1] - 1)
            if not feed.paused and feed.is_full():
                self._consumer.pause([place])
                feed.paused = True
            elif feed.paused and feed.is_low():
                self._consumer.resume([place])
                feed.paused = False

    def _heard(self, error: KafkaError) -> None:
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED):
            self._doubted = True
        else:
            self._outage.heard(error)

    def _answer(self) -> None:
        """Tell the ends of the partitions to who wants to know them; they give up where no broker tells."""
        while self._asking:
            known = self._asking.popleft()
            try:
                self._ask_ends()
                known.set()
            except StateError as e:
                logger.debug("%s", e)

    def _ask_ends(self) -> None:
        for partition in range(len(self._feeds)):
            self.holds(partition, self._watermarks(partition)[1] - 1)

    def _make_sure(self) -> None:
        """Raises StateError where the topic is gone, or no longer ours to read."""
        if not self._doubted:
            return
        self._doubted = False
        try:
            error = self._consumer.list_topics(self._topic, timeout=PATIENCE).topics[self._topic].error
        except KafkaException:
            return  # no answer: it will be said again
        if error is not None:
            raise StateError(f"topic {self._topic!r}: {error.str()}")

    def _count(self) -> None:
        """Say where the topic has got more partitions: rows of a user would be in two."""
        if self.grown or self._outage.away or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK
        try:
            now = len(self._consumer.list_topics(self._topic, timeout=PATIENCE).topics[self._topic].partitions)
        except KafkaException as e:
            logger.debug("how many partitions there are is not known: %s", e.args[0].str())
            return
        if now > len(self._feeds):
            had = len(self._feeds)
            self.grown = f"topic {self._topic!r} has {now} partitions now, of which the first {had} are read"
            logger.error("%s: end this, and run a new state directory, which learns the topic anew", self.grown)

    def _watermarks(self, partition: int) -> tuple[int, int]:
        """The offsets of the oldest message and behind the newest; asks again while the partition has no leader."""
        place = TopicPartition(self._topic, partition)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                found: tuple[int, int] | None = self._consumer.get_watermark_offsets(place, timeout=PATIENCE)
                if found is not None:
                    return found
                why = "no answer"
            except KafkaException as e:
                why = e.args[0].str()
            if time.monotonic() > deadline:
                raise StateError(f"topic {self._topic!r}, partition {partition}: {why}")
            time.sleep(0.1)


def read(reader: Reader, encoder: Encoder, partition: int, offset: int, limit: int) -> Batch | None:
    """The rows of a partition's next messages from ``offset`` on; None where there are none yet.

    Whole messages, until there are ``limit`` rows.
    """
    reader.go(partition, offset >> SHIFT)
    rows = Rows(encoder)
    while len(rows) < limit and (message := reader.take(partition)) is not None:
        rows.add(message)
    end = reader.next(partition) << SHIFT
    return Batch(partition, offset, end - 1, *rows.result()) if end > offset else None


def _configuration(cluster: Cluster, outage: Outage) -> dict[str, Any]:
    """No group: every process reads everything."""
    return {
        **base(cluster, outage),
        "group.id": "shopguide-reads-without-a-group",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "topic.metadata.propagation.max.ms": 5_000,
        "topic.metadata.refresh.interval.ms": 30_000,
        "queued.min.messages": 10_000,
        "queued.max.messages.kbytes": 16_384,
        "fetch.wait.max.ms": 100,
    }


def _size(message: Message) -> int:
    return len(message.value or b"") + len(message.key or b"") + 64
