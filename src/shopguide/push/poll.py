"""Which sockets can be read, looking only at those to which something has happened.

libzmq's own poll looks at every socket each time, at two system calls a socket. But a socket has a descriptor (ZMQ_FD)
that can be read from when something has happened to it until somebody looks; and sending and receiving look, too.
"""

from __future__ import annotations

import select
from collections.abc import Iterable

import zmq

EVENTS, READABLE = int(zmq.EVENTS), int(zmq.POLLIN)  # as flags they cost 1 us


class Poll:
    """Of these sockets, and of descriptors of others. Of one thread.

    Invariant: a socket that can be read is among the touched ones, or its descriptor can be read.
    """

    def __init__(self, sockets: Iterable[zmq.Socket[bytes]], descriptors: Iterable[int]) -> None:
        self._sockets = {socket.fileno(): socket for socket in sockets}
        self._touched = set(self._sockets.values())
        self._epoll = select.epoll()
        for descriptor in (*self._sockets, *descriptors):
            self._epoll.register(descriptor, select.EPOLLIN)

    def wait(self, seconds: float) -> set[zmq.Socket[bytes] | int]:
        """Those that can be read, or to which something else has happened; none where nothing has in that time."""
        ready: set[zmq.Socket[bytes] | int] = {socket for socket in list(self._touched) if self.readable(socket)}
        for descriptor, _ in self._epoll.poll(0 if ready else seconds):
            socket = self._sockets.get(descriptor)
            if socket is not None:
                self._touched.add(socket)
            ready.add(descriptor if socket is None else socket)
        return ready

    def readable(self, socket: zmq.Socket[bytes]) -> bool:
        """Whether it can be read now."""
        can = bool(int(socket.get(EVENTS)) & READABLE)
        (self._touched.add if can else self._touched.discard)(socket)
        return can

    def touched(self, socket: zmq.Socket[bytes]) -> None:
        """Something was sent or received by it: it is looked at again before the next wait."""
        self._touched.add(socket)

    def close(self) -> None:
        self._epoll.close()
