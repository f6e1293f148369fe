"""What a process tells of itself: lines for people, or JSON objects for machines, on stderr; of a task on a cluster in
its worker.log.

An event is known by its place in the log, ``partition`` and ``offset``: lines about events carry these as fields, and
never a user, a token or a secret. What looks like a token, or like bytes of a row, is left out of every line, also
where a library says it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Literal

Form = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

FIELDS = ("task", "partition", "offset", "last", "rows", "lists", "offsets", "seconds", "bytes", "model", "version")
OURS = ("shopguide", "pystorm", "uvicorn")  # whose lines are wanted below warnings
_TOKEN = re.compile(r"[A-Za-z0-9_-]{60,}")
_BYTES = re.compile(r"""b(?:'(?:[^'\\]|\\.){24,}'|"(?:[^"\\]|\\.){24,}")""")


def begin(form: Form, level: Level) -> None:
    """Have this process tell of itself on stderr, from a level on."""
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger().handlers[:] = [handler]
    dress(form, level)


def dress(form: Form, level: Level) -> None:
    """The same through whatever handlers there are: pystorm has its own."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Formatter(form))
        handler.setLevel(logging.NOTSET)
    known = [name for name in logging.Logger.manager.loggerDict if name.split(".")[0] in OURS]
    for name in {*OURS, *known}:
        logging.getLogger(name).setLevel(level.upper())


def in_json() -> bool:
    """Whether machines read along."""
    formatters = (handler.formatter for handler in logging.getLogger().handlers)
    return any(isinstance(one, Formatter) and one.form == "json" for one in formatters)


class Formatter(logging.Formatter):
    """A line a record: its time (UTC), level, logger and message, and those of FIELDS that it carries."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form

    def format(self, record: logging.LogRecord) -> str:
        told = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        message = _clean(record.getMessage())
        exception = _clean(self.formatException(record.exc_info)) if record.exc_info else ""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level = record.levelname.lower()
        if self.form == "text":
            fields = "".join(f" {name}={value}" for name, value in told.items())
            return f"{time} {level} {record.name}: {message}{fields}" + (f"\n{exception}" if exception else "")
        said = {"time": time, "level": level, "logger": record.name, "message": message, **told}
        return json.dumps({**said, **({"exception": exception} if exception else {})}, default=str)


def _clean(text: str) -> str:
    return _TOKEN.sub("[token]", _BYTES.sub("b'[bytes]'", text))
