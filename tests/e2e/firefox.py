"""Firefox between Playwright and itself: an extended support release does not know one command of WebDriver BiDi that
every context begins with, so that one is sent as another that does nothing. The arguments are Firefox's.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

COMMAND = shutil.which("firefox") or shutil.which("firefox-esr")
UNKNOWN = b'"method":"emulation.setMediaFeaturesOverride"'
INSTEAD = b'"method":"session.status"'.ljust(len(UNKNOWN))
LENGTHS = {126: 2, 127: 8}  # bytes of a frame's length, where its second byte says so


async def _frame(reader: StreamReader) -> bytes:
    """The next WebSocket frame of a client, whose payload is masked, with the unknown command replaced."""
    head = await reader.readexactly(2)
    size = head[1] & 127
    if size in LENGTHS:
        head += await reader.readexactly(LENGTHS[size])
        size = int.from_bytes(head[2:])
    mask = await reader.readexactly(4)
    payload = _masked(await reader.readexactly(size), mask)
    return head + mask + _masked(payload.replace(UNKNOWN, INSTEAD), mask)


def _masked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size])
    return (int.from_bytes(payload) ^ key).to_bytes(size)


async def _there(reader: StreamReader, writer: StreamWriter) -> None:
    port = writer.get_extra_info("peername")[1]  # Firefox answers to its own address only
    asked = await reader.readuntil(b"\r\n\r\n")
    writer.write(re.sub(rb"(?i)(\r\nhost: [^:]+:)\d+", rb"\g<1>%d" % port, asked))
    while True:
        writer.write(await _frame(reader))
        await writer.drain()


async def _back(reader: StreamReader, writer: StreamWriter) -> None:
    while some := await reader.read(1 << 16):
        writer.write(some)
        await writer.drain()
    writer.close()


async def _between(port: int, reader: StreamReader, writer: StreamWriter) -> None:
    from_fox, to_fox = await asyncio.open_connection("127.0.0.1", port)
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        await asyncio.gather(_there(reader, to_fox), _back(from_fox, writer))
    to_fox.close()
    writer.close()


async def main() -> int:
    assert COMMAND
    fox = await asyncio.create_subprocess_exec(COMMAND, *sys.argv[1:], stderr=asyncio.subprocess.PIPE)
    assert fox.stderr
    servers = []
    async for line in fox.stderr:
        if found := re.search(rb"BiDi listening on ws://127.0.0.1:(\d+)", line):
            port = int(found[1])
            server = await asyncio.start_server(lambda r, w, port=port: _between(port, r, w), "127.0.0.1", 0)
            servers.append(server)
            line = line.replace(found[1], b"%d" % server.sockets[0].getsockname()[1])  # noqa: PLW2901
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
    return await fox.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
