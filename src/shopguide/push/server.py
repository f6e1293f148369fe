"""The push server: one thread that owns the sockets. docs/protocol.md is its contract.

    PULL    intake     recommendations from the push bolts
    XPUB    endpoint   messages to subscribers; the token is the topic
    ROUTER  gap        a snapshot for who missed a message

The XPUB is in manual mode: libzmq passes on every subscription with the connection that sent it as the "last pipe", and
delivers nothing that we did not subscribe that pipe to. Under 4.3.5 that pairing slips when a peer sends a frame that
is no subscription (raw XSUB): until the queue is drained, the last pipe is that of a *later* frame, and a stranger
could be given a victim's topic. So after such a frame nothing is granted until the queue has been seen empty; who was
passed over hears no heartbeat and subscribes again.

It slips also where a connection ends while its subscription waits: a new one that gets its place in memory is taken for
it, and would be sent what was the other's. So what came by one that ended since the queue was empty is not granted.
"""

from __future__ import annotations

import itertools
import logging
import math
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import zmq

from shopguide import wire
from shopguide.errors import SettingError, TokenError
from shopguide.push.bind import bind_intake, bind_pair
from shopguide.push.ended import Ended
from shopguide.push.outbox import Outbox, next_epoch
from shopguide.push.waiters import Waiters
from shopguide.push.watchers import Watchers
from shopguide.records import SIMILAR, TRENDING
from shopguide.settings import PushSettings
from shopguide.tokens import KeyRing, Token, verify

logger = logging.getLogger(__name__)

IDLE = 60.0  # seconds that the thread waits where nothing is due
TURN = 256  # most frames taken from one socket before the others have their turn
DELAYS = 4096  # newest lists whose delay is kept
USERLESS = (SIMILAR.decode(), TRENDING.decode())  # answers to a question; no user's list
_numbers = itertools.count()

Watched = Callable[[int, float], None]
Unwatched = Callable[[int], None]


