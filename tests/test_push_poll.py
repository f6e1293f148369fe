"""What the push server's poll finds is what libzmq's finds, whatever was done to the sockets meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count, islice

import zmq
from hypothesis import given
from hypothesis import strategies as st

from shopguide.push.poll import Poll

SOCKETS = range(3)
STEPS = st.lists(st.tuples(st.sampled_from(["send", "receive", "look", "wait"]), st.sampled_from(SOCKETS)), max_size=30)
_numbers = count()


@contextmanager
def pairs() -> Iterator[list[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]]:
    """Two sockets each, connected."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    with ExitStack() as opened:
        made = []
        for number in islice(_numbers, len(SOCKETS)):
            near, far = (opened.enter_context(context.socket(zmq.PAIR)) for _ in range(2))
            near.bind(f"inproc://a-poll-{number}")
            far.connect(f"inproc://a-poll-{number}")
            made.append((near, far))
        yield made


@given(steps=STEPS)
def test_finds_what_libzmq_finds(steps: list[tuple[str, int]]) -> None:
    with pairs() as made:
        poll, plain = Poll([near for near, _ in made], []), zmq.Poller()
        for near, _ in made:
            plain.register(near, zmq.POLLIN)
        for step, which in [*steps, ("wait", 0)]:
            near, far = made[which]
            if step == "send":
                far.send(b"one", zmq.DONTWAIT)
            elif step == "receive":
                with suppress(zmq.Again):
                    near.recv(zmq.DONTWAIT)
                poll.touched(near)
            elif step == "look":
                readable = poll.readable(near)
                assert readable == bool(near.get(zmq.EVENTS) & zmq.POLLIN)
            else:
                found = poll.wait(0)
                there = {each for each, _ in plain.poll(0)}
                assert there <= found
                assert poll.wait(0) == there
        poll.close()


def test_descriptors_are_found_until_they_are_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poll = Poll([], [ours.fileno()])
        assert poll.wait(0) == set()
        theirs.send(b"one")
        assert poll.wait(5) == poll.wait(0) == {ours.fileno()}
        ours.recv(16)
        assert poll.wait(0) == set()
        poll.close()
