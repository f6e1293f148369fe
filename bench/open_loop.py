"""Events at their times, whoever is slow, and when their lists have come: an open loop, so that no wait is left out.

Events are sent over HTTP by a process of its own, one a request, over connections that stay open; one that finds none
free waits, and its time is still the one it was due at. Or they are given to a line's collector in its own process.
Another process has a subscription to every watched shopper. An event is answered by the first list of its shopper that
knows it, which is one made after it, or after a later one of theirs.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import orjson
from zmtp import Reader, connected, frame

CONNECTIONS = 64
GRACE = 3.0  # seconds after the last event in which lists still count
HOPS = ("logged", "scored", "pushed", "received")
_SPAWN = get_context("spawn")

Event = dict[str, Any]


class Plan(NamedTuple):
    """``rate`` events a second for ``seconds``, by ``shoppers`` of whom all are watched, or only a share of the events
    is by those who are (the rest by others)."""

    rate: float
    seconds: float
    shoppers: Sequence[str]
    items: Sequence[str]
    watched: float = 1.0
    others: int = 1000
    seed: int = 1

    @property
    def events(self) -> int:
        return int(self.rate * self.seconds)

    def told(self, begin: float) -> Iterator[tuple[int, Event]]:
        """Each event, and which of the shoppers does it; the first is due at ``begin`` (epoch s)."""
        chance = random.Random(self.seed)
        for number in range(self.events):
            watched = chance.random() < self.watched
            who = chance.randrange(len(self.shoppers)) if watched else -1
            user = self.shoppers[who] if watched else f"other-{chance.randrange(self.others)}"
            due = round(begin + number / self.rate, 6)
            yield who, {"kind": "view", "user": user, "item": chance.choice(self.items), "time": due}


class Found(NamedTuple):
    """Of each event of a watched shopper: seconds from when it was due to its list, infinite where none came. Of each
    list, seconds from its newest event to ``logged``, and so on; how many lists were ``empty``. Events that were
    refused; events a second that were really taken."""

    waits: np.ndarray
    hops: dict[str, np.ndarray]
    empty: int
    refused: int
    taken: float


class Sent(NamedTuple):
    """When each event was due (epoch s), by which of the shoppers (-1: one who is not watched); how many were refused;
    events a second that were really taken."""

    due: np.ndarray
    who: np.ndarray
    refused: int
    taken: float


def measure(push: str, tokens: Sequence[bytes], send: Callable[[], Sent]) -> Found:
    """``tokens``: of the shoppers of the plan, in their order; ``send`` sends all events of it."""
    begin, told = _SPAWN.Pipe()
    receiver = _SPAWN.Process(target=_receive, args=(push, tokens, told), daemon=True)
    receiver.start()
    begin.recv()  # all have their first list
    sent = send()
    time.sleep(GRACE)
    begin.send(None)
    lists = begin.recv()
    receiver.join()
    return _matched(sent, np.array(lists).reshape(-1, 3 + len(HOPS)))


def over_http(http: str, plan: Plan) -> Sent:
    """One event a request."""
    answer, answers = _SPAWN.Pipe()
    sender = _SPAWN.Process(target=_send, args=(http, plan, answers), daemon=True)
    sender.start()
    sent: Sent = answer.recv()
    sender.join()
    return sent


def into(collect: Callable[[list[Event]], object], plan: Plan) -> Sent:
    """From this thread: by each call all that are due."""
    due, who = np.zeros(plan.events), np.zeros(plan.events, int)
    begin, number = time.time() + 0.5, 0
    told, waiting = plan.told(begin), list[Event]()
    while number < plan.events:
        time.sleep(max(0.0, begin + number / plan.rate - time.time()))
        while number < plan.events and begin + number / plan.rate <= time.time():
            who[number], event = next(told)
            due[number], number = event["time"], number + 1
            waiting.append(event)
        collect(waiting)
        waiting.clear()
    return Sent(due, who, 0, plan.events / (time.time() - begin))


def _matched(sent: Sent, lists: np.ndarray) -> Found:
    """``lists``: shopper, items, time of the event, and the times of HOPS."""
    due, who, refused, taken = sent
    waits = np.full(len(due), np.inf)
    for shopper in np.unique(who):
        events = np.flatnonzero(who == shopper)
        mine = lists[lists[:, 0] == shopper]
        if len(mine) and shopper >= 0:
            newest = np.maximum.accumulate(mine[:, 2])
            first = np.searchsorted(newest, due[events])
            known = first < len(mine)
            waits[events[known]] = mine[first[known], -1] - due[events[known]]
    times = lists[:, 2:]
    hops = {name: times[:, at + 1] - times[:, at] for at, name in enumerate(HOPS)}
    return Found(waits[who >= 0], hops, int((lists[:, 1] == 0).sum()), refused, taken)


def _send(http: str, plan: Plan, answer: Any) -> None:
    address = urlsplit(http)
    free = deque(_connected(address.hostname or "", address.port or 80) for _ in range(CONNECTIONS))
    selector = selectors.DefaultSelector()
    for one in free:
        selector.register(one, selectors.EVENT_READ)
    due, who, refused, under_way = np.zeros(plan.events), np.zeros(plan.events, int), 0, 0
    said: dict[Any, bytes] = {}
    begin, number = time.time() + 0.5, 0
    told = plan.told(begin)
    while number < plan.events or under_way:
        now = time.time()
        while number < plan.events and free and begin + number / plan.rate <= now:
            who[number], event = next(told)
            due[number] = event["time"]
            free.popleft().send(_request(address.netloc, event))
            number, under_way = number + 1, under_way + 1
        left = begin + number / plan.rate - time.time() if number < plan.events and free else 0.05
        for key, _ in selector.select(max(left, 0)):
            connection: Any = key.fileobj
            said[connection] = said.get(connection, b"") + connection.recv(65536)
            if said[connection].endswith(b"}"):  # the answer is a JSON object
                refused += not said.pop(connection).startswith(b"HTTP/1.1 202")
                under_way -= 1
                free.append(connection)
    answer.send(Sent(due, who, refused, plan.events / max(time.time() - begin, 1e-9)))


def _connected(host: str, port: int) -> socket.socket:
    connection = socket.create_connection((host, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _request(host: str, event: Event) -> bytes:
    body = json.dumps(event)
    head = f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


def _receive(push: str, tokens: Sequence[bytes], pipe: Connection) -> None:
    """A connection for each token, as clients have: a server keeps few messages for one. What they say is read when all
    is over."""
    came: list[tuple[int, float, bytes]] = []
    selector = selectors.DefaultSelector()
    selector.register(pipe, selectors.EVENT_READ)
    for at, token in enumerate(tokens):
        subscriber = connected(push, b"SUB")
        subscriber.sendall(frame(b"\1" + token))
        selector.register(subscriber, selectors.EVENT_READ, (at, Reader()))
    waiting = set(range(len(tokens)))  # for their first list
    while True:
        for key, _ in selector.select():
            if key.fileobj is pipe:
                pipe.recv()
                pipe.send([one for at, now, body in came if (one := _list(at, now, body))])
                return
            assert isinstance(key.fileobj, socket.socket)
            at, reader = key.data
            data, now = key.fileobj.recv(1 << 17), time.time()
            new = [(at, now, body) for body in reader.messages(data)]
            came += new
            if at in waiting and any(_list(*one) for one in new):
                waiting.discard(at)
                if not waiting:
                    pipe.send(None)


def _list(at: int, now: float, body: bytes) -> tuple[float, ...] | None:
    """A row of :func:`_matched`; None for a heartbeat."""
    message = orjson.loads(body)
    if message["type"] == "heartbeat":
        return None
    times, items = message["times"], len(message.get("order", message.get("items")))
    return (at, items, times["event"], *(times[name] for name in HOPS[:-1]), now)
