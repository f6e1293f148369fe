"""The way from the push bolts to the push server."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import zmq

NOW = int(zmq.DONTWAIT)  # as a flag it costs 1 us


class Intake:
    """Hands packed recommendations to the server at an endpoint; None: nobody subscribes, nothing is sent. ``lock``
    sets what a server in another process asks of its clients."""

    def __init__(self, endpoint: str | None, lock: Callable[[zmq.Socket[bytes]], None] = lambda socket: None) -> None:
        self._lock = lock
        self._endpoint: str | None = None
        self._socket: zmq.Socket[bytes] | None = None
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

    def send(self, packed: Iterable[bytes]) -> int:
        """Never waits; returns how many the server could not take, of which newer ones are on their way."""
        dropped = 0
        for one in packed if self._socket is not None else ():
            try:
                self._socket.send(one, NOW)  # type: ignore[union-attr]
            except zmq.Again:
                dropped += 1
        return dropped

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
