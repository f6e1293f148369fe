"""What the network over titles learns from: described items that follow each other in a visit, whatever the order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shopguide.errors import SettingError
from shopguide.networks.tokens import LENGTH, PIECES, pieces, read
from shopguide.records import U64, Kind, Lessons

HELD_OUT = 0.1  # of the items
JUDGED = 5_000  # pairs of a known item and a held-out one, at most
PADDED = 2048  # a batch's distinct terms are filled up to a multiple of it, so that few shapes are compiled
SEED = 7

I32 = NDArray[np.int32]


@dataclass(frozen=True)
class Pairs:
    """``items``: keys of the described ones, ascending; ``terms`` int32[N, LENGTH] of each, 0 none, else a row of
    ``pieces`` int32[terms + 1, PIECES]; ``sides`` int32[2, n]: the items of each pair."""

    items: U64
    terms: I32
    pieces: I32
    sides: I32

    @classmethod
    def of(cls, lessons: Lessons, described: Mapping[int, Sequence[str]]) -> Pairs:
        """From each unit's events in order, and what describes items. Raises SettingError where there is no pair."""
        items = np.sort(np.fromiter(described, np.uint64, len(described)))
        known = np.isin(lessons.item, items) & (lessons.kind != Kind.IMPRESSION)
        order = np.flatnonzero(known)[np.argsort(lessons.unit[known], kind="stable")]
        unit, row = lessons.unit[order], np.searchsorted(items, lessons.item[order]).astype(np.int32)
        sides = np.stack((row[:-1], row[1:]))[:, (unit[1:] == unit[:-1]) & (row[1:] != row[:-1])]
        if not sides.size:
            raise SettingError("too little to train the network over titles on: no visit has two items with words")
        numbers: dict[str, int] = {}
        terms = np.zeros((len(items), LENGTH), np.int32)
        for at, item in enumerate(items.tolist()):
            said = [numbers.setdefault(term, len(numbers) + 1) for term in read(described[item])]
            terms[at, : len(said)] = said
        return cls(items, terms, np.array([(0,) * PIECES, *map(pieces, numbers)], np.int32), sides)

    def __len__(self) -> int:
        return int(self.sides.shape[1])

    def divided(self) -> tuple[Pairs, I32]:
        """Those of known items, and the judged ones: int32[2, m], a known item and one that is held out."""
        out = np.random.default_rng(SEED).random(len(self.items)) < HELD_OUT
        first, second = out[self.sides]
        judged = np.concatenate((self.sides[:, ~first & second], self.sides[::-1, first & ~second]), axis=1)
        some = np.random.default_rng(SEED).permutation(judged.shape[1])[:JUDGED]
        return replace(self, sides=self.sides[:, ~first & ~second]), judged[:, some]

    def drawn(self, epoch: int, n: int, size: int) -> I32:
        """int32[2, m], m at most n and a multiple of ``size``: an epoch's pairs, the same whenever it is asked for."""
        order = np.random.default_rng((SEED, epoch)).permutation(len(self))[:n]
        return self.sides[:, np.resize(order, max(len(order) // size, 1) * size)]

    def read(self, rows: I32) -> tuple[I32, I32]:
        """The pieces of the distinct terms of some items, int32[a multiple of PADDED, PIECES], and which of them each
        item has, int32[len(rows), LENGTH]."""
        distinct, places = np.unique(np.append(self.terms[rows].ravel(), 0), return_inverse=True)
        fill = np.zeros(-len(distinct) % PADDED, np.int32)
        return self.pieces[np.append(distinct, fill)], places[:-1].astype(np.int32).reshape(len(rows), LENGTH)
