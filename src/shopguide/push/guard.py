"""Which tokens are good. No sockets.

``DIR/revoked`` (for its owner only) outlives a restart: whose tokens of before when are void. It names nobody: a user
is there as the keyed hash of their key, and no longer than a token of theirs may live.
"""

from __future__ import annotations

import hmac
import json
import logging
import time
from pathlib import Path
from threading import Lock

from shopguide import private
from shopguide.errors import SettingError, StateError, TokenError
from shopguide.keys import Secret
from shopguide.signing import KeyFile
from shopguide.tokens import LONGEST, KeyRing, Token, verify

logger = logging.getLogger(__name__)

LOOK = 1.0  # seconds between looks at whether the keys have changed


class Guard:
    """Of the keys in force and of those whose tokens are void. ``signing`` is the key that comes from the secret,
    ``mark`` the one that revoked users are hashed under. From any thread; raises SettingError at first for files of no
    use, later it stays with what it had."""

    def __init__(self, signing: bytes, mark: bytes = b"", state: Path | None = None) -> None:
        self.signing, self.mark = signing, mark
        self._file = KeyFile(signing, state)
        self._keys, self._seen, self._look_at = self._file.ring(), self._stamp(), time.monotonic() + LOOK
        self._path = state and state / "revoked"
        self._revoked: dict[str, float] = self._load()
        self._lock = Lock()

    @classmethod
    def of(cls, secret: Secret, state: Path) -> Guard:
        return cls(secret.token, secret.revocation, state)

    @property
    def keys(self) -> KeyRing:
        """The keys in force; looked after now and then."""
        if time.monotonic() >= self._look_at:
            self._look()
        return self._keys

    def verify(self, text: str | bytes) -> Token:
        """What the token says. Raises TokenError where it is malformed, forged, expired or revoked."""
        try:
            token = verify(self.keys, text)
        except TokenError:
            if not self._look():  # it may be of a key that is new
                raise
            token = verify(self._keys, text)
        if self._revoked and token.issued <= self._revoked.get(self._hashed(token.user), 0.0):
            raise TokenError("the token is revoked")
        return token

    def revoke(self, user: int) -> float:
        """Void every token of the user that was issued until now, also after a restart; when that was (epoch s). Raises
        StateError where the disk refuses: then it is only until then."""
        at = time.time()
        self.note(user, at)
        if self._path is not None:
            try:
                private.write(self._path, json.dumps(self._revoked).encode())
            except SettingError as e:
                raise StateError(str(e)) from None
        return at

    def note(self, user: int, at: float) -> None:
        """Somebody else has revoked them, at a time (epoch s)."""
        with self._lock:
            kept = {hashed: then for hashed, then in self._revoked.items() if then > at - LONGEST}
            self._revoked = {**kept, self._hashed(user): at}

    def _hashed(self, user: int) -> str:
        return hmac.digest(self.mark, user.to_bytes(8, "big"), "sha256")[:16].hex()

    def _load(self) -> dict[str, float]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            return {str(hashed): float(then) for hashed, then in json.loads(private.read(self._path)).items()}
        except (ValueError, AttributeError, TypeError):
            raise SettingError(f"{self._path} is broken: put it back, or rotate and retire the token keys") from None

    def _look(self) -> bool:
        """Whether the keys have changed since they were last read."""
        self._look_at = time.monotonic() + LOOK
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self._keys = self._file.ring()
        except SettingError as e:
            logger.error("the token keys stay as they were: %s", e)
            return False
        return True

    def _stamp(self) -> tuple[int, int, int] | None:
        """Other than before where the file is another one."""
        try:
            found = self._file.path and self._file.path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size) if found else None
