"""rank: candidates become a list to show: policy, picks, titles, and the reasons in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.catalogue import ATTRIBUTES, Catalogue
from shopguide.records import SIGNALS, SIMILAR, TRENDING, Batch, Candidates, Kind, Looks, Slate
from shopguide.settings import Settings

PICK_FACTOR = {"boost": 1.5, "bury": 0.5}
LINKING = ("items", "similar")  # signals that come from other shoppers' pairs
REASONS = 3  # most reasons on an item
NAMED_SHARE = 0.05  # a cause below this share of the score is not worth a reason

_DID = {
    Kind.VIEW: "looked at {}",
    Kind.CLICK: "looked at {}",
    Kind.FAVOURITE: "liked {}",
    Kind.CART: "put {} in your cart",
    Kind.PURCHASE: "bought {}",
}


class Ranker:
    """Knows the catalogue; holds nothing about users."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.rank
        self.catalogue = Catalogue()

    def learn(self, batch: Batch) -> None:
        """Take in names, attributes and picks."""
        self.catalogue.learn(batch)

    def rank(self, slate: Slate) -> list[dict[str, Any]]:
        """A recommendation for each look of the slate, ready to push; ``why`` of an item holds its whole sum."""
        bounds = np.searchsorted(slate.candidates.look, np.arange(len(slate.looks) + 1))
        return [
            self._recommendation(slate, look, range(int(bounds[look]), int(bounds[look + 1])))
            for look in range(len(slate.looks))
        ]

    def dump(self) -> dict[str, NDArray[Any]]:
        return dict(self.catalogue.dump())

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        self.catalogue.load(state)

    def _recommendation(self, slate: Slate, look: int, rows: range) -> dict[str, Any]:
        looks = slate.looks
        chosen = list(self._choose(looks, look, slate.candidates, rows))
        about = int(looks.about[look])
        return {
            "user": int(looks.user[look]),
            "partition": slate.partition,
            "offset": int(looks.offset[look]),
            "slot": looks.slot.bytes_at(look).decode(),
            "about": (self.catalogue.name(about) or "") if about else "",
            "intent": round(float(looks.intent[look]), 4),
            "items": [self._item(slate, look, row, factor) for row, factor in chosen],
            "times": {
                "event": float(looks.event_time[look]),
                "logged": float(looks.logged[look]),
                "scored": slate.scored,
            },
        }

    def _choose(self, looks: Looks, look: int, candidates: Candidates, rows: range) -> Iterator[tuple[int, float]]:
        """Rows of the candidates to show, best first, each with the factor that a pick puts on its score."""
        slot = looks.slot.bytes_at(look).decode()
        picks = self.catalogue.picks(slot, float(looks.event_time[look]))
        hidden = self._hidden(looks, look)
        factor = {row: PICK_FACTOR.get(picks.get(int(candidates.item[row]), ""), 1.0) for row in rows}
        pinned = {row for row in rows if picks.get(int(candidates.item[row])) == "pin"}
        categories: Counter[str] = Counter()
        shown = 0
        for row in sorted(rows, key=lambda r: (r not in pinned, -candidates.score[r] * factor[r])):
            item = int(candidates.item[row])
            if item in hidden or picks.get(item) == "block" or not self.catalogue.available(item):
                continue
            if self.catalogue.name(item) is None:
                continue
            category = str(self.catalogue.product(item).get("category") or "")
            categories[category] += 1
            if category and self._settings.per_category and categories[category] > self._settings.per_category:
                continue
            yield row, factor[row]
            shown += 1
            if shown == looks.n[look]:
                return

    def _hidden(self, looks: Looks, look: int) -> set[int]:
        """Items that this user's list must not show."""
        hidden = set(looks.dismissed[look].tolist())
        if self._settings.bought == "drop":
            hidden.update(looks.bought[look].tolist())
        recent = looks.recent[look].tolist()
        if self._settings.seen == "drop":
            hidden.update(recent)
        elif self._settings.current == "drop" and recent and looks.here[look][0]:
            hidden.add(recent[0])
        return hidden

    def _item(self, slate: Slate, look: int, row: int, factor: float) -> dict[str, Any]:
        candidates = slate.candidates
        key = int(candidates.item[row])
        product = self.catalogue.product(key)
        why = self._why(slate.looks, look, candidates, row, factor)
        score = float(candidates.score[row]) * factor
        return {
            "item": self.catalogue.name(key),
            "title": self.catalogue.title(key),
            "score": score,
            **{a: product[a] for a in ATTRIBUTES[1:] if product.get(a) not in (None, "")},
            "reasons": _reasons(why, score),
            "why": why,
        }

    def _why(self, looks: Looks, look: int, candidates: Candidates, row: int, factor: float) -> list[dict[str, Any]]:
        """The parts of a score, largest first; they add up to it. A pair that too few distinct shoppers share is in
        the sum, but its item is not named."""
        did = dict(zip(looks.recent[look].tolist(), looks.recent_kind[look].tolist(), strict=True))
        parts: list[dict[str, Any]] = []
        unnamed: Counter[str] = Counter()
        causes = zip(
            candidates.signal[row].tolist(),
            candidates.because[row].tolist(),
            (candidates.amount[row] * factor).tolist(),
            candidates.shared[row].tolist(),
            strict=True,
        )
        for signal, because, amount, shared in sorted(causes, key=lambda cause: -cause[2]):
            name = SIGNALS[signal]
            if name in LINKING and shared < self._settings.min_shoppers:
                unnamed[name] += amount
                continue
            title = self.catalogue.title(because) if because else ""
            parts.append(
                {
                    "signal": name,
                    "because": self.catalogue.name(because) or "" if because else "",
                    "title": title,
                    "amount": amount,
                    "text": _words(name, title, _DID.get(did.get(because, Kind.VIEW), _DID[Kind.VIEW]), shared),
                }
            )
        for name, amount in unnamed.items():
            text = "goes with it" if name == SIMILAR.decode() else "goes with other things you looked at"
            parts.append({"signal": name, "because": "", "title": "", "amount": amount, "text": text})
        return parts


def _words(signal: str, title: str, did: str, shared: int) -> str:
    """A part of a score in words."""
    if signal == "items":
        return f"because you {did.format(title)}; {shared} shoppers chose both"
    if signal == "session":
        return f"you {did.format('it')} on this visit"
    if signal == SIMILAR.decode():
        return f"{shared} shoppers chose both this and {title}"
    if signal == TRENDING.decode():
        return "trending now"
    return "popular now"


def _reasons(why: list[dict[str, Any]], score: float) -> list[dict[str, Any]]:
    """The largest parts as reasons with their share of the score; at least one."""
    shares = [(part, part["amount"] / score if score else 0.0) for part in why]
    told = [(p, s) for at, (p, s) in enumerate(shares) if at == 0 or s >= NAMED_SHARE][:REASONS]
    return [{"text": p["text"], "because": p["because"], "share": round(s, 4)} for p, s in told]
