"""A topic that others own, read into the log: ``follow:kafka://HOST:PORT/TOPIC[?mapping=FILE&client=FILE&group=G]``.

Nothing is written to it. A partition of the topic is a source of the log, a message's offset (shifted by 16 bits, plus
the row's place in it) the row's number: so the log itself knows how far the topic was read, and a kill loses and
doubles nothing. The group's offsets follow for those who watch lag with Kafka's tools; nothing is read from them.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Fetched
from confluent_kafka.admin import AdminClient

from shopguide.collect.chunk import Chunk
from shopguide.collect.collector import raw_of
from shopguide.collect.foreign import Foreign, Told, load_foreign
from shopguide.collect.plain import Plain
from shopguide.collect.values import consents
from shopguide.errors import SourceError
from shopguide.kafka.admin import connect, described
from shopguide.kafka.client import Outage, base
from shopguide.kafka.cluster import Cluster, cluster

logger = logging.getLogger(__name__)

Sent = Callable[[int], int]

FETCH = 2000  # messages taken from the client at once
WAIT = 0.02  # seconds to wait for a first one
RANGE = 4096  # offsets that the rows given at once may span: where they were cut short, all of them are read again
LOOK = 10.0  # seconds between looks for new partitions, and whether the topic is still the one it was
TELL = 5.0  # seconds between commits of the group's offsets
PATIENCE = 10.0  # seconds for a broker to answer a question
DOUBTFUL = 500  # messages from the first on of which nothing can be kept, until that is said
SHIFT = 16


@dataclass
class Partition:
    """``source``: what the log calls it; ``next``: the offset to read next; ``end``: that of the topic's next message,
    as far as is known; ``taken``: all below is in the log."""

    source: int
    next: int
    end: int = 0
    taken: int = 0


class FollowedTopic:
    """Raises SourceError where no broker answers, there is no such topic, or it ends before what was read of it."""

    nap = 0.0

    def __init__(self, at: Cluster, topic: str, group: str, mapping: Foreign | None) -> None:
        self._at, self.topic, self._group = at, topic, group
        self._mapping: Foreign | Plain = mapping or Plain()
        self._known: dict[Any, tuple[Any, ...]] = {}
        self._outage = Outage(at.servers)
        self._admin: AdminClient
        self._admin, there = connect(at)
        if topic not in there:
            raise SourceError(f"there is no topic {topic!r} at {at.servers}")
        self._id, self._count = described(self._admin, topic, at.servers)
        self._consumer = Consumer(self._configuration())
        self._partitions: dict[int, Partition] = {}
        self._next_look = self._next_tell = 0.0
        self._said = ""  # the last complaint
        self._fruitless = 0  # messages in a row, from the first on, of which nothing can be kept

    @property
    def total(self) -> int:
        return sum(partition.end for partition in self._partitions.values())

    @property
    def position(self) -> int:
        return sum(partition.next for partition in self._partitions.values())

    def lags(self) -> dict[int, int]:
        """Of each partition, the messages that are not in the log yet, as far as is known. Any thread may ask."""
        return {number: max(0, of.end - of.taken) for number, of in list(self._partitions.items())}

    def chunks(self, sent: Sent) -> Iterator[Chunk]:
        """The rows of messages that have come since."""
        self._look(sent)
        first = self._consumer.poll(WAIT)
        if first is None:
            return
        fetched: dict[int, list[Fetched]] = defaultdict(list)
        for message in [first, *self._consumer.consume(FETCH, 0)]:
            number, error = message.partition(), message.error()
            if error is not None:
                self._note(error, number)
            elif number is not None and number in self._partitions:
                fetched[number].append(message)
        if fetched:
            self._outage.over()
        for number, messages in fetched.items():
            yield from self._given(number, messages)
        self._tell()

    def close(self) -> None:
        self._next_tell = 0.0
        self._tell()
        self._consumer.close()

    def _given(self, number: int, messages: list[Fetched]) -> Iterator[Chunk]:
        """A partition's messages as rows, RANGE offsets at most at once."""
        partition = self._partitions[number]
        while messages:
            limit = (messages[0].offset() or 0) + RANGE
            at = next((at for at, message in enumerate(messages) if (message.offset() or 0) >= limit), len(messages))
            now, messages = messages[:at], messages[at:]
            partition.next = (now[-1].offset() or 0) + 1
            chunk = self._chunk(partition, now)
            if chunk.rows:
                yield chunk
            partition.taken = partition.next
        place = TopicPartition(self.topic, number)
        partition.end = max(partition.next, self._consumer.get_watermark_offsets(place, cached=True)[1])

    def _chunk(self, partition: Partition, messages: list[Fetched]) -> Chunk:
        rows: list[tuple[int, Told, bytes, str | None, float]] = []
        for message in messages:
            key, at = _text(message.key()), message.timestamp()[1] / 1000
            value: Any = message.value()
            for place, told in enumerate(self._mapping.rows(value, key, at)):
                rows.append((((message.offset() or 0) << SHIFT) + place, told, value or b"", key, at))
        fields = [told.fields for _, told, *_ in rows]
        self._doubt(len(messages), any(consents(one.get("consent")) for one in fields))
        columns = self._mapping.columns(fields, [(key, at) for *_, key, at in rows])
        raws = [value for _, _, value, *_ in rows]
        return Chunk(
            len(rows),
            columns,
            lambda row: raw_of(fields[row], raws[row]),
            {row: told.problem for row, (_, told, *_) in enumerate(rows) if told.problem},
            partition.source,
            0,
            known=self._known,
            numbers=np.array([number for number, *_ in rows], np.int64),
        )

    def _doubt(self, messages: int, fruitful: bool) -> None:
        """Say where a mapping seems to be wrong: what has no consent or an ignored kind leaves no trace."""
        if fruitful or self._fruitless > DOUBTFUL:
            self._fruitless = DOUBTFUL + 1
            return
        self._fruitless += messages
        if self._fruitless > DOUBTFUL:
            logger.warning(
                "the first %s messages of topic %s are all without consent or of kinds that are ignored: "
                "is its mapping right?",
                f"{self._fruitless:,}",
                self.topic,
            )

    def _note(self, error: KafkaError, number: int | None) -> None:
        """What came instead of a message."""
        if error.code() == KafkaError._AUTO_OFFSET_RESET and number is not None:
            self._skip(number)
        elif error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION):
            self._next_look = 0.0
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            self._complain(f"topic {self.topic!r}: {error.str()}")
        else:
            logger.debug("%s", error.str())

    def _skip(self, number: int) -> None:
        """The message asked for is not there: go on with the oldest one that is."""
        partition = self._partitions[number]
        try:
            found = self._consumer.get_watermark_offsets(TopicPartition(self.topic, number), timeout=PATIENCE)
        except KafkaException as e:
            logger.debug("%s", e.args[0].str())
            return
        low, high = found or (0, 0)
        if partition.taken > high:
            raise SourceError(
                f"topic {self.topic!r} ends at {high} in partition {number}, before {partition.taken} was reached"
            )
        if partition.taken < low:
            lost = f"{partition.taken}..{low - 1} of partition {number}"
            logger.warning("topic %s no longer holds %s", self.topic, lost)
        partition.taken = max(partition.taken, low)
        self._begin(number, low)

    def _begin(self, number: int, offset: int) -> None:
        place = TopicPartition(self.topic, number, offset)
        if number in {assigned.partition for assigned in self._consumer.assignment()}:
            self._consumer.incremental_unassign([place])
        self._consumer.incremental_assign([place])

    def _look(self, sent: Sent) -> None:
        """Take in partitions that are new, and a topic that was deleted and made again."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK
        if self._partitions:
            try:
                found = described(self._admin, self.topic, self._at.servers)
            except SourceError as e:
                if not self._outage.away:
                    self._complain(str(e))
                return
            self._complain("")
            if found[0] != self._id:
                logger.warning("topic %s was deleted and made again: reading it from its beginning", self.topic)
                self._consumer.unassign()
                self._partitions.clear()
            self._id, self._count = found
        for number in range(self._count):
            if number not in self._partitions:
                self._take_in(number, sent)

    def _take_in(self, number: int, sent: Sent) -> None:
        """Read a partition, from where the log may lack something of it."""
        name = f"kafka\0{self.topic}\0{self._id}\0{number}"
        source = xxhash.xxh3_64_intdigest(name.encode())
        row = sent(source)
        taken = (row >> SHIFT) + 1 if row >= 0 else 0
        self._partitions[number] = Partition(source, taken, taken, taken)
        self._begin(number, max(0, taken - RANGE) if taken else OFFSET_BEGINNING)

    def _tell(self) -> None:
        """Have the group's offsets follow."""
        if not self._group or time.monotonic() < self._next_tell:
            return
        self._next_tell = time.monotonic() + TELL
        places = [TopicPartition(self.topic, number, of.taken) for number, of in self._partitions.items() if of.taken]
        try:
            if places:
                self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as e:
            logger.debug("the group's offsets stay behind: %s", e.args[0].str())

    def _complain(self, what: str) -> None:
        if what and what != self._said:
            logger.warning("%s", what)
        self._said = what

    def _configuration(self) -> dict[str, Any]:
        return {
            **base(self._at, self._outage),
            "group.id": self._group or "shopguide-reads-without-a-group",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "topic.metadata.propagation.max.ms": 5_000,
            "queued.max.messages.kbytes": 16_384,
            "fetch.wait.max.ms": 100,
        }


def open_topic(servers: str, topic: str, mapping: str, client: str, group: str) -> FollowedTopic:
    """What a SPEC names. Raises SourceError or SettingError, in one line."""
    foreign = load_foreign(Path(mapping)) if mapping else None
    return FollowedTopic(cluster(servers, client), topic, group, foreign)


def _text(key: Any) -> str | None:
    try:
        return key.decode() if key else None
    except UnicodeDecodeError:
        return None
