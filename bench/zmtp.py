"""ZMTP 3.0 over a plain socket: a client that sends what it likes and reads what it likes. RFC 23 of ZeroMQ."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
MORE, LONG, COMMAND = 1, 2, 4  # flags of a frame


def frame(body: bytes, flags: int = 0) -> bytes:
    size = struct.pack(">Q", len(body)) if len(body) > 255 else bytes([len(body)])
    return bytes([flags | (LONG if len(body) > 255 else 0)]) + size + body


def ready(socket_type: bytes) -> bytes:
    return frame(b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(socket_type)) + socket_type, COMMAND)


class Reader:
    """Frames out of what comes over a connection past its handshake, however it is cut."""

    def __init__(self) -> None:
        self._data = bytearray()

    def messages(self, came: bytes) -> Iterator[bytes]:
        """The last frame of each message that is complete now."""
        data = self._data
        data += came
        begin = 0
        while len(data) >= begin + 2:
            flags, size, body = data[begin], data[begin + 1], begin + 2
            if flags & LONG:
                if len(data) < begin + 9:
                    break
                size, body = int.from_bytes(data[begin + 1 : begin + 9], "big"), begin + 9
            if len(data) < body + size:
                break
            if not flags & (MORE | COMMAND):
                yield bytes(data[body : body + size])
            begin = body + size
        del data[:begin]


def tcp(endpoint: str, receive_buffer: int | None = None) -> socket.socket:
    """A TCP connection to ``tcp://HOST:PORT`` that has said nothing yet."""
    made = socket.socket()
    if receive_buffer is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    host, port = endpoint.removeprefix("tcp://").split(":")
    made.settimeout(10)
    made.connect((host, int(port)))
    return made


def connected(endpoint: str, socket_type: bytes, receive_buffer: int | None = None) -> socket.socket:
    """A connection past its handshake. What follows the READY of a client before that of the server is lost on it."""
    made = tcp(endpoint, receive_buffer)
    made.sendall(GREETING + ready(socket_type))
    _exactly(made, len(GREETING))
    _, size = _exactly(made, 2)
    _exactly(made, size)
    return made


def _exactly(connection: socket.socket, n: int) -> bytes:
    heard = b""
    while len(heard) < n:
        came = connection.recv(n - len(heard))
        assert came, "it was ended"
        heard += came
    return heard
