"""The answers of who missed a message."""

from __future__ import annotations

import logging
from collections.abc import Callable

import zmq

logger = logging.getLogger(__name__)


def answer(
    router: zmq.Socket[bytes], found: Callable[[bytes], bytes], knows: Callable[[zmq.Frame], bool], most: int
) -> int:
    """Answer what waits, of ``most`` requests; how many. ``found`` has the message for a topic, ``knows`` says by what
    came whether its sender may be there. An answer that cannot be sent is dropped: the client asks again."""
    for number in range(most):
        try:
            *envelope, last = router.recv_multipart(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return number
        if not knows(last):
            continue
        try:
            topic = last.bytes
            router.send_multipart([*(frame.bytes for frame in envelope[:2]), topic, found(topic)], zmq.DONTWAIT)
        except zmq.ZMQError as e:
            logger.debug("gap answer dropped: %s", e)
    return most
