"""Tokens: the signed text that opens a user's messages and routes.

A token is 64 characters of URL-safe base64, unpadded, of 48 bytes (big-endian):

    0        1          5        13           21            29               48
    | version | key id   | user   | issued, ms | expires, ms | signature, 19 B |

48 is a multiple of 3, so no bit of the text is spare and a token has exactly one form. The signature is HMAC-SHA256
under the signing key over the 29 bytes before it, cut to 19 bytes (152 bits).

An admin's token opens the desk, and nothing else does. It is the same kind of text, of other bytes, signed under a key
that is derived from the signing key:

    0        1          5             13            13 + n         45 + n
    | version | key id   | expires, ms | name, UTF-8 | signature, 32 B |
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import math
import re
import struct
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from shopguide.errors import TokenError
from shopguide.keys import Secret

__all__ = ["LENGTH", "LONGEST", "Admin", "KeyRing", "Token", "mint", "mint_admin", "verify", "verify_admin"]

VERSION = 1
LENGTH = 64  # characters
LONGEST = 400 * 86_400.0  # seconds that a token lives at most
HEAD = struct.Struct(">BIQQQ")
SIGNATURE = 48 - HEAD.size
FORM = re.compile(rb"[A-Za-z0-9_-]{64}")
ADMIN_HEAD = struct.Struct(">BIQ")
ADMIN_SIGNATURE = 32
ADMIN_FORM = re.compile(rb"[A-Za-z0-9_-]{61,320}")
NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,62}[^\s\x00-\x1f\x7f])?")


@dataclass(frozen=True)
class Token:
    """What a verified token says: whose it is (64-bit user key), from when to when it lives (epoch s), which key
    signed it."""

    user: int
    expires: float
    key_id: int
    issued: float


@dataclass(frozen=True)
class Admin:
    """What a verified admin's token says: their name, and until when it lives (epoch s)."""

    name: str
    expires: float


class KeyRing:
    """The keys that tokens are checked with; the newest signs.

    A key's id is the first 32 bits of its SHA-256, so a ring of two secrets is all that a rotation takes.
    """

    def __init__(self, newest: bytes, *older: bytes) -> None:
        self.newest = self.id_of(newest)
        self._keys = {self.id_of(key): key for key in (*older, newest)}

    @classmethod
    def of(cls, newest: Secret, *older: Secret) -> KeyRing:
        """The ring of a deployment's secret, and of those it had before."""
        return cls(newest.token, *(secret.token for secret in older))

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._keys

    @staticmethod
    def id_of(key: bytes) -> int:
        return int.from_bytes(hashlib.sha256(key).digest()[:4], "big")

    def sign(self, key_id: int, head: bytes) -> bytes:
        """The signature of a token's head. Raises TokenError where the ring lacks the key."""
        return hmac.digest(self._key(key_id), head, "sha256")[:SIGNATURE]

    def sign_admin(self, key_id: int, head: bytes) -> bytes:
        """The signature of an admin token's head. Raises TokenError where the ring lacks the key."""
        return hmac.digest(hmac.digest(self._key(key_id), b"shopguide/admin", "sha256"), head, "sha256")

    def _key(self, key_id: int) -> bytes:
        key = self._keys.get(key_id)
        if key is None:
            raise TokenError("the token is signed by an unknown key")
        return key


def mint(keys: KeyRing, user: int, ttl: float, now: float | None = None) -> str:
    """A token for a user key that lives ``ttl`` seconds from ``now`` (epoch s; None: the clock's).

    Raises TokenError where its end is no time after 1970 that 64 bits of milliseconds can hold.
    """
    issued = time.time() if now is None else now
    ends = _end(issued, ttl)
    head = HEAD.pack(VERSION, keys.newest, user, int(issued * 1000), int(ends * 1000))
    return urlsafe_b64encode(head + keys.sign(keys.newest, head)).decode()


def verify(keys: KeyRing, text: str | bytes, now: float | None = None) -> Token:
    """What the token says.

    Raises TokenError where it is malformed, forged, expired, or signed by a key that the ring lacks.
    """
    try:
        form = text.encode("ascii") if isinstance(text, str) else text
        if not FORM.fullmatch(form):
            raise TokenError("the token is malformed")
        raw = urlsafe_b64decode(form)
    except (UnicodeEncodeError, binascii.Error):
        raise TokenError("the token is malformed") from None
    head, signature = raw[: HEAD.size], raw[HEAD.size :]
    version, key_id, user, issued, expires = HEAD.unpack(head)
    if version != VERSION:
        raise TokenError(f"the token is of version {version}; this program reads version {VERSION}")
    if not hmac.compare_digest(signature, keys.sign(key_id, head)):
        raise TokenError("the token is forged")
    if expires <= (time.time() if now is None else now) * 1000:
        raise TokenError("the token has expired")
    if expires - issued > LONGEST * 1000 + 1:  # of before there was a limit: what revokes it is not kept for longer
        raise TokenError("the token has expired")
    return Token(user, expires / 1000, key_id, issued / 1000)


def mint_admin(keys: KeyRing, name: str, ttl: float, now: float | None = None) -> str:
    """A token for the desk in a person's name (1 to 64 characters, no control characters) that lives ``ttl`` seconds.

    Raises TokenError for another name, or an end as :func:`mint` does.
    """
    if not NAME.fullmatch(name):
        raise TokenError(f"{name!r} is no name: should be 1 to 64 characters without control characters")
    ends = _end(time.time() if now is None else now, ttl)
    head = ADMIN_HEAD.pack(VERSION, keys.newest, int(ends * 1000)) + name.encode("utf-8", "replace")
    return urlsafe_b64encode(head + keys.sign_admin(keys.newest, head)).rstrip(b"=").decode()


def verify_admin(keys: KeyRing, text: str, now: float | None = None) -> Admin:
    """What an admin's token says.

    Raises TokenError where it is malformed, forged, expired, a user's, or signed by a key that the ring lacks.
    """
    try:
        form = text.encode("ascii")
        if not ADMIN_FORM.fullmatch(form):
            raise TokenError("the token is no admin's")
        raw = urlsafe_b64decode(form + b"=" * (-len(form) % 4))
        head, signature = raw[:-ADMIN_SIGNATURE], raw[-ADMIN_SIGNATURE:]
        version, key_id, expires = ADMIN_HEAD.unpack_from(head)
    except (UnicodeEncodeError, binascii.Error, struct.error):
        raise TokenError("the token is no admin's") from None
    if version != VERSION or not hmac.compare_digest(signature, keys.sign_admin(key_id, head)):
        raise TokenError("the token is no admin's")
    if expires <= (time.time() if now is None else now) * 1000:
        raise TokenError("the token has expired")
    return Admin(head[ADMIN_HEAD.size :].decode("utf-8", "replace"), expires / 1000)


def _end(issued: float, ttl: float) -> float:
    ends = issued + ttl
    if ttl > LONGEST and math.isfinite(ttl):
        raise TokenError(f"a token cannot live longer than {LONGEST / 86_400:g} days")
    if not (math.isfinite(ends) and 0 <= ends < 2**63 / 1000):
        raise TokenError(f"a token cannot live {ttl:g} s")
    return ends
