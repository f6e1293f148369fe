"""What comes out goes to topics: lists and rejected rows of the partitions that this process answers for.

A message's key is ``partition:offset`` of the row that caused it, for a list followed by ``:user`` (the user's key,
hex): a row is answered again where an earlier answer may have been lost, and whoever reads drops doubles by key.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import orjson
from confluent_kafka import KafkaError, Message, Producer

from shopguide.kafka.client import Outage, producer
from shopguide.kafka.cluster import Cluster
from shopguide.rejects import readable

logger = logging.getLogger(__name__)

FULL = 0.1  # seconds between tries while the producer's queue is full
MOST_RAW = 100_000  # bytes of a rejected row that are published; the state directory keeps all


class Publisher:
    """``recommendations`` and ``rejects`` are names of topics; empty: nothing of the kind is published."""

    def __init__(
        self, cluster: Cluster, recommendations: str, rejects: str, owned: Callable[[], frozenset[int]], outage: Outage
    ) -> None:
        self._recommendations, self._rejects = recommendations, rejects
        self._owned = owned
        self._given_up = threading.Event()
        self._lost = False
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
            self._send(self._recommendations, f"{partition}:{found['offset']}:{user}", value)

    def reject(self, partition: int, offsets: list[int], reasons: list[str], raws: list[bytes]) -> None:
        """Publish rejected rows with their reasons."""
        if not self._rejects or partition not in self._owned():
            return
        for offset, reason, raw in zip(offsets, reasons, raws, strict=True):
            row = {"partition": partition, "offset": offset, "reason": reason, **readable(raw[:MOST_RAW])}
            self._send(self._rejects, f"{partition}:{offset}", orjson.dumps(row))

    def flush(self, timeout: float) -> bool:
        """Whether everything that was given is delivered; waits for it at most ``timeout`` seconds."""
        return self._producer.flush(timeout) == 0 and not self._lost

    def give_up(self) -> None:
        """Wait no longer for room, the process ends: what finds none is left to who answers after us."""
        self._given_up.set()

    def _send(self, topic: str, key: str, value: bytes) -> None:
        """Waits where the queue is full: an outage holds the line up instead of losing its answers."""
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=_complain)
            except BufferError:
                if self._given_up.is_set():
                    self._lost = True
                    return
                self._producer.poll(FULL)
            else:
                self._producer.poll(0)
                return


def _complain(error: KafkaError | None, message: Message) -> None:
    if error is not None:
        logger.warning("topic %s takes no message %s: %s", message.topic(), message.key(), error.str())
