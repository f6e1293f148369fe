"""A topic as the log: what :class:`shopguide.log.Log` is for one process, for any number of them.

Offsets are those of :mod:`shopguide.kafka.messages`, with holes between rows; a batch stands for whole messages and
for what Kafka left out between them (transaction markers, what was compacted or has expired).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from shopguide.collect.encode import Encoder
from shopguide.errors import StateError
from shopguide.kafka.client import Outage, producer
from shopguide.kafka.group import Group
from shopguide.kafka.messages import PLACES, SHIFT, pieces
from shopguide.kafka.publisher import Publisher
from shopguide.kafka.reader import Reader, read
from shopguide.kafka.source import Spec
from shopguide.keys import Secret
from shopguide.records import Batch, Events, Names
from shopguide.relay import source_of

DELIVERY = 10_000  # ms that a message may take to the broker


class KafkaLog:
    """The topic of a SPEC. :meth:`append` and :meth:`commit` may be called from any thread, the rest from the runner's.

    Raises StateError where the broker does not answer at the start; later outages are waited out.
    """

    stride = PLACES  # between the offsets of neighbouring messages
    refuses = ""  # outages are waited out

    def __init__(self, spec: Spec, partitions: int, secret: Secret) -> None:
        self.partitions = partitions
        self.appended = threading.Event()  # set when there may be something to read
        self._topic = spec.topic
        self.topics = [topic for topic in (spec.topic, spec.recommendations, spec.rejects) if topic]  # keep copies
        self._outage = Outage(spec.servers)
        cluster = spec.cluster()
        self._encoder = Encoder(secret, controls=True)
        self._finished = False
        self._undelivered: str | None = None
        self._rows: dict[tuple[int, int], int] = {}  # (source, partition) -> its last row that is in the topic
        self._producer = Producer(producer(cluster, self._outage, DELIVERY))
        self._relays = Producer(producer(cluster, self._outage, patience=0))  # nobody would send them again
        self._reader = Reader(cluster, spec.topic, partitions, self._outage, self.appended)
        self._group = Group(cluster, spec.group, spec.topic, self._outage)
        self.publisher = Publisher(cluster, spec.recommendations, spec.rejects, self._group.owned, self._outage)
        for p, offset in self._group.committed(partitions).items():  # what these rows cause was delivered
            self._rows |= dict.fromkeys(((source_of(p), to) for to in range(partitions)), (offset << SHIFT) - 1)
        self._group.start(self.publisher)

    def append(self, partition: int, events: Events, names: Names, source: int = 0, row: int = -1) -> None:
        """Send rows to the end of a partition. Raises StateError where too much waits for the broker.

        ``row`` >= 0: a relay (:mod:`shopguide.relay`) sends rows that others cause, the last by that one.
        """
        producer = self._relays if row >= 0 else self._producer
        try:
            for value in pieces(Batch(partition, 0, len(events) - 1, events, names)):
                producer.produce(self._topic, value, partition=partition, on_delivery=self._delivered)
        except BufferError:
            raise StateError(f"topic {self._topic!r} takes no more: {len(producer):,} messages wait") from None
        except KafkaException as e:
            raise StateError(f"topic {self._topic!r} takes no more: {e.args[0].str()}") from None
        producer.poll(0)
        if row >= 0:
            self._rows[source, partition] = max(row, self.last_row(source, partition))

    def commit(self) -> None:
        """Wait until everything appended is delivered. Raises StateError where something was not in time."""
        left = self._producer.flush(2 * DELIVERY / 1000) or self._relays.flush(2 * DELIVERY / 1000)
        why, self._undelivered = self._undelivered, None
        if why is not None or left:
            raise StateError(f"topic {self._topic!r} did not take what was sent: {why or 'no answer in time'}")

    def read(self, partition: int, offset: int, limit: int) -> Batch | None:
        """The rows of a partition's next messages from ``offset`` on; None where there are none yet.

        Whole messages, until there are ``limit`` rows.
        """
        if self._finished:
            return None
        return read(self._reader, self._encoder, partition, offset, limit)

    def end(self, partition: int) -> int:
        """The offset that the next message's rows will begin at, as far as is known."""
        return self._reader.end(partition) << SHIFT

    def trouble(self) -> str:
        """Why the topic takes no rows, or not all of them are read; empty: neither."""
        if self._outage.away:
            return "no Kafka broker answers"
        return self._reader.grown

    def look(self) -> None:
        """Ask the broker how far the topic goes now. Raises StateError where it does not answer."""
        self._reader.look()

    def holds(self, positions: Sequence[int]) -> bool:
        """A topic that is the one it was has lost nothing but what its own retention took."""
        return True

    def last_row(self, source: int, partition: int) -> int:
        """The last row of a source that was appended here, or by the group before; -1: none."""
        return self._rows.get((source, partition), -1)

    def nbytes(self) -> int:
        """Bytes on this machine: the broker has them."""
        return 0

    def rewinds(self, after: int) -> list[tuple[int, int, int]]:
        """(number, partition, offset) of partitions to answer for, given to us after that number: where from."""
        given = self._group.begins(after)
        return [(number, p, offset << SHIFT) for number, p, offset in given if p < self.partitions]

    def follow(self, frontiers: dict[int, int]) -> None:
        """A durable snapshot holds everything up to these offsets, and nothing read so far is under way: the group's
        offsets follow. A partition that is being answered again is not yet as far as it was learned."""
        self._group.follow({p: min((last + 1) >> SHIFT, self._reader.next(p)) for p, last in frontiers.items()})

    def finish(self) -> None:
        """Hand out nothing more: the process ends."""
        self._finished = True
        self.publisher.give_up()

    def raise_error(self) -> None:
        """Raises StateError where the topic is gone or another one, or the group does not let us in."""
        self._reader.raise_error()
        self._group.raise_error()

    def close(self) -> None:
        self._group.close()
        self._reader.close()
        self._producer.flush(DELIVERY / 1000)
        self._relays.flush(DELIVERY / 1000)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is not None:
            self._undelivered = error.str()
        elif partition is not None and offset is not None:
            self._reader.holds(partition, offset)
