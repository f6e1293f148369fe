"""The push server as a line has it: in a process of its own, which is begun again where it ends before it should.

So pushing shares no interpreter with learning and HTTP. What others ask of it goes over a pair of sockets (channel), of
which the process has one end: where the line is gone, killed or not, it finds no more to read and ends, too.
"""

from __future__ import annotations

import logging
import os
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from shopguide import lists, wire
from shopguide.errors import PackingError, SettingError, StateError
from shopguide.metrics import DELAYS as BOUNDS
from shopguide.metrics import Histogram
from shopguide.push.channel import Channel
from shopguide.push.curve import Pair
from shopguide.push.guard import Guard
from shopguide.push.server import DELAYS, Unwatched, Watched, tell
from shopguide.push.waiters import Waiters
from shopguide.settings import PushSettings

logger = logging.getLogger(__name__)

COMMAND = [sys.executable, "-P", "-m", "shopguide.push.child"]
NAME = "lists.sock"
START = 30.0  # seconds that a process has to come up
ANSWER = 5.0  # seconds that an answer may take
AGAIN = 0.5  # seconds between two processes
MISSED = 60.0  # seconds that those who watched have to come back to another process
COUNT = 0.25  # seconds between two times that its counts are asked for
HUNG = 60.0  # seconds without an answer, after which it is taken for dead


