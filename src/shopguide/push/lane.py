"""One of the sockets by which subscriptions come and messages leave.

libzmq walks all topics of a socket for each connection that ends. So there are several behind one address, each with
its share of the connections.

The XPUB is in manual mode: libzmq passes on every subscription with the connection that sent it as the "last pipe", and
delivers nothing that we did not subscribe that pipe to. Under 4.3.5 that pairing slips when a peer sends a frame that
is no subscription (raw XSUB): until the queue is drained, the last pipe is that of a *later* frame, and a stranger
could be given a victim's topic. So after such a frame nothing is granted until the queue has been seen empty; who was
passed over hears no heartbeat and subscribes again. It slips also where a connection ends while its subscription waits:
a new one in its place in memory would get what was the other's. So nothing is granted to one that has ended since.
"""

from __future__ import annotations

import struct
from contextlib import suppress

import zmq

EVENT = struct.Struct("=Hi")  # of a monitor: what happened, to which descriptor
NOW, MORE, EVENTS = int(zmq.DONTWAIT), int(zmq.DONTWAIT | zmq.SNDMORE), int(zmq.EVENTS)  # as flags they cost 1 us


class Lane:
    """``xpub``, and ``events``, which can be read when a connection has come or ended. Of one thread."""

    def __init__(self, high_water_mark: int) -> None:
        self.xpub: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XPUB)
        self.xpub.set(zmq.XPUB_MANUAL, 1)
        self.xpub.set(zmq.SNDHWM, high_water_mark)
        self.xpub.set(zmq.XPUB_NODROP, 1)
        self.events = monitor(self.xpub, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.doubt = False  # whether the last pipe may not be the one of the frame just read
        self._ended: set[int] = set()  # descriptors of connections, since no subscription waited

    def unsettled(self) -> bool:
        """Whether :meth:`take` has to see that nothing waits, before anybody is granted anything."""
        return self.doubt or bool(self._ended)

    def take(self) -> zmq.Frame | None:
        """The next frame that a subscriber sent; None: none waits."""
        try:
            received: zmq.Frame = self.xpub.recv(NOW, copy=False)
        except zmq.Again:
            self.doubt = False
            self._ended.clear()
            return None
        if received.bytes[:1] not in (b"\0", b"\1"):
            self.doubt = True
        return received

    def hear(self) -> list[int]:
        """The descriptors of the connections that have ended since."""
        ended = []
        with suppress(zmq.Again):
            while True:
                event, descriptor = EVENT.unpack(self.events.recv_multipart(NOW)[0])
                if event == zmq.EVENT_DISCONNECTED:
                    ended.append(descriptor)
        self._ended.update(ended)
        return ended

    def has_ended(self, descriptor: int) -> bool:
        """Whether that connection may be gone, and another in its place in memory."""
        return descriptor in self._ended

    def grant(self, topic: bytes) -> None:
        """Have what is sent under a topic delivered to the connection that the last frame came by."""
        self.xpub.set(zmq.SUBSCRIBE, topic)

    def withdraw(self, topic: bytes) -> None:
        """Not any more; where that is in doubt it stays, and what is sent there is theirs to throw away."""
        if not self.doubt:
            self.xpub.set(zmq.UNSUBSCRIBE, topic)

    def send(self, topic: bytes, body: bytes) -> bool:
        """To every connection that was granted the topic; False, and to none, where one of them is full."""
        self.xpub.get(EVENTS)  # else libzmq learns once a millisecond what has left
        try:
            self.xpub.send(topic, MORE)
        except zmq.Again:
            return False
        self.xpub.send(body, NOW)
        return True

    def send_past(self, topic: bytes, body: bytes) -> None:
        """The same to those that are not full: a full one is passed over until it has read."""
        self.xpub.set(zmq.XPUB_NODROP, 0)
        self.send(topic, body)
        self.xpub.set(zmq.XPUB_NODROP, 1)

    def close(self) -> None:
        self.xpub.disable_monitor()
        self.events.close(linger=0)
        self.xpub.close(linger=0)


def monitor(public: zmq.Socket[bytes], events: int) -> zmq.Socket[bytes]:
    """A socket that hears of them. However many wait, libzmq is not held up."""
    address = f"inproc://shopguide-monitor-{public.underlying}"
    public.monitor(address, events)
    heard: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PAIR)
    heard.set(zmq.RCVHWM, 0)
    heard.connect(address)
    return heard
