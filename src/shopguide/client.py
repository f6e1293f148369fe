"""A subscriber: the lists of a user as they come, over plain ZeroMQ. Needs pyzmq and orjson, nothing compiled of ours.

with Subscriber(token) as lists:
    for update in lists:
        print(update.seq, [item["title"] for item in update.items])
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import zmq
import zmq.asyncio
from zmq.auth import load_certificate

from shopguide import private, wire
from shopguide.errors import GapError, PackingError, SettingError, TokenError

__all__ = ["AsyncSubscriber", "Inbox", "Subscriber", "Update", "read_keys"]

ENDPOINT = "tcp://127.0.0.1:7201"
HIGH_WATER_MARK = 16
ASK_AGAIN = 1.0  # seconds without an answer after which a snapshot is asked for again
PATIENCE = 15.0  # seconds of silence after which a subscription is sent again
TICK = 0.5  # seconds between looks for what is overdue


Keys = tuple[bytes, bytes]  # a CURVE key pair, public and secret, Z85


def read_keys(path: Path) -> Keys:
    """The key pair in a file of `shopguide keypair`. Raises SettingError where it is none, or others can read it."""
    private.read(path)
    try:
        public, secret = load_certificate(path)
    except (OSError, ValueError) as e:
        raise SettingError(f"{path} holds no key pair: {e}") from None
    if secret is None:
        raise SettingError(f"{path} holds no secret key")
    return public, secret


@dataclass(frozen=True)
class Update:
    """A list that is newer than the one before: its seq (epoch, n), the whole list, the message that brought it."""

    seq: wire.Seq
    items: list[wire.Item]
    message: wire.Message

    def snapshot(self) -> wire.Message:
        """The update as a snapshot message, whatever brought it."""
        dropped = ("type", "items", "base", "order", "put")
        kept = {name: value for name, value in self.message.items() if name not in dropped}
        return {**kept, "type": "snapshot", "items": self.items}


class Inbox:
    """The list of one user, kept from their messages: doubles and older ones change nothing. No sockets.

    ``seq`` is that of the list at hand; where a higher one was heard of, the inbox is behind and asks for a snapshot.
    """

    def __init__(self, now: float) -> None:
        self.seq: wire.Seq | None = None
        self.items: list[wire.Item] = []
        self._newest: wire.Seq = (0, 0)
        self._heard = now
        self.asked = -math.inf
        """When a snapshot was last asked for; long ago where none is awaited."""

    def receive(self, message: wire.Message, now: float) -> Update | None:
        """The update that a message brings, if it does. ``now`` is any clock's seconds that never fall. Raises
        TokenError where the server says that it refuses the token."""
        self._heard = now
        if message["type"] == "error":
            raise TokenError(message["error"])
        if message["type"] == "snapshot":
            self.asked = -math.inf
        seq = wire.seq_of(message)
        no_list = seq[1] == 0 and seq[0] >= self._newest[0]  # of what was heard of before nothing is to be had
        self._newest = seq if no_list else max(self._newest, seq)
        if message["type"] == "heartbeat" or (self.seq is not None and seq <= self.seq):
            return None
        try:
            self.items = wire.apply(self.seq, self.items, message)
        except GapError:
            return None
        self.seq = seq
        return Update(seq, self.items, message)

    @property
    def behind(self) -> bool:
        """Whether there is a newer list than the one at hand."""
        return self._newest[1] > 0 and self._newest > (self.seq or (0, 0))

    def asks(self, now: float) -> bool:
        """Whether to ask for a snapshot now."""
        return self.behind and now - self.asked >= ASK_AGAIN

    def silent(self, now: float) -> bool:
        """Whether nothing came for so long that the subscription may have been lost; then it is to be sent again."""
        if now - self._heard < PATIENCE:
            return False
        self._heard = now
        return True


class Connection:
    """A SUB and a DEALER socket to one server; never waits by itself. Raises SettingError for an endpoint of no use."""

    def __init__(
        self,
        endpoint: str,
        gap_endpoint: str | None,
        server_key: str | None,
        client_keys: Keys | None,
        high_water_mark: int,
    ) -> None:
        gap_endpoint = gap_endpoint or wire.gap_endpoint(endpoint)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self.sub, self.dealer = context.socket(zmq.SUB), context.socket(zmq.DEALER)
        self.sub.set(zmq.RCVHWM, high_water_mark)
        self.sub.set(zmq.SNDHWM, 0)  # else subscriptions beyond it would be lost, at a reconnection too
        self.dealer.set(zmq.SNDHWM, high_water_mark)
        for each in (self.sub, self.dealer):
            each.set(zmq.IPV6, int("[" in endpoint))
        try:
            if server_key is not None:
                self._encrypt(server_key, client_keys or zmq.curve_keypair())
            self.sub.connect(endpoint)
            self.dealer.connect(gap_endpoint)
        except (zmq.ZMQError, ValueError) as e:
            self.close()
            raise SettingError(f"cannot connect to {endpoint} and {gap_endpoint}: {e}") from None

    def _encrypt(self, server_key: str, keys: Keys) -> None:
        public, secret = keys
        for each in (self.sub, self.dealer):
            each.set(zmq.CURVE_SERVERKEY, server_key.encode())
            each.set(zmq.CURVE_PUBLICKEY, public)
            each.set(zmq.CURVE_SECRETKEY, secret)

    def read(self) -> tuple[bytes, wire.Message] | None:
        """(token, message) that is waiting, answers to gaps first; None where none is. Passes over rubbish."""
        for source in (self.dealer, self.sub):
            with suppress(zmq.Again):
                while True:
                    frames = source.recv_multipart(zmq.DONTWAIT)
                    with suppress(PackingError):
                        return wire.decode(frames)
        return None

    def look_after(self, topic: bytes, inbox: Inbox) -> None:
        """Send what is due: a request for a snapshot, the subscription again."""
        now = time.monotonic()
        silent = inbox.silent(now)
        if silent:
            self.sub.unsubscribe(topic)
            self.sub.subscribe(topic)
        if (silent or inbox.asks(now)) and self.ask(topic):
            inbox.asked = now

    def ask(self, topic: bytes) -> bool:
        """Request the newest list, if there is room; it comes twice at most, and one is passed over."""
        with suppress(zmq.Again):
            self.dealer.send(topic, zmq.DONTWAIT)
            return True
        return False

    def close(self) -> None:
        self.sub.close(linger=0)
        self.dealer.close(linger=0)


class Subscriber:
    """The lists of a token's user. Iterating waits ``timeout`` seconds for each (None: forever), then ends; it can be
    iterated again. ``server_key`` is the server's CURVE key (Z85) where it encrypts, ``client_keys`` are our own
    (:func:`read_keys`) where it lets in those that it knows. Raises SettingError for an
    endpoint or key of no use; on receiving, TokenError where the token is refused or has ended."""

    def __init__(
        self,
        token: str,
        endpoint: str = ENDPOINT,
        gap_endpoint: str | None = None,
        timeout: float | None = None,
        server_key: str | None = None,
        client_keys: Keys | None = None,
    ) -> None:
        self._timeout = timeout
        self._topic = token.encode()
        self._inbox = Inbox(time.monotonic())
        self._connection = Connection(endpoint, gap_endpoint, server_key, client_keys, HIGH_WATER_MARK)
        self._connection.sub.subscribe(self._topic)
        self._connection.ask(self._topic)
        self._poller = zmq.Poller()
        for source in (self._connection.dealer, self._connection.sub):
            self._poller.register(source, zmq.POLLIN)

    def renew(self, token: str) -> None:
        """Go on with another token of the same user; the list at hand stays."""
        old, self._topic = self._topic, token.encode()
        if self._topic != old:
            self._connection.sub.subscribe(self._topic)
            self._connection.sub.unsubscribe(old)

    def __iter__(self) -> Iterator[Update]:
        while (update := self.receive(self._timeout)) is not None:
            yield update

    def receive(self, timeout: float | None = None) -> Update | None:
        """The next update; None where none comes in ``timeout`` seconds."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            found = self._connection.read()
            if found is not None and found[0] == self._topic:
                update = self._inbox.receive(found[1], time.monotonic())
                if update is not None:
                    return update
            self._connection.look_after(self._topic, self._inbox)
            left = end - time.monotonic()
            if found is None:
                if left <= 0:
                    return None
                self._poller.poll(int(min(TICK, left) * 1000) + 1)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncSubscriber:
    """The lists of many tokens over one connection: ``async for token, update in subscriber``. An update that is None
    says that the server refuses the token, or that it has ended; it is dropped. Of one event loop. Raises SettingError
    for an endpoint of no use."""

    def __init__(
        self,
        endpoint: str = ENDPOINT,
        gap_endpoint: str | None = None,
        high_water_mark: int = 1000,
        server_key: str | None = None,
        client_keys: Keys | None = None,
    ) -> None:
        self._inboxes: dict[bytes, Inbox] = {}
        self._connection = Connection(endpoint, gap_endpoint, server_key, client_keys, high_water_mark)
        self._poller = zmq.asyncio.Poller()
        for source in (self._connection.dealer, self._connection.sub):
            self._poller.register(source, zmq.POLLIN)
        self._looked = time.monotonic()

    def subscribe(self, token: str) -> None:
        """Begin to receive a token's lists; once more changes nothing."""
        topic = token.encode()
        if topic not in self._inboxes:
            self._inboxes[topic] = Inbox(time.monotonic())
            self._connection.sub.subscribe(topic)

    def unsubscribe(self, token: str) -> None:
        """Receive nothing more for a token."""
        if self._inboxes.pop(token.encode(), None) is not None:
            self._connection.sub.unsubscribe(token.encode())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[str, Update | None]:
        while True:
            if time.monotonic() - self._looked > TICK:
                self._looked = time.monotonic()
                for topic, inbox in self._inboxes.items():
                    self._connection.look_after(topic, inbox)
            found = self._connection.read()
            if found is None:
                await self._poller.poll(int(TICK * 1000))
                continue
            await asyncio.sleep(0)  # others have their turn, also while messages keep coming
            if found[0] not in self._inboxes:
                continue
            inbox, token = self._inboxes[found[0]], found[0].decode()
            try:
                update = inbox.receive(found[1], time.monotonic())
            except TokenError:
                self.unsubscribe(token)
                return token, None
            self._connection.look_after(found[0], inbox)
            if update is not None:
                return token, update

    def close(self) -> None:
        self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()
