"""64-bit keys for ids. Items and events: xxh3 of the id. Users: keyed BLAKE2b, so that nothing stored names them."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import struct
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from shopguide import private
from shopguide.errors import SettingError

SEED_OF_ITEMS, SEED_OF_EVENTS = 0, 2


def _utf8(text: str) -> bytes:
    """UTF-8 for any text that JSON can carry, lone surrogates too."""
    return text.encode("utf-8", "surrogatepass")


def item_key(item: str) -> int:
    """The key of an item id: xxh3-64 of its UTF-8; never 0, which means "no item"."""
    return xxhash.xxh3_64_intdigest(_utf8(item), seed=SEED_OF_ITEMS) or 1


def category_key(category: str) -> int:
    """The key of a category name; never 0."""
    return xxhash.xxh3_64_intdigest(_utf8(category), seed=1) or 1


def event_key(event: str) -> int:
    """The key of a producer's event id; never 0."""
    return xxhash.xxh3_64_intdigest(_utf8(event), seed=SEED_OF_EVENTS) or 1


def query_key(query: str) -> int:
    """The key of what a search is for; 0 for an empty text."""
    return xxhash.xxh3_64_intdigest(_utf8(query), seed=4) or 1 if query else 0


def partition_of(key: int, partitions: int) -> int:
    """The log partition of a user key (an item key for ITEM and PICK rows). The high bits: the low ones pick a
    replica and a slot in the core's tables."""
    return (key >> 32) % partitions


_GOLDEN, *_FACTORS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def own_event_key(event: NDArray[np.uint64], user: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """What an event's id is known by: a user's ids are their own, whatever partition they lie in (splitmix64's
    finaliser over both)."""
    key = event * _GOLDEN ^ user
    key = (key ^ (key >> _SHIFTS[0])) * _FACTORS[0]
    key = (key ^ (key >> _SHIFTS[1])) * _FACTORS[1]
    return key ^ (key >> _SHIFTS[2])


def relay_key(user: int, offset: int, target: int) -> int:
    """The key of a row that the row of a user at an offset causes for another; never 0."""
    return xxhash.xxh3_64_intdigest(struct.pack("<QqQ", user, offset, target), seed=3) or 1


class Secret:
    """The deployment's secret and the keys derived from it (BLAKE2b, one label a purpose)."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise SettingError(f"the secret has {len(secret)} bytes; it needs at least 16")
        self._user = self._derive(secret, b"user")
        self.token = self._derive(secret, b"token")
        self.receipt = self._derive(secret, b"receipt")
        self.revocation = self._derive(secret, b"revocation")

    @staticmethod
    def _derive(secret: bytes, label: bytes) -> bytes:
        return hmac.digest(secret, b"shopguide/" + label, "sha256")

    def user_key(self, user: str) -> int:
        """The key of a user id; the same id under another secret has another key. Never 0."""
        digest = hashlib.blake2b(_utf8(user), digest_size=8, key=self._user).digest()
        return int.from_bytes(digest, "little") or 1

    def session_key(self, session: str) -> int:
        """The key of a session id, under the same secret. Never 0."""
        return self.user_key("session:" + session)

    @classmethod
    def load(cls, state: Path | None, create: bool = False) -> Secret:
        """From ``SHOPGUIDE_SECRET``, from the file that ``SHOPGUIDE_SECRET_FILE`` names (a container's or a service's
        credential, whose mode is the manager's business), else from the 0600 file ``secret`` in the state directory.

        ``create`` makes that file at the first run. Raises SettingError where there is none, or others can read it.
        """
        given, named = os.environ.get("SHOPGUIDE_SECRET"), os.environ.get("SHOPGUIDE_SECRET_FILE")
        if given:
            return cls(given.encode())
        if named:
            return cls(_content(named))
        if state is None:
            raise SettingError("no secret: set SHOPGUIDE_SECRET, or name the state directory that has one")
        path = state / "secret"
        if not path.exists():
            if not create:
                raise SettingError(f"no secret: neither SHOPGUIDE_SECRET is set nor is there a file {path}")
            state.mkdir(parents=True, exist_ok=True)
            private.write(path, secrets.token_hex(32).encode())
        return cls(private.read(path).strip())


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes().strip()
    except OSError as e:
        raise SettingError(f"SHOPGUIDE_SECRET_FILE = {path!r}: {e.strerror}") from None
