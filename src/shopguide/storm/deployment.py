"""What a component finds in the topology's configuration: settings, state directory, log, its part of a snapshot.

On a cluster these are plain values; the local runner hands over its open log and the parts it has read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shopguide import settings as settings_module
from shopguide.errors import SettingError
from shopguide.log import Log
from shopguide.settings import Settings
from shopguide.snapshot import Columns
from shopguide.state import StateDir, fits

STATE = "shopguide.state"
SETTINGS = "shopguide.settings"  # JSON; else PRESET and CONFIG name them
PRESET = "shopguide.preset"
CONFIG = "shopguide.config"
INTAKE = "shopguide.push.intake"
LOG = "shopguide.log"
PARTS = "shopguide.parts"


class Deployment:
    """One component's view of the configuration. Raises SettingError where a key is missing."""

    def __init__(self, conf: dict[str, Any], context: dict[str, Any]) -> None:
        self._conf = conf
        components = {int(task): name for task, name in context["task->component"].items()}
        self.component: str = components[int(context["taskid"])]
        peers = sorted(task for task, name in components.items() if name == self.component)
        self.index = peers.index(int(context["taskid"]))
        self.width = len(peers)
        names = sorted(n for n in components.values() if not n.startswith("__"))
        self._tasks = {name: names.count(name) for name in names}
        self.settings = self._settings()

    @property
    def state(self) -> StateDir:
        if STATE not in self._conf:
            raise SettingError(f"the topology's configuration lacks {STATE}: the state directory")
        return StateDir(Path(self._conf[STATE]))

    @property
    def intake(self) -> str | None:
        """Where the push server takes recommendations."""
        return self._conf.get(INTAKE)

    @property
    def publisher(self) -> Any:
        """Takes lists and rejected rows to topics (shopguide.kafka.publisher); None: there are no such topics."""
        return getattr(self._conf.get(LOG), "publisher", None)

    def log(self) -> Log:
        log = self._conf.get(LOG)
        return log if log is not None else Log(self.state.log, self.settings.log.partitions, readonly=True)

    def part(self, name: str | None = None) -> Columns | None:
        """The component's part of the newest snapshot that fits; None: begin empty."""
        parts = self._conf.get(PARTS)
        if parts is None:
            parts = self.state.newest(fits(self.settings, self._tasks)) or {}
        return parts.get(name or f"{self.component}-{self.index}")

    def _settings(self) -> Settings:
        if SETTINGS in self._conf:
            return Settings.model_validate_json(self._conf[SETTINGS])
        config = self._conf.get(CONFIG)
        return settings_module.load(self._conf.get(PRESET, "shop"), Path(config) if config else None)