class PushProcess:
    """:class:`PushServer` in a process of its own, from :meth:`start`, which raises SettingError as its ``bind`` does,
    to :meth:`stop`; the callbacks come from a thread. Killed, or hung, it is begun again at the same endpoints with
    a later epoch and without lists: its subscribers come back by themselves and are watched anew.

    ``intake`` is where bolts of other hosts send lists; None: a socket in the state directory. ``curve`` are the keys
    of a server that encrypts, ``own_keys`` those of a client that is always welcome. ``counts`` and ``delays`` are
    those of the server, a moment old, over all its processes; ``delay`` has the delays of all lists.
    """

    def __init__(
        self,
        settings: PushSettings,
        guard: Guard,
        state: Path,
        on_watch: Watched,
        on_unwatch: Unwatched,
        intake: str | None = None,
        intake_key: bytes | None = None,
        curve: Pair | None = None,
        own: Pair | None = None,
    ) -> None:
        self._settings, self._guard, self._state = settings, guard, state
        self._on_watch, self._on_unwatch = on_watch, on_unwatch
        self._directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
        self.intake = intake or f"ipc:///proc/self/fd/{self._directory}/{NAME}"
        self._intake_key, self._curve, self.own_keys = intake_key, curve, own
        self.endpoint, self.gap_endpoint = settings.endpoint, ""
        self.server_key = curve[0].decode() if curve else None
        self.counts: Counter[str] = Counter()
        self.delays: deque[tuple[float, float]] = deque(maxlen=DELAYS)
        self.delay = Histogram(BOUNDS)
        self._watching: dict[int, float] = {}  # until when (epoch s)
        self._missed: set[int] = set()  # of them, who has not come back since the process began
        self._missed_until = 0.0  # monotonic s
        self._waiters = Waiters()
        self._answers: dict[int, Future[Any]] = {}
        self._numbers = count()
        self._running, self._up = True, False
        self._thread = threading.Thread(target=self._listen, name="push", daemon=True)

    def start(self) -> None:
        raise_limit()
        self._begin()
        self._thread.start()

    def stop(self) -> None:
        """Close the sockets; subscribers reconnect by themselves to the next server."""
        self._running = False
        if self._thread.is_alive():
            self._channel.end()
            self._thread.join(ANSWER)
            self._process.kill()
            self._thread.join()
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    # -- from any thread ---------------------------------------------------------------------------------------------

    def revoke(self, user: int, at: float) -> None:
        """Void every token of the user that was issued until then (epoch s), and forget their list."""
        self._ask("revoke", user, at)

    def latest(self, user: int) -> dict[str, Any] | None:
        """The user's newest recommendation, with the ``why`` of its items. Raises StateError where none answers."""
        return self.latest_of([user]).get(user)

    def latest_of(self, users: Iterable[int]) -> dict[int, dict[str, Any]]:
        """The same of many, of those who have one."""
        found = self._ask("latest", list(users)) or {}
        return {user: one for user, packed in found.items() if (one := _unpacked(packed)) is not None}

    def snapshot(self, user: int) -> wire.Message | None:
        """The user's newest list as it goes on the wire. Raises StateError where none answers."""
        body = self._ask("snapshot", user)
        return orjson.loads(body) if body else None

    def next(self, user: int, timeout: float) -> Awaitable[dict[str, Any] | None]:
        """The next recommendation for the user (or the key that a question was asked under); None where none comes in
        ``timeout`` seconds. Call from a running loop; it counts from the call, so ask first and await later."""
        answer = self._waiters.next(user, timeout)
        self._say("want", user)
        return answer

    def alive(self) -> bool:
        """Whether it serves."""
        return self._up and self._process.poll() is None

    def watched(self) -> int:
        """How many users are watched."""
        return len(self._watching)

    def watches(self, user: int) -> bool:
        """Whether somebody subscribes to the user's lists, with a token that has not ended."""
        return self._watching.get(user, 0.0) > time.time()

    def watch_again(self) -> None:
        """Have every watched user's list made again."""
        self._say("watch_again")

    def _ask(self, verb: str, *words: Any) -> Any:
        """The answer; None where the process ends meanwhile: it has forgotten everything."""
        number, future = next(self._numbers), Future[Any]()
        self._answers[number] = future
        try:
            return future.result(ANSWER) if self._say(verb, number, *words) else None
        except TimeoutError:
            raise StateError("the push server does not answer") from None
        finally:
            self._answers.pop(number, None)

    def _say(self, *words: Any) -> bool:
        """Whether there is a process to say it to."""
        try:
            self._channel.say(*words)
        except OSError:  # if it is not dead, it has not listened for long, and ends with the channel
            return False
        return True

    # -- the listening thread, once it runs --------------------------------------------------------------------------

    def _begin(self) -> None:
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [*COMMAND, str(its.fileno())],
                pass_fds=(its.fileno(), self._directory),
                env={name: value for name, value in os.environ.items() if name != "SHOPGUIDE_SECRET"},
                stdin=subprocess.DEVNULL,
            )
        self._channel, self._up, self._refusal = Channel(ours), False, ""
        ours.settimeout(START)
        try:
            self._channel.say(self._hello())
            while not (self._up or self._refusal):
                self._take()
        except (OSError, EOFError):
            self._refusal = "the push server did not come up"
        ours.settimeout(None)
        if self._refusal:
            self._end()
            raise SettingError(self._refusal)

    def _hello(self) -> dict[str, Any]:
        """All that the process has to know; it is on no command line."""
        return {
            "settings": {**self._settings.model_dump(), "endpoint": self.endpoint},
            "signing": self._guard.signing,
            "mark": self._guard.mark,
            "state": str(self._state),
            "intake": self.intake,
            "intake_key": self._intake_key,
            "curve_key": self._curve and self._curve[1],
            "own_key": self.own_keys and self.own_keys[0],
        }

    def _listen(self) -> None:
        while self._running:
            try:
                self._hear()
            except (OSError, EOFError):
                pass
            except Exception:
                logger.exception("what the push server said makes no sense")
            self._end()
            if self._running:
                self._begin_again()
        self._end()

    def _hear(self) -> None:
        """Until the process has gone, EOFError or OSError, or has hung."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        count_at, heard = 0.0, time.monotonic()
        while True:
            waits = poll.poll(COUNT * 1000)
            now = time.monotonic()
            if waits:
                self._take()
                heard = now
            elif now - heard > HUNG:
                logger.error("the push server has not answered for %g s", HUNG)
                return
            if now >= count_at and self._running:
                count_at = now + COUNT
                self._channel.say("count")
            if self._missed and now >= self._missed_until:
                for user in list(self._missed):
                    self._unwatch(user)

    def _take(self) -> None:
        for verb, *words in self._channel.heard():
            getattr(self, f"_{verb}")(*words)

    def _begin_again(self) -> None:
        logger.error("the push server's process ended (%s): beginning another", self._process.returncode)
        self.counts["restarts"] += 1
        while self._running:
            try:
                self._begin()
                self._missed_until = time.monotonic() + MISSED
                for user in self._waiters.users():
                    self._say("want", user)
                return
            except SettingError as e:
                logger.warning("%s", e)
                time.sleep(AGAIN)

    def _end(self) -> None:
        """Nothing of the process is left, and nobody waits for it."""
        self._channel.close()
        self._process.kill()
        self._process.wait()
        self._missed = set(self._watching)
        for future in list(self._answers.values()):
            with suppress(Exception):
                future.set_result(None)

    def _bound(self, endpoint: str, gap_endpoint: str, intake: str) -> None:
        self.endpoint, self.gap_endpoint, self.intake, self._up = endpoint, gap_endpoint, intake, True

    def _refused(self, why: str) -> None:
        self._refusal = why

    def _watch(self, user: int, expires: float) -> None:
        """Of who has come back to another process, only the list is to be made again, in the slot where it stands."""
        if user in self._missed and expires <= self._watching[user]:
            expires = 0.0
        self._missed.discard(user)
        if expires:
            self._watching[user] = expires
        tell(self._on_watch, user, expires)

    def _unwatch(self, user: int) -> None:
        self._missed.discard(user)
        self._watching.pop(user, None)
        tell(self._on_unwatch, user)

    def _list(self, user: int, packed: bytes) -> None:
        self._waiters.wake(user, _unpacked(packed))

    def _answer(self, number: int, found: Any) -> None:
        future = self._answers.get(number)
        if future is not None:
            future.set_result(found)

    def _counted(self, counts: dict[str, int], delays: list[tuple[float, float]]) -> None:
        self.counts.update(counts)
        for at, delay in delays:
            self.delays.append((at, delay))
            self.delay.observe(delay)

    def _log(self, name: str, level: int, text: str) -> None:
        logging.getLogger(name).log(level, "%s", text)


def _unpacked(packed: bytes) -> dict[str, Any] | None:
    """None where it is no list after all: the server reads no more of one than it has to."""
    try:
        return lists.unpack(packed)
    except PackingError as e:
        logger.warning("%s", e)
        return None


def raise_limit() -> None:
    """As many open files as this user may have: each subscriber takes two, here or in a child."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
