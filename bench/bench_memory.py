"""Does memory stay flat on an endless stream? The whole line under a retention, while users, sessions, items and event
ids turn over; what it holds is sampled as it goes, and at last it is killed and started again.

    python bench/bench_memory.py [--events N] [--retention N] [--every N] [--svg FILE] [--json FILE]

The line runs in a process of its own, fed through its log as the collector does; this one watches it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from shop import REGULARS, Shop
from table import figure, machine

from shopguide.cli.line import RunningLine
from shopguide.collect.collector import OF_ITEMS
from shopguide.keys import partition_of
from shopguide.records import Batch
from shopguide.settings import LearnSettings, LogSettings, Settings, StateSettings
from shopguide.state import StateDir

CHUNK = 10_000  # events appended at once
AHEAD = 20_000  # rows that the shop may be ahead of the line
PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 1e6


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--retention", type=int, help="events; default a tenth of all, 0: none")
    parser.add_argument("--every", type=int, default=50_000, help="events between samples")
    parser.add_argument("--svg", type=Path, default=Path(__file__).with_name("memory.svg"))
    parser.add_argument("--json", type=Path, help="also write all samples here")
    parser.add_argument("--line", type=Path, help=argparse.SUPPRESS)  # the process that is watched: its directory
    given = parser.parse_args()
    given.retention = given.events // 10 if given.retention is None else given.retention
    return given


class Line(RunningLine):
    """Notes how long the runner stands still for a snapshot."""

    def _keep(self, only: bool = False) -> None:
        self.runner.settle()
        before, kept = time.perf_counter(), self._kept
        super()._keep(only)
        if self._kept is not kept:
            self.pauses.append(time.perf_counter() - before)

    pauses: list[float] = []


def run(directory: Path, given: argparse.Namespace) -> None:
    """The line and its shop, for ever; a sample a line on standard output."""
    settings = Settings(
        log=LogSettings(segment_bytes=4 << 20),
        state=StateSettings(every=20),
        learn=LearnSettings(retention_events=given.retention or None),
    )
    line = Line(StateDir(directory), settings, push=False)
    shop = Shop(line.secret, max(given.retention, 100_000))
    line.start()
    began, done = time.perf_counter(), 0
    while True:
        append(line, shop.chunk(CHUNK))
        done += CHUNK
        line.catch_up(AHEAD)
        if done % given.every == 0:
            line.catch_up()
            print(json.dumps(sample(line, done, time.perf_counter() - began)), flush=True)


def append(line: RunningLine, batch: Batch) -> None:
    """To each partition its rows and their names, as the collector does."""
    events, names = batch.events, batch.names
    partition = partition_of(np.where(np.isin(events.kind, OF_ITEMS), events.item, events.user), line.log.partitions)  # type: ignore[arg-type]
    for p in range(line.log.partitions):
        part = events.take(partition == p)
        line.log.append(p, part, names.take(np.isin(names.key, part.item)))


def sample(line: Line, done: int, seconds: float) -> dict[str, Any]:
    """What the line holds while nothing is under way."""
    writing = line._keeper.busy()
    nbytes = line.call(lambda: held(line))
    return {
        "events": done,
        "seconds": seconds,
        "rss": int(Path("/proc/self/statm").read_text().split()[1]) * PAGE,
        "log": line.log.nbytes(),
        "snapshot": max((one["bytes"] for one in line.state.snapshots()), default=0),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "writing": writing,
        "pauses": [line.pauses.pop(0) for _ in list(line.pauses)],
        **nbytes,
    }


def held(line: Line) -> dict[str, Any]:
    scorer, featurizer, catalogue = (line.stage(name) for name in ("score", "featurize", "rank"))
    catalogue = catalogue.catalogue
    parts = featurizer.parts().values()
    users, kept, of_users = np.sum([part.shoppers.sizes() for part in parts], axis=0).tolist()
    stats = scorer.items.model.stats()
    return {
        "kept": kept,
        "users": users,
        "pairs": stats["pairs"],
        "items": stats["items"],
        "named": len(catalogue.names),
        "products": len(catalogue._products),
        "nbytes": {
            "users": of_users,
            "doubles": sum(part.doubles.nbytes for part in parts),
            **{f"items.{name}": n for name, n in scorer.items.model.nbytes.items()},
            "popular": scorer.popular.model.nbytes,
            "audience": scorer.audience.nbytes,
        },
    }


def watch(directory: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Samples of a line that is killed when it has learned all events."""
    command = [sys.executable, __file__, "--line", str(directory), "--every", str(given.every)]
    command += ["--retention", str(given.retention)]
    samples: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            for text in child.stdout:
                samples.append(json.loads(text))
                progress(samples[-1], given.events)
                if samples[-1]["events"] >= given.events:
                    time.sleep(1)  # so that it is in the midst of something
                    break
        finally:
            child.kill()
    if not samples or samples[-1]["events"] < given.events:
        raise SystemExit("the line ended by itself")
    return samples


