"""The push server's own process: ``python -m shopguide.push.child DESCRIPTOR``, begun by :mod:`shopguide.push.process`.

It is told everything over the channel, whose descriptor is its only argument, and ends when that does.
"""

from __future__ import annotations

import gc
import logging
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from shopguide.errors import SettingError
from shopguide.push.channel import Channel
from shopguide.push.guard import Guard
from shopguide.push.server import PushServer
from shopguide.settings import PushSettings


class Told(logging.Handler):
    """The line's log is that of its push server, too."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # the line is gone
            self._channel.say("log", record.name, record.levelno, self.format(record))


class Child:
    """What the line says is done, what it asks answered, what it should know told."""

    def __init__(self, channel: Channel, said: dict[str, Any]) -> None:
        self._channel = channel
        self._guard = Guard(said["signing"], said["mark"], Path(said["state"]))
        self._server = PushServer(
            PushSettings.model_validate(said["settings"]),
            self._guard,
            Path(said["state"]),
            lambda user, expires: channel.say("watch", user, expires),
            lambda user: channel.say("unwatch", user),
            said["intake"],
            said["intake_key"],
            said["curve_key"],
            said["own_key"],
            lambda user, packed: channel.say("list", user, packed),
        )

    def run(self) -> None:
        server = self._server
        try:
            server.bind()
        except SettingError as e:
            self._channel.say("refused", str(e))
            return
        self._channel.say("bound", server.endpoint, server.gap_endpoint, server.intake)
        server.run(self._channel.fileno(), self._attend)

    def _attend(self) -> None:
        try:
            for verb, *words in self._channel.heard(wait=False):
                getattr(self, f"_{verb}")(*words)
        except (EOFError, ConnectionError):  # the line is gone, perhaps with an answer under way
            self._server.stop()

    def _latest(self, request: int, users: list[int]) -> None:
        found = {user: packed for user in users if (packed := self._server.latest(user))}
        self._channel.say("answer", request, found)

    def _snapshot(self, request: int, user: int) -> None:
        self._channel.say("answer", request, self._server.snapshot(user))

    def _revoke(self, request: int, user: int, at: float) -> None:
        self._guard.note(user, at)
        self._server.forget(user)
        self._channel.say("answer", request, None)

    def _want(self, user: int) -> None:
        self._server.want(user)

    def _watch_again(self) -> None:
        self._server.watch_again()

    def _count(self) -> None:
        """Say what has been counted since the last time."""
        counts, delays = self._server.counts, self._server.delays
        self._channel.say("counted", dict(counts), list(delays))
        counts.clear()
        delays.clear()


def main() -> None:
    """The line ends the process by closing its end of the channel: signals that all processes of a group or a service
    get are the line's to obey."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    logging.getLogger().addHandler(Told(channel))
    hello: list[list[Any]] = []
    while not hello:
        hello += channel.heard()
    Child(channel, *hello[0]).run()


if __name__ == "__main__":
    main()
