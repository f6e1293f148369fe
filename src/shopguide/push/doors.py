"""The sockets that subscribers come to, and who may."""

from __future__ import annotations

import logging
import os
import socket
from collections import Counter
from collections.abc import Set
from contextlib import suppress

import zmq
from zmq.utils import z85

from shopguide import wire
from shopguide.errors import SettingError
from shopguide.push.bind import bind_pair
from shopguide.push.curve import Clients
from shopguide.push.lane import Lane, monitor
from shopguide.push.room import Room
from shopguide.settings import PushSettings

logger = logging.getLogger(__name__)

TURN = 256  # most of what libzmq says that is dealt with before others have their turn
ZAP = "inproc://zeromq.zap.01"  # where libzmq asks who may connect
DOMAIN = b"subscribers"
WHO = "User-Id"  # what libzmq calls the key that a frame's connection has, as the answer to ZAP said
LANES = 16  # behind a TCP address
REFUSALS = 10_000  # subscriptions of a connection, each of which libzmq keeps till it ends


class Doors:
    """``lanes`` for messages, ``router`` for who missed one. ``curve_key`` is the secret key (Z85) of a server that
    encrypts. Of one thread."""

    def __init__(self, settings: PushSettings, curve_key: bytes | None, own_key: bytes | None) -> None:
        self._settings, self._curve_key, self._own_key = settings, curve_key, own_key
        self.endpoints: tuple[str, str] = settings.endpoint, ""
        self._clients: Clients | None = None
        self._room = Room()
        self.open: set[Lane] = set()
        # of connections for messages, by lane and descriptor, which another lane may have given out again:
        self._refused: Counter[tuple[Lane, int]] = Counter()
        self._keys: dict[tuple[Lane, int], bytes] = {}  # where there is a list of clients
        self._version = 0  # of that list, which those inside were held against

    def bind(self) -> None:
        """Raises SettingError where the endpoint or the list of clients is of no use."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        over_tcp = self._settings.endpoint.startswith("tcp://")
        self.lanes = [Lane(self._settings.high_water_mark) for _ in range(LANES if over_tcp else 1)]
        self.router = context.socket(zmq.ROUTER)
        self.router.set(zmq.SNDHWM, TURN)
        xpubs = [lane.xpub for lane in self.lanes]
        self._lane_of = {each: lane for lane in self.lanes for each in (lane.xpub, lane.events)}
        self._public = [*xpubs, self.router]
        for public in self._public:
            public.set(zmq.LINGER, 0)
            public.set(zmq.MAXMSGSIZE, wire.MAX_FRAME)
        self._arrivals = monitor(self.router, zmq.EVENT_ACCEPTED)
        self._asked = context.socket(zmq.REP)
        if self._settings.clients:
            self._admit(self._settings.clients)
        bound = bind_pair(xpubs, self.router, self._settings.endpoint, self._curve_key, self._room.backlog)
        self.endpoints = bound.endpoint, bound.gap_endpoint
        self._room.guard(bound.listening)

    def sources(self) -> list[zmq.Socket[bytes]]:
        """What :meth:`look_after` is to be called for when it can be read."""
        return [*(lane.events for lane in self.lanes), self._arrivals, *([self._asked] if self._clients else [])]

    def look_after(self, ready: Set[object]) -> None:
        """Say who may come in, see that there is room, and which lanes are ``open``: somebody may have come there, said
        something or gone. ``ready``: which sources can be read."""
        came = self._lane_of.keys() & ready
        self.open = {lane for lane in self.open if lane.unsettled()} | {self._lane_of[each] for each in came}
        for lane in self.open:
            if lane.events in ready:
                self._hear(lane)
        if self._arrivals in ready:
            with suppress(zmq.Again):
                for _ in range(TURN):
                    self._arrivals.recv_multipart(zmq.DONTWAIT)
        self._room.look_after(bool(came) or self._arrivals in ready)
        self._put_out()
        if self._asked in ready:
            with suppress(zmq.Again):
                for _ in range(TURN):
                    self._asked.send_multipart(self._said(self._asked.recv_multipart(zmq.DONTWAIT)))

    def close(self) -> None:
        self._room.close()
        for lane in self.lanes:
            lane.close()
        self.router.disable_monitor()
        for each in (self._arrivals, self._asked, self.router):
            each.close(linger=0)

    def in_doubt(self, lane: Lane, came: zmq.Frame) -> bool:
        """Whether a subscription may be granted to another connection than the one that it came by: of a peer that
        speaks a version of ZMTP before 3 nobody knows."""
        self._hear(lane)
        try:
            descriptor = int(came.get(zmq.SRCFD))
            if self._clients is not None:
                self._keys[lane, descriptor] = _who(came)
            return lane.doubt or lane.has_ended(descriptor)
        except zmq.ZMQError:
            return True

    def refuse(self, lane: Lane, came: zmq.Frame, why: str) -> None:
        """This subscription is. Whose are, time and again, has to connect anew."""
        logger.debug("subscription refused: %s", why)
        with suppress(zmq.ZMQError):
            descriptor = int(came.get(zmq.SRCFD))
            self._refused[lane, descriptor] += 1
            if self._refused[lane, descriptor] == REFUSALS:
                self._end(descriptor, f"{REFUSALS:,} of its subscriptions were refused")

    def knows(self, came: zmq.Frame) -> bool:
        """Whether a connection to the gap socket may be there, going by what came by it."""
        return self._clients is None or self._clients.lists(_who(came))

    def _hear(self, lane: Lane) -> None:
        for descriptor in lane.hear():
            self._refused.pop((lane, descriptor), None)
            self._keys.pop((lane, descriptor), None)

    def _put_out(self) -> None:
        """Who is not in the list any more."""
        if self._clients is None or self._clients.version == self._version:
            return
        self._version = self._clients.version
        self.open.update(self.lanes)
        for lane in self.lanes:
            self._hear(lane)
        for (_, descriptor), key in list(self._keys.items()):
            if not self._clients.lists(key):
                self._end(descriptor, f"its key {key.decode()} is not in push.clients any more")

    def _end(self, descriptor: int, why: str) -> None:
        """Hang up; libzmq finds that the other side has gone. Where it is another one meanwhile, it comes back."""
        logger.warning("ended a subscriber's connection: %s", why)
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    def _admit(self, clients: str) -> None:
        if self._curve_key is None:
            raise SettingError(f"push.clients = {clients!r}: only a connection that is encrypted has a key: push.curve")
        self._clients = Clients(clients, self._own_key)
        for public in self._public:
            public.set(zmq.ZAP_DOMAIN, DOMAIN)
        self._asked.bind(ZAP)

    def _said(self, frames: list[bytes]) -> list[bytes]:
        """The answer to a request of RFC 27 (ZAP). Of other servers of this process the list says nothing."""
        version, request, domain, *_, key = frames
        assert self._clients is not None
        who = z85.encode(key) if len(key) == 32 else b""
        welcome = domain != DOMAIN or self._clients.lists(who)
        return [version, request, *((b"200", b"OK") if welcome else (b"400", b"the key is unknown")), who, b""]


def _who(came: zmq.Frame) -> bytes:
    """The key of the connection that a frame came by; empty: it has none."""
    try:
        return str(came.get(WHO)).encode()
    except zmq.ZMQError:
        return b""
