"""What tasks on a cluster ask of the process that holds the state directory: to take rows (shopguide.storm.holder)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

import msgpack
import zmq

from shopguide.errors import GapError, PackingError, SettingError, StateError
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.records import Batch, unpack
from shopguide.rejects import RejectFiles
from shopguide.relay import Relay, source_of
from shopguide.storm.holder import door_keys

logger = logging.getLogger(__name__)

LARGEST = 64 << 20  # bytes of a request


class Host:
    """Answers None for what was taken, else ["gap" or "refused", why]. One thread; raises SettingError where it cannot
    listen at an address."""

    def __init__(self, log: Log, rejects: RejectFiles, secret: Secret, address: str) -> None:
        self._log, self._rejects, self._relay = log, rejects, Relay(log)
        self._router: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
        self._router.set(zmq.LINGER, 0)
        self._router.set(zmq.MAXMSGSIZE, LARGEST)
        self._router.set(zmq.CURVE_SERVER, 1)
        self._router.set(zmq.CURVE_SECRETKEY, door_keys(secret)[1])
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
        verbs: dict[str, Callable[..., None]] = {"relay": self._send, "reject": self._rejects.write}
        try:
            verb, *arguments = msgpack.unpackb(request)
            verbs[verb](*arguments)
        except GapError as e:
            return ["gap", str(e)]
        except StateError as e:
            return ["refused", str(e)]
        except (PackingError, ValueError, KeyError, TypeError) as e:
            logger.warning("a task asked for what there is not: %s: %s", type(e).__name__, e)
            return ["refused", f"no such request: {e}"]
        return None

    def _send(self, packed: bytes) -> None:
        """Relayed rows, if those before them have been taken: ``first`` is the row after the last that caused any."""
        rows = cast(Batch, unpack(packed))
        source = source_of(rows.partition)
        taken = max(self._log.last_row(source, to) for to in range(self._log.partitions))
        if taken + 1 < rows.first:
            raise GapError(f"partition {rows.partition}: what row {rows.first - 1} causes has not been taken")
        self._relay.send(rows)
