"""The consumer group: it divides who answers for which partition, not who learns.

The group's offset of a partition says: everything below was answered, and the answers are delivered. Who gets a
partition goes back to there, so that what the former owner had not delivered is answered again; the offset follows
the snapshots of whoever answers.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from shopguide.errors import StateError
from shopguide.kafka.client import Outage, base
from shopguide.kafka.cluster import Cluster
from shopguide.kafka.publisher import Publisher

logger = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds for the coordinator to answer
PARTING = 10.0  # seconds to deliver the last answers when the process ends
REFUSALS = (
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
    KafkaError.INVALID_GROUP_ID,
)
SESSION = 10_000  # ms without a sign of life after which the others take over


@dataclass
class Share:
    """A partition that is ours. ``number`` grows with every partition that we are given; ``begin`` is the group's
    offset; ``heard``: the spout knows that it has to go back there."""

    number: int
    begin: int
    heard: bool = False


class Group:
    """A member of the group ``name``; :meth:`start` joins it. Offsets are Kafka's.

    :meth:`raise_error` raises StateError where the group does not let us in.
    """

    def __init__(self, cluster: Cluster, name: str, topic: str, outage: Outage) -> None:
        self._name, self._topic = name, topic
        self._outage = outage
        self._lock = threading.Lock()
        self._shares: dict[int, Share] = {}
        self._given: set[int] = set()  # partitions that are ours as soon as the group's offset is known
        self._due: dict[int, int] = {}  # what the group's offsets have to become
        self._number = 0
        self._error: StateError | None = None
        self._closing = threading.Event()
        self._consumer = Consumer(_configuration(cluster, name, outage))

    def committed(self, partitions: int) -> dict[int, int]:
        """The group's offsets before it is joined; empty: there are none, or they cannot be told now."""
        places = [TopicPartition(self._topic, partition) for partition in range(partitions)]
        try:
            found = self._consumer.committed(places, timeout=PATIENCE)
        except KafkaException as e:
            logger.debug("the group's offsets are not known yet: %s", e.args[0].str())
            return {}
        return {place.partition: place.offset for place in found if place.error is None and place.offset > 0}

    def start(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._consumer.subscribe([self._topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke)
        self._thread = threading.Thread(target=self._work, name="kafka group", daemon=True)
        self._thread.start()

    def owned(self) -> frozenset[int]:
        """The partitions that this process answers for."""
        return frozenset(self._shares)

    def begins(self, after: int) -> list[tuple[int, int, int]]:
        """(number, partition, offset) of partitions given after that number: where each has to be answered from."""
        with self._lock:
            new = [
                (share.number, partition, share) for partition, share in self._shares.items() if share.number > after
            ]
            for _, _, share in new:
                share.heard = True
            return [(number, partition, share.begin) for number, partition, share in sorted(new, key=lambda n: n[0])]

    def follow(self, answered: dict[int, int]) -> None:
        """Everything below these offsets was answered: the group's offsets follow when the answers are delivered."""
        with self._lock:
            for partition, offset in answered.items():
                share = self._shares.get(partition)
                if share is not None and share.heard and offset > share.begin:
                    self._due[partition] = offset

    def raise_error(self) -> None:
        """Raises what ended the thread."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Deliver the last answers, commit, leave."""
        self._closing.set()
        self._thread.join()
        self._consumer.close()

    def _work(self) -> None:
        try:
            while not self._closing.is_set():
                self._listen()
                self._adopt()
                self._settle()
                self._publisher.turn()
        except KafkaException as e:
            self._error = StateError(f"group {self._name!r}: {e.args[0].str()}")
        if self._publisher.flush(PARTING):
            self._settle()
        else:
            logger.warning("the last answers are not delivered; who takes over gives them again")

    def _listen(self) -> None:
        """Show that we live; partitions that come or go are told on the way. No messages: all partitions are paused."""
        message = self._consumer.poll(0.1)
        error = message.error() if message is not None else None
        if error is not None and error.code() in REFUSALS:
            raise KafkaException(error)

    def _assign(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        consumer.incremental_assign(places)
        consumer.pause(places)
        self._given |= {place.partition for place in places}

    def _revoke(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        with self._lock:
            for place in places:
                self._given.discard(place.partition)
                self._shares.pop(place.partition, None)
                self._due.pop(place.partition, None)
        consumer.incremental_unassign(places)

    def _adopt(self) -> None:
        """Partitions given become ours."""
        if not self._given:
            return
        try:
            places = [TopicPartition(self._topic, partition) for partition in sorted(self._given)]
            committed = self._consumer.committed(places, timeout=PATIENCE)
        except KafkaException as e:
            logger.debug("the group's offsets are not known yet: %s", e.args[0].str())
            return
        with self._lock:
            for place in committed:
                if place.error is None:
                    self._number += 1
                    self._shares[place.partition] = Share(self._number, max(place.offset, 0))
                    self._given.discard(place.partition)
        logger.info("answering for partitions %s of %s", sorted(self._shares), self._topic)

    def _settle(self) -> None:
        """Commit what is due, once the answers are delivered."""
        with self._lock:
            due = dict(self._due)
        if not due or self._outage.away or not self._publisher.flush(1.0):
            return
        try:
            self._consumer.commit(
                offsets=[TopicPartition(self._topic, partition, offset) for partition, offset in due.items()],
                asynchronous=False,
            )
        except KafkaException as e:
            logger.debug("the group's offsets stay behind: %s", e.args[0].str())
            return
        with self._lock:
            for partition, offset in due.items():
                if partition in self._shares:
                    self._shares[partition].begin = offset
                if self._due.get(partition) == offset:
                    del self._due[partition]


def _configuration(cluster: Cluster, name: str, outage: Outage) -> dict[str, Any]:
    return {
        **base(cluster, outage),
        "group.id": name,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": SESSION,
        "heartbeat.interval.ms": SESSION // 5,
        "enable.auto.commit": False,
        "auto.offset.reset": "latest",
    }
