"""The way from the push bolts to the push server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import zmq

NOW = int(zmq.DONTWAIT)  # as a flag it costs 1 us
LATE = 10_000  # lists that wait at most for the server: as many as it keeps itself
PATIENCE = 50  # ms for it to make room


class Intake:
    """Hands packed recommendations to the server at an endpoint; None: nobody subscribes, nothing is sent. ``lock``
    sets what a server in another process asks of its clients."""

    def __init__(self, endpoint: str | None, lock: Callable[[zmq.Socket[bytes]], None] = lambda socket: None) -> None:
        self._lock = lock
        self._endpoint: str | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._late: deque[bytes] = deque()
        self._stuck = False  # no room was made when it was waited for
        self.connect(endpoint)

    def connect(self, endpoint: str | None) -> None:
        """The server is at this endpoint now."""
        if endpoint == self._endpoint:
            return
        self.close()
        self._endpoint = endpoint
        if endpoint is not None:
            self._socket = zmq.Context.instance().socket(zmq.PUSH)
            self._socket.set(zmq.LINGER, 0)
            self._lock(self._socket)
            self._socket.connect(endpoint)

    def send(self, packed: Iterable[bytes] = ()) -> int:
        """What the server has no room for waits a moment, and then for what is sent next, be that nothing. A server
        that made none in that moment is not waited for again until it has. Returns how many were dropped, the oldest,
        since more than LATE wait."""
        if self._socket is None:
            return 0
        self._late.extend(packed)
        while self._late:
            try:
                self._socket.send(self._late[0], NOW)
            except zmq.Again:
                self._stuck = self._stuck or not self._socket.poll(PATIENCE, zmq.POLLOUT)
                if self._stuck:
                    break
            else:
                self._stuck = False
                self._late.popleft()
        dropped = max(0, len(self._late) - LATE)
        for _ in range(dropped):
            self._late.popleft()
        return dropped

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
