"""A topic that is a log, read from its beginning to where it ends: for trainings and reports."""

from __future__ import annotations

import threading

from shopguide.collect.encode import Encoder
from shopguide.kafka.client import Outage
from shopguide.kafka.messages import SHIFT
from shopguide.kafka.reader import Reader, read
from shopguide.kafka.source import Spec
from shopguide.keys import Secret
from shopguide.records import Batch


class TopicHistory:
    """See :class:`shopguide.log.History`. Nothing is written to the topic, and no group knows of it. Raises StateError
    where the broker does not answer."""

    def __init__(self, spec: Spec, partitions: int, secret: Secret) -> None:
        self.partitions = partitions
        self._came = threading.Event()
        self._encoder = Encoder(secret, controls=True)
        self._reader = Reader(spec.cluster(), spec.topic, partitions, Outage(spec.servers), self._came)

    def read(self, partition: int, offset: int, limit: int) -> Batch | None:
        """The next rows from an offset on; None at the end. An outage is waited out."""
        while True:
            self._came.clear()
            batch = read(self._reader, self._encoder, partition, offset, limit)
            if batch is not None or offset >= self.end(partition):
                return batch
            self._reader.raise_error()
            self._came.wait(1.0)

    def end(self, partition: int) -> int:
        return self._reader.end(partition) << SHIFT

    def close(self) -> None:
        self._reader.close()
