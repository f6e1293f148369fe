"""The push server: one thread that owns the sockets (docs/protocol.md), in a process of its own where a line has it.

PULL    intake     recommendations from the push bolts
XPUBs   endpoint   messages to subscribers; the token is the topic (shopguide.push.lane)
ROUTER  gap        a snapshot for who missed a message
"""

from __future__ import annotations

import itertools
import logging
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import zmq

from shopguide import wire
from shopguide.errors import SettingError, TokenError
from shopguide.push.beats import Beats
from shopguide.push.bind import bind_intake
from shopguide.push.doors import Doors
from shopguide.push.gaps import answer
from shopguide.push.guard import Guard
from shopguide.push.lane import Lane
from shopguide.push.outbox import Outbox, next_epoch
from shopguide.push.poll import Poll
from shopguide.push.watchers import Watchers
from shopguide.records import SIMILAR, TRENDING
from shopguide.settings import PushSettings

logger = logging.getLogger(__name__)

IDLE = 60.0  # seconds that the thread waits where nothing is due
TURN = 256  # most frames taken from all lanes, or from another socket, before the others have their turn
LISTS = 16  # most of them that are lists
DELAYS = 4096  # newest lists whose delay is kept
WANTED = 10_000  # users whose next list somebody waits for
NOW = int(zmq.DONTWAIT)  # as a flag it costs 1 us
USERLESS = (SIMILAR.decode(), TRENDING.decode())  # answers to a question; no user's list
_numbers = itertools.count()

Watched = Callable[[int, float], None]
Unwatched = Callable[[int], None]
Wanted = Callable[[int, bytes], None]
Attend = Callable[[], None]
Place = tuple[Lane, bytes]  # a token, where connections came with it


