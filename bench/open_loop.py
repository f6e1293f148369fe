"""Events at their times, whoever is slow, and when their lists have come: an open loop, so that no wait is left out.

One process sends, one event a request, over connections that stay open; an event that finds none free waits, and its
time is still the one it was due at. Another has a subscription to every watched shopper. An event is answered by the
first list of its shopper that knows it, which is one made after it, or after a later one of theirs.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing import get_context
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import orjson
import zmq

CONNECTIONS = 64
GRACE = 3.0  # seconds after the last event in which lists still count
HOPS = ("logged", "scored", "pushed", "received")


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


class Found(NamedTuple):
    """Of each event of a watched shopper: seconds from when it was due to its list, infinite where none came. Of each
    list, seconds from its newest event to ``logged``, and so on; how many lists were ``empty``. Events that were
    refused; events a second that were really taken."""

    waits: np.ndarray
    hops: dict[str, np.ndarray]
    empty: int
    refused: int
    taken: float


def measure(http: str, push: str, tokens: Sequence[bytes], plan: Plan) -> Found:
    """``tokens``: of the shoppers of the plan, in their order."""
    spawn = get_context("spawn")
    begin, told = spawn.Pipe()
    sends, sent = spawn.Pipe()
    receiver = spawn.Process(target=_receive, args=(push, tokens, told), daemon=True)
    sender = spawn.Process(target=_send, args=(http, plan, sent), daemon=True)
    receiver.start()
    begin.recv()  # all have their first list
    sender.start()
    due, who, refused, taken = sends.recv()
    time.sleep(GRACE)
    begin.send(None)
    lists = begin.recv()
    for process in (sender, receiver):
        process.join()
    return _matched(due, who, np.array(lists).reshape(-1, 3 + len(HOPS)), refused, taken)


def _matched(due: np.ndarray, who: np.ndarray, lists: np.ndarray, refused: int, taken: float) -> Found:
    """``lists``: shopper, items, time of the event, and the times of HOPS."""
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
    chance = random.Random(plan.seed)
    address = urlsplit(http)
    free = deque(_connected(address.hostname or "", address.port or 80) for _ in range(CONNECTIONS))
    selector = selectors.DefaultSelector()
    for one in free:
        selector.register(one, selectors.EVENT_READ)
    events = int(plan.rate * plan.seconds)
    due, who, refused, under_way = np.zeros(events), np.zeros(events, int), 0, 0
    said: dict[Any, bytes] = {}
    begin, number = time.time() + 0.5, 0
    while number < events or under_way:
        now = time.time()
        while number < events and free and begin + number / plan.rate <= now:
            due[number] = round(begin + number / plan.rate, 6)
            watched = chance.random() < plan.watched
            who[number] = chance.randrange(len(plan.shoppers)) if watched else -1
            user = plan.shoppers[who[number]] if watched else f"other-{chance.randrange(plan.others)}"
            free.popleft().send(_request(address.netloc, user, chance.choice(plan.items), due[number]))
            number, under_way = number + 1, under_way + 1
        left = begin + number / plan.rate - time.time() if number < events and free else 0.05
        for key, _ in selector.select(max(left, 0)):
            connection: Any = key.fileobj
            said[connection] = said.get(connection, b"") + connection.recv(65536)
            if said[connection].endswith(b"}"):  # the answer is a JSON object
                refused += not said.pop(connection).startswith(b"HTTP/1.1 202")
                under_way -= 1
                free.append(connection)
    answer.send((due, who, refused, events / max(time.time() - begin, 1e-9)))


def _connected(host: str, port: int) -> socket.socket:
    connection = socket.create_connection((host, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _request(host: str, user: str, item: str, moment: float) -> bytes:
    body = json.dumps({"kind": "view", "user": user, "item": item, "time": moment})
    head = f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


def _receive(push: str, tokens: Sequence[bytes], pipe: Any) -> None:
    """A connection for each token, as clients have: a server keeps few messages for one."""
    lists: list[tuple[float, ...]] = []
    waiting = set(range(len(tokens)))  # for their first list
    with zmq.Context() as context:
        number: dict[Any, int] = {}
        poller = zmq.Poller()
        poller.register(pipe.fileno(), zmq.POLLIN)
        for at, token in enumerate(tokens):
            subscriber = context.socket(zmq.SUB)
            subscriber.linger = 0
            subscriber.connect(push)
            subscriber.subscribe(token)
            number[subscriber] = at
            poller.register(subscriber, zmq.POLLIN)
        while True:
            for ready, _ in poller.poll():
                if ready == pipe.fileno():
                    pipe.recv()
                    pipe.send(lists)
                    context.destroy()
                    return
                _, body = ready.recv_multipart()
                now, message = time.time(), orjson.loads(body)
                if message["type"] == "heartbeat":
                    continue
                times, at = message["times"], number[ready]
                items = len(message.get("order", message.get("items")))
                lists.append((at, items, times["event"], *(times[name] for name in HOPS[:-1]), now))
                if at in waiting:
                    waiting.discard(at)
                    if not waiting:
                        pipe.send(None)
