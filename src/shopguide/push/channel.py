"""What the line and its push server's process say to each other: msgpack arrays over a pair of connected sockets.

Whoever ends closes its end, killed or not, and the other one finds no more to read.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock
from typing import Any

import msgpack

ROOM = 1 << 20  # bytes that may wait unread
PATIENCE = struct.pack("ll", 5, 0)  # seconds (struct timeval) for the other side to read


class Channel:
    """One end. Any thread may say something, one may listen."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, PATIENCE)
        self._unpacker = msgpack.Unpacker(strict_map_key=False)
        self._lock = Lock()
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def fileno(self) -> int:
        return self._socket.fileno()

    def say(self, *words: Any) -> None:
        """Raises OSError where the other side is gone, or has not read for long: then nothing more can be said."""
        data = msgpack.packb(words)
        with self._lock:
            try:
                self._socket.sendall(data)
            except OSError:
                self.end()  # a part of it may have gone
                raise

    def heard(self, wait: bool = True) -> Iterator[list[Any]]:
        """What has come; nothing where it is not to be waited for. Raises EOFError where the other side has gone."""
        if not wait and not self._poll.poll(0):
            return
        data = self._socket.recv(ROOM)
        if not data:
            raise EOFError
        self._unpacker.feed(data)
        yield from self._unpacker

    def end(self) -> None:
        """Say nothing more, so that the other side ends; hear until it has."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()
