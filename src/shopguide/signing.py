"""The keys that tokens are signed with, on disk, so that they can change while the secret stays.

``DIR/token-keys`` (or the file that ``SHOPGUIDE_TOKEN_KEYS_FILE`` names), for its owner only: a key a line, the newest
first, as "HEX SINCE": from when (epoch s) it signs. Without the file there is the one key that comes from the secret.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from shopguide import private
from shopguide.errors import SettingError
from shopguide.keys import Secret
from shopguide.tokens import LONGEST, KeyRing

Keys = list[tuple[bytes, float]]  # key, since when it signs (epoch s); newest first


class KeyFile:
    """Of a state directory (None: there is no file); ``derived`` is the key that comes from the secret."""

    def __init__(self, derived: bytes, state: Path | None) -> None:
        self._derived = derived
        named = os.environ.get("SHOPGUIDE_TOKEN_KEYS_FILE")
        self.path = Path(named) if named else state and state / "token-keys"

    def ring(self) -> KeyRing:
        """The keys in force. Raises SettingError where the file is of no use, or others can read it."""
        return KeyRing(*(key for key, _ in self._keys()))

    def rotate(self) -> None:
        """A new key signs; older ones stay as long as a token of theirs may live. Raises SettingError."""
        self._write([(secrets.token_bytes(32), time.time()), *self._keys()])

    def retire(self) -> None:
        """Only the newest key stays: tokens of others are void. Raises SettingError."""
        newest, *older = self._keys()
        if older:
            self._write([newest])

    def _keys(self) -> Keys:
        if self.path is None or not self.path.exists():
            return [(self._derived, 0.0)]
        keys: Keys = []
        for line in private.read(self.path).decode(errors="replace").splitlines():
            try:
                key, since = line.split()
                keys.append((bytes.fromhex(key), float(since)))
            except ValueError:
                raise SettingError(f"{self.path}: each line should be a key in hexadecimal and a time") from None
        if not keys or any(len(key) < 16 for key, _ in keys):
            raise SettingError(f"{self.path}: there should be a key, and none shorter than 16 bytes")
        succeeded = [float("inf"), *(since for _, since in keys)]  # when the next newer one began
        return [one for one, until in zip(keys, succeeded, strict=False) if time.time() < until + LONGEST]

    def _write(self, keys: Keys) -> None:
        if self.path is None:
            raise SettingError("token keys need a state directory")
        private.write(self.path, "".join(f"{key.hex()} {since:.3f}\n" for key, since in keys).encode())


def load_ring(secret: Secret, state: Path | None) -> KeyRing:
    """The keys in force of a deployment. Raises SettingError as :meth:`KeyFile.ring` does."""
    return KeyFile(secret.token, state).ring()
