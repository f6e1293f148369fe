"""Whether this process works, and whether it can take events and answer: each check by name, with ``ok`` and words."""

from __future__ import annotations

import os
import shutil
from typing import Any

from shopguide.cli.door import Line
from shopguide.push import PushProcess

Checks = dict[str, dict[str, Any]]


class Health:
    """Of a line that serves. Nothing waits here: a line that hangs is told of, too."""

    def __init__(self, line: Line, push: PushProcess) -> None:
        self._line, self._push = line, push

    def alive(self) -> Checks:
        """Where one fails, only a new start helps."""
        stuck, refuses = self._line.stuck(), self._log()
        return {
            "line": _check(not stuck, stuck or "works"),
            "log": _check(not refuses, refuses or "can be written"),
            "push": _check(self._push.alive(), "serves" if self._push.alive() else "the push server has ended"),
        }

    def ready(self) -> Checks:
        """Where one fails, events and questions had better go elsewhere until it is mended."""
        full, late, lacking = self.full(), self.late(), self._line.missing()
        unloadable = self._unloadable()
        ahead = self._line.clock.ahead()
        alive, away = self.alive(), self._line.log.trouble()
        if away and alive["log"]["ok"]:
            alive["log"] = _check(False, away)
        return {
            **alive,
            "clock": _check(not ahead, ahead or "goes on as it began"),
            "disk": _check(not full, full or "has room"),
            "behind": _check(not late, late or f"{self._line.behind():,} rows"),
            "tasks": _check(not lacking, f"nothing is heard of {', '.join(lacking)}" if lacking else "all there"),
            "models": _check(not unloadable, f"cannot be loaded: {', '.join(unloadable)}" if unloadable else "loaded"),
        }

    def full(self) -> str:
        """Why the disk takes no events; empty: it does."""
        try:
            free = shutil.disk_usage(self._line.state.path).free
        except OSError as e:
            return f"the state directory cannot be looked at: {e.strerror}"
        return "the log's disk is nearly full" if free < self._line.settings.http.min_free else ""

    def late(self) -> str:
        """Why the line takes no events; empty: it does."""
        behind = self._line.behind()
        return f"the line is {behind:,} rows behind" if behind > self._line.settings.http.max_behind else ""

    def _log(self) -> str:
        path = self._line.state.path
        if refuses := self._line.log.refuses:
            return refuses
        return "" if os.access(path, os.W_OK) else "the state directory cannot be written"

    def _unloadable(self) -> list[str]:
        numbers = (sample for told in self._line.numbers().values() for sample in told.numbers)
        return sorted({sample[1][0] for sample in numbers if sample[0] == "shopguide_model_info" and not sample[2]})


def _check(ok: bool, said: str) -> dict[str, Any]:
    return {"ok": ok, "said": said}