def progress(now: dict[str, Any], events: int) -> None:
    if not sys.stderr.isatty() and now["events"] % (events // 10):
        return
    share = min(1.0, now["events"] / events)
    left = now["seconds"] * (1 / share - 1)
    print(
        f"\r{'█' * int(30 * share):░<30} {now['events'] / 1e6:.2f} M events, RSS {now['rss'] / MB:.0f} MB,"
        f" log {now['log'] / MB:.0f} MB, {left:.0f} s left ",
        end="\n" if share == 1 else "",
        file=sys.stderr,
        flush=True,
    )


def restart(directory: Path) -> dict[str, float]:
    """Seconds from the start of a process to the first list, on the state that the killed one left."""
    command = [sys.executable, "-c", "from shopguide.cli import main; main()", "recommend", "--json"]
    began = time.perf_counter()
    found = subprocess.run(
        [*command, "--user", REGULARS[0], "--state", directory], check=True, capture_output=True, text=True
    )
    asked = time.perf_counter() - began
    if not json.loads(found.stdout)["items"]:
        raise SystemExit("nothing is recommended after the kill")
    began = time.perf_counter()
    line = RunningLine(StateDir(directory), StateDir(directory).settings(), push=False)
    line.start()
    if not line.call(lambda: first_list(line)):
        raise SystemExit("the line has no list after the kill; has there been a snapshot?")
    first = time.perf_counter() - began
    line.learn_all()
    learned = time.perf_counter() - began
    line.stop()
    return {"recommend": asked, "first": first, "learned": learned}


def first_list(line: RunningLine) -> bool:
    """Whether there is anything in it."""
    featurizer, user = line.stage("featurize"), line.secret.user_key(REGULARS[0])
    looks = featurizer.look(user, "home", 20, featurizer.newest)
    return bool(line.stage("rank").rank(line.stage("score").answer(looks))[0]["items"])


def warm(samples: list[dict[str, Any]], given: argparse.Namespace) -> list[dict[str, Any]]:
    """The samples from when the model has been full for as long as it takes to fill: all has turned over once."""
    return [one for one in samples if one["events"] > 2 * given.retention] or samples


def report(
    samples: list[dict[str, Any]], again: dict[str, float], given: argparse.Namespace
) -> Iterator[tuple[str, ...]]:
    flat, last = warm(samples, given), samples[-1]
    yield "", "min", "mean", "max", "spread", "drift"
    yield "events", "", f"{last['events']:,}", "", "", ""
    yield "seconds", "", figure(last["seconds"]), "", "", ""
    rates = [(b["events"] - a["events"]) / (b["seconds"] - a["seconds"]) for a, b in pairwise(flat)]
    yield "events/s", *spread(rates, 1)
    yield "RSS, MB", *spread([one["rss"] for one in flat], MB)
    between = [one["rss"] for one in flat if not one["writing"]]
    yield "RSS while no snapshot is written, MB", *spread(between, MB)
    yield "log, MB", *spread([one["log"] for one in flat], MB)
    yield "snapshot, MB", *spread([one["snapshot"] for one in flat], MB)
    for name in ("kept", "users", "items", "named", "products", "pairs", "files"):
        yield name, *spread([one[name] for one in flat], 1)
    for name in last["nbytes"]:
        yield f"{name}, MB", *spread([one["nbytes"][name] for one in flat], MB)
    yield "pause for a snapshot, ms", *spread([p for one in flat for p in one["pauses"]], 1e-3)
    yield "killed: `shopguide recommend`, s", "", figure(again["recommend"]), "", "", ""
    yield "killed: the line's first list, s", "", figure(again["first"]), "", "", ""
    yield "killed: and has learned all, s", "", figure(again["learned"]), "", "", ""


def spread(values: list[float], unit: float) -> tuple[str, ...]:
    """min, mean, max; (max - min) / mean; and how much the last third's mean is above the first third's."""
    if not values:
        return "", "", "", "", ""
    mean, third = sum(values) / len(values), max(1, len(values) // 3)
    drift = sum(values[-third:]) / max(1e-9, sum(values[:third])) - 1
    number = (f"{value / unit:,.0f}" for value in (min(values), mean, max(values)))
    return *number, f"{(max(values) - min(values)) / max(mean, 1e-9):.1%}", f"{drift:+.1%}"


def show(rows: Iterator[tuple[str, ...]]) -> None:
    for name, *cells in rows:
        print(f"{name:<38}" + "".join(f"{cell:>13}" for cell in cells))


def draw(samples: list[dict[str, Any]], given: argparse.Namespace) -> str:
    """RSS and the log's size over events."""
    top = max(max(one["rss"], one["log"]) for one in samples) * 1.1
    width, height, left, low = 720, 320, 60, 40

    def at(events: float, size: float) -> tuple[float, float]:
        x = left + (width - left - 10) * events / samples[-1]["events"]
        return x, height - low - (height - low - 10) * size / top

    shapes = []
    for share in range(5):
        (x, y), size = at(0, top * share / 4), top * share / 4
        shapes.append(f'<path d="M{x} {y:.1f}H{width - 10}" stroke="#ddd"/>')
        shapes.append(f'<text x="{x - 6}" y="{y + 4:.1f}" text-anchor="end">{size / MB:.0f} MB</text>')
        x, _ = at(samples[-1]["events"] * share / 4, 0)
        label = f"{samples[-1]['events'] * share / 4e6:g} M"
        shapes.append(f'<text x="{x:.1f}" y="{height - low + 18}" text-anchor="middle">{label}</text>')
    x, _ = at(2 * given.retention, 0)
    shapes.append(f'<path d="M{x:.1f} 10V{height - low}" stroke="#999" stroke-dasharray="4"/>')
    for place, (name, key, colour) in enumerate((("RSS", "rss", "#1f5fa8"), ("log", "log", "#b8562a"))):
        points = " ".join("{:.1f},{:.1f}".format(*at(one["events"], one[key])) for one in samples)
        shapes.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        shapes.append(f'<text x="{left + 10 + 50 * place}" y="{height - 6}" fill="{colour}">{name}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        f' font-size="12"><rect width="{width}" height="{height}" fill="#fff"/>{"".join(shapes)}</svg>\n'
    )


def main() -> None:
    given = arguments()
    if given.line:
        run(given.line, given)
    about = f"{machine()}, retention {given.retention:,} events, {time.strftime('%Y-%m-%d')}"
    print(about, flush=True)
    directory = Path(tempfile.mkdtemp())
    try:
        samples = watch(directory, given)
        if given.json:
            given.json.write_text(json.dumps({"about": about, "samples": samples}) + "\n")
        show(report(samples, restart(directory), given))
        given.svg.write_text(draw(samples, given))
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
