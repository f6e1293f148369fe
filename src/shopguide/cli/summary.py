"""What a command says at its end: rows, kept, rejected by reason, of this run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shopguide.records import Kind

SHOPPER_KINDS = [kind.name.lower() for kind in Kind if Kind.VIEW <= kind <= Kind.DISMISS]


def summary(counts: Mapping[str, int], rejected: Mapping[str, int], seconds: float, checksum: str) -> dict[str, Any]:
    """As JSON has it. ``counts`` are featurize's: kinds, and notes on some rows; ``rejected`` are by reason."""
    kinds = {name: n for name, n in counts.items() if name in SHOPPER_KINDS}
    rows = sum(kinds.values()) + sum(rejected.values())
    return {
        "rows": rows,
        "kept": sum(kinds.values()),
        "kinds": dict(sorted(kinds.items(), key=lambda c: -c[1])),
        "rejected": sum(rejected.values()),
        "reasons": dict(sorted(rejected.items(), key=lambda c: -c[1])),
        "notes": {name: n for name, n in counts.items() if name not in SHOPPER_KINDS},
        "seconds": round(seconds, 2),
        "rows_per_second": round(rows / max(seconds, 1e-9)),
        "checksum": checksum,
    }


def in_words(summary: Mapping[str, Any]) -> str:
    lines = [f"{summary['rows']:,} rows in {summary['seconds']:.1f} s ({summary['rows_per_second']:,} a second)"]
    lines += [f"kept     {summary['kept']:>10,}"]
    lines += [f"         {count:>10,}  {kind}" for kind, count in summary["kinds"].items()]
    lines += [f"rejected {summary['rejected']:>10,}"]
    lines += [f"         {count:>10,}  {reason}" for reason, count in summary["reasons"].items()]
    lines += [f"also     {count:>10,}  {note}" for note, count in summary["notes"].items()]
    return "\n".join([*lines, f"model    {summary['checksum']}"])
