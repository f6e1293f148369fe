"""CURVE keys of the push server and of those who may connect to it. All keys are Z85 text, 40 characters."""

from __future__ import annotations

import hmac
import logging
import struct
import time
from pathlib import Path

import zmq
from zmq.utils import z85

from shopguide.errors import SettingError
from shopguide.keys import Secret

logger = logging.getLogger(__name__)

LOOK = 1.0  # seconds between looks at whether the list of clients has changed

Pair = tuple[bytes, bytes]  # public, secret


def server_keys(secret: Secret) -> Pair:
    """The push server's: derived from the deployment's secret, so that there is no file to keep, and no token key's
    rotation changes it. Clients need the public one."""
    return _derived(secret, b"shopguide/curve")


def own_keys(secret: Secret) -> Pair:
    """Those that the line's own web server connects with; always welcome."""
    return _derived(secret, b"shopguide/curve/own")


def _derived(secret: Secret, label: bytes) -> Pair:
    private = z85.encode(hmac.digest(secret.token, label, "sha256"))
    return zmq.curve_public(private), private


class Clients:
    """Who may connect: a file with a public key a line, and comments behind it or after a ``#``; looked at again when
    it changes. Raises SettingError at first for a file of no use; later it stays with what it had."""

    def __init__(self, path: str, own_key: bytes | None) -> None:
        self._path, self._own = Path(path), own_key
        self._stamp, self._look_at = self._look(), 0.0
        self._keys = self._read()
        self._version = 0

    @property
    def version(self) -> int:
        """Another one where the list has changed; looked after now and then."""
        if time.monotonic() >= self._look_at:
            self._look_again()
        return self._version

    def lists(self, key: bytes) -> bool:
        """Whether the key is in the list now."""
        self._look_again()
        return key in self._keys

    def _look_again(self) -> None:
        self._look_at = time.monotonic() + LOOK
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp, self._version = stamp, self._version + 1
        try:
            self._keys = self._read()
        except SettingError as e:
            logger.error("the list of clients stays as it was: %s", e)

    def _read(self) -> set[bytes]:
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError as e:
            raise SettingError(f"push.clients = {str(self._path)!r}: {e.strerror}") from None
        words = {line.split()[0] for line in lines if line.strip()}
        keys = set(filter(_is_key, words))  # one may begin with a #
        wrong = [word for word in words - keys if not word.startswith(b"#")]
        if wrong:
            raise SettingError(f"push.clients = {str(self._path)!r}: {wrong[0]!r} is no key: 40 characters of Z85")
        return keys | ({self._own} if self._own else set())

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _is_key(text: bytes) -> bool:
    try:
        return len(text) == 40 and len(z85.decode(text)) == 32
    except (ValueError, KeyError, struct.error):
        return False
