"""Team-draft interleaving: two rankers in one list, and clicks say whose items are wanted.

Radlinski, Kurup, Joachims, "How does clickthrough data reflect retrieval quality?", CIKM 2008, algorithm 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random


def team_draft(lists: tuple[Sequence[str], Sequence[str]], n: int, random: Random) -> tuple[list[str], list[int]]:
    """At most ``n`` items of two lists, and for each the list (0 or 1) whose team it plays for.

    The team with fewer players picks its best item that is not yet picked; where both have as many, a coin says who.
    A team with nothing left passes.
    """
    picked: list[str] = []
    teams: list[int] = []
    while len(picked) < n:
        turn = teams.count(1) - teams.count(0) or random.choice((-1, 1))
        first = 0 if turn > 0 else 1
        for team in (first, 1 - first):
            best = next((item for item in lists[team] if item not in picked), None)
            if best is not None:
                picked.append(best)
                teams.append(team)
                break
        else:
            break
    return picked, teams


def sign_test(wins: int, losses: int) -> float:
    """The two-sided p-value of so many wins and losses where either is as probable, ties left out: the exact binomial
    test, twice the smaller tail. 1 where there are none."""
    n = wins + losses
    tail = sum(math.exp(_log_choose(n, k) - n * math.log(2)) for k in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
