"""What a contest comes to: numbers for machines, a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from shopguide.evaluate.arms import NEVER, Arm, Contest
from shopguide.evaluate.data import Dataset, in_words
from shopguide.evaluate.metrics import Bootstrap, beyond, measures
from shopguide.report.figures import label

INTERVALS = ("hr", "mrr", "ndcg")
SIGNIFICANT = 0.05
WIDTH = 250  # of the table: no number may be cut; what is narrower wraps it


def result(dataset: Dataset, mode: str, k: int, contest: Contest) -> dict[str, Any]:
    """A run, as `shopguide evaluate --json` has it."""
    arms = contest.arms
    bootstrap = Bootstrap(arms[0].ranks.session)
    return {
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "mode": mode,
        "k": k,
        "rejected": sum(dataset.rejected.values()),
        "reasons": dict(dataset.rejected),
        "doubles": dataset.doubles,
        "results": [_result(arm, bootstrap, contest) for arm in arms],
        "comparisons": [_comparison(arms[0], other, bootstrap) for other in arms[1:]],
    }


def freshness(seconds: float) -> str:
    """How late a model learns, in words."""
    if seconds in (0, NEVER):
        return "never" if seconds else "each event"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"every {seconds / size:g} {unit}"
    return f"every {seconds:g} s"


def print_run(run: dict[str, Any]) -> None:
    """As tables on the standard output."""
    console = Console()
    console.width = max(console.width, WIDTH)
    asked = run["results"][0]["n"]
    console.print(f"{run['dataset']}: {run['protocol']}, {run['mode']}, {asked:,} questions, lists of {run['k']}")
    if said := left_out(run):
        console.print(f"left out: {said}", highlight=False)
    table = Table(box=None, header_style="bold")
    for column in ("", "HR", "95 %", "MRR", "95 %", "NDCG", "coverage", "popularity", "novelty", "µs p50", "p99"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for found in run["results"]:
        interval = {name: f"{low:.3f}–{high:.3f}" for name, (low, high) in found["ci95"].items()}
        spent = found["us_per_recommendation"]
        numbers = [f"{found[n]:.4f}" for n in ("hr", "mrr", "ndcg")]
        row = [label(found), numbers[0], interval["hr"], numbers[1], interval["mrr"], numbers[2]]
        row += [f"{found['coverage']:.2f}", f"{found['popularity']:.3f}", f"{found['novelty']:.1f}"]
        table.add_row(*row, f"{spent['p50']:.0f}", f"{spent['p99']:.0f}")
    console.print(table)
    for pair in run["comparisons"]:
        if pair["significant"]:
            changes = f"HR {_change(pair['hr'])}, MRR {_change(pair['mrr'])}"
            console.print(f"{pair['one']} less {pair['other']}: {changes}", highlight=False)
    if "caution" in run:
        console.print(run["caution"], highlight=False)
    for name, rate in run.get("rates", {}).items():
        console.print(f"{name.upper()} {rate['rate']:.4f} ({rate['ci95'][0]:.4f}–{rate['ci95'][1]:.4f})")


def left_out(run: Mapping[str, Any]) -> str:
    """What of a file's rows was not looked at, and why; empty where all were."""
    said = [f"{_counted(run['rejected'], 'row')} ({in_words(run['reasons'])})"] if run["rejected"] else []
    return " and ".join(said + ([_counted(run["doubles"], "double")] if run["doubles"] else []))


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}" + "s" * (n != 1)


def _result(arm: Arm, bootstrap: Bootstrap, contest: Contest) -> dict[str, Any]:
    ranks = arm.ranks
    values = {"hr": ranks.hits(), "mrr": ranks.reciprocal(), "ndcg": ranks.gain()}
    spent = np.percentile(np.array(ranks.seconds) * 1e6, (50, 99))
    return {
        "recommender": arm.recommender,
        "learner": arm.learner,
        "freshness": freshness(arm.freshness),
        "n": len(ranks.rank),
        **measures(ranks),
        **beyond(ranks, contest.counts),
        "ci95": {name: bootstrap.interval(values[name]) for name in INTERVALS},
        "us_per_recommendation": {"p50": round(float(spent[0]), 1), "p99": round(float(spent[1]), 1)},
        "events_per_s": round(len(ranks.rank) / contest.seconds),
        "weights": arm.weights.version,
    }


def _comparison(one: Arm, other: Arm, bootstrap: Bootstrap) -> dict[str, Any]:
    hr = bootstrap.compare(one.ranks.hits(), other.ranks.hits())
    mrr = bootstrap.compare(one.ranks.reciprocal(), other.ranks.reciprocal())
    names = [label({**vars(arm), "freshness": freshness(arm.freshness)}) for arm in (one, other)]
    significant = min(hr.p, mrr.p) < SIGNIFICANT
    return {"one": names[0], "other": names[1], "hr": vars(hr), "mrr": vars(mrr), "significant": significant}


def _change(found: dict[str, Any]) -> str:
    low, high = found["ci95"]
    return f"{found['difference']:+.4f} ({low:+.4f} … {high:+.4f})"
