"""Why an item is in a list: the parts of its score, in words. Nothing is said that is not a part of it.

A list carries its parts as numbers. Words are made of the few that are told with it, as JSON, and of all where somebody
asks (:func:`explain`), which needs nothing but the list.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from string import Formatter
from typing import Any, NamedTuple

import numpy as np

from shopguide._core import Parts, Telling
from shopguide.catalogue import as_json
from shopguide.rank.interests import PROFILE
from shopguide.records import BASE, SIGNALS, SIMILAR, TRENDING, Candidates, Kind

REASONS = 3  # most reasons on an item
NAMED_SHARE = 0.05  # a cause below this share of the score is not worth a reason
NEW = {"signal": "explore", "because": "", "title": "", "amount": 0.0, "text": "new here"}
PICK = {"signal": "pick", "because": "", "title": "", "amount": 0.0, "text": "picked by our experts"}

_DID: dict[int, str] = {
    Kind.VIEW: "looked at {}",
    Kind.CLICK: "looked at {}",
    Kind.FAVOURITE: "liked {}",
    Kind.CART: "put {} in your cart",
    Kind.PURCHASE: "bought {}",
}


class Cause(NamedTuple):
    """An item that speaks for another. ``did`` is what the user did with it, by its title; ``did_it``: by "it"."""

    name: str
    title: str
    did: str
    did_it: str

    @classmethod
    def of(cls, name: str, title: str, kind: int) -> Cause:
        """``kind``: of the user's strongest event with it."""
        did = _DID.get(kind, _DID[Kind.VIEW])
        return cls(name, title, did.format(title), did.format("it"))


# A part in words, by its signal: of its cause, and of how many distinct shoppers link the two.
WORDS: dict[str, str] = {
    "items": "because you {did}; {shared} shoppers chose both",
    "rule": "because you {did}; {shared} shoppers who chose it chose this too",
    "second": "goes with what goes with your choices",
    "next": "often comes after {title}; {shared} shoppers chose both",
    "hops": "often comes after what comes after your choices",
    "sessions": "visits like yours led here",
    "beside": "visits like yours came here next",
    "users": "shoppers like you chose it",
    "current": "you are looking at it now",
    "previous": "you looked at it just before",
    "steps": "you {did_it} on this visit",
    "repeats": "you came back to it",
    "popular": "popular now",
    SIMILAR.decode(): "{shared} shoppers chose both this and {title}",
    TRENDING.decode(): "trending now",
    "content": "resembles {title}",
    "search": "matches what you searched for",
    "profile": "fits what you like: {title}",
    "title": "by its title, goes with {title}",
    **dict.fromkeys(("rnn", "cnn"), "the sequence model expects it next, most of all because you {did}"),
    "segment": "popular with {title}",
    "welcome": "{title}",
    BASE: "what every candidate begins with",
}
# The same where too few shoppers link the two to name the cause, for signals that come from other shoppers' pairs.
UNNAMED = {
    "items": "goes with other things you looked at",
    "rule": "goes with other things you looked at",
    "next": "often comes next",
    SIMILAR.decode(): "goes with it",
    **dict.fromkeys(("rnn", "cnn"), "the sequence model expects it next"),
    "segment": "popular with visitors like you",
}


# The same where there is nothing to name.
CAUSELESS = {"content": "fits your interests", "profile": "fits what you like"}

_DID_JSON = tuple(
    (*(as_json(part) for part in did.split("{}")), as_json(did.format("it")))
    for did in (_DID.get(kind, _DID[Kind.VIEW]) for kind in range(256))
)
NOTHING = Cause.of("", "", Kind.VIEW)


def words(signal: str, cause: Cause, shared: int) -> str:
    """A part in words. The cause may be NOTHING."""
    text = (UNNAMED.get(signal) or CAUSELESS.get(signal)) if cause is NOTHING else None
    return text or WORDS[signal].format(**cause._asdict(), shared=shared)


_WITHOUT_CAUSE = [words(name, NOTHING, 0) for name in SIGNALS]


def _pieces(text: str) -> Iterator[bytes | int]:
    """A reason as JSON up to its share, with numbers in the places of what its cause has: see :class:`Telling`."""
    for literal, name, _, _ in Formatter().parse('{{"text":"' + text + '","because":"{name}","share":'):
        if literal:
            yield literal.encode()
        if name:
            yield -1 if name == "shared" else Cause._fields.index(name)


