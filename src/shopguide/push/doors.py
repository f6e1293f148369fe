"""The two sockets that subscribers come to, and who may.

A process that has no descriptor left cannot take one more connection, and libzmq would try without end. So the doors
are shut for a moment then, and opened again; who is inside stays.
"""

from __future__ import annotations

import errno
import logging
import math
import time

import zmq
from zmq.utils.monitor import parse_monitor_message

from shopguide import wire
from shopguide.errors import SettingError
from shopguide.push.bind import bind_pair
from shopguide.push.curve import Clients
from shopguide.settings import PushSettings

logger = logging.getLogger(__name__)

ANSWERS = 256  # to who missed a message, kept for a slow client
BACKLOG = 10_000  # connections that may wait to be taken; the kernel's net.core.somaxconn may be less
SHUT = 1.0  # seconds
WARN = 60.0  # seconds between warnings
FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
ZAP = "inproc://zeromq.zap.01"  # where libzmq asks who may connect
DOMAIN = b"subscribers"


class Doors:
    """``xpub`` for messages, ``router`` for who missed one. ``curve_key`` is the secret key (Z85) of a server that
    encrypts. Of one thread."""

    def __init__(self, settings: PushSettings, curve_key: bytes | None, own_key: bytes | None) -> None:
        self._settings, self._curve_key, self._own_key = settings, curve_key, own_key
        self.endpoints: tuple[str, str] = settings.endpoint, ""
        self._open_at = self._warn_at = math.inf
        self._clients: Clients | None = None

    def bind(self) -> None:
        """Raises SettingError where the endpoint or the list of clients is of no use."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self.xpub, self.router = context.socket(zmq.XPUB), context.socket(zmq.ROUTER)
        for public in (self.xpub, self.router):
            public.set(zmq.LINGER, 0)
            public.set(zmq.MAXMSGSIZE, wire.MAX_FRAME)
            public.set(zmq.BACKLOG, BACKLOG)
        self.xpub.set(zmq.XPUB_MANUAL, 1)
        self.xpub.set(zmq.SNDHWM, self._settings.high_water_mark)
        self.router.set(zmq.SNDHWM, ANSWERS)
        self._refusals = [public.get_monitor_socket(zmq.EVENT_ACCEPT_FAILED) for public in (self.xpub, self.router)]
        self._asked = context.socket(zmq.REP)
        if self._settings.clients:
            self._admit(self._settings.clients)
        self.endpoints = bind_pair(self.xpub, self.router, self._settings.endpoint, self._curve_key)
        self._warn_at = 0.0

    def sources(self) -> list[zmq.Socket[bytes]]:
        """What :meth:`look_after` is to be called for when it can be read."""
        return [*self._refusals, self._asked]

    def wait(self) -> float:
        """Seconds until it is to be called anyhow."""
        return self._open_at - time.monotonic()

    def look_after(self) -> None:
        """Say who may come in; shut the doors where there is no room, and open them again."""
        if self._clients is not None:
            while self._asked.poll(0):
                self._asked.send_multipart(self._said(self._asked.recv_multipart()))
        full = [event for monitor in self._refusals for event in _events(monitor) if event in FULL]
        if full and self._open_at == math.inf:
            self._shut(full[0])
        elif time.monotonic() >= self._open_at:
            self._open()

    def close(self) -> None:
        for public in (self.xpub, self.router):
            public.disable_monitor()
        for each in (*self._refusals, self._asked, self.xpub, self.router):
            each.close(linger=0)

    def _admit(self, clients: str) -> None:
        if self._curve_key is None:
            raise SettingError(f"push.clients = {clients!r}: only a connection that is encrypted has a key: push.curve")
        self._clients = Clients(clients, self._own_key)
        for public in (self.xpub, self.router):
            public.set(zmq.ZAP_DOMAIN, DOMAIN)
        self._asked.bind(ZAP)

    def _said(self, frames: list[bytes]) -> list[bytes]:
        """The answer to a request of RFC 27 (ZAP). Of other servers of this process the list says nothing."""
        version, request, domain, *_, key = frames
        assert self._clients is not None
        welcome = domain != DOMAIN or self._clients.admits(key)
        return [version, request, *((b"200", b"OK") if welcome else (b"400", b"the key is unknown")), b"", b""]

    def _shut(self, why: int) -> None:
        now = time.monotonic()
        for public, endpoint in zip((self.xpub, self.router), self.endpoints, strict=True):
            public.unbind(endpoint)
        self._open_at = now + SHUT
        if now >= self._warn_at:
            self._warn_at = now + WARN
            logger.warning("no room for more subscribers: %s; raise the limit of open files", errno.errorcode[why])

    def _open(self) -> None:
        self._open_at = time.monotonic() + SHUT
        try:
            self.endpoints = bind_pair(self.xpub, self.router, self.endpoints[0], self._curve_key)
        except SettingError as e:  # libzmq lets go of a port in its own time
            logger.debug("the doors stay shut: %s", e)
            return
        self._open_at = math.inf


def _events(monitor: zmq.Socket[bytes]) -> list[int]:
    """The error numbers of connections that could not be taken."""
    found = []
    while monitor.poll(0):
        found.append(int(parse_monitor_message(monitor.recv_multipart())["value"]))
    return found