class PushServer:
    """Pushes recommendations to the subscribers of their user. :meth:`start` binds and raises SettingError where the
    endpoint is wrong, in use, or open to the world without CURVE; then ``endpoint`` and ``gap_endpoint`` are real.
    ``server_key`` is what clients need of a server that encrypts (Z85).

    ``on_watch(user, expires)`` when a user is watched anew or for longer, or with 0.0 where only their list has to be
    made again; ``on_unwatch(user)`` when their last token is gone: both from the server's thread; they must not block.
    ``intake`` is a PULL endpoint for recommendations and {"gone": [...]}, items (ids) that are to leave all lists;
    ``intake_key`` the secret key where it encrypts; None: an inproc one of ``zmq.Context.instance()``. ``counts`` are
    running totals: pushed, refused, rejected, gaps. ``delays`` has the newest lists that somebody got: when they were
    pushed (epoch s), and how long after their event was in the log (s).
    """

    def __init__(
        self,
        settings: PushSettings,
        keys: KeyRing,
        state: Path | None,
        on_watch: Watched,
        on_unwatch: Unwatched,
        intake: str | None = None,
        intake_key: bytes | None = None,
    ) -> None:
        self._settings, self._keys = settings, keys
        self._on_watch, self._on_unwatch = on_watch, on_unwatch
        self.intake = intake or f"inproc://shopguide-push-{next(_numbers)}"
        self._intake_key = intake_key
        self.endpoint, self.gap_endpoint = settings.endpoint, ""
        self.server_key = keys.curve()[0].decode() if settings.curve else None
        self.counts: Counter[str] = Counter()
        self.delays: deque[tuple[float, float]] = deque(maxlen=DELAYS)
        self._outbox = Outbox(next_epoch(state))
        self._watchers = Watchers()
        self._beats: dict[int, float] = {}  # user: when the next heartbeat is due (monotonic s), soonest first
        self._revoked: dict[int, float] = {}  # user: tokens issued until then are void
        self._waiters = Waiters()
        self._todo: deque[Callable[[], None]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="push", daemon=True)
        self._running = True

    def start(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._pull = context.socket(zmq.PULL)
        self._xpub = context.socket(zmq.XPUB)
        self._router = context.socket(zmq.ROUTER)
        self._ended = Ended(self._xpub)  # since no subscription waited
        for public in (self._xpub, self._router):
            public.set(zmq.LINGER, 0)
            public.set(zmq.MAXMSGSIZE, wire.MAX_FRAME)
        self._xpub.set(zmq.XPUB_MANUAL, 1)
        self._xpub.set(zmq.SNDHWM, self._settings.high_water_mark)
        self._router.set(zmq.SNDHWM, TURN)
        try:
            self.intake = bind_intake(self._pull, self.intake, self._intake_key)
            key = self._keys.curve()[1] if self._settings.curve else None
            self.endpoint, self.gap_endpoint = bind_pair(self._xpub, self._router, self._settings.endpoint, key)
        except SettingError:
            self._close()
            raise
        self._thread.start()

    def stop(self) -> None:
        """Close the sockets; subscribers reconnect by themselves to the next server."""
        self._running = False
        self._soon(lambda: None)
        if self._thread.is_alive():
            self._thread.join()
        self._wake.close()
        self._woken.close()

    # -- from any thread ---------------------------------------------------------------------------------------------

    def verify(self, text: str | bytes) -> Token:
        """What the token says. Raises TokenError where it is malformed, forged, expired or revoked."""
        token = verify(self._keys, text)
        if token.issued <= self._revoked.get(token.user, 0.0):
            raise TokenError("the token is revoked")
        return token

    def revoke(self, user: int) -> None:
        """Void every token of the user that was issued until now, and forget their list; until the server ends."""
        self._revoked[user] = time.time()
        self._soon(lambda: self._forget(user))

    def latest(self, user: int) -> dict[str, Any] | None:
        """The user's newest recommendation, with the ``why`` of its items."""
        return self._outbox.latest(user)

    def snapshot(self, user: int) -> wire.Message | None:
        """The user's newest list as it goes on the wire."""
        return self._outbox.snapshot(user)

    def next(self, user: int, timeout: float) -> Awaitable[dict[str, Any] | None]:
        """The next recommendation for the user (or the key that a question was asked under); None where none comes in
        ``timeout`` seconds. Call from a running loop; it counts from the call, so ask first and await later."""
        return self._waiters.next(user, timeout)

    def watched(self) -> int:
        """How many users are watched."""
        return len(self._watchers.users())

    def watch_again(self) -> None:
        """Have every watched user's list made again."""
        self._soon(lambda: self._watch_again(self._watchers.users()))

    def _soon(self, call: Callable[[], None]) -> None:
        self._todo.append(call)
        with suppress(OSError):  # full: it wakes anyhow; closed: the server has ended
            self._wake.send(b"\0")

    # -- the server's thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._doubt = False  # whether the last pipe may not be the one of the frame just read
        poller = zmq.Poller()
        for source in (self._woken, self._pull, self._xpub, self._router, self._ended.events):
            poller.register(source, zmq.POLLIN)
        try:
            while self._running:
                until_beat = next(iter(self._beats.values()), math.inf) - time.monotonic()
                until_end = self._watchers.next_end - time.time()
                wait = max(0.0, min(until_beat, until_end, IDLE))
                ready = dict(poller.poll(0 if self._doubt else int(wait * 1000) + 1))
                if self._woken.fileno() in ready:
                    self._woken.recv(4096)
                while self._todo:
                    self._todo.popleft()()
                for user in self._watchers.expire(time.time()):
                    self._tell(self._on_unwatch, user)
                self._take_subscriptions()
                self._take_recommendations()
                self._answer_gaps()
                self._send_heartbeats()
        finally:
            self._close()

    def _close(self) -> None:
        self._ended.close()
        for each in (self._pull, self._xpub, self._router):
            each.close(linger=0)

    def _take_subscriptions(self) -> None:
        self._ended.hear()
        for _ in range(TURN):
            try:
                received = self._xpub.recv(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                self._doubt = False
                self._ended.clear()
                return
            frame = received.bytes
            if frame[:1] == b"\1":
                self._subscribe(frame[1:], received.get(zmq.SRCFD))
            elif frame[:1] == b"\0":
                self._unsubscribe(frame[1:])
            else:
                self._doubt = True
                self.counts["refused"] += 1

    def _subscribe(self, topic: bytes, descriptor: int) -> None:
        try:
            token = self.verify(topic)
            if self._doubt or descriptor in self._ended:
                raise TokenError("the connection is in doubt")
        except TokenError as e:
            self.counts["refused"] += 1
            logger.debug("subscription refused: %s", e)
            return
        self._xpub.set(zmq.SUBSCRIBE, topic)
        longer = self._watchers.subscribe(topic, token)
        self._beats.setdefault(token.user, time.monotonic() + self._settings.heartbeat)
        self._send(topic, wire.dumps(self._known(token.user)))
        if longer:
            self._tell(self._on_watch, token.user, token.expires)

    def _known(self, user: int) -> wire.Message:
        """The user's newest list; a heartbeat with n 0 where there is none."""
        return self._outbox.snapshot(user) or wire.heartbeat(self._outbox.seq(user), time.time())

    def _unsubscribe(self, topic: bytes) -> None:
        if not self._doubt:
            self._xpub.set(zmq.UNSUBSCRIBE, topic)
        user = self._watchers.unsubscribe(topic)
        if user is not None:
            self._tell(self._on_unwatch, user)

    def _take_recommendations(self) -> None:
        for _ in range(TURN):
            try:
                packed = self._pull.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            try:
                recommendation = msgpack.unpackb(packed)
                if "gone" in recommendation:
                    self._let_go(frozenset(recommendation["gone"]))
                    continue
                user, slot = recommendation["user"], recommendation["slot"]
                message = self._outbox.recommend(recommendation, time.time(), packed) if slot not in USERLESS else None
            except (ValueError, KeyError, TypeError, AttributeError) as e:
                self.counts["rejected"] += 1
                logger.warning("no recommendation: %s: %s", type(e).__name__, e)
                continue
            if message is not None:
                self._push(user, message)
            self._waiters.wake(user, recommendation)

    def _push(self, user: int, message: wire.Message) -> None:
        topics = self._watchers.topics(user)
        if topics:
            body = wire.dumps(message)
            for topic in topics:
                self._send(topic, body)
            now = time.time()
            self.delays.append((now, now - message["times"]["logged"]))

    def _send(self, topic: bytes, body: bytes) -> None:
        """To every connection that was given the topic; for one that is full libzmq drops it."""
        self._xpub.get(zmq.EVENTS)  # else libzmq learns once a millisecond what has left, and drops till then
        self._xpub.send_multipart([topic, body], zmq.DONTWAIT)
        self.counts["pushed"] += 1

    def _answer_gaps(self) -> None:
        for _ in range(TURN):
            try:
                *envelope, topic = self._router.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self.counts["gaps"] += 1
            try:
                answer = self._known(self.verify(topic).user)
            except TokenError as e:
                answer = wire.error(str(e))
            try:
                self._router.send_multipart([*envelope[:2], topic, wire.dumps(answer)], zmq.DONTWAIT)
            except zmq.ZMQError as e:
                logger.debug("gap answer dropped: %s", e)

    def _send_heartbeats(self) -> None:
        """To those whose time it is; few a turn, since on a connection with many tokens a burst would be dropped."""
        now = time.monotonic()
        for user in list(itertools.islice(self._beats, max(1, self._settings.high_water_mark // 2))):
            if self._beats[user] > now:
                return
            del self._beats[user]
            topics = self._watchers.topics(user)
            if topics:
                self._beats[user] = now + self._settings.heartbeat
                body = wire.dumps(wire.heartbeat(self._outbox.seq(user), time.time()))
                for topic in topics:
                    self._send(topic, body)

    def _forget(self, user: int) -> None:
        self._outbox.forget(user)
        if self._watchers.revoke(user):
            self._tell(self._on_unwatch, user)

    def _let_go(self, gone: frozenset[str]) -> None:
        """These items are in no list that is made from now on: those that show one are made again."""
        self._watch_again([user for user in self._watchers.users() if self._outbox.shows(user, gone)])

    def _watch_again(self, users: list[int]) -> None:
        for user in users:
            self._tell(self._on_watch, user, 0.0)

    @staticmethod
    def _tell(callback: Callable[..., None], *arguments: Any) -> None:
        """A callback that raises must not end the pushing."""
        try:
            callback(*arguments)
        except Exception:
            logger.exception("%s failed", callback)