PIECES = tuple(tuple(_pieces(WORDS[name])) for name in SIGNALS)  # of those with a cause, by signal
UNNAMED_JSON = tuple(b'{"text":"%b","because":"","share":' % as_json(text) for text in _WITHOUT_CAUSE)
_PICK, _NEW = (b'{"text":"%b","because":"","share":0.0}' % as_json(str(part["text"])) for part in (PICK, NEW))
# What comes before an item's reasons, by its tag: those of one that is in a list without a score begin with it.
OPENINGS = (b',"reasons":[', b',"reasons":[' + _PICK, b',"explored":true,"reasons":[' + _NEW)


def telling(min_shoppers: int) -> Telling:
    """How reasons are told, as JSON. Where fewer than ``min_shoppers`` distinct ones are behind a pair of items, it is
    not said which other one it was."""
    return Telling(
        PIECES,
        UNNAMED_JSON,
        OPENINGS,
        _DID_JSON,
        may_be_unnamed=[name in UNNAMED for name in SIGNALS],
        same_words=[_WITHOUT_CAUSE.index(text) for text in _WITHOUT_CAUSE],
        most=REASONS,
        least=NAMED_SHARE,
        fewest=min_shoppers,
    )


def parts_for(candidates: Candidates, how: Telling, interests: Container[int]) -> Parts:
    """The parts of candidates' scores; it is not said of an interest which one it is, where it is not among these."""
    signal, because = candidates.signal.values, candidates.because.values
    if PROFILE in signal.tobytes():
        known = [cause in interests for cause in because.tolist()]
        because = np.where((signal != PROFILE) | known, because, np.uint64(0))
    return Parts(candidates.signal.starts, signal, because, candidates.amount.values, candidates.shared.values, how)


def explain(recommendation: dict[str, Any], item: str) -> dict[str, Any] | None:
    """An item of a list, by its id: item, title, score, parts. None where the list does not have it."""
    for found in recommendation["items"]:
        if found["item"] == item:
            said = {name: found[name] for name in ("item", "title", "score")}
            return {**said, "parts": parts_of(recommendation, found)}
    return None


def parts_of(recommendation: dict[str, Any], item: dict[str, Any]) -> list[dict[str, Any]]:
    """The whole sum that is the score of one of a list's items: signal, because, title, amount and text of each part,
    largest first, those last whose cause may not be named."""
    causes = _named(recommendation["causes"])
    parts = _unscored(item["why"])
    unnamed: dict[str, float] = {}
    for number, because, amount, shared in _unpacked(item["why"]):
        signal, cause = SIGNALS[number], causes.get(because, NOTHING)
        if not because and signal in UNNAMED:
            unnamed[signal] = unnamed.get(signal, 0.0) + amount
            continue
        text = words(signal, cause, shared)
        parts.append({"signal": signal, "because": cause.name, "title": cause.title, "amount": amount, "text": text})
    for signal, amount in unnamed.items():
        parts.append({"signal": signal, "because": "", "title": "", "amount": amount, "text": UNNAMED[signal]})
    return parts


def strongest_of(why: dict[str, Any]) -> str:
    """The signal of the largest part; of a pinned item the pick, of one that is tried as new that; empty where
    there are no parts."""
    for part in _unscored(why):
        return str(part["signal"])
    return SIGNALS[why["signal"][0]] if why["signal"] else ""


def _unscored(why: dict[str, Any]) -> list[dict[str, Any]]:
    """What put an item into a list without an amount."""
    return [dict(part) for part, so in ((PICK, why["pinned"]), (NEW, why["explored"])) if so]


def _named(causes: Iterable[tuple[int, str, str, int]]) -> dict[int, Cause]:
    return {item: Cause.of(name, title, kind) for item, name, title, kind in causes}


def _unpacked(why: dict[str, Any]) -> list[tuple[int, int, float, int]]:
    """The parts that the columns hold."""
    columns = zip(("signal", "because", "amount", "shared"), ("<u1", "<u8", "<f8", "<u4"), strict=True)
    return list(zip(*(np.frombuffer(why[name], dtype).tolist() for name, dtype in columns), strict=True))
