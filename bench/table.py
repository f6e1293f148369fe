"""One aligned line a result, printed as it comes; and the same for machines."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

LAYOUT = "{:<10} {:<69} {:>7} {:>14}  {:<9} {:<18} {:<8} {}"


class Base(NamedTuple):
    """What a figure is compared with: its name, and its median in the same unit."""

    name: str
    median: float


def figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Table:
    def __init__(self, judged: bool) -> None:
        """``judged``: goals are for these streams, and are said to be met or not."""
        self.judged = judged
        self.rows: list[dict[str, Any]] = []
        self.show("stream", "what", "median", "spread", "unit", "ratio", "goal", "")

    def show(self, *cells: str) -> None:
        print(LAYOUT.format(*cells).rstrip(), flush=True)

    def line(
        self,
        stream: str,
        what: str,
        samples: Iterable[float],
        unit: str,
        against: Base | None = None,
        ratio_at_most: float | None = None,
        at_most: float | None = None,
    ) -> float:
        """A result of one or more rounds. The goal bounds its ratio, or its median."""
        kept = [float(sample) for sample in samples]
        median = statistics.median(kept)
        ratio = median / against.median if against and against.median else None
        found, limit = (ratio, ratio_at_most) if ratio_at_most is not None else (median, at_most)
        met = found <= limit if self.judged and limit is not None and found is not None else None
        self.show(
            stream,
            what,
            figure(median),
            f"{figure(min(kept))}..{figure(max(kept))}" if len(kept) > 1 else "",
            unit,
            f"{ratio:.2f}x {against.name}" if ratio is not None and against else "",
            "" if limit is None or not self.judged else f"<= {figure(limit)}{'x' if ratio_at_most is not None else ''}",
            {None: "", True: "ok", False: "miss"}[met],
        )
        row = {"stream": stream, "what": what, "unit": unit, "median": median, "samples": kept, "ratio": ratio}
        self.rows.append(row | {"against": against and against.name, "goal": limit, "met": met})
        return median

    def skip(self, stream: str, what: str, reason: str) -> None:
        self.show(stream, what, "-", "", "", f"not run: {reason}", "", "")
        self.rows.append({"stream": stream, "what": what, "skipped": reason})

    def summary(self) -> str:
        missed = [f"{row['stream']}: {row['what']}" for row in self.rows if row.get("met") is False]
        goals = sum(row.get("met") is not None for row in self.rows)
        return f"{goals - len(missed)} of {goals} goals met" + "".join(f"\n  miss  {line}" for line in missed)

    def save(self, path: Path, **about: object) -> None:
        path.write_text(json.dumps({**about, "results": self.rows}, indent=1) + "\n")


def machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.processor()}, {len(named)} cores, Python {platform.python_version()}"
