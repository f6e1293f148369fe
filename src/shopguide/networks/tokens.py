"""What the network over titles reads of an item: its terms in order, each as the pieces that it is made of.

A word is itself and its runs of three characters, the word's ends marked (Bojanowski, Grave, Joulin, Mikolov,
"Enriching word vectors with subword information", TACL 2017): a word that no title had when the network was trained is
near those that look like it. A whole attribute or a price band, which has a colon, is itself alone. Pieces are numbered
by their hash, whatever the language; two that share a number are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

import numpy as np
import xxhash
from numpy.typing import NDArray

BUCKETS = 16_384  # numbers of pieces, from 1; 0 is none
LENGTH, PIECES = 16, 8  # terms of an item that are read, and pieces of a term
RUN = 3  # characters
REMEMBERED = 65_536  # terms whose pieces are kept


def tokens(described: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """int64[n, LENGTH, PIECES] of items by their terms; zeros behind an item's last term and a term's last piece."""
    found = np.zeros((len(described), LENGTH, PIECES), np.int64)
    for at, terms in enumerate(described):
        if rows := [pieces(term) for term in read(terms)]:
            found[at, : len(rows)] = rows
    return found


def read(terms: Sequence[str]) -> Sequence[str]:
    """At most LENGTH of an item's terms: where there are more its last words are left out, its attributes are not."""
    if len(terms) <= LENGTH:
        return terms
    attributes = [term for term in terms if ":" in term]
    words = (term for term in terms if ":" not in term)
    return [*islice(words, LENGTH - len(attributes)), *attributes]


@lru_cache(REMEMBERED)
def pieces(term: str) -> tuple[int, ...]:
    """PIECES numbers, zeros last."""
    marked = f"^{term}$"
    runs = () if ":" in term else (marked[at : at + RUN] for at in range(len(marked) - RUN + 1))
    found = [term, *islice(runs, PIECES - 1)]
    numbers = [xxhash.xxh3_64_intdigest(piece.encode()) % BUCKETS + 1 for piece in found]
    return (*numbers, *(0,) * (PIECES - len(numbers)))
