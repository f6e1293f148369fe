"""A dry run: what would become of a source's rows, and the first of them as they would be kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shopguide.cli.tally import Tally
from shopguide.collect.chunk import Chunk
from shopguide.collect.encode import Encoded, Encoder
from shopguide.collect.sources import Source, open_sources
from shopguide.collect.values import is_blank
from shopguide.errors import SourceError
from shopguide.kafka.source import FOLLOW, open_followed
from shopguide.keys import Secret
from shopguide.records import Events, Kind
from shopguide.settings import Settings

SHOWN = 10  # rows
MOST = 10_000  # rows of a source that are tried
PATIENCE = 3.0  # seconds that are waited in all for rows of one that does not end …
LEAST = 0.02  # … and what a look counts at least
FIRST = ("user", "session", "kind", "item", "time", "value")  # columns of the table, where there are any
EXAMPLE = 120  # characters of a row that is rejected
WIDE = 160  # characters of a line where no person looks


def tried_source(spec: str, state: Path, settings: Settings) -> dict[str, Any]:
    """The report of a SPEC's first rows. Nothing is written, not even a consumer group's offsets. Raises SourceError or
    SettingError, in one line, where the SPEC is of no use."""
    waited = 0.0

    def wait(seconds: float) -> bool:
        nonlocal waited
        time.sleep(seconds)
        waited += max(seconds, LEAST)
        return waited > PATIENCE

    return {"source": spec, **tried(_opened(spec, state, settings).chunks(wait=wait), MOST)}


def _opened(spec: str, state: Path, settings: Settings) -> Source:
    """As fast as it goes, and without a group."""
    mark = "&" if "?" in spec else "?"
    if spec.startswith(FOLLOW):
        (source,) = open_sources([], state, settings.collect, open_followed([f"{spec}{mark}group="]))
    elif spec.startswith("follow:"):
        (source,) = open_sources([spec], state, settings.collect)
    elif spec.startswith("file:"):
        (source,) = open_sources([f"{spec}{mark}speed=max"], state, settings.collect)
    else:
        raise SourceError(f"source {spec!r}: a dry run reads file: and follow: sources")
    return source


def tried(chunks: Iterable[Chunk | Encoded], most: int | None = None) -> dict[str, Any]:
    """The report of rows, of so many at most, with the first that would be kept."""
    tally, encoder = Tally(), Encoder(Secret(b"nobody's, for a dry run"), controls=True)
    shown: list[dict[str, Any]] = []
    examples: dict[str, str] = {}
    for chunk in chunks:
        assert isinstance(chunk, Chunk)
        left = chunk if most is None else chunk.slice(0, most - tally.rows)
        kept, rejects = tally.count(left, encoder.encode(left))
        for why, place in zip(rejects.reason, rejects.offset.tolist(), strict=True):
            examples.setdefault(why, left.raw(place).decode("utf-8", "replace"))
        shown += [_kept(left, kept, row) for row in range(min(len(kept), SHOWN - len(shown)))]
        if tally.rows == most:
            break
    report = tally.report()
    del report["new"]
    return {**report, "examples": examples, "shown": shown}


def show(rows: list[dict[str, Any]]) -> None:
    """As a table; names of which no row says anything are left out."""
    names = [name for name in dict.fromkeys((*FIRST, *(name for row in rows for name in row))) if _says(rows, name)]
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_in_a_cell(row.get(name))) for name in names))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def in_words(report: dict[str, Any], dry_run: bool = True) -> str:
    new = "" if dry_run else f", {report['new']:,} of them new"
    lines = [f"rows             {report['rows']:>10,}{new}"]
    lines.append(f"kept             {report['kept']:>10,}")
    lines.append(f"without consent  {report['without_consent']:>10,}")
    lines += [f"  of which       {count:>10,} {why}" for why, count in report["unreadable"].items()]
    for why, count in report["rejected"].items():
        example = report.get("examples", {}).get(why)
        lines.append(f"rejected         {count:>10,} {why}" + (f": {_in_a_cell(example)[:EXAMPLE]}" if example else ""))
    return "\n".join([*lines, "nothing was kept: a dry run"] if dry_run else lines)


def _kept(chunk: Chunk, kept: Events, row: int) -> dict[str, Any]:
    """What is kept of a row, by names; its kind and time as they were understood."""
    columns = {name: column[kept.offset[row]] for name, column in chunk.columns.items() if name != "consent"}
    said = {name: _plain(value) for name, value in columns.items()}
    if "profile" in said:
        return {"user": said["user"], **said["profile"]}
    at = datetime.fromtimestamp(float(kept.time[row]), UTC)
    return {**said, "kind": Kind(kept.kind[row]).name.lower(), "time": f"{at:%Y-%m-%dT%H:%M:%SZ}"}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _says(rows: list[dict[str, Any]], name: str) -> bool:
    return not all(is_blank(row.get(name)) for row in rows)


def _in_a_cell(value: Any) -> str:
    if isinstance(value, dict):
        text = ", ".join(f"{name}={one}" for name, one in value.items())
    elif isinstance(value, list):
        text = ", ".join(value)
    else:
        text = f"{value:.10g}" if isinstance(value, float) else str("" if value is None else value)
    return "".join(c if c.isprintable() else "?" for c in text)
