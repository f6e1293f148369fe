"""The socket in a state directory over which commands reach the process that runs on it.

``DIR/control.sock``, for its owner only: one JSON object in, one out, a connection each, each a line. An object with
"error" is a refusal in words. What takes long sends objects {"under_way": {...}} before its answer, and ends where
nobody reads them.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

from shopguide.errors import ShopguideError, StateError

logger = logging.getLogger(__name__)

NAME = "control.sock"
LONGEST = 1 << 20  # bytes of a request
PATIENCE = 5.0  # seconds that a client may keep the others waiting with its request

Verbs = dict[str, Callable[..., Any]]  # a generator yields {"under_way": {...}}, and returns its answer


class Control:
    """Serves the verbs, one request after the other, while it is entered. Raises StateError where it cannot."""

    def __init__(self, directory: Path, verbs: Verbs) -> None:
        self._directory = directory
        self._verbs = verbs
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def __enter__(self) -> Control:
        try:
            (self._directory / NAME).unlink(missing_ok=True)
            with _short(self._directory) as path:
                self._socket.bind(path)
            (self._directory / NAME).chmod(0o600)
            self._socket.listen()
        except OSError as e:
            self._socket.close()
            raise StateError(f"no commands can reach {self._directory}: {e.strerror}") from None
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        (self._directory / NAME).unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(PATIENCE)
                    with connection.makefile("rb") as stream:
                        line = stream.readline(LONGEST)
                    for said in self._answers(line):
                        connection.sendall(json.dumps(said).encode() + b"\n")
                except OSError as e:
                    logger.info("a command went away: %s", e)

    def _answers(self, line: bytes) -> Iterator[Any]:
        """What is under way, time and again, and the answer."""
        try:
            request = json.loads(line)
            verb = self._verbs[request.pop("do")]
            signature(verb).bind(**request)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            yield {"error": f"no such request: {e}"}
            return
        try:
            found = verb(**request)
            if isinstance(found, Generator):
                found = yield from found
            yield found
        except ShopguideError as e:
            yield {"error": str(e)}
        except Exception as e:
            logger.exception("a command failed")
            yield {"error": f"{type(e).__name__}: {e}"}


def ask(
    directory: Path,
    do: str,
    *,
    under_way: Callable[..., object] = lambda **_: None,
    patience: float | None = None,
    **details: Any,
) -> Any:
    """What the process on the directory answers; before that, ``under_way`` is told how far it is. Raises
    ShopguideError with its words, or where there is none, or none that answers within ``patience`` seconds."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            with _short(directory) as path:
                connection.connect(path)
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps({"do": do, **details}).encode() + b"\n")
                stream.flush()
                while isinstance(answer := json.loads(stream.readline()), dict) and "under_way" in answer:
                    under_way(**answer["under_way"])
        except OSError as e:
            raise ShopguideError(f"cannot reach the process that runs on {directory}: {e}") from None
        except ValueError:
            raise ShopguideError(f"the process that ran on {directory} ended before it answered") from None
    if isinstance(answer, dict) and "error" in answer:
        raise ShopguideError(answer["error"])
    return answer


@contextmanager
def _short(directory: Path) -> Iterator[str]:
    """The socket's path in a form that fits a socket address, however deep the directory lies."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
