"""The process that holds the state directory, as a task on a cluster reaches it.

It listens at endpoints that ``DIR/run.json`` names (shopguide.cli.host). CURVE keeps strangers out: the server's key
pair is derived from the deployment's secret and told to nobody, so only who has the secret knows whom to talk to.
"""

from __future__ import annotations

import hmac

import msgpack
import zmq
from zmq.utils import z85

from shopguide.errors import GapError, StateError
from shopguide.frontier import Debts
from shopguide.keys import Secret
from shopguide.records import Batch, pack
from shopguide.state import StateDir

PATIENCE = 500  # ms for an answer: a bolt must not be held longer

Keys = tuple[bytes, bytes]


def door_keys(secret: Secret) -> Keys:
    """The CURVE key pair (public, secret; Z85) of the endpoints for tasks."""
    private = z85.encode(hmac.digest(secret.token, b"shopguide/door", "sha256"))
    return zmq.curve_public(private), private


class Holder:
    """Takes rows for the log. Raises StateError where it does not answer or its disk refuses: what was not taken has
    to come again, before what comes after it (GapError)."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._debts = Debts()

    def send(self, rows: Batch) -> None:
        """Rows that those of a partition cause in others: as :meth:`shopguide.relay.Relay.send`. ``rows.first`` is the
        row after the last one that caused any before them."""
        with self._debts.taking(rows.partition, rows.first):
            self._ask(pack(rows))

    def _ask(self, request: bytes) -> None:
        """A connection each: requests are rare, and an answer that comes late is never taken for the next one's."""
        socket: zmq.Socket[bytes]
        with zmq.Context.instance().socket(zmq.REQ) as socket:
            try:
                self._connect(socket)
                socket.send(request)
                answer = msgpack.unpackb(socket.recv())
            except zmq.ZMQError:
                raise StateError(f"the process that holds {self._state.path} does not answer") from None
        if answer is not None:
            kind, words = answer
            raise (GapError if kind == "gap" else StateError)(words)

    def _connect(self, socket: zmq.Socket[bytes]) -> None:
        endpoint = self._state.announced().get("rows")
        if endpoint is None:
            raise StateError(f"no process holds {self._state.path}")
        for option in (zmq.SNDTIMEO, zmq.RCVTIMEO):
            socket.set(option, PATIENCE)
        socket.set(zmq.LINGER, 0)
        lock(socket, Secret.load(self._state.path))
        socket.connect(endpoint)


def lock(socket: zmq.Socket[bytes], secret: Secret) -> None:
    """Make a socket one that the holder's endpoints let in."""
    public, private = zmq.curve_keypair()
    socket.set(zmq.CURVE_SERVERKEY, door_keys(secret)[0])
    socket.set(zmq.CURVE_PUBLICKEY, public)
    socket.set(zmq.CURVE_SECRETKEY, private)
