"""The process that holds the state directory takes relayed rows from tasks on a cluster (shopguide.storm.holder)."""

from __future__ import annotations

import logging
from typing import cast

import msgpack
import zmq

from shopguide.errors import GapError, PackingError, SettingError, StateError
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.push.bind import encrypt
from shopguide.records import Batch, unpack
from shopguide.relay import Relay, source_of
from shopguide.storm.holder import door_keys

logger = logging.getLogger(__name__)

LARGEST = 64 << 20  # bytes of a request


class Host:
    """Answers None for what was taken, else ["gap" or "refused", why]. One thread; raises SettingError where it cannot
    listen at an address."""

    def __init__(self, log: Log, secret: Secret, address: str) -> None:
        self._log, self._relay = log, Relay(log)
        self._router: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
        self._router.set(zmq.LINGER, 0)
        self._router.set(zmq.MAXMSGSIZE, LARGEST)
        encrypt(self._router, door_keys(secret)[1])
        try:
            self._router.bind(f"tcp://{address}:*")
        except zmq.ZMQError as e:
            self.close()
            raise SettingError(f"storm.host = {address!r}: cannot listen there: {e}") from None
        self.endpoint = str(self._router.get_string(zmq.LAST_ENDPOINT))

    def serve(self, seconds: float) -> None:
        """Answer what comes, and wait so long for it."""
        wait = int(seconds * 1000)
        while self._router.poll(wait):
            *envelope, request = self._router.recv_multipart()
            self._router.send_multipart([*envelope, msgpack.packb(self._answer(request))])
            wait = 0

    def close(self) -> None:
        self._router.close()

    def _answer(self, request: bytes) -> list[str] | None:
        try:
            self._send(cast(Batch, unpack(request)))
        except GapError as e:
            return ["gap", str(e)]
        except StateError as e:
            return ["refused", str(e)]
        except PackingError as e:
            logger.warning("a task sent what are no rows: %s", e)
            return ["refused", str(e)]
        return None

    def _send(self, rows: Batch) -> None:
        """Put rows into the log, if those before them were: ``first`` is the row after the last that caused any."""
        source = source_of(rows.partition)
        taken = max(self._log.last_row(source, to) for to in range(self._log.partitions))
        if taken + 1 < rows.first:
            raise GapError(f"partition {rows.partition}: what row {rows.first - 1} causes has not been taken")
        self._relay.send(rows)
