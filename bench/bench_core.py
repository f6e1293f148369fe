"""How fast is the core, and how much does it hold: learning, reading, taking back; one line a figure, beside baselines
of the same run, one thread.

    python bench/bench_core.py [--quick] [--rounds N] [--yardstick DIR] [--json FILE]

Baselines: the yardstick (a C program that does the least work that exact lists take, see README.md), plain Python, and
refits by `implicit` and `sparse_dot_topn`. CPU time for learning, wall time for reads; medians of the rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from capping import rows, units
from forgetting import taking_all_back, taking_back
from learning import growth, holding, rates, refits
from reading import by_sessions, following, lists
from streams import Stream, find_yardstick, own
from table import Table, machine

from shopguide.recommenders import Items


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the events, 3 rounds; the goals are not for these"
    )
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--yardstick", type=Path, help="the directory of bound.c and gen.py")
    parser.add_argument("--json", type=Path, help="also write all results and their samples here")
    return parser.parse_args()


def measure(table: Table, directory: Path, given: argparse.Namespace, rounds: int) -> None:
    yardstick, absent = find_yardstick(given.yardstick, directory)
    few, many = (100_000, 1_000_000) if given.quick else (1_000_000, 10_000_000)

    def stream(n: int, unit: str) -> Stream:
        return yardstick.stream(n, unit) if yardstick else own(n)

    first = stream(few, "s")
    for each in [first, stream(few, "u")] if yardstick else [first]:
        rates(table, each, rounds, yardstick, absent)
        refits(table, each, rounds)
        holding(table, each)
    lists(table, first, rounds)
    by_sessions(table, rounds)
    following(table, first, rounds)
    taking_back(table, first, rounds)
    taking_all_back(table, first)
    rows(table, first)
    units(table, first)
    large = stream(many, "s")
    rates(table, large, rounds, yardstick, absent)
    refits(table, large, rounds)
    holding(table, large)
    growth(table, large, rounds, yardstick)


def main() -> None:
    given = arguments()
    rounds = given.rounds or (3 if given.quick else 5)
    about = f"{machine()}, SIMD {Items().stats()['simd']}, {rounds} rounds, {time.strftime('%Y-%m-%d')}"
    print(about)
    table = Table(judged=not given.quick)
    with tempfile.TemporaryDirectory() as directory:
        measure(table, Path(directory), given, rounds)
    if table.judged:
        print(table.summary())
    if given.json:
        table.save(given.json, about=about)


if __name__ == "__main__":
    main()
