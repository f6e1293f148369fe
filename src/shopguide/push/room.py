"""Room for connections: a process that has no descriptor left cannot take one more, and libzmq would try without end.

So before that happens new connections are not answered: the kernel drops their SYN packets (a socket filter on the
listening sockets), and their hosts try again by themselves. Who is inside stays. For TCP only.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import socket
import struct
import time

logger = logging.getLogger(__name__)

SPARE = 32  # descriptors for files
WARN = 60.0  # seconds between warnings
ATTACH, DETACH = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER
NO_SYN = [  # BPF: of a TCP segment's flags, SYN without ACK is dropped
    (0x30, 0, 0, 13),  # load the byte of the flags
    (0x54, 0, 0, 0x12),  # of them SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone: the next, else the one after it
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # take
]


class Room:
    """``backlog``: connections that may wait in the kernel for each of the two doors. This process's limit of open
    files is kept so far below what it may be that there is room for those who come in once the doors are shut."""

    def __init__(self) -> None:
        _, self._most = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.backlog = min(10_000, self._most // 32)
        self._limit = self._most - 8 * self.backlog - SPARE  # in a burst more are let in than can wait
        self._doors: list[socket.socket] = []
        self._shut = False
        self._warn_at = 0.0

    def guard(self, doors: list[socket.socket]) -> None:
        """These are the doors, listening TCP sockets, closed in the end; without any nothing is guarded."""
        self._doors = doors
        if doors:
            self._allow(self._limit)

    def look_after(self, came: bool) -> None:
        """Shut the doors where there is no room, and open them again. ``came``: somebody may have."""
        if not came and not self._shut:
            return
        try:
            free = os.dup(0)  # the lowest that is not in use
            os.close(free)
        except OSError:
            free = self._limit
        if free >= self._limit and not self._shut:
            self._shut = True
            program = struct.pack("HL", len(NO_SYN), ctypes.addressof(_PROGRAM))
            for door in self._doors:
                door.setsockopt(socket.SOL_SOCKET, ATTACH, program)
            self._allow(self._most)  # who waits comes in
            self._warn()
        elif self._shut and free < self._limit - self._limit // 16:
            self._shut = False
            self._allow(self._limit)
            for door in self._doors:
                door.setsockopt(socket.SOL_SOCKET, DETACH, 0)

    def _allow(self, files: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, self._most))

    def _warn(self) -> None:
        if time.monotonic() >= self._warn_at:
            self._warn_at = time.monotonic() + WARN
            logger.warning("no room for more subscribers: %s open files; raise their limit", self._limit)

    def close(self) -> None:
        for door in self._doors:
            door.close()


_PROGRAM = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in NO_SYN))
