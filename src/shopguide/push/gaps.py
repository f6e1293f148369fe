"""The answers of who missed a message."""

from __future__ import annotations

import logging
from collections.abc import Callable

import zmq

logger = logging.getLogger(__name__)


def answer(router: zmq.Socket[bytes], found: Callable[[bytes], bytes], most: int) -> int:
    """Answer what waits, of ``most`` requests; how many. ``found`` has the message for a topic. An answer that cannot
    be sent is dropped: the client asks again."""
    for number in range(most):
        try:
            *envelope, topic = router.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return number
        try:
            router.send_multipart([*envelope[:2], topic, found(topic)], zmq.DONTWAIT)
        except zmq.ZMQError as e:
            logger.debug("gap answer dropped: %s", e)
    return most
