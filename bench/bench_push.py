"""10,000 subscribers on this machine: what a list takes to them, and what others take from them: those who never read,
those who come and go.

    python bench/bench_push.py [--clients N] [--rate N] [--seconds S] [--rounds N] [--stuck N] [--churn N] [--json FILE]

The push server is a process of its own; the clients are SUB sockets in other processes, one connection each, that keep
their lists with shopguide.client.Inbox and ask for what they missed. Lists are sent to the server's intake in an open
loop: a list's time begins when it was due, however long the others take. Rounds take turns: without others; with
100 more connections that never read, whose pipes are full before the round begins (each holds a second token of a
user, as subscribers do, and in more rounds of a hundred users, so that every list is theirs too); and while more
connections come, are told, and go.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import select
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import partial
from multiprocessing.connection import Connection
from operator import itemgetter
from pathlib import Path

import numpy as np
import zmq
from push_server import Child, push_server, raise_limits
from table import Base, Table, machine
from zmtp import connected, frame

from shopguide import lists, wire
from shopguide.client import Inbox
from shopguide.errors import PackingError
from shopguide.tokens import KeyRing, mint

KEY = b"the key of the push bench"
KEYS = KeyRing(KEY)
PROCESSES = 4
LENGTH = 20  # items of a list
SETTLE = 12.0  # seconds that a client has to hear of its newest list: two heartbeats
STUFFING = 300  # lists that fill the pipe of one who never reads
STUFFED = 2**40  # the user whose lists these are
STUCK = ", some never read"

Pipes = list[tuple[Connection, range]]
WHY = {"pinned": False, "explored": False, **{name: bytes(size) for name, size in lists.PARTS.items()}}


def token_of(user: int, now: float) -> str:
    """The one that the user's client holds, minted at ``now``."""
    return mint(KEYS, user, 3600, now)


def recommendation(user: int, offset: int, due: float) -> bytes:
    """A list of the user, as the ranker makes them; ``about`` says whose it is, the items which one."""
    first = offset % 1000
    items = [
        {
            "item": f"p{number:04d}",
            "title": f"Product {number} of the shop",
            "score": 1.0 / (place + 1),
            "reasons": [{"text": "goes with what you chose", "because": f"p{user % 1000:04d}", "share": 1.0}],
            "price": 9.99,
            "category": "Garden",
            "why": WHY,
        }
        for place, number in enumerate(range(first, first + LENGTH))
    ]
    times = {"event": due, "logged": due, "scored": due}
    about = {"user": user, "partition": 0, "offset": offset, "slot": "home", "about": f"of {user}", "intent": 0.5}
    return lists.pack(about | {"items": items, "causes": [], "times": times})


class Clients:
    """Some of the subscribers, in this process: each a socket with an inbox, read as soon as something is there."""

    def __init__(self, push: str, gap: str, users: range, now: float) -> None:
        raise_limits(2 * len(users) + 256)  # a SUB socket has a descriptor, its connection another
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, len(users) + 16)
        self._users = {token_of(user, now).encode(): user for user in users}
        self._tokens = {token: Inbox(time.monotonic()) for token in self._users}
        self._epoll = select.epoll()
        self._sockets: dict[int, zmq.Socket[bytes]] = {}
        self._dealer = self._connected(zmq.DEALER, gap)
        self.delays: list[tuple[int, float]] = []  # offset, seconds since it was due
        self._at = dict.fromkeys(self._tokens, -1)
        for token in self._tokens:
            self._connected(zmq.SUB, push, token)

    def _connected(self, kind: int, endpoint: str, topic: bytes | None = None) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = self._context.socket(kind)
        made.set(zmq.LINGER, 0)
        made.set(zmq.RCVHWM, 16)
        if topic is not None:
            made.subscribe(topic)
        made.connect(endpoint)
        self._sockets[made.get(zmq.FD)] = made
        self._epoll.register(made.get(zmq.FD), select.EPOLLIN)
        return made

    def read(self, seconds: float) -> None:
        """What is there, or comes first."""
        for descriptor, _ in self._epoll.poll(seconds):
            with suppress(zmq.Again):
                while True:
                    self._take(self._sockets[descriptor].recv_multipart(zmq.DONTWAIT))

    def _take(self, frames: list[bytes]) -> None:
        now = time.time()
        with suppress(PackingError):
            topic, message = wire.decode(frames)
            inbox = self._tokens[topic]
            update = inbox.receive(message, time.monotonic())
            if update is not None:
                assert message["about"] == f"of {self._users[topic]}", "somebody else's list"
                offset = self._at[topic] = message["at"]["offset"]
                self.delays.append((offset, now - message["times"]["logged"]))
            self._ask(topic, inbox)

    def _ask(self, topic: bytes, inbox: Inbox) -> None:
        if inbox.asks(time.monotonic()):
            with suppress(zmq.Again):
                self._dealer.send(topic, zmq.DONTWAIT)

    def look_after(self) -> None:
        for topic, inbox in self._tokens.items():
            self._ask(topic, inbox)

    def offsets(self) -> list[int]:
        """That of each client's list, -1 where there is none; and the list has to be the one of that offset."""
        for topic, inbox in self._tokens.items():
            first = self._at[topic] % 1000
            wanted = [f"p{number:04d}" for number in range(first, first + LENGTH)]
            assert self._at[topic] < 0 or [item["item"] for item in inbox.items] == wanted, "another list"
        return list(self._at.values())


