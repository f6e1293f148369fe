"""What all clients of the broker share: their configuration, and that an outage is said once and waited out."""

from __future__ import annotations

import logging
import threading
from typing import Any

from confluent_kafka import KafkaError

logger = logging.getLogger(__name__)

SILENT = 2  # librdkafka's own messages: only critical ones; the rest comes through error_cb


class Outage:
    """Whether the brokers are ``away``. Said once when they go, once when they are back."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self.away = False
        self._lock = threading.Lock()

    def heard(self, error: KafkaError) -> None:
        """librdkafka's error_cb."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._become(True, "no Kafka broker answers at %s; waiting for one")
        else:
            logger.debug("%s", error.str())

    def over(self) -> None:
        """Something came from a broker."""
        if self.away:
            self._become(False, "a Kafka broker answers at %s again")

    def _become(self, away: bool, words: str) -> None:
        with self._lock:
            if self.away != away:
                self.away = away
                logger.warning(words, self._servers)


def base(servers: str, outage: Outage) -> dict[str, Any]:
    """The part of the configuration that every client has."""
    return {
        "bootstrap.servers": servers,
        "client.id": "shopguide",
        "log_level": SILENT,
        "error_cb": outage.heard,
        "reconnect.backoff.max.ms": 1000,
    }


def producer(servers: str, outage: Outage, patience: int) -> dict[str, Any]:
    """An idempotent producer's. ``patience``: ms after which a message counts as not delivered; 0: never."""
    return {
        **base(servers, outage),
        "enable.idempotence": True,
        "linger.ms": 1,
        "message.timeout.ms": patience,
        "message.max.bytes": 8_000_000,
        "compression.type": "lz4",
    }
