"""Why an item is in a list: the parts of its score, in words. Nothing is said that is not a part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, NamedTuple

from shopguide.catalogue import Catalogue
from shopguide.records import BASE, SIGNALS, SIMILAR, TRENDING, Kind

REASONS = 3  # most reasons on an item
NAMED_SHARE = 0.05  # a cause below this share of the score is not worth a reason
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


# A part in words, by its signal: of its cause, and of how many distinct shoppers link the two.
WORDS: dict[str, Callable[[Cause, int], str]] = {
    "items": lambda cause, shared: f"because you {cause.did}; {shared} shoppers chose both",
    "rule": lambda cause, shared: f"because you {cause.did}; {shared} shoppers who chose it chose this too",
    "second": lambda cause, shared: "goes with what goes with your choices",
    "next": lambda cause, shared: f"often comes after {cause.title}; {shared} shoppers chose both",
    "hops": lambda cause, shared: "often comes after what comes after your choices",
    "sessions": lambda cause, shared: "visits like yours led here",
    "beside": lambda cause, shared: "visits like yours came here next",
    "users": lambda cause, shared: "shoppers like you chose it",
    "current": lambda cause, shared: "you are looking at it now",
    "previous": lambda cause, shared: "you looked at it just before",
    "steps": lambda cause, shared: f"you {cause.did_it} on this visit",
    "repeats": lambda cause, shared: "you came back to it",
    "popular": lambda cause, shared: "popular now",
    SIMILAR.decode(): lambda cause, shared: f"{shared} shoppers chose both this and {cause.title}",
    TRENDING.decode(): lambda cause, shared: "trending now",
    "content": lambda cause, shared: f"resembles {cause.title}" if cause.title else "fits your interests",
    "search": lambda cause, shared: "matches what you searched for",
    BASE: lambda cause, shared: "what every candidate begins with",
}
# The same where too few shoppers link the two to name the cause, for signals that come from other shoppers' pairs.
UNNAMED = {
    "items": "goes with other things you looked at",
    "rule": "goes with other things you looked at",
    "next": "often comes next",
    SIMILAR.decode(): "goes with it",
}


class Reasons:
    """Reasons for one look's list. ``did``: the user's items, and the strongest kind of event with each;
    ``min_shoppers``: fewest distinct ones behind a pair that may be named."""

    def __init__(self, catalogue: Catalogue, did: dict[int, int], min_shoppers: int) -> None:
        self._catalogue = catalogue
        self._did = did
        self._min_shoppers = min_shoppers
        self._causes = {0: Cause("", "", _DID[Kind.VIEW].format(""), _DID[Kind.VIEW].format("it"))}

    def why(self, causes: Iterable[tuple[int, int, float, int]], factor: float) -> list[dict[str, Any]]:
        """The parts of a score, largest first, those last whose cause may not be named; they add up to it.
        ``causes``: signal, the item that it came from, amount and shared, as in Candidates; ``factor``: see Chosen."""
        parts: list[dict[str, Any]] = []
        unnamed: dict[str, float] = {}
        for number, because, raw, shared in sorted(causes, key=itemgetter(2), reverse=True):
            signal, amount = SIGNALS[number], raw * factor
            if shared < self._min_shoppers and signal in UNNAMED:
                unnamed[signal] = unnamed.get(signal, 0.0) + amount
                continue
            cause = self._causes.get(because) or self._cause(because)
            text = WORDS[signal](cause, shared)
            parts.append(
                {"signal": signal, "because": cause.name, "title": cause.title, "amount": amount, "text": text}
            )
        for signal, amount in unnamed.items():
            text = UNNAMED[signal]
            parts.append({"signal": signal, "because": "", "title": "", "amount": amount, "text": text})
        return parts

    def _cause(self, item: int) -> Cause:
        title = self._catalogue.title(item)
        did = _DID.get(self._did.get(item, Kind.VIEW), _DID[Kind.VIEW])
        cause = Cause(self._catalogue.name(item) or "", title, did.format(title), did.format("it"))
        return self._causes.setdefault(item, cause)


def largest(why: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What weighs most as reasons, with their share of all that speaks for the item (0..1); the very first always,
    and before it an expert's word. Parts with one cause are one reason, in the words of the largest of them."""
    causes: dict[str, list[Any]] = {}
    for part in why:
        cause = causes.setdefault(part["because"] or part["text"], [part, 0.0])
        cause[1] += part["amount"]
    total = sum(part["amount"] for part in why if part["amount"] > 0)
    told: list[dict[str, Any]] = []
    for part, amount in sorted(causes.values(), key=lambda c: (c[0]["signal"] == PICK["signal"], c[1]), reverse=True):
        share = amount / total if total else 0.0
        if told and share < NAMED_SHARE:
            break
        told.append({"text": part["text"], "because": part["because"], "share": round(share, 4)})
        if len(told) == REASONS:
            break
    return told
