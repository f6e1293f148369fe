"""What comes of the lists that are shown: clicks and purchases by the recommender that spoke for the item."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from shopguide.collect.values import Cache, consents, kind_of
from shopguide.evaluate.rates import outcomes
from shopguide.keys import Secret, item_key
from shopguide.rank import strongest_of
from shopguide.records import Events, Kind

KEPT = 20_000  # newest impressions, clicks and purchases that count
NOTED = frozenset((Kind.IMPRESSION, Kind.CLICK, Kind.PURCHASE))

Latest = Callable[[list[int]], dict[int, dict[str, Any]]]


class Outcomes:
    """Of what came in over HTTP since the start. ``latest`` gives the lists that users (keys) have now: the strongest
    signal of the item there is the recommender that it was shown by; of a click that of its impression, where the
    list has changed meanwhile. What was in no list is nobody's. Who has logged in sees their account's list."""

    def __init__(self, secret: Secret, latest: Latest) -> None:
        self._secret, self._latest = secret, latest
        self._rows: deque[tuple[int, int, int, str]] = deque(maxlen=KEPT)  # kind, user, item, signal
        self._shown_by: dict[tuple[int, int], str] = {}
        self._accounts: dict[int, int] = {}
        self.counts: Counter[tuple[int, str]] = Counter()  # ever, of (kind, signal)
        self._kinds = Cache(kind_of, limit=1 << 12)

    def concerns(self, rows: Iterable[dict[str, Any]]) -> bool:
        """Whether :meth:`note` has to ask for lists."""
        return next(self._noted(rows), None) is not None

    def join(self, visitor: int, account: int) -> None:
        """The visitor has logged in to the account (both user keys)."""
        self._accounts[visitor] = account
        _keep_newest(self._accounts)

    def note(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take in rows as the collector gets them. May take a moment."""
        noted = list(self._noted(rows))
        if not noted:
            return
        latest = self._latest(list({user for _, user, _ in noted}))
        signals = {user: _signals(recommendation) for user, recommendation in latest.items()}
        for kind, user, item in noted:
            key = user, item_key(item)
            signal = signals.get(user, {}).get(item) or self._shown_by.get(key, "")
            if signal and kind == Kind.IMPRESSION:
                self._shown_by[key] = signal
            self._rows.append((kind, *key, signal))
            self.counts[kind, signal] += 1
        _keep_newest(self._shown_by)

    def _noted(self, rows: Iterable[dict[str, Any]]) -> Iterator[tuple[int, int, str]]:
        """(kind, user, item) of those that count."""
        for row in rows:
            said = row.get("kind")
            kind = self._kinds[said] if type(said) is str else None
            if kind is None or kind not in NOTED:
                continue
            item = row.get("item")
            if isinstance(item, str) and consents(row.get("consent")):
                user = row.get("user_key") or self._secret.user_key(str(row.get("user")))
                yield kind, self._accounts.get(user, user), item

    def rates(self) -> list[dict[str, Any]]:
        """Of each recommender: impressions, clicks, clicks that led to a purchase; CTR and CVR as `shopguide evaluate`
        defines them, None where they are of nothing. The most shown first."""
        rows = list(self._rows)
        kind, user, item = (np.array([row[at] for row in rows], np.uint64) for at in range(3))
        signal = np.array([row[3] for row in rows], str)
        counted = outcomes(Events(kind=kind.astype(np.uint8), user=user, item=item))
        found = []
        for name in sorted(set(signal.tolist()) - {""}):
            shown, clicks, bought = (int((part & (signal == name)).sum()) for part in counted)
            ctr, cvr = clicks / shown if shown else None, bought / clicks if clicks else None
            of = {"recommender": name, "shown": shown, "clicks": clicks, "bought": bought}
            found.append({**of, "ctr": ctr, "cvr": cvr})
        return sorted(found, key=lambda one: -one["shown"])


def _signals(recommendation: dict[str, Any]) -> dict[str, str]:
    """The strongest signal of each item of a list; of a pinned one the pick."""
    return {item["item"]: strongest for item in recommendation["items"] if (strongest := strongest_of(item["why"]))}


def _keep_newest(known: dict[Any, Any]) -> None:
    for old in list(islice(known, max(0, len(known) - KEPT))):
        del known[old]
