"""ZMTP 3.0 over a plain socket: a client that sends what it likes and reads what it likes. RFC 23 of ZeroMQ."""

from __future__ import annotations

import socket
import struct

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
MORE, LONG, COMMAND = 1, 2, 4  # flags of a frame


def frame(body: bytes, flags: int = 0) -> bytes:
    size = struct.pack(">Q", len(body)) if len(body) > 255 else bytes([len(body)])
    return bytes([flags | (LONG if len(body) > 255 else 0)]) + size + body


def ready(socket_type: bytes) -> bytes:
    return frame(b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(socket_type)) + socket_type, COMMAND)


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
    heard = b""
    while b"READY" not in heard:
        heard += made.recv(len(GREETING))
    return made