def be_clients(parent: Connection, push: str, gap: str, users: range, now: float) -> None:
    """Answers "offsets" with the newest of each token, "delays" with what came since; None ends it."""
    clients = Clients(push, gap, users, now)
    parent.send("connecting")
    looked = time.monotonic()
    while True:
        clients.read(0.05)
        if time.monotonic() - looked > 0.5:
            looked = time.monotonic()
            clients.look_after()
        if parent.poll():
            asked = parent.recv()
            if asked is None:
                os._exit(0)  # 2,500 sockets need not be closed one by one
            parent.send(clients.offsets() if asked == "offsets" else clients.delays)
            if asked == "delays":
                clients.delays = []


@contextmanager
def subscribers(child: Child, users: int, now: float, parts: int = PROCESSES) -> Iterator[Pipes]:
    """A client for each user, 0 to ``users``, over several processes: the pipe to each, and whose lists are there."""
    context = multiprocessing.get_context("spawn")
    shares = [range(at * users // parts, (at + 1) * users // parts) for at in range(parts)]
    pipes, processes = [], []
    try:
        for share in shares:
            ours, theirs = context.Pipe()
            processes.append(context.Process(target=be_clients, args=(theirs, child.push, child.gap, share, now)))
            processes[-1].start()
            pipes.append((ours, share))
        for pipe, _ in pipes:
            pipe.recv()
        yield pipes
        for pipe, _ in pipes:
            pipe.send(None)
        for process in processes:
            process.join(10)
    finally:
        for process in processes:
            process.kill()


class Load:
    """Lists for the users, each at its time. ``sent`` is each user's newest offset."""

    def __init__(self, child: Child, users: int) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.connect(child.intake)
        self._chance = random.Random(1)
        self._others: deque[int] = deque()
        self.sent = [-1] * users
        self.offset = 0

    def send(self, user: int, due: float) -> None:
        """The user's next list, to be there at ``due`` (epoch s)."""
        self.offset += 1
        self._socket.send(recommendation(user, self.offset, due))
        if user < len(self.sent):
            self.sent[user] = self.offset

    def close(self) -> None:
        self._socket.close(linger=0)

    def ask_for(self, user: int) -> None:
        """A list for another user, sent with the next of the loop."""
        self._others.append(user)

    def everybody(self) -> None:
        for user in range(len(self.sent)):
            self.send(user, time.time())

    def run(self, rate: float, seconds: float) -> range:
        """An open loop; the offsets that were sent."""
        first, begin = self.offset + 1, time.time()
        for number in range(int(rate * seconds)):
            due = begin + number / rate
            time.sleep(max(0.0, due - time.time()))
            self.send(self._chance.randrange(len(self.sent)), due)
            while self._others:
                self.send(self._others.popleft(), due)
        return range(first, self.offset + 1)


def settle(pipes: Pipes, load: Load) -> int:
    """Wait until every client has its newest list; how many have not, when the time is over."""
    end = time.monotonic() + SETTLE
    while True:
        behind = 0
        for pipe, share in pipes:
            pipe.send("offsets")
            behind += sum(at != load.sent[user] for user, at in zip(share, pipe.recv(), strict=True))
        if not behind or time.monotonic() > end:
            return behind
        time.sleep(0.5)


def delays(pipes: Pipes, offsets: range) -> np.ndarray:
    """ms from due to received, of the lists with these offsets."""
    found: list[tuple[int, float]] = []
    for pipe, _ in pipes:
        pipe.send("delays")
        found += pipe.recv()
    return np.array([1e3 * delay for offset, delay in found if offset in offsets])


@contextmanager
def never_reading(child: Child, load: Load, users: int, how_many: int, of: int) -> Iterator[None]:
    """Connections that subscribe and read nothing; with the smallest buffers, and full at once. Their tokens are those
    of the first so many users."""
    made = []
    try:
        for number in range(how_many):
            made.append(connected(child.push, b"SUB", receive_buffer=2048))
            theirs = [*range(number, of, how_many), STUFFED]
            made[-1].sendall(b"".join(frame(b"\1" + mint(KEYS, user, 3599).encode()) for user in theirs))
        until_watched(child, users + 1)
        for _ in range(STUFFING):
            load.send(STUFFED, time.time())
        time.sleep(2)
        yield
    finally:
        for each in made:
            each.close()
        until_left(child, users)


@contextmanager
def coming_and_going(child: Child, users: int, rate: float) -> Iterator[None]:
    """So many connections a second, each of which leaves when it was told its list, or that there is none."""
    ended = threading.Event()

    def visit() -> None:
        while not ended.wait(1 / rate):
            with closing(connected(child.push, b"SUB")) as visitor:
                visitor.sendall(frame(b"\1" + mint(KEYS, STUFFED, 3600).encode()))
                visitor.recv(1)

    visiting = threading.Thread(target=visit)
    visiting.start()
    yield
    ended.set()
    visiting.join()
    until_left(child, users)


def until_left(child: Child, users: int) -> None:
    while child.figures()["watched"] > users:
        time.sleep(0.1)


def hang_up(child: Child, users: int) -> float:
    """ms that the server answers nobody when one subscriber among ``users`` leaves: the longest way to the gap socket
    and back meanwhile."""
    asker: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    asker.connect(child.gap)
    leaver = connected(child.push, b"SUB")
    leaver.sendall(frame(b"\1" + mint(KEYS, STUFFED, 3600).encode()))
    until_watched(child, users + 1)
    leaver.close()
    longest = 0.0
    while child.figures()["watched"] > users or not longest:
        begin = time.perf_counter()
        asker.send(b"who is there")
        asker.recv_multipart()
        longest = max(longest, 1e3 * (time.perf_counter() - begin))
    asker.close(linger=0)
    return longest


def until_watched(child: Child, users: int, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while child.figures()["watched"] < users:
        assert time.monotonic() < end, f"{child.figures()['watched']} of {users} are subscribed"
        time.sleep(0.1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=500.0, help="lists a second")
    parser.add_argument("--seconds", type=float, default=15.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    parser.add_argument("--stuck", type=int, default=100, help="connections that never read")
    parser.add_argument("--churn", type=float, default=20.0, help="connections a second that come and go")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def measure(child: Child, given: argparse.Namespace, table: Table) -> int:
    users, name = given.clients, f"{given.clients:,}"
    load, behind = Load(child, users), 0
    bare, begin = child.figures(), time.monotonic()
    load.everybody()
    with subscribers(child, users, time.time()) as pipes:
        until_watched(child, users)
        behind += settle(pipes, load)
        table.line(name, "connected, and with their first list, after", [time.monotonic() - begin], "s")
        idle, busy = child.figures(), 0.0
        table.line(name, "one leaves: nobody else is answered for", [hang_up(child, users) for _ in range(5)], "ms")
        beside: dict[str, Callable[[], AbstractContextManager[None]]] = {
            "": nullcontext,
            STUCK: partial(never_reading, child, load, users, given.stuck, given.stuck),
            ", who hold a token of everybody": partial(never_reading, child, load, users, given.stuck, users),
            f", {given.churn:g} a second come and go": partial(coming_and_going, child, users, given.churn),
        }
        found: dict[str, list[np.ndarray]] = {who: [] for who in beside}
        worst = idle
        for who in list(beside) * given.rounds:
            with beside[who]():
                cpu, begin = child.figures()["cpu"], time.monotonic()
                offsets = load.run(given.rate, given.seconds)
                busy = (child.figures()["cpu"] - cpu) / (time.monotonic() - begin)
                behind += settle(pipes, load)
                found[who].append(delays(pipes, offsets))
                worst = max(worst, child.figures(), key=itemgetter("resident"))
        report(table, name, found, given)
        table.line(name, "server: resident before anybody came, then with all", [idle["resident"]], "MB")
        table.line(name, "  a subscriber", [1e3 * (idle["resident"] - bare["resident"]) / users], "kB")
        table.line(name, "  at most", [worst["resident"]], "MB")
        table.line(name, "  descriptors", [worst["descriptors"]], "")
        table.line(name, "  of a core, in the last round", [busy], "")
        table.line(name, "clients that did not end with their newest list", [behind], "", at_most=0)
    return behind


def report(table: Table, name: str, found: dict[str, list[np.ndarray]], given: argparse.Namespace) -> None:
    rate = f"{given.rate:.0f} lists/s"
    p99: Base | None = None
    for who, rounds in found.items():
        for p in (50, 99, 99.9):
            samples = [float(np.percentile(each, p)) for each in rounds]
            if p == 99:
                goal = 1.2 if who == STUCK else None
                table.line(name, f"{rate}{who}: due → received, p{p}", samples, "ms", p99, goal)
                p99 = p99 or Base("without", statistics.median(samples))
            else:
                table.line(name, f"{rate}{who}: due → received, p{p}", samples, "ms")
        table.line(name, "  lists received", [sum(map(len, rounds))], "")


def main() -> None:
    given = arguments()
    table = Table(judged=given.clients >= 10_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    print(f"{machine()}; load average {os.getloadavg()[0]:.2f}; open files {soft} (at most {hard})")
    with push_server(KEY, in_order=False) as child:
        behind = measure(child, given, table)
    print(table.summary())
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "rows": table.rows}, indent=1))
    sys.exit(bool(behind))


if __name__ == "__main__":
    main()
