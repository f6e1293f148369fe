"""Those who want lists that are not theirs: tokens of every wrong kind, by every way in, in processes of their own."""

from __future__ import annotations

import random
import socket
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

import orjson
import zmq
from bench_push import KEYS, token_of
from zmtp import COMMAND, GREETING, MORE, connected, frame, ready, tcp

from shopguide.tokens import KeyRing, mint

OPEN = 4  # connections that a forger holds at a time; the oldest is read out and closed
BURST = 100  # attempts on a connection
OTHERS = KeyRing(b"the key of another deployment")
REVOKED = 2**41  # users from here on had tokens that are void


class Forgeries:
    """Tokens that look like those of users 0 to ``users``, made by one who has seen theirs."""

    def __init__(self, seed: int, users: int, now: float) -> None:
        self.chance = random.Random(seed)
        self._users, self._now = users, now
        self.own = mint(KEYS, 2**50 + seed, 3600, now).encode()
        kinds = (self.flipped, self.mangled, self.cut, self.longer, self.spliced, self.expired, self.revoked)
        self.kinds: list[Callable[[], bytes]] = [*kinds, self.of_another_key, self.rubbish, self.versioned]

    def one(self) -> tuple[str, bytes]:
        """(its kind, the topic)"""
        kind = self.chance.choice(self.kinds)
        return kind.__name__, kind()

    def victim(self) -> int:
        return self.chance.randrange(self._users)

    def honest(self) -> bytes:
        """What a victim's client holds."""
        return token_of(self.victim(), self._now).encode()

    def flipped(self) -> bytes:
        raw = bytearray(urlsafe_b64decode(self.honest()))
        raw[self.chance.randrange(48)] ^= 1 << self.chance.randrange(8)
        return urlsafe_b64encode(raw)

    def mangled(self) -> bytes:
        text = bytearray(self.honest())
        at = self.chance.randrange(64)
        text[at] = (text[at] + self.chance.randrange(1, 256)) % 256
        return bytes(text)

    def cut(self) -> bytes:
        return self.honest()[: self.chance.randrange(64)]

    def longer(self) -> bytes:
        return self.honest() + self.chance.randbytes(self.chance.randrange(1, 200))

    def spliced(self) -> bytes:
        """Somebody else's user and times under one's own signature."""
        return self.honest()[:38] + self.own[38:]

    def expired(self) -> bytes:
        return mint(KEYS, self.victim(), 1.0, self._now - self.chance.uniform(2, 10**6)).encode()

    def revoked(self) -> bytes:
        return mint(KEYS, REVOKED + self.victim(), 3600, self._now).encode()

    def of_another_key(self) -> bytes:
        return mint(OTHERS, self.victim(), 3600, self._now).encode()

    def rubbish(self) -> bytes:
        return self.chance.randbytes(self.chance.randrange(100))

    def versioned(self) -> bytes:
        return urlsafe_b64encode(self.chance.choice((b"\0", b"\2", b"\xff")) + urlsafe_b64decode(self.honest())[1:])


def is_leak(frames: list[bytes], own: bytes) -> bool:
    """Whether a client that holds ``own`` alone was sent what is not its: a topic of others, or anything but an error
    and a heartbeat without a list."""
    topic, body = frames[-2:]  # an answer at the gap socket has the envelope of its question
    if topic == own:
        return b'"of ' in body  # nobody makes lists for a forger
    return bool(orjson.loads(body)["type"] != "error")


