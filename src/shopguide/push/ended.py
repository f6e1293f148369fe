"""Which connections of a socket have ended, as libzmq's monitor says: before it lets go of them."""

from __future__ import annotations

import struct
from contextlib import suppress

import zmq

EVENT = struct.Struct("=Hi")  # what happened, to which descriptor


class Ended:
    """The descriptors of connections that ended since :meth:`clear`. Make it before the socket is bound; ``events`` can
    be polled. What was heard before a receive that finds nothing can be cleared: no frame of these waits any more."""

    def __init__(self, watched: zmq.Socket[bytes]) -> None:
        self._watched = watched
        self.events = watched.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._descriptors: set[int] = set()

    def hear(self) -> None:
        """Take in who has ended until now."""
        with suppress(zmq.Again):
            while True:
                event, _ = self.events.recv_multipart(zmq.DONTWAIT)
                self._descriptors.add(EVENT.unpack(event)[1])

    def __contains__(self, descriptor: int) -> bool:
        self.hear()
        return descriptor in self._descriptors

    def clear(self) -> None:
        self._descriptors.clear()

    def close(self) -> None:
        self._watched.disable_monitor()
        self.events.close(linger=0)
