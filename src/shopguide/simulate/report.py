"""What an experiment found, for machines and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shopguide.simulate.experiment import COUNTS, RATIOS, Experiment, Tallies
from shopguide.simulate.interleave import sign_test

COUNTED = {
    "shoppers": "shoppers",
    "visits": "visits",
    "impressions": "lists shown",
    "shown": "items shown",
    "clicks": "clicks",
    "bought": "clicked and bought",
    "purchases": "purchases, all",
    "revenue": "revenue, all",
}
METRIC = {
    "ctr": "clicks per list",
    "ctr_item": "clicks per item shown",
    "cvr": "purchases per click",
    "revenue_per_visit": "revenue per visit",
}


def report(experiment: Experiment, seed: int) -> dict[str, Any]:
    """Counts and metrics of each arm; each later arm's differences from the first, or the draft's credits."""
    found: dict[str, Any] = {"outcome": {name: _outcome(tallies) for name, tallies in experiment.tallies.items()}}
    if experiment.credits:
        return {**found, "interleaving": _interleaving(experiment)}
    (first, base), *others = ((name, tallies.totals()) for name, tallies in experiment.tallies.items())
    differences = []
    for name, totals in others:
        if len(base) and len(totals):
            metrics = {metric: asdict(d) for metric, d in RATIOS.compare(base, totals, seed).items()}
            differences.append({"arm": name, "against": first, "metrics": metrics})
    return {**found, "differences": differences}


def in_words(found: Mapping[str, Any]) -> str:
    """A report as a table."""
    outcome = found["outcome"]
    width = max(12, *(len(name) + 2 for name in outcome))
    head = "".join(f"{name:>{width}}" for name in outcome)
    lines = [f"{found['visits']:,} visits, {found['regime']}, seed {found['seed']}", "", f"{'':22}{head}"]
    for name in ("shoppers", *COUNTS):
        lines.append(f"{COUNTED[name]:22}" + "".join(f"{arm[name]:>{width},.0f}" for arm in outcome.values()))
    for metric, title in METRIC.items():
        lines.append(f"{title:22}" + "".join(f"{arm[metric]:>{width}.4f}" for arm in outcome.values()))
    for one in found.get("differences", ()):
        lines += ["", f"{one['arm'] + ' - ' + one['against']:22}{'difference':>12}  {'95 %':^22}  {'p':>6}"]
        lines += [f"{title:22}{compared(one['metrics'][metric])}" for metric, title in METRIC.items()]
    if "interleaving" in found:
        lines += ["", *_drafted(found["interleaving"])]
    return "\n".join(lines)


def compared(difference: Mapping[str, float]) -> str:
    """The columns of a table that a difference fills: itself, its interval, its p."""
    interval = f"{difference['low']:+.4f} … {difference['high']:+.4f}"
    return f"{difference['difference']:>+12.4f}  {interval:^22}  {difference['p']:>6.4f}"


def _outcome(tallies: Tallies) -> dict[str, float]:
    totals = tallies.totals()
    sums = totals.sum(axis=0)
    counts = dict(zip(COUNTS, sums.tolist(), strict=True))
    return {"shoppers": len(totals), **counts, **{metric: float(RATIOS.of(sums, metric)) for metric in RATIOS.metrics}}


def _interleaving(experiment: Experiment) -> dict[str, Any]:
    """Clicks of either's items; visits that clicked more of one's than of the other's, and the sign test of these."""
    first, second = experiment.names
    credits = list(experiment.credits.values())
    clicks = [sum(side) for side in zip(*credits, strict=True)]
    wins = [sum(a > b for a, b in credits), sum(b > a for a, b in credits)]
    return {
        "clicks": {first: clicks[0], second: clicks[1]},
        "share": {first: _share(clicks[0], clicks), second: _share(clicks[1], clicks)},
        "visits_won": {first: wins[0], second: wins[1]},
        "ties": len(credits) - sum(wins),
        "p": sign_test(wins[0], wins[1]),
    }


def _share(one: int, of: list[int]) -> float:
    return one / sum(of) if sum(of) else 0.0


def _drafted(found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{name}: {clicks:,} clicks ({found['share'][name]:.1%}), {found['visits_won'][name]:,} visits won"
        for name, clicks in found["clicks"].items()
    ]
    return [*lines, f"{found['ties']:,} visits tied; p = {found['p']:.2g} (sign test over visits)"]
