"""Versions on trial: what came of the lists that their shoppers saw, and those of the version beside them.

All of it is read from the log: which version was tried on which share and until when, who saw, clicked and bought. Who
is of the share is a hash (:class:`shopguide.artefacts.Trial`), so nothing has to be noted with each list. A shopper
counts from the first item of a list that stood in their view; after a login, as the account whose lists they see.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopguide.artefacts import BLEND, Trial
from shopguide.compare import Ratios, Totals
from shopguide.evaluate.rates import outcomes
from shopguide.records import U64, Events, Kind

BUCKETS = 1000  # shoppers of an arm are added up into so many rows, whatever their number
RATIOS = Ratios(
    ("shoppers", "shown", "clicks", "bought", "purchases", "revenue"),
    {
        "ctr": ("clicks", "shown"),
        "cvr": ("bought", "clicks"),
        "purchases_per_shopper": ("purchases", "shoppers"),
        "revenue_per_shopper": ("revenue", "shoppers"),
    },
)
SEED = 11
KINDS = (Kind.IMPRESSION, Kind.CLICK, Kind.PURCHASE, Kind.ALIAS, Kind.ACTIVATE)  # rows that say anything here


@dataclass(frozen=True)
class Period:
    """A version was on trial until another row about the blend came (epoch s); None: it still is."""

    trial: Trial
    until: float | None


def periods(events: Events) -> list[Period]:
    """All trials that a log's rows tell of, the oldest first; each share of a version is one of its own."""
    rows = []
    for row in np.flatnonzero(events.kind == Kind.ACTIVATE).tolist():
        said = events.details(row)
        if BLEND in said["models"]:
            share = float(said.get("share", 0.0))
            rows.append(Trial(float(events.arrived[row]), str(said["version"]), share))
    rows = sorted(set(rows))
    ends: list[float | None] = [row.since for row in rows[1:]]
    return [Period(row, end) for row, end in zip_longest(rows, ends) if row.share]


def found(events: Events, period: Period) -> dict[str, Any]:
    """Counts and metrics of both arms, the differences (trial less the version beside it), and ``split_p``: how
    probably shoppers are split like this where the share is what it should be."""
    events = events.take(np.argsort(events.arrived, kind="stable"))
    people = _people(events)
    during = (events.arrived >= period.trial.since) & (events.arrived < (period.until or math.inf))
    during &= np.isin(events.kind, (Kind.IMPRESSION, Kind.CLICK, Kind.PURCHASE)) & (events.user != 0)
    during[np.flatnonzero(during)] = [_of_a_list(events, row) for row in np.flatnonzero(during).tolist()]
    arms = _arms(events.take(during), people[during], period.trial)
    names = ("control", "trial")
    said = {
        "version": period.trial.version,
        "share": period.trial.share,
        "since": period.trial.since,
        "until": period.until,
        "arms": {name: _outcome(totals) for name, totals in zip(names, arms, strict=True)},
    }
    shoppers = [int(totals[:, 0].sum()) for totals in arms]
    said["split_p"] = _split_p(shoppers, period.trial.share)
    there = all(shoppers)
    said["differences"] = {name: asdict(d) for name, d in RATIOS.compare(*arms, SEED).items()} if there else {}
    return said


def _people(events: Events) -> U64:
    """Whose lists the user of each row saw: their own, or after a login those of the account. Rows are in order."""
    people = events.user.copy()
    account: dict[int, int] = {}
    logins = np.flatnonzero(events.kind == Kind.ALIAS)
    visitors = np.isin(events.user, events.user[logins])
    for row in np.flatnonzero(visitors).tolist():
        user = int(events.user[row])
        if events.kind[row] == Kind.ALIAS:
            account[user] = int(events.details(row)["account"])
        people[row] = account.get(user, user)
    return people


def _of_a_list(events: Events, row: int) -> bool:
    """Not of a tile of the shop's own, which says that it is in no list."""
    return events.kind[row] == Kind.PURCHASE or events.details(row).get("list") != ""


def _arms(events: Events, people: U64, trial: Trial) -> tuple[Totals, Totals]:
    """Totals of who saw a list: the shoppers of the version beside it, those of the trial. Rows are in order."""
    events = Events.of({**events.columns(), "user": people})
    shown, clicks, bought = outcomes(events)
    purchases = events.kind == Kind.PURCHASE
    users, of = np.unique(events.user, return_inverse=True)
    first = np.full(len(users), len(events))
    np.minimum.at(first, of[shown], np.flatnonzero(shown))
    after = np.arange(len(events)) >= first[of]  # rows after their shopper's first impression
    counted = (shown, clicks, bought, purchases, purchases * events.value)
    columns = [np.bincount(of, rows * after, len(users)) for rows in counted]
    totals = np.stack([np.ones(len(users)), *columns], axis=1)
    saw = first < len(events)
    tried = np.fromiter(map(trial.has, users.tolist()), bool, len(users))
    return _rows(users, totals, saw & ~tried), _rows(users, totals, saw & tried)


def _rows(users: U64, totals: Totals, arm: NDArray[np.bool_]) -> Totals:
    """The totals of an arm, in buckets, of which none is empty."""
    sums = np.zeros((BUCKETS, totals.shape[1]))
    np.add.at(sums, (users[arm] % np.uint64(BUCKETS)).astype(np.int64), totals[arm])
    return sums[sums[:, 0] > 0]


def _outcome(totals: Totals) -> dict[str, float]:
    sums = totals.sum(axis=0)
    counts = dict(zip(RATIOS.counts, sums.tolist(), strict=True))
    return counts | {metric: float(RATIOS.of(sums, metric)) for metric in RATIOS.metrics}


def _split_p(shoppers: list[int], share: float) -> float:
    """Two-sided, of the binomial distribution by the normal one (of few shoppers it says little)."""
    n = sum(shoppers)
    if n == 0:
        return 1.0
    z = (shoppers[1] - n * share) / math.sqrt(n * share * (1 - share))
    return math.erfc(abs(z) / math.sqrt(2))
