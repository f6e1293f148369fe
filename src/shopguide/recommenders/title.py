"""title: items whose titles say that they go with what the shopper chose, by a network that learned what titles do.

Each described item has a vector from the moment that the catalogue knows it, whoever has chosen it; near are the items
whose vectors have the largest products with the mean of those of the newest items, each next older one counting less.
Nothing else is learned here, and vectors are a cache: made of what ``content`` has of the catalogue.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shopguide import catalogue
from shopguide._core import Blend
from shopguide.networks.serving import F32, Titles
from shopguide.recommenders.base import PLACE, Context, Recommender
from shopguide.recommenders.content import Content
from shopguide.recommenders.network import ALL
from shopguide.records import U64, Batch

ASKED, DECAY = 3, 0.3  # the user's newest items, and the weight of each next older one
SHARPNESS = 12.0  # of products, as the network was trained: what an item has is the odds against the nearest one


class Title(Recommender):
    """Silent until it is given a ``network``. Four bytes a number: 256 of an item of 64; a look costs a product with
    each item, some 100 us at 4,000; of more than ALL items, with those that others have put before. A network that
    comes, and a restart, read all items at once, some 90 us each."""

    signals = ("title",)

    def __init__(self, content: Content) -> None:
        self._content = content
        self._decay = np.power(DECAY, np.arange(ASKED), dtype=np.float32)
        self._network: Titles | None = None
        self._vectors = Vectors(0)

    @property
    def network(self) -> Titles | None:
        return self._network

    @network.setter
    def network(self, network: Titles | None) -> None:
        self._network = network
        self._vectors = Vectors(network.width if network else 0)
        self._read([*self._content.described()])

    def learn_catalogue(self, batch: Batch) -> None:
        """``content`` has taken the batch in before."""
        if self._network is not None:
            self._read([*dict.fromkeys(item for item, _, _ in catalogue.items(batch.events))])

    def forget(self, items: NDArray[np.uint64]) -> None:
        for item in items.tolist():
            self._vectors.drop(item)

    def load(self, state: dict[str, NDArray[np.generic]], kept: dict[str, NDArray[np.generic]]) -> None:
        """``content`` has been loaded before."""
        self.network = self._network

    def score(self, context: Context, limit: int, blend: Blend) -> None:
        if self._network is not None:
            self.like(context.recent[: len(self._decay)], limit, blend)

    def like(self, asked: U64, limit: int, blend: Blend) -> None:
        """Put what goes with items, the first of which counts most, into a blend."""
        among = blend.items() if len(self._vectors) > ALL else None
        items, near, because = self._vectors.near(asked, self._decay[: len(asked)], limit, among)
        odds = np.exp(SHARPNESS * (near - near.max(initial=-1.0)))
        blend.put(PLACE["title"], items, odds.astype(np.float64), because)

    def _read(self, items: list[int]) -> None:
        if self._network is None or not items:
            return
        described = [self._content.terms(item) for item in items]
        for item, terms, vector in zip(items, described, self._network.vectors(described), strict=True):
            if terms:
                self._vectors.put(item, vector)
            else:
                self._vectors.drop(item)


class Vectors:
    """Items' vectors, one behind the other: float32[n, width] of length 1."""

    def __init__(self, width: int) -> None:
        self._rows: dict[int, int] = {}
        self._keys, self._matrix = np.zeros(0, np.uint64), np.zeros((0, width), np.float32)

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, item: int, vector: F32) -> None:
        row = self._rows.setdefault(item, len(self._rows))
        if row == len(self._keys):
            more = max(row, 64)
            self._keys = np.append(self._keys, np.zeros(more, np.uint64))
            self._matrix = np.pad(self._matrix, ((0, more), (0, 0)))
        self._keys[row], self._matrix[row] = item, vector

    def drop(self, item: int) -> None:
        """The last one takes its place; nothing where it is not here."""
        row = self._rows.pop(item, None)
        if row is not None and row != (last := len(self._rows)):
            self._keys[row], self._matrix[row] = self._keys[last], self._matrix[last]
            self._rows[int(self._keys[row])] = row

    def near(self, asked: U64, weights: F32, n: int, among: U64 | None = None) -> tuple[U64, F32, U64]:
        """At most n items that are not asked about, or all that are ``among`` these: their products with the weighed
        mean of those that are, and which of these each is nearest to; in no order. Nothing where none of these is
        here."""
        here = self._rows_of(asked)
        known = here >= 0
        here = here[known]
        mean = weights[known] @ self._matrix[here]
        length = float(np.sqrt(mean @ mean))
        if not length:
            return np.zeros(0, np.uint64), np.zeros(0, np.float32), np.zeros(0, np.uint64)
        mean /= np.float32(length)
        if among is None:
            products = self._matrix[: len(self)] @ mean
            products[here] = -2
            n = min(n, len(self) - len(here))
            rows = np.argpartition(products, -n)[-n:] if n else here[:0]
        else:
            rows = np.setdiff1d(self._rows_of(among), np.append(here, -1))
        vectors = self._matrix[rows]
        nearest = (vectors @ self._matrix[here].T).argmax(axis=1)
        return self._keys[rows], vectors @ mean, self._keys[here[nearest]]

    def _rows_of(self, items: U64) -> NDArray[np.int64]:
        """-1: it is not here."""
        return np.array([self._rows.get(item, -1) for item in items.tolist()], np.int64)
