"""Who is who: a visitor is joined to an account at login (ALIAS), and the account's partition knows its visitors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.featurize.retention import Bounds

Row = tuple[int, float]  # largest offset and time of the rows that said so, or went that way


class Accounts:
    """Both directions, each held where its row is: a visitor's account, and an account's visitors."""

    def __init__(self) -> None:
        self._account: dict[int, tuple[int, Row]] = {}
        self._visitors: dict[int, dict[int, Row]] = {}
        self.visitors: NDArray[np.uint64] = np.empty(0, np.uint64)  # whose account is known

    def of(self, user: int) -> int:
        """The account of a visitor; 0: none."""
        return self._account[user][0] if user in self._account else 0

    def are_visitors(self, users: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Of which users the account is known, bool[n]."""
        return np.fromiter((user in self._account for user in users.tolist()), bool, len(users))

    def near(self, user: int) -> set[int]:
        """A user's account and visitors."""
        account = self.of(user)
        visitors = {visitor for visitor, (of, _) in self._account.items() if of == user}
        return visitors | set(self._visitors.get(user, ())) | ({account} if account else set())

    def is_visitor_of(self, visitor: int, account: int) -> bool:
        return visitor in self._visitors.get(account, ())

    def join(self, visitor: int, account: int, offset: int, time: float) -> None:
        self._account[visitor] = account, (offset, time)
        self._index()

    def touch(self, visitor: int, offset: int, time: float) -> None:
        """A row of a visitor went to the account: so long they are known to belong together."""
        account, row = self._account[visitor]
        self._account[visitor] = account, (max(row[0], offset), max(row[1], time))

    def adopt(self, account: int, visitor: int, offset: int, time: float) -> None:
        self._visitors.setdefault(account, {})[visitor] = offset, time

    def drop(self, visitor: int) -> None:
        """The visitor has no account any more."""
        if self._account.pop(visitor, None) is not None:
            self._index()

    def leave(self, account: int) -> list[int]:
        """The account's visitors, who are its visitors no more."""
        return list(self._visitors.pop(account, ()))

    def expire(self, bounds: Bounds) -> None:
        """What was said, and last heard of, before the bounds is unsaid."""

        def kept(row: Row) -> bool:
            return row[0] >= bounds.offset and row[1] >= bounds.time

        self._account = {user: to for user, to in self._account.items() if kept(to[1])}
        visitors = {user: {v: row for v, row in of.items() if kept(row)} for user, of in self._visitors.items()}
        self._visitors = {user: of for user, of in visitors.items() if of}
        self._index()

    def dump(self) -> list[Any]:
        return [
            [(user, account, *row) for user, (account, row) in self._account.items()],
            [(user, visitor, *row) for user, of in self._visitors.items() for visitor, row in of.items()],
        ]

    @staticmethod
    def visitors_in(state: list[Any]) -> NDArray[np.uint64]:
        """Whose account is known, as :meth:`dump` says."""
        return np.fromiter((user for user, *_ in state[0]), np.uint64, len(state[0]))

    def load(self, state: list[Any]) -> None:
        accounts, visitors = state
        self._account = {user: (account, (offset, time)) for user, account, offset, time in accounts}
        self._visitors = {}
        for user, visitor, offset, time in visitors:
            self.adopt(user, visitor, offset, time)
        self._index()

    def _index(self) -> None:
        self.visitors = np.fromiter(self._account, np.uint64, len(self._account))