class PushServer:
    """Pushes recommendations to the subscribers of their user. :meth:`bind` raises SettingError where the endpoint is
    wrong, in use, or open to the world without CURVE; then ``endpoint`` and ``gap_endpoint`` are real. ``curve_key`` is
    the secret key (Z85) of a server that encrypts, ``own_key`` the public one of a client that is always welcome.

    ``on_watch(user, expires)`` when a user is watched anew or for longer, or with 0.0 where only their list has to be
    made again; ``on_unwatch(user)`` when their last token is gone; ``on_wanted(user, packed)`` with the next list, as
    it came, of who is :meth:`want`-ed: all from the server's thread; they must not block.
    ``intake`` is a PULL endpoint for recommendations and {"gone": [...]}, items (ids) that are to leave all lists;
    ``intake_key`` the secret key where it encrypts; None: an inproc one of ``zmq.Context.instance()``. ``counts`` are
    running totals: pushed, changed (:class:`Outbox`), refused, rejected, gaps. ``delays`` has the newest lists that
    somebody got: when they were pushed (epoch s), how long after their event was in the log (s); ``delay`` counts them.
    """

    def __init__(
        self,
        settings: PushSettings,
        guard: Guard,
        state: Path | None,
        on_watch: Watched,
        on_unwatch: Unwatched,
        intake: str | None = None,
        intake_key: bytes | None = None,
        curve_key: bytes | None = None,
        own_key: bytes | None = None,
        on_wanted: Wanted = lambda user, packed: None,
    ) -> None:
        self._guard = guard
        self._on_watch, self._on_unwatch, self._on_wanted = on_watch, on_unwatch, on_wanted
        self.intake = intake or f"inproc://shopguide-push-{next(_numbers)}"
        self._intake_key = intake_key
        self._doors = Doors(settings, curve_key, own_key)
        self.endpoint, self.gap_endpoint = settings.endpoint, ""
        self._outbox = Outbox(next_epoch(state))
        self.counts = self._outbox.counts
        self.delays: deque[tuple[float, float]] = deque(maxlen=DELAYS)
        self._watchers = Watchers[Place]()
        self._beats = Beats(settings.heartbeat, max(1, settings.high_water_mark // 2))
        self._wanted: OrderedDict[int, None] = OrderedDict()
        self._todo: deque[Callable[[], None]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._thread = threading.Thread(target=self.run, name="push", daemon=True)
        self._running = True
        self._keys = guard.keys

    def start(self) -> None:
        """Bind, and push from a thread."""
        self.bind()
        self._thread.start()

    def bind(self) -> None:
        self._pull: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
        try:
            self._doors.bind()
            self.intake = bind_intake(self._pull, self.intake, self._intake_key)
        except SettingError:
            self._close()
            raise
        self._lanes, self._router = self._doors.lanes, self._doors.router
        self.endpoint, self.gap_endpoint = self._doors.endpoints

    def stop(self) -> None:
        """Close the sockets; subscribers reconnect by themselves to the next server."""
        self._running = False
        self._soon(lambda: None)
        if self._thread.is_alive():
            self._thread.join()
        self._wake.close()
        self._woken.close()

    # -- from any thread ---------------------------------------------------------------------------------------------

    def latest(self, user: int) -> bytes | None:
        """The user's newest recommendation as it came, with the ``why`` of its items."""
        return self._outbox.latest(user)

    def snapshot(self, user: int) -> bytes | None:
        """The user's newest list as it goes on the wire."""
        return self._outbox.snapshot(user)

    def want(self, user: int) -> None:
        """Have ``on_wanted`` called with the next recommendation for the user (or the key of a question). Where there
        are too many, who waits longest is dropped."""
        self._wanted[user] = None
        if len(self._wanted) > WANTED:
            self._wanted.popitem(last=False)

    def forget(self, user: int) -> None:
        """Keep nothing of a user, and send nothing more to the tokens that they have now."""
        self._soon(lambda: self._forget(user))

    def watch_again(self) -> None:
        """Have every watched user's list made again."""
        self._soon(lambda: self._watch_again(self._watchers.users()))

    def _soon(self, call: Callable[[], None]) -> None:
        self._todo.append(call)
        with suppress(OSError):  # full: it wakes anyhow; closed: the server has ended
            self._wake.send(b"\0")

    # -- the server's thread -----------------------------------------------------------------------------------------

    def run(self, also: int | None = None, attend: Attend = lambda: None) -> None:
        """Push until stopped. ``attend`` has its turn when the descriptor ``also`` can be read, and before a
        recommendation that has come is dealt with: what was said before it is heard before."""
        self._attend, woken = attend, self._woken.fileno()
        xpubs = [lane.xpub for lane in self._lanes]
        sockets = (self._pull, *xpubs, self._router, *self._doors.sources())
        self._poll = Poll(sockets, (woken,) if also is None else (woken, also))
        try:
            while self._running:
                ready = self._poll.wait(self._wait())
                if woken in ready:
                    self._woken.recv(4096)
                while self._todo:
                    self._todo.popleft()()
                self._end_tokens()
                self._doors.look_after(ready)
                for lane in self._doors.open:
                    self._take_subscriptions(lane)
                self._take_recommendations(self._pull in ready)
                if self._router in ready:
                    self.counts["gaps"] += answer(self._router, self._answer, self._doors.knows, TURN)
                self._send_heartbeats()
        finally:
            self._poll.close()
            self._close()

    def _end_tokens(self) -> None:
        """Of those that are over, and of those whose key is not in force any more."""
        unwatched = self._watchers.expire(time.time())
        if self._guard.keys is not self._keys:
            self._keys = self._guard.keys
            unwatched += self._watchers.retire(self._keys)
        for user in unwatched:
            tell(self._on_unwatch, user)

    def _wait(self) -> float:
        """Seconds until something is due."""
        until_beat = self._beats.next() - time.monotonic()
        until_end = self._watchers.next_end - time.time()
        in_doubt = any(lane.doubt for lane in self._doors.open)
        return 0.0 if in_doubt else max(0.0, min(until_beat, until_end, IDLE))

    def _close(self) -> None:
        self._pull.close(linger=0)
        self._doors.close()

    def _take_subscriptions(self, lane: Lane) -> None:
        for _ in range(TURN // len(self._lanes)):
            received = lane.take()
            if received is None:
                return
            frame = received.bytes
            if frame[:1] == b"\1":
                self._subscribe(lane, frame[1:], received)
            elif frame[:1] == b"\0":
                self._unsubscribe(lane, frame[1:])
            else:
                self.counts["refused"] += 1
        self._poll.touched(lane.xpub)

    def _subscribe(self, lane: Lane, topic: bytes, came: zmq.Frame) -> None:
        try:
            token = self._guard.verify(topic)
            if self._doors.in_doubt(lane, came):
                raise TokenError("the connection is in doubt")
        except TokenError as e:
            self.counts["refused"] += 1
            self._doors.refuse(lane, came, str(e))
            return
        lane.grant(topic)
        longer = self._watchers.subscribe((lane, topic), token)
        self._beats.begin(token.user, time.monotonic())
        self._send(token.user, (lane, topic), self._known(token.user))
        if longer:
            tell(self._on_watch, token.user, token.expires)

    def _known(self, user: int) -> bytes:
        """The user's newest list; a heartbeat with n 0 where there is none."""
        return self._outbox.snapshot(user) or wire.dumps(wire.heartbeat(self._outbox.seq(user), time.time()))

    def _answer(self, topic: bytes) -> bytes:
        try:
            return self._known(self._guard.verify(topic).user)
        except TokenError as e:
            return wire.dumps(wire.error(str(e)))

    def _unsubscribe(self, lane: Lane, topic: bytes) -> None:
        lane.withdraw(topic)
        user = self._watchers.unsubscribe((lane, topic))
        if user is not None:
            tell(self._on_unwatch, user)

    def _take_recommendations(self, there_are: bool) -> None:
        came: list[bytes] = []
        with suppress(zmq.Again):
            while there_are and len(came) < LISTS:
                came.append(self._pull.recv(NOW))
                there_are = self._poll.readable(self._pull)  # an exception would cost more
        self._attend()
        for packed in came:
            try:
                self._take(packed)
            except (ValueError, KeyError, TypeError, AttributeError) as e:
                self.counts["rejected"] += 1
                logger.warning("no recommendation: %s: %s", type(e).__name__, e)

    def _take(self, packed: bytes) -> None:
        recommendation = msgpack.unpackb(packed)
        if "gone" in recommendation:  # who has such items in their list needs another one
            gone = frozenset(recommendation["gone"])
            self._watch_again([user for user in self._watchers.users() if self._outbox.shows(user, gone)])
            return
        user, slot, logged = recommendation["user"], recommendation["slot"], recommendation["times"]["logged"]
        if slot not in USERLESS:
            body = self._outbox.recommend(recommendation, time.time(), packed)
            if body is not None:
                self._push(user, body, logged)
        if user in self._wanted:
            del self._wanted[user]
            tell(self._on_wanted, user, packed)

    def _push(self, user: int, body: bytes, logged: float) -> None:
        places = self._watchers.places(user)
        for place in places:
            self._send(user, place, body)
        if places:
            now = time.time()
            self.delays.append((now, now - logged))

    def _send(self, user: int, place: Place, body: bytes) -> bool:
        """Whether there was room; else a heartbeat tells them soon that they have missed something. A connection that
        never has any does not stand in the way of another one with the same token for longer than a heartbeat."""
        lane, topic = place
        sent = lane.send(topic, body)
        if not sent and not self._beats.hasten(user, time.monotonic()):
            lane.send_past(topic, body)
        self._poll.touched(lane.xpub)
        self.counts["pushed"] += sent
        return sent

    def _send_heartbeats(self) -> None:
        """To those whose time it is."""
        now = time.monotonic()
        for user in self._beats.take(now):
            places, body = self._watchers.places(user), wire.dumps(wire.heartbeat(self._outbox.seq(user), time.time()))
            if places:
                self._beats.begin(user, now)
            if all([self._send(user, place, body) for place in places]):
                self._beats.arrived(user)

    def _forget(self, user: int) -> None:
        self._outbox.forget(user)
        if self._watchers.revoke(user):
            tell(self._on_unwatch, user)

    def _watch_again(self, users: list[int]) -> None:
        for user in users:
            tell(self._on_watch, user, 0.0)


def tell(callback: Callable[..., None], *arguments: Any) -> None:
    """A callback that raises must not end the pushing."""
    try:
        callback(*arguments)
    except Exception:
        logger.exception("%s failed", callback)
