"""What a component finds in the topology's configuration: settings, state directory, log, its part of a snapshot.

On a cluster these are plain values, and the directory is made by the process that holds it (``shopguide run --engine
storm``), maybe after the topology was submitted: :meth:`Deployment.ready`. The local runner hands over its open log and
the parts that it has read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container
from pathlib import Path
from typing import Any

import xxhash

from shopguide import __version__, journal
from shopguide.errors import SettingError
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.push import Intake
from shopguide.rejects import RejectFiles
from shopguide.relay import Relay
from shopguide.settings import Settings
from shopguide.snapshot import Columns
from shopguide.state import StateDir, fits
from shopguide.storm.holder import Holder, lock
from shopguide.tasks import Tasks

STATE = "shopguide.state"  # else the environment's SHOPGUIDE_STATE
VERSION = "shopguide.version"  # of who submitted the topology
LOG = "shopguide.log"  # the local runner's
PARTS = "shopguide.parts"
INTAKE = "shopguide.push.intake"
PUBLISHER = "shopguide.publisher"  # the local runner's


class Deployment:
    """One component's view of the configuration.

    Raises SettingError where no state directory is named, or another version submitted the topology.
    """

    def __init__(self, conf: dict[str, Any], context: dict[str, Any]) -> None:
        self._conf = conf
        components = {int(task): name for task, name in context["task->component"].items()}
        self.component: str = components[int(context["taskid"])]
        peers = sorted(task for task, name in components.items() if name == self.component)
        self.index = peers.index(int(context["taskid"]))
        self.width = len(peers)
        widths = Counter(components.values())
        self.tasks = frozenset(f"{name}-{at}" for name, width in widths.items() for at in range(width))
        self.local = LOG in conf
        self.state = StateDir(self._directory())
        self._read = self._settings_file() if self.local else None  # the settings as they were read
        self._epoch = b""
        if conf.get(VERSION, __version__) != __version__:
            raise SettingError(
                f"the topology was submitted by shopguide {conf[VERSION]}, and this worker has {__version__}: "
                "install the same version on all hosts"
            )

    @property
    def name(self) -> str:
        """Of the task: ``score-0``."""
        return f"{self.component}-{self.index}"

    def ready(self) -> bool:
        """Whether the directory is there; what is read from it later is as it is now."""
        if self._read is None and (self.state.log / "meta.json").exists():
            self._epoch, self._read = self._tasks_epoch(), self._settings_file()
            if self._read is not None and not self.local:
                journal.dress(self.settings.run.logs, self.settings.run.level)
        return self._read is not None

    def check(self) -> None:
        """Raises SettingError, which ends the worker, where what was read is not in force any more."""
        if self._settings_file() not in (None, self._read) or self._tasks_epoch() != self._epoch:
            raise SettingError("the settings or the log of the state directory have changed: beginning again")

    @property
    def settings(self) -> Settings:
        assert self._read is not None
        return Settings.model_validate_json(self._read)

    @property
    def publisher(self) -> Any:
        """Takes lists and rejected rows to topics (shopguide.kafka.publisher); None: there are no such topics."""
        return self._conf.get(PUBLISHER)

    def log(self) -> Log:
        if self.local:
            return self._conf[LOG]  # type: ignore[no-any-return]
        return Log(self.state.log, self.settings.log.partitions, readonly=True)

    def intake(self) -> Intake:
        """Where lists go."""
        if self.local:
            return Intake(self._conf.get(INTAKE))
        intake = Intake(None, lambda socket: lock(socket, Secret.load(self.state.path)))
        self.follow(intake)
        return intake

    def follow(self, intake: Intake) -> None:
        """The push server may have begun anew, at another endpoint, and have room for what waits."""
        if not self.local:
            intake.connect(self.state.announced().get("lists"))
        intake.send()

    def relay(self) -> Relay | Holder:
        """Where rows for other partitions go."""
        return Relay(self._conf[LOG]) if self.local else Holder(self.state)

    def rejects(self) -> RejectFiles:
        """Where rejected rows go."""
        return RejectFiles(self.state.rejects)

    def parts(self, wanted: Container[str]) -> dict[str, Columns]:
        """These parts of the newest snapshot that fits; empty: there is none."""
        if self.local:
            return self._conf[PARTS]  # type: ignore[no-any-return]
        return self.state.newest(fits(self.settings), wanted=wanted) or {}

    def mine(self) -> list[int]:
        """The partitions that come to this task by ``Grouping.fields("partition")``."""
        return [p for p in range(self.settings.log.partitions) if task_of([p], self.width) == self.index]

    def _directory(self) -> Path:
        path = self._conf.get(STATE) or os.environ.get("SHOPGUIDE_STATE")
        if not path or not (self.local or Path(path).is_absolute()):
            raise SettingError(
                f"{STATE} = {path!r}: should be the absolute path of the state directory; it is the topology's option, "
                "or SHOPGUIDE_STATE in the supervisor's environment"
            )
        return Path(path)

    def _tasks_epoch(self) -> bytes:
        return Tasks(self.state.path).epoch()

    def _settings_file(self) -> bytes | None:
        try:
            return (self.state.path / "settings.json").read_bytes()
        except OSError:
            return None


def task_of(values: list[Any], width: int) -> int:
    """Which task of a component a fields grouping chooses: for numbers as Storm does (Java's ``List.hashCode``)."""
    code = 1
    for value in values:
        code = 31 * code + (value if isinstance(value, int) else xxhash.xxh32_intdigest(repr(value).encode()))
    return code % width
