"""All of a line but its stages: the log, the collector and the push server on a state directory that it holds."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from shopguide.catalogue import Catalogue
from shopguide.cli.clock import Clock
from shopguide.cli.keeper import Saved
from shopguide.collect.collector import Collector
from shopguide.errors import ShopguideError
from shopguide.kafka.binding import refuse_bound
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.push import Guard, PushProcess
from shopguide.push.curve import own_keys, server_keys
from shopguide.records import Kind
from shopguide.settings import Settings
from shopguide.state import StateDir
from shopguide.tasks import Told
from shopguide.tokens import KeyRing

if TYPE_CHECKING:
    from shopguide.kafka.follow import FollowedTopic
    from shopguide.kafka.log import KafkaLog
    from shopguide.kafka.publisher import Publisher

STUCK = 30.0  # seconds in which the line's thread turns, whatever it is doing
PULLED = 10_000  # users who asked for a list that is remembered
RELAYS = 3  # times that a row is handed from partition to partition at most, in practice

T = TypeVar("T")


class Line(ABC):
    """On a state directory from :meth:`start` to :meth:`stop`. Where the stages work is the subclass's business: here
    events go in and lists come out. ``open_log`` gives the log of that directory; None: its own."""

    push: PushProcess | None = None
    publisher: Publisher | None = None  # sends lists to a topic
    followed: Sequence[FollowedTopic] = ()  # topics of others that are read
    _thread: threading.Thread  # does the work

    def __init__(
        self, state: StateDir, settings: Settings, open_log: Callable[[Path, Secret], KafkaLog] | None = None
    ) -> None:
        state.take()
        self.state, self.settings = state, settings
        self.secret = Secret.load(state.path, create=True)
        self.log = open_log(state.path, self.secret) if open_log else self._own_log()
        state.keep_settings(settings)
        self.clock = Clock()
        self.collector = Collector(self.log, self.secret, self.clock)
        self.guard = Guard.of(self.secret, state.path)
        self.forgetting = threading.Lock()  # one person at a time
        self.turned = time.monotonic()  # when the thread last came round
        self._pulled: dict[int, float] = {}  # user -> until when (epoch s) their list follows, who asked for it once
        self._error: Exception | None = None

    @abstractmethod
    def start(self) -> None:
        """Begin to work."""

    @abstractmethod
    def stop(self) -> None:
        """Let go of everything. Raises what had ended the work, if anything did."""

    @abstractmethod
    def positions(self) -> dict[int, int]:
        """The next offset that the spout reads of each partition."""

    @abstractmethod
    def learned(self) -> dict[int, int]:
        """The next offset of each partition, everything below being learned, and what it causes written."""

    @abstractmethod
    def call(self, work: Callable[[], T]) -> T:
        """The result of ``work``, done while the stages stand still."""

    @abstractmethod
    def snapshot(self, only: bool = False) -> None:
        """Write a snapshot now. ``only``: and keep no older one. Raises StateError where the disk refuses."""

    @abstractmethod
    def stage(self, name: str) -> Any:
        """A stage (featurize, score, rank, reject) as it is now; for counting only while it works."""

    @abstractmethod
    def knows(self, item: int) -> bool:
        """Whether a question about an item can have an answer."""

    @abstractmethod
    def catalogue(self) -> Catalogue:
        """What is known of items, and the experts' picks; to be read while the line works. May take a moment."""

    @abstractmethod
    def numbers(self) -> dict[str, Told]:
        """What the tasks last told of themselves, by their names."""

    @abstractmethod
    def missing(self) -> list[str]:
        """Tasks that nothing is heard of."""

    @property
    @abstractmethod
    def saved(self) -> Saved:
        """The snapshots of this process."""

    @property
    @abstractmethod
    def restarts(self) -> int:
        """Times that the stages in this process began again."""

    def stuck(self) -> str:
        """Why no work is done; empty: it is."""
        if self._error is not None:
            known = isinstance(self._error, ShopguideError)
            return f"the work ended: {self._error if known else type(self._error).__name__}"
        if not self._thread.is_alive():
            return "nobody works"
        silent = time.monotonic() - self.turned
        return f"nothing has moved for {silent:.0f} s" if silent > STUCK else ""

    @property
    def keys(self) -> KeyRing:
        """What tokens are signed with now."""
        return self.guard.keys

    def revoke(self, user: int) -> None:
        """Void every token of the user that was issued until now, and forget their list. Raises StateError where the
        disk refuses."""
        at = self.guard.revoke(user)
        if self.push is not None:
            self.push.revoke(user, at)

    def pulled(self, user: int, expires: float) -> None:
        """The user's WATCH row, which nobody's subscription stands behind, has been answered."""
        self._pulled.pop(user, None)
        self._pulled[user] = expires
        if len(self._pulled) > PULLED:
            self._pulled.pop(next(iter(self._pulled)), None)

    def follows(self, user: int) -> bool:
        """Whether a new list is made after each event of the user: the newest one is of now."""
        until = self._pulled.get(user, 0.0)
        return until > time.time() or (self.push is not None and self.push.watches(user))

    def behind(self) -> int:
        """Rows of the log that the spout has not read yet."""
        return sum(self.log.end(p) - position for p, position in self.positions().items()) // self.log.stride

    def catch_up(self, within: int = 0, stopped: threading.Event | None = None) -> None:
        """Wait until at most ``within`` rows of the log are unread, or until stopped. Raises what ended the work, if
        anything did."""
        self.raise_error()
        while self.behind() > within and not (stopped is not None and stopped.is_set()):
            self.raise_error()
            time.sleep(0.002)

    def learn_all(self) -> None:
        """Wait until all that the log holds now is learned, and what it causes in other partitions."""
        for _ in range(RELAYS):
            self.log.commit()
            self.log.look()
            ends = {p: self.log.end(p) for p in range(self.log.partitions)}
            while any(self.learned()[p] < end for p, end in ends.items()):
                self.raise_error()
                time.sleep(0.002)

    def failed(self) -> bool:
        """Whether only a new start helps: the work ended with an error, or the log takes nothing more."""
        return self._error is not None or bool(self.log.refuses)

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _pushing(self, intake: str | None = None, intake_key: bytes | None = None) -> PushProcess:
        settings, told = self.settings.push, (self._watched, self._unwatched)
        curve = (server_keys(self.secret), own_keys(self.secret)) if settings.curve else (None, None)
        return PushProcess(settings, self.guard, self.state.path, *told, intake, intake_key, *curve)

    def _own_log(self) -> Log | KafkaLog:
        refuse_bound(self.state.path)
        return Log(self.state.log, self.settings.log.partitions, self.settings.log.segment_bytes)

    def _close(self) -> None:
        if self.push is not None:
            self.push.stop()
        try:
            self.log.close()
        finally:
            self.state.release()
        self.raise_error()

    def _watched(self, user: int, expires: float) -> None:
        self.collector.control(Kind.WATCH, user, expires=expires, slot="home", n=self.settings.rank.n)

    def _unwatched(self, user: int) -> None:
        self._pulled.pop(user, None)
        self.collector.control(Kind.UNWATCH, user)
