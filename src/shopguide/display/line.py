"""The running line as display sees it; whoever runs the stages implements it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from shopguide.metrics import Sample

NOTHING: Mapping[str, str] = MappingProxyType({})


class Receipt(Protocol):
    """What became of collected rows; a refused one (no consent, say) is counted and not kept."""

    @property
    def accepted(self) -> int: ...

    @property
    def refused(self) -> int: ...


class Desk(Protocol):
    """What experts see and do. ``by`` is the name of one. Raises RefusedError (409) where what is asked cannot be."""

    def admit(self, token: str) -> str:
        """The name that an admin's token says. Raises TokenError for any other text."""
        ...

    def live(self) -> dict[str, Any]:
        """``counts`` of the line; ``delay`` of the last minute's lists from the log to the push (s): n, p50, p99,
        bars; rejected rows by ``reasons``; ``recommenders``: shown, clicks, bought, ctr, cvr."""
        ...

    async def products(self, text: str, n: int) -> dict[str, Any]:
        """``items`` whose title or id has all words of the text, ``categories``: the names of all."""
        ...

    async def picks(self) -> list[dict[str, Any]]:
        """The picks that nothing undoes, newest first."""
        ...

    async def audit(self) -> list[dict[str, Any]]:
        """Picks, undos and lookups, newest first; ``stands`` where nothing in force undoes it."""
        ...

    async def pick(self, by: str, action: str, item: str, category: str, **wanted: Any) -> dict[str, Any]:
        """Log a pick of the item, or of all of the category; its ``id``, once the line knows it."""
        ...

    async def undo(self, by: str, undoes: str, why: str) -> dict[str, Any]:
        """Log that the entry of this id is undone; the ``id`` of that."""
        ...

    async def look_up(self, by: str, user: str, why: str, slot: str, n: int) -> dict[str, Any]:
        """Log who asks why, then say what is held of a user, with the list that they would get now."""
        ...


class Line(Protocol):
    """All calls come from one event loop. Any may raise ShopguideError; the message becomes the answer (503)."""

    @property
    def desk(self) -> Desk: ...

    async def append(self, batches: list[list[dict[str, Any]]]) -> Sequence[Receipt]:
        """Append batches of rows to the log, where the stages see them at once; each one's receipt. Called again only
        then.

        A row names its ``user``, or has the ``user_key`` of a verified token. A row that was no JSON object comes as
        ``{}``."""
        ...

    async def commit(self) -> None:
        """Make all that was appended before the call durable. Called again only then."""
        ...

    def busy(self) -> str | None:
        """Why no rows should be collected now; None: they may."""
        ...

    async def identify(self, visitor: int, account: int) -> None:
        """Log that a visitor is an account (both user keys); returns when that is durable."""
        ...

    def mint(self, user: str, ttl: float | None = None) -> str:
        """A signed token; ``ttl`` in seconds, None: the setting's."""
        ...

    def verify(self, token: str) -> int:
        """The token's user key. Raises TokenError where it is malformed, forged or expired."""
        ...

    async def recommend(
        self, token: str, n: int, slot: str, timeout: float, context: Mapping[str, str] = NOTHING
    ) -> dict[str, Any] | None:
        """The user's newest list as it goes on the wire, or where a visit's ``context`` is said, one for it; None where
        none came within ``timeout`` seconds."""
        ...

    async def similar(self, item: str, n: int) -> dict[str, Any] | None:
        """Items near this one; None where the item is unknown. Raises TimeoutError where no answer comes in time."""
        ...

    async def trending(self, category: str | None, n: int) -> dict[str, Any]:
        """What is popular now, nothing in a category that is unknown. Raises TimeoutError as :meth:`similar`."""
        ...

    async def why(self, token: str, item: str) -> dict[str, Any] | None:
        """The whole sum of one item of the user's newest list: ``item, title, score, parts`` with a part's ``signal,
        because, title, amount, text``; None where the item is not in that list."""
        ...

    async def forget(self, token: str) -> dict[str, Any]:
        """Forget the token's user, wholly; the signed receipt."""
        ...

    def subscribe(
        self, token: str, slot: str | None = None, context: Mapping[str, str] = NOTHING
    ) -> AsyncGenerator[tuple[str, str], None]:
        """(id "epoch-n", JSON of the wire message) of each list, a snapshot first; ends when the token expires. A slot
        that is given is where all lists of the user stand from then on; ``context`` is that of the visit."""
        ...

    @property
    def scene(self) -> str:
        """What the demo is: shop, news, live; empty: there is none."""
        ...

    def products(self) -> list[dict[str, Any]]:
        """The demo's catalogue: ``item, title, category, image`` (a data: URI), where there are such ``brand, price``,
        and ``since`` (epoch s), ``stock``, ``viewers``; empty: no demo."""
        ...

    def counts(self) -> dict[str, Any]:
        """Running totals for /healthz: ``events, rejected, watched, events_per_second`` and more."""
        ...

    def alive(self) -> dict[str, dict[str, Any]]:
        """By name, what this process needs to work: ``ok``, and ``said`` in words."""
        ...

    def ready(self) -> dict[str, dict[str, Any]]:
        """By name, what it needs to take events and to answer; what :meth:`alive` says among it."""
        ...

    async def samples(self) -> list[Sample]:
        """All numbers but those of the web server."""
        ...
