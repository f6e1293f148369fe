"""What comes out goes to topics: lists and rejected rows of the partitions that this process answers for.

A rejected row has ``partition:offset`` as its key, a list its user (the user's key, hex): so a user's lists stand in
one partition, in order, and compaction keeps the newest. A row is answered again where an earlier answer may have been
lost: whoever reads drops a rejected row by its key, and a list that is no newer, by ``offset``, than the one they have.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from typing import Any

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from shopguide.errors import SourceError
from shopguide.kafka.admin import connect
from shopguide.kafka.client import Outage, producer
from shopguide.kafka.cluster import Cluster
from shopguide.kafka.source import Spec
from shopguide.rejects import readable

logger = logging.getLogger(__name__)

FULL = 0.1  # seconds between tries while there is no room
AGAIN = 1.0  # seconds between tries of what waits
MOST_WAITING = 20_000  # messages, one a key, that neither client nor topic took: while there are more, the line waits
MOST_RAW = 100_000  # bytes of a rejected row that are published; the state directory keeps all
MOST_PARTITIONS = 1024  # that a log of our own has
NEVER = frozenset((KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.INVALID_RECORD))


class Publisher:
    """``recommendations`` and ``rejects`` are names of topics; empty: nothing of the kind is published. ``owned`` says
    for which partitions.

    What a topic does not take, since it is gone or may not be written to, is given to it again until it does: said
    once, and waited out as an outage is. Of what waits the newest of each key counts: of a user's lists there is one.
    Only a message that no broker will ever take is dropped, with a warning.
    """

    def __init__(
        self, cluster: Cluster, recommendations: str, rejects: str, owned: Callable[[], Container[int]], outage: Outage
    ) -> None:
        self._recommendations, self._rejects = recommendations, rejects
        self.topics = [topic for topic in (recommendations, rejects) if topic]
        self._owned = owned
        self._given_up = threading.Event()
        self._lost = False
        self._waiting: OrderedDict[tuple[str, bytes], bytes | None] = OrderedDict()  # by topic and key
        self._lock = threading.Lock()
        self._next_try = 0.0
        self._refusing: set[str] = set()  # topics of which it has been said
        self._producer = Producer(producer(cluster, outage, patience=0))

    def recommend(self, partition: int, recommendations: list[dict[str, Any]]) -> None:
        """Publish lists as rank gives them, without the sums behind their scores."""
        if not self._recommendations or partition not in self._owned():
            return
        for found in recommendations:
            user = f"{found['user']:016x}"
            items = [{name: value for name, value in item.items() if name != "why"} for item in found["items"]]
            told = {name: value for name, value in found.items() if name != "causes"}
            value = orjson.dumps({**told, "user": user, "items": items})
            self._send(self._recommendations, user, value)

    def reject(self, partition: int, offsets: list[int], reasons: list[str], raws: list[bytes]) -> None:
        """Publish rejected rows with their reasons."""
        if not self._rejects or partition not in self._owned():
            return
        for offset, reason, raw in zip(offsets, reasons, raws, strict=True):
            row = {"partition": partition, "offset": offset, "reason": reason, **readable(raw[:MOST_RAW])}
            self._send(self._rejects, f"{partition}:{offset}", orjson.dumps(row))

    def forget(self, users: Iterable[int]) -> None:
        """A message without a value for each user's key: compaction takes their lists, and readers know it."""
        for user in users if self._recommendations else ():
            self._send(self._recommendations, f"{user:016x}", None)

    def turn(self) -> None:
        """Hear what was delivered, and give again what waits; to be called now and then."""
        self._producer.poll(0)
        if not self._waiting or time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + AGAIN
        with self._lock:
            for (topic, key), value in list(self._waiting.items()):
                if self._produce(topic, key, value):
                    del self._waiting[topic, key]

    def flush(self, timeout: float) -> bool:
        """Whether everything that was given is delivered; waits for it at most ``timeout`` seconds."""
        self.turn()
        return self._producer.flush(timeout) == 0 and not self._waiting and not self._lost

    def undelivered(self) -> int:
        """Messages that wait for a broker or their topic. Any thread may ask."""
        return len(self._producer) + len(self._waiting)

    def give_up(self) -> None:
        """Wait no longer for room, the process ends: what finds none is left to who answers after us."""
        self._given_up.set()

    def _send(self, topic: str, key: str, value: bytes | None) -> None:
        """Waits where there is no room: an outage that lasts holds the line up instead of losing its answers."""
        place = topic, key.encode()
        self.turn()
        while True:
            with self._lock:
                if len(self._waiting) < MOST_WAITING or place in self._waiting:
                    self._waiting.pop(place, None)  # it is older
                    if not self._produce(topic, place[1], value):
                        self._waiting[place] = value
                    return
            if self._given_up.is_set():
                self._lost = True
                return
            self._producer.poll(FULL)
            self.turn()

    def _produce(self, topic: str, key: bytes, value: bytes | None) -> bool:
        """Whether the client took it, or nobody ever will."""
        try:
            self._producer.produce(topic, value, key, on_delivery=self._told)
        except BufferError:
            return False
        except KafkaException as e:
            return self._never(e.args[0], topic, value)
        return True

    def _told(self, error: KafkaError | None, message: Message) -> None:
        topic, key, value = message.topic(), message.key(), message.value()
        assert topic is not None and isinstance(key, bytes)
        if error is None:
            if topic in self._refusing:
                self._refusing.discard(topic)
                logger.warning("topic %s takes messages again", topic)
        elif not self._never(error, topic, value):
            with self._lock:
                self._waiting.setdefault((topic, key), value)  # what is there is newer

    def _never(self, error: KafkaError, topic: str, value: str | bytes | None) -> bool:
        """Whether no broker will ever take the message, which is said; that a topic takes none is said once."""
        if error.code() in NEVER:
            logger.warning("topic %s takes no message of %s bytes: dropped (%s)", topic, len(value or b""), error.str())
            return True
        if topic not in self._refusing:
            self._refusing.add(topic)
            logger.warning("topic %s takes no messages: %s; trying again until it does", topic, error.str())
        return False


def publisher_of(spec: Spec) -> Publisher:
    """Sends the lists of all partitions to the topic of a SPEC, and nothing else. Raises SourceError where no broker
    answers, or there is no such topic."""
    cluster = spec.cluster()
    _, there = connect(cluster)
    if spec.topic not in there:
        raise SourceError(f"there is no topic {spec.topic!r} at {spec.servers} for lists: make it")
    return Publisher(cluster, spec.topic, "", lambda: range(MOST_PARTITIONS), Outage(spec.servers))
