"""A visit's context: on what, from where and by whose word a shopper comes. Coarse on purpose: 32 bits, that are all a
model learns of it.

    device      2 bits   phone, tablet, desktop
    referrer    4 bits   direct, search, social, mail, other: what kind of site led here, never which
    region     10 bits   a country, two letters
    campaign   16 bits   of a hash of its name

0 is a part that nobody said, and so the whole. A *segment* is what visits with one such part have in common, or with
one part of the day, where anything else is known: at most 3 + 5 + 676 + 65,535 + 4 of them, whatever is sent. Two
campaigns are one segment with a chance of 1 in 65,536.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import numpy as np
import xxhash
from numpy.typing import NDArray

from shopguide.columns import unpack_table
from shopguide.records import F64, I64, U64, Moved

DEVICES = ("phone", "tablet", "desktop")
REFERRERS = ("direct", "search", "social", "mail", "other")
PARTS_OF_DAY = ("night", "morning", "afternoon", "evening")  # six hours each, from midnight on
FIELDS = ("device", "region", "referrer", "campaign")
LONGEST = 64  # characters of a campaign's name
LATEST = 2.5e11  # epoch seconds that calendars reach
LONGEST_ADDRESS = 2048  # … and of where a visit came from

_LETTERS = re.compile(r"(?:[A-Za-z]{2,3}[-_](?:[A-Za-z]{4}[-_])?)?([A-Za-z]{2})")  # alone, or of a language: zh-Hant-TW
_SITES = {  # by a name in the host, the first that fits
    "mail": ("mail", "outlook"),
    "search": ("google", "bing", "duckduckgo", "yahoo", "yandex", "baidu", "ecosia", "qwant", "sogou", "so", "naver"),
    "social": (
        *("facebook", "instagram", "pinterest", "reddit", "tiktok", "twitter", "x", "t", "linkedin", "youtube"),
        *("weibo", "xiaohongshu", "douyin", "weixin", "vk", "whatsapp", "telegram"),
    ),
}
_DEVICE, _REFERRER, _REGION, _CAMPAIGN, _DAY, _WELCOME, _EVERYONE = range(1, 8)
_FIRST = 1 << 48  # segments are keys among those of items, of which hardly any lies here
EVERYONE = _FIRST | _EVERYONE << 16  # of whom any context is known

U32 = NDArray[np.uint32]


@lru_cache(1 << 16)
def canonical(field: str, text: str) -> str | None:
    """What one of FIELDS says, as it is kept: empty where it is nothing that is told apart; None where the text is too
    long, or not to be printed."""
    text = text.strip()
    if field == "referrer":
        return _kind_of_site(text) if text.isprintable() and len(text) <= LONGEST_ADDRESS else None
    if len(text) > LONGEST or not text.isprintable():
        return None
    if field == "campaign":
        return text.casefold()[:LONGEST].strip()
    if field == "device":
        word = {"mobile": "phone", "smartphone": "phone"}.get(text.lower(), text.lower())
        return word if word in DEVICES else ""
    found = _LETTERS.fullmatch(text)
    return found[1].upper() if found else ""


def is_canonical(field: str, said: Any) -> bool:
    """Whether this is what :func:`canonical` gives, and not empty."""
    return isinstance(said, str) and said != "" and canonical(field, said) == said


def packed(said: Mapping[str, Any]) -> int:
    """The 32 bits of canonical fields; 0: none is there."""
    device, referrer, region, campaign = (said.get(name, "") for name in ("device", "referrer", "region", "campaign"))
    place = 1 + 26 * (ord(region[0]) - 65) + ord(region[1]) - 65 if region else 0
    return (
        (DEVICES.index(device) + 1 if device else 0)
        | (REFERRERS.index(referrer) + 1 if referrer else 0) << 2
        | place << 6
        | (xxhash.xxh3_64_intdigest(campaign.encode()) % 0xFFFF + 1 if campaign else 0) << 16
    )


def unpack_moved(packed: dict[str, Any]) -> Moved:
    """Events on their way to an account, of a row's bytes: of before there were contexts they have none. Raises as
    unpack_table does."""
    return unpack_table(Moved, {"context": bytes(4 * packed["rows"]), **packed})


class Clock:
    """The shop's time of day. ``zone``: a name of the tz database, or UTC."""

    def __init__(self, zone: str) -> None:
        self._zone: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)

    def hour(self, time: float) -> int:
        """0..23 at a time (epoch s)."""
        return datetime.fromtimestamp(min(max(time, 0.0), LATEST), self._zone).hour

    def hours(self, times: F64) -> I64:
        """The same of times float64[n]. Zones differ by whole quarters of an hour."""
        quarter, place = np.unique(np.clip(times, 0, LATEST) // 900, return_inverse=True)
        return np.array([self.hour(at) for at in (quarter * 900).tolist()], np.int64)[place]


def segments(contexts: U32, times: F64, clock: Clock) -> U64:
    """uint64[n, 5]: the segments of visits, contexts uint32[n] at times float64[n]; 0 where there is none."""
    parts = np.zeros((len(contexts), 5), np.uint64)
    for at, (shift, mask) in enumerate(((0, 3), (2, 15), (6, 1023), (16, 0xFFFF))):
        parts[:, at] = contexts >> np.uint32(shift) & np.uint32(mask)
    known = contexts > 0
    parts[known, 4] = clock.hours(times[known]) // 6 + 1
    dimension = np.arange(1, 6, dtype=np.uint64) << np.uint64(16)
    return np.where(parts > 0, np.uint64(_FIRST) | dimension | parts, np.uint64(0))


def segments_of(context: int, time: float, clock: Clock) -> tuple[int, ...]:
    """Those of one visit, which is much faster."""
    if not context:
        return ()
    parts = (context & 3, context >> 2 & 15, context >> 6 & 1023, context >> 16, clock.hour(time) // 6 + 1)
    return tuple(_FIRST | dimension << 16 | part for dimension, part in enumerate(parts, 1) if part)


def welcome(number: int) -> int:
    """The key of a rule of the shop's own, by its number, among those of segments."""
    return _FIRST | _WELCOME << 16 | number


def is_segment(key: int) -> bool:
    """Whether a cause is a segment, or a rule of the shop's own, and no item."""
    return _FIRST < key <= EVERYONE


def said_of(cause: int, rules: Sequence[str]) -> str:
    """Who is in a segment; of a rule what it says of itself, ``rules`` being those words."""
    number = cause & 0xFFFF
    if cause >> 16 & 7 == _WELCOME:
        return rules[number] if number < len(rules) else ""
    return words(cause)


def words(segment: int) -> str:
    """Who is in a segment."""
    dimension, value = segment >> 16 & 7, (segment & 0xFFFF) - 1
    if dimension == _DEVICE:
        return f"visitors on {DEVICES[value]}s"
    if dimension == _REFERRER:
        return f"visitors who come {_COMING[REFERRERS[value]]}"
    if dimension == _REGION:
        return f"visitors from {chr(65 + value // 26)}{chr(65 + value % 26)}"
    if dimension == _CAMPAIGN:
        return "visitors of this campaign"
    return f"visitors {'at night' if value == 0 else f'in the {PARTS_OF_DAY[value]}'}"


_COMING = {
    "direct": "by themselves",
    "search": "from a search",
    "social": "from social media",
    "mail": "from a mail",
    "other": "from other sites",
}


def _kind_of_site(said: str) -> str:
    """One of REFERRERS, of a word, host or address."""
    if said in REFERRERS or not said:
        return said
    try:
        host = urlsplit(said if "//" in said else f"//{said}").hostname or ""
    except ValueError:
        return "other"
    names = host.split(".")[:-1]
    return next((kind for kind, known in _SITES.items() if any(name in known for name in names)), "other")
