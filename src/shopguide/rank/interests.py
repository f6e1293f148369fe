"""What trained profiles call an interest, a term of the catalogue by its key, as the shop itself writes it."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

import numpy as np

from shopguide.catalogue import Catalogue
from shopguide.recommenders.content import WHOLE, terms
from shopguide.recommenders.words import words
from shopguide.records import SIGNALS, Candidates
from shopguide.tastes import term_key

PROFILE = SIGNALS.index("profile")  # the signal whose causes are interests, not items
ITS_PRICE = "its price"
REMEMBERED = 1 << 16  # texts that are kept


class Interests:
    """Each term is read off an item that has it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._texts: dict[int, str] = {}

    def of(self, candidates: Candidates) -> dict[int, str]:
        """Those that speak for candidates, by their keys; without any that describes no candidate any more."""
        at = np.flatnonzero(candidates.signal.values == PROFILE)
        if len(self._texts) > REMEMBERED:
            self._texts.clear()
        owner = np.searchsorted(candidates.signal.starts, at, side="right") - 1
        sought = zip(candidates.because.values[at].tolist(), candidates.item[owner].tolist(), strict=True)
        return {key: text for key, item in sought if key and (text := self._text(key, item))}

    def _text(self, key: int, item: int) -> str:
        if not self._texts.get(key):
            self._texts[key] = written(key, self._catalogue.product(item))
        return self._texts[key]


def written(key: int, product: Mapping[str, Any]) -> str:
    """A term of a product; empty where none has this key."""
    term = next((term for term in terms(dict(product)) if term_key(term) == key), "")
    name, whole, _ = term.partition(":")
    if whole:
        return str(product[name]) if name in WHOLE else ITS_PRICE
    said = (str(product[name]) for name in ("title", "brand", "category") if product.get(name))
    tokens = (token.strip(string.punctuation) for text in said for token in text.split())
    return next((token for token in tokens if words(token) == (term,)), term)
