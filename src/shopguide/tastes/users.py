"""The users' tastes up to a training, and what a user's is with what came since."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shopguide.errors import StateError
from shopguide.records import F64, I64, U64, Kind
from shopguide.tastes.library import I32, Library, spread, vars_of
from shopguide.tastes.past import Past

MODEL = "profiles"  # what an artefact and ACTIVATE rows call it
FILE = "profiles.npz"
STRENGTH = np.zeros(256)  # what an event counts, by its kind
STRENGTH[[Kind.VIEW, Kind.CLICK, Kind.FAVOURITE, Kind.CART, Kind.PURCHASE]] = 1, 1, 2, 3, 4


def decayed(times: F64, landmark: float, half_life: float) -> F64:
    """What events count by their time, at most 2^1000: of a training that saw none, all the same."""
    return np.exp2(np.minimum((times - landmark) / half_life, 1000))


class Taste(NamedTuple):
    """What a user likes: term ids of the library, ascending, and weights."""

    ids: I32
    weights: F64


class Figures(NamedTuple):
    """From what a taste is known: events, purchases, the money of these by the library's prices, the time of the
    newest (epoch s; 0: there is none)."""

    events: int
    purchases: int
    money: float
    newest: float


@dataclass(frozen=True)
class Tastes:
    """Columns by user, ascending by key; the terms of user x are ``term[starts[x]:starts[x + 1]]``, ascending, with
    their ``weight``. ``read``: of a log's partitions, the offset after the last row that they are made from."""

    half_life: float
    landmark: float
    read: dict[int, int]
    library: Library
    users: U64
    starts: I64
    term: I32
    weight: F64
    events: I64
    purchases: I64
    money: F64
    newest: F64
    version: str = ""

    def decayed(self, times: F64) -> F64:
        """What an event counts by its time."""
        return decayed(times, self.landmark, self.half_life)

    def of(self, user: int, past: Past) -> Taste:
        """As of all that is held of a user.

        The row stands for what they did before only while all of that is held: of who took something back, or was
        forgotten, what is held counts, and the row no more.
        """
        row, since = self._fitting(user, past)
        rows = self.library.rows(since.item)
        here = rows >= 0
        added, sizes = self.library.terms_of(rows[here])
        amounts = np.repeat((STRENGTH[since.kind] * self.decayed(since.time))[here], sizes)
        at = slice(self.starts[row], self.starts[row + 1]) if row >= 0 else slice(0)
        if not len(added):
            return Taste(self.term[at], self.weight[at])
        ids, place = np.unique(np.concatenate((self.term[at], added)), return_inverse=True)
        return Taste(ids, np.bincount(place, np.concatenate((self.weight[at], amounts)), len(ids)).astype(np.float64))

    def figures(self, user: int, past: Past) -> Figures:
        """As :meth:`of`: of all that is held of a user."""
        row, since = self._fitting(user, past)
        before = (self.events[row], self.purchases[row], self.money[row], self.newest[row]) if row >= 0 else (0,) * 4
        rows, bought = self.library.rows(since.item), since.kind == Kind.PURCHASE
        return Figures(
            int(before[0]) + len(rows),
            int(before[1]) + int(bought.sum()),
            float(before[2]) + float(self.library.price[rows[bought & (rows >= 0)]].sum()),
            float(since.time.max(initial=before[3])),
        )

    def without(self, users: Collection[int]) -> Tastes | None:
        """The same without rows of these users; None where there are none."""
        stays = ~np.isin(self.users, np.fromiter(users, np.uint64, len(users)))
        if stays.all():
            return None
        rows = np.flatnonzero(stays)
        at, sizes = spread(self.starts, rows)
        kept = {name: getattr(self, name)[rows] for name in ("users", "events", "purchases", "money", "newest")}
        starts = np.concatenate(([0], np.cumsum(sizes)))
        return replace(self, **kept, starts=starts, term=self.term[at], weight=self.weight[at])

    def packed(self) -> bytes:
        """What :meth:`load` reads."""
        said = {"half_life": np.float64(self.half_life), "landmark": np.float64(self.landmark)}
        read = np.array(sorted(self.read.items()), np.int64).reshape(-1, 2)
        columns = {f"users.{name}": column for name, column in self._by_user().items()}
        columns |= {f"items.{name}": column for name, column in self.library.columns().items()}
        packed = io.BytesIO()
        np.savez(packed, **said, read=read, **columns)  # type: ignore[arg-type]
        return packed.getvalue()

    @classmethod
    def load(cls, given: bytes | Path, version: str = "") -> Tastes:
        """Raises StateError for what :meth:`packed` did not make."""
        try:
            with np.load(io.BytesIO(given) if isinstance(given, bytes) else given, allow_pickle=False) as found:
                parts = {
                    of: {n.removeprefix(of): found[n] for n in found.files if n.startswith(of)}
                    for of in ("users.", "items.")
                }
                made = (float(found["half_life"]), float(found["landmark"]), dict(found["read"].tolist()))
            tastes = cls(*made, Library.load(parts["items."]), **parts["users."], version=version)
            if len(tastes.starts) != len(tastes.users) + 1 or tastes.starts[-1] != len(tastes.term):
                raise ValueError("terms are not those of its users")
            return tastes
        except Exception as e:  # numpy and zipfile raise many kinds; all mean the same to the caller
            raise StateError(f"{FILE} holds no profiles: {e}") from None

    def _by_user(self) -> dict[str, NDArray[Any]]:
        return {n: c for n, c in vars_of(self).items() if isinstance(c, np.ndarray)}

    def _row(self, user: int) -> int:
        at = int(np.searchsorted(self.users, np.uint64(user)))
        return at if at < len(self.users) and self.users[at] == user else -1

    def _fitting(self, user: int, past: Past) -> tuple[int, Past]:
        """A user's row (-1: none that stands), and the events of the past that are not in it."""
        row = self._row(user)
        if past.before != (self.events[row] if row >= 0 else 0):
            return -1, past
        new = slice(len(past.item) - past.since, None)
        return row, past._replace(item=past.item[new], kind=past.kind[new], time=past.time[new])
