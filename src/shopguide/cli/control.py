"""The socket in a state directory over which commands reach the process that runs on it.

``DIR/control.sock``, for its owner only: one JSON object in, one out, a connection each. An object with "error" is a
refusal in words.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

from shopguide.errors import ShopguideError, StateError

logger = logging.getLogger(__name__)

NAME = "control.sock"
LONGEST = 1 << 20  # bytes of a request
PATIENCE = 5.0  # seconds that a client may keep the others waiting with its request

Verbs = dict[str, Callable[..., Any]]


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
                    connection.sendall(json.dumps(self._answer(line)).encode() + b"\n")
                except OSError as e:
                    logger.info("a command went away: %s", e)

    def _answer(self, line: bytes) -> Any:
        try:
            request = json.loads(line)
            verb = self._verbs[request.pop("do")]
            signature(verb).bind(**request)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            return {"error": f"no such request: {e}"}
        try:
            return verb(**request)
        except ShopguideError as e:
            return {"error": str(e)}
        except Exception as e:
            logger.exception("a command failed")
            return {"error": f"{type(e).__name__}: {e}"}


def ask(directory: Path, do: str, **details: Any) -> Any:
    """What the process on the directory answers. Raises ShopguideError with its words, or where there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            with _short(directory) as path:
                connection.connect(path)
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps({"do": do, **details}).encode() + b"\n")
                stream.flush()
                answer = json.loads(stream.readline())
        except (OSError, ValueError) as e:
            raise ShopguideError(f"cannot reach the process that runs on {directory}: {e}") from None
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
