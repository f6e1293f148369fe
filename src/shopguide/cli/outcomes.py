"""What comes of the lists that are shown: clicks and purchases by the recommender that spoke for the item."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Lock
from typing import Any

from shopguide.clean import clean
from shopguide.collect.chunk import Chunk, columns_of
from shopguide.collect.encode import Encoder
from shopguide.collect.values import texts
from shopguide.keys import Secret, item_key, own_event_key
from shopguide.rank import strongest_of
from shopguide.records import Batch, Kind

KEPT = 20_000  # newest items shown, and clicks, of which more may come
REMEMBERED = 1 << 16  # newest events whose id is known
NOTED = frozenset((Kind.IMPRESSION, Kind.CLICK, Kind.PURCHASE))

Latest = Callable[[list[int]], dict[int, dict[str, Any]]]
Rows = list[dict[str, Any]]


class Outcomes:
    """Of what came in over HTTP since the start, as the line takes it: what makes no sense, or has come before (by its
    id), does not count. ``latest`` gives the lists that users (keys) have now: the strongest signal of the item there
    is the recommender that it was shown by; of a click that of its impression, where the list has changed meanwhile.
    What was in no list is nobody's, and neither is what says so (an empty ``list``), a tile of the shop's own. Who has
    logged in sees their account's list."""

    def __init__(self, secret: Secret, latest: Latest) -> None:
        self._encoder, self._latest = Encoder(secret), latest
        self._lock = Lock()
        self._shown_by: dict[tuple[int, int], str] = {}
        self._clicked: dict[tuple[int, int], str] = {}  # and not purchased yet
        self._accounts: dict[int, int] = {}
        self._came: dict[int, None] = {}
        self._bought: Counter[str] = Counter()  # clicks that led to a purchase, by signal
        self.counts: Counter[tuple[int, str]] = Counter()  # ever, of (kind, signal)

    def concerns(self, rows: Rows) -> bool:
        """Whether :meth:`note` has to ask for lists."""
        return bool(self._of_interest(rows))

    def join(self, visitor: int, account: int) -> None:
        """The visitor has logged in to the account (both user keys)."""
        self._accounts[visitor] = account
        _keep_newest(self._accounts, KEPT)

    def note(self, rows: Rows) -> None:
        """Take in rows as the collector gets them. May take a moment."""
        with self._lock:
            noted = list(self._noted(self._of_interest(rows)))
            if not noted:
                return
            latest = self._latest(list({user for _, user, _ in noted}))
            signals = {user: _signals(recommendation) for user, recommendation in latest.items()}
            for kind, user, item in noted:
                key = user, item
                self._count(kind, key, signals.get(user, {}).get(item) or self._shown_by.get(key, ""))
            for known, most in ((self._shown_by, KEPT), (self._clicked, KEPT), (self._came, REMEMBERED)):
                _keep_newest(known, most)

    def rates(self) -> list[dict[str, Any]]:
        """Of each recommender: impressions, clicks, clicks that led to a purchase; CTR and CVR as `shopguide evaluate`
        defines them, None where they are of nothing. The most shown first."""
        counts, found = self.counts.copy(), []
        for name in sorted({signal for _, signal in counts} - {""}):
            shown, clicks, bought = counts[Kind.IMPRESSION, name], counts[Kind.CLICK, name], self._bought[name]
            ctr, cvr = clicks / shown if shown else None, bought / clicks if clicks else None
            of = {"recommender": name, "shown": shown, "clicks": clicks, "bought": bought}
            found.append({**of, "ctr": ctr, "cvr": cvr})
        return sorted(found, key=lambda one: -one["shown"])

    def _of_interest(self, rows: Rows) -> Rows:
        """Those of a kind that counts, whatever their sender calls it."""
        kinds = self._encoder.memory.kinds
        rows = [row for row in rows if row.get("list") != ""]
        said = [row.get("kind") for row in rows]  # the name that goes before all others for it
        if not all(type(kind) is str and kinds[kind] not in NOTED for kind in said):
            said = texts(columns_of(rows).get("kind", said))
        return [row for row, kind in zip(rows, said, strict=True) if kinds[kind] in NOTED]

    def _noted(self, rows: Rows) -> Iterator[tuple[int, int, int]]:
        """(kind, user, item) of those that the line will learn from."""
        if not rows:
            return
        columns, now = columns_of(rows), time.time()
        columns["time"] = [now if t is None else t for t in columns.get("time", [None] * len(rows))]
        encoded = self._encoder.encode(Chunk(len(rows), columns, lambda row: b""))
        said = encoded.events.take(~encoded.derived)
        kept = clean(Batch(0, 0, len(said) - 1, said, encoded.names))[0].events
        ids = own_event_key(kept.event, kept.user) * (kept.event != 0)
        for kind, user, item, event in zip(*(c.tolist() for c in (kept.kind, kept.user, kept.item, ids)), strict=True):
            if event in self._came:
                continue
            if event:
                self._came[event] = None
            yield kind, self._accounts.get(user, user), item

    def _count(self, kind: int, key: tuple[int, int], signal: str) -> None:
        """``key`` is (user, item). A purchase is of the newest click before it, and counts once."""
        self.counts[kind, signal] += 1
        if kind == Kind.IMPRESSION and signal:
            self._shown_by[key] = signal
        elif kind == Kind.CLICK:
            self._clicked[key] = signal
        elif kind == Kind.PURCHASE and (of := self._clicked.pop(key, "")):
            self._bought[of] += 1


def _signals(recommendation: dict[str, Any]) -> dict[int, str]:
    """The strongest signal of each item (key) of a list; of a pinned one the pick."""
    signals = ((item["item"], strongest_of(item["why"])) for item in recommendation["items"])
    return {item_key(item): strongest for item, strongest in signals if strongest}


def _keep_newest(known: dict[Any, Any], most: int) -> None:
    for old in list(islice(known, max(0, len(known) - most))):
        del known[old]