class Forger:
    """Goes through its attempts and counts what it was sent."""

    def __init__(self, push: str, gap: str, seed: int, users: int, now: float) -> None:
        self._push, self._gap = push, gap
        self._forgeries = Forgeries(seed, users, now)
        self._chance = self._forgeries.chance
        self._context = zmq.Context()
        self._open: deque[zmq.Socket[bytes]] = deque()
        self._raw: deque[socket.socket] = deque()
        self.counts: Counter[str] = Counter()

    def go(self, attempts: int, pace: float) -> Counter[str]:
        """As many, at ``pace`` a second (inf: as fast as it can)."""
        ways = (self.subscribe, self.subscribe, self.send_frames, self.ask, self.ask, self.speak, self.babble)
        begin, done = time.monotonic(), 0
        while done < attempts:
            self._chance.choice(ways)()
            done = self.counts.total() - self.counts["leaked"]
            time.sleep(max(0.0, begin + done / pace - time.monotonic()))
            while len(self._open) > OPEN:
                self._read_out(self._open.popleft()).close()
            while len(self._raw) > OPEN:
                self._hear(self._raw.popleft()).close()
        for each in self._open:
            self._read_out(each).close()
        for other in self._raw:
            self._hear(other).close()
        return self.counts

    def close(self) -> None:
        """When all that was attempted has been sent."""
        self._context.term()

    def subscribe(self) -> None:
        """As a client does, with its own token among the others."""
        made = self._socket(zmq.SUB, self._push)
        made.subscribe(self._forgeries.own)
        for _ in range(BURST):
            made.subscribe(self._next())
        for _ in range(BURST // 5):  # a storm of prefixes
            made.subscribe(self._forgeries.honest()[: self._chance.randrange(64)])
            self.counts["prefix"] += 1

    def send_frames(self) -> None:
        """What SUB sockets do not send: others' cancellations, frames of no kind, in parts, too long."""
        made = self._socket(zmq.XSUB, self._push)
        for _ in range(BURST):
            topic = self._next()
            shape = self._chance.randrange(8)
            if shape < 4:
                made.send(b"\1" + topic)
            elif shape == 4:
                made.send(b"\0" + self._forgeries.honest())
                self.counts["cancelled for another"] += 1
            elif shape == 5:
                made.send(bytes([self._chance.randrange(2, 256)]) + topic)
            elif shape == 6:
                made.send_multipart([b"\1" + topic, b"\1", b"", b"\1" + topic])
            elif self._chance.random() < 0.02:
                made.send(b"\1" + bytes(self._chance.randrange(1000, 100_000)))

    def ask(self) -> None:
        """At the gap socket."""
        made = self._socket(zmq.DEALER, self._gap)
        for _ in range(BURST):
            topic = self._next()
            made.send_multipart([b""] * self._chance.choice((0, 0, 0, 1, 3)) + [topic])
        made.send(self._forgeries.own)

    def speak(self) -> None:
        """ZMTP over plain TCP: frames and commands that no library sends."""
        with suppress(OSError):
            made = connected(
                *self._chance.choice(((self._push, b"SUB"), (self._push, b"XSUB"), (self._gap, b"DEALER")))
            )
            self._raw.append(made)
            for _ in range(BURST // 10):
                flags = (self._chance.choice((0,) * 20 + (MORE, COMMAND, 64)) for _ in range(10))
                made.sendall(b"".join(frame(b"\1" + self._next(), flag) for flag in flags))
            made.sendall(self._chance.choice((b"", b"\2" + b"\xff" * 8, b"\0\xff\1", frame(b"\x04PING", COMMAND))))
            made.shutdown(socket.SHUT_WR)

    def babble(self) -> None:
        """Greetings that are none."""
        for _ in range(5):
            with suppress(OSError):
                made = tcp(self._chance.choice((self._push, self._gap)))
                self._raw.append(made)
                said = bytearray(GREETING + ready(b"SUB") + frame(b"\1" + self._next()))
                for _ in range(self._chance.randrange(1, 8)):
                    said[self._chance.randrange(len(said))] = self._chance.randrange(256)
                made.sendall(said[: self._chance.randrange(len(said))])

    def _next(self) -> bytes:
        kind, topic = self._forgeries.one()
        self.counts[kind] += 1
        return topic

    def _socket(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = self._context.socket(kind)
        made.set(zmq.LINGER, 5000)
        made.set(zmq.SNDHWM, 0)  # what is attempted arrives
        made.connect(endpoint)
        self._open.append(made)
        return made

    def _read_out(self, made: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        with suppress(zmq.Again):
            while True:
                frames = made.recv_multipart(zmq.DONTWAIT)
                if is_leak(frames, self._forgeries.own):
                    self.counts["leaked"] += 1
                    print("leaked:", made.get(zmq.TYPE), frames, flush=True)
        return made

    def _hear(self, made: socket.socket) -> socket.socket:
        made.setblocking(False)
        with suppress(OSError):
            self.counts["leaked"] += b'"of ' in made.recv(1 << 20)
        return made


def be_forger(
    parent: Connection, where: tuple[str, str], seed: int, users: int, now: float, work: tuple[int, float]
) -> None:
    """``where``: endpoints of lists and gaps; ``work``: how many attempts, and how many of them a second."""
    forger = Forger(*where, seed, users, now)
    counts = forger.go(*work)
    forger.close()
    parent.send(counts)
