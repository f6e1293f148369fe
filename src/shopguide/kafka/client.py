"""What all clients of the broker share: their configuration, and that an outage is said once and waited out."""

from __future__ import annotations

import logging
import threading
from typing import Any

from confluent_kafka import KafkaError

from shopguide.kafka.cluster import Cluster

logger = logging.getLogger(__name__)

NOT_LET_IN = (KafkaError._AUTHENTICATION, KafkaError._SSL)
SILENT = 2  # librdkafka's own messages: only critical ones; the rest comes through error_cb


class Outage:
    """Whether the brokers are ``away``, or do not let us in, which clients take for the same. Said once when
    they go, once when they are back."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self.away = False
        self.refused = ""  # why a broker did not let us in, as it or TLS said
        self._lock = threading.Lock()

    def heard(self, error: KafkaError) -> None:
        """librdkafka's error_cb."""
        if error.code() in NOT_LET_IN:
            self.refused = error.str()
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            why = f" ({self.refused})" if self.refused else ""
            self._become(True, f"no Kafka broker answers at %s{why}; waiting for one")
        else:
            logger.debug("%s", error.str())

    def over(self) -> None:
        """Something came from a broker."""
        self.refused = ""
        if self.away:
            self._become(False, "a Kafka broker answers at %s again")

    def _become(self, away: bool, words: str) -> None:
        with self._lock:
            if self.away != away:
                self.away = away
                logger.warning(words, self._servers)


def base(cluster: Cluster, outage: Outage) -> dict[str, Any]:
    """The part of the configuration that every client has."""
    return {
        **cluster.properties,
        "bootstrap.servers": cluster.servers,
        "client.id": "shopguide",
        "log_level": SILENT,
        "error_cb": outage.heard,
        "reconnect.backoff.max.ms": 1000,
    }


def producer(cluster: Cluster, outage: Outage, patience: int) -> dict[str, Any]:
    """An idempotent producer's. ``patience``: ms after which a message counts as not delivered; 0: never."""
    return {
        **base(cluster, outage),
        "enable.idempotence": True,
        "linger.ms": 1,
        "message.timeout.ms": patience,
        "message.max.bytes": 8_000_000,
        "compression.type": "lz4",
        "queue.buffering.max.kbytes": 65_536,
        "topic.metadata.propagation.max.ms": 5_000,
    }
