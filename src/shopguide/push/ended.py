"""Which connections of a socket have ended, as libzmq's monitor says: before it lets go of them."""

from __future__ import annotations

import struct
from contextlib import suppress

import zmq

EVENT = struct.Struct("=Hi")  # what happened, to which descriptor


class Ended:
    """The descriptors of connections that ended since :meth:`clear`. Make it before the socket is bound."""

    def __init__(self, watched: zmq.Socket[bytes]) -> None:
        self._watched = watched
        self._events = watched.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._descriptors: set[int] = set()

    def __contains__(self, descriptor: int) -> bool:
        with suppress(zmq.Again):
            while True:
                event, _ = self._events.recv_multipart(zmq.DONTWAIT)
                self._descriptors.add(EVENT.unpack(event)[1])
        return descriptor in self._descriptors

    def clear(self) -> None:
        self._descriptors.clear()

    def close(self) -> None:
        self._watched.disable_monitor()
        self._events.close(linger=0)
