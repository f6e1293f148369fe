"""Whose tokens are live, and on how many connections. No sockets, no clock.

A place is a token, and where connections came with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from shopguide.tokens import Token

PlaceT = TypeVar("PlaceT", bound=Hashable)


@dataclass(slots=True)
class Live:
    """A verified token that at least one connection is subscribed to."""

    user: int
    expires: float
    key_id: int
    connections: int = 1


class Watchers(Generic[PlaceT]):
    """Invariants: a token is live from its first subscription until its last connection leaves, it expires, or its
    user is revoked; a user is watched while one of their tokens is live.

    libzmq names no connections, so they are counted: a subscription adds one, a cancellation or a hang-up takes one.
    A SUB socket that subscribes twice hangs up once, which keeps its token live until it expires, never too short.
    """

    def __init__(self) -> None:
        self._live: dict[PlaceT, Live] = {}
        self._tokens: dict[int, set[PlaceT]] = {}
        self._watched_until: dict[int, float] = {}
        self.next_end = math.inf  # epoch s; no token expires before it

    def subscribe(self, place: PlaceT, token: Token) -> bool:
        """A connection subscribed. Whether the user is watched anew, or longer than before."""
        live = self._live.get(place)
        if live is not None:
            live.connections += 1
            return False
        self._live[place] = Live(token.user, token.expires, token.key_id)
        self._tokens.setdefault(token.user, set()).add(place)
        self.next_end = min(self.next_end, token.expires)
        longer = token.expires > self._watched_until.get(token.user, 0.0)
        if longer:
            self._watched_until[token.user] = token.expires
        return longer

    def unsubscribe(self, place: PlaceT) -> int | None:
        """A connection left. The user, if nobody watches them any more."""
        live = self._live.get(place)
        if live is None:
            return None
        live.connections -= 1
        return self._end(place) if live.connections == 0 else None

    def expire(self, now: float) -> list[int]:
        """Drop the tokens whose end (epoch s) has come. The users whom nobody watches any more."""
        if now < self.next_end:
            return []
        unwatched = self._end_where(lambda live: live.expires <= now)
        self.next_end = min((live.expires for live in self._live.values()), default=math.inf)
        return unwatched

    def retire(self, keys: Container[int]) -> list[int]:
        """Drop the tokens that none of these keys (ids) signed. The users whom nobody watches any more."""
        return self._end_where(lambda live: live.key_id not in keys)

    def revoke(self, user: int) -> bool:
        """Drop all tokens of a user. Whether there was one."""
        places = list(self._tokens.get(user, ()))
        for place in places:
            self._end(place)
        return bool(places)

    def places(self, user: int) -> list[PlaceT]:
        """The live tokens of a user."""
        return list(self._tokens.get(user, ()))

    def users(self) -> list[int]:
        """Who is watched."""
        return list(self._tokens)

    def __len__(self) -> int:
        return len(self._live)

    def _end_where(self, over: Callable[[Live], bool]) -> list[int]:
        ended = [place for place, live in self._live.items() if over(live)]
        return [user for place in ended if (user := self._end(place)) is not None]

    def _end(self, place: PlaceT) -> int | None:
        user = self._live.pop(place).user
        places = self._tokens[user]
        places.discard(place)
        if places:
            return None
        del self._tokens[user], self._watched_until[user]
        return user
