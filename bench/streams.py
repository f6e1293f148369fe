"""What the benches learn: the yardstick's streams, one of our own where it is absent, and a public data set."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Columns = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float64]]
BESIDE = Path(__file__).resolve().parents[2] / "shared"
WIDE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that the product names each key once


@dataclass(frozen=True)
class Stream:
    """Events in order of time, units and items numbered from 0. ``rows``: the file that the yardstick reads."""

    name: str
    dense: Columns
    rows: Path | None = None

    def __len__(self) -> int:
        return len(self.dense[0])

    def wide(self) -> Columns:
        """The same events under 64-bit keys."""
        units, items, times = self.dense
        return units * WIDE, items * WIDE, times

    def by_unit(self) -> Columns:
        """The same events, each unit's together: how a batch library has them."""
        order = np.argsort(self.dense[0], kind="stable")
        units, items, times = self.dense
        return units[order], items[order], times[order]


def part(columns: Columns, begin: int, end: int) -> Columns:
    units, items, times = columns
    return units[begin:end], items[begin:end], times[begin:end]


def short(n: int) -> str:
    return f"{n // 1_000_000}M" if n % 1_000_000 == 0 else f"{n // 1000}k"


def own(n: int) -> Stream:
    """Sessions of 8 events in the mean, items by Zipf's law in clusters, interleaved; a fixed seed."""
    random = np.random.default_rng(7)
    items, clusters = 50_000, 500
    sessions = max(n // 8, 1)
    session = np.sort(random.integers(0, sessions, n) + random.integers(0, 500, n)) % sessions
    cluster = random.integers(0, clusters, sessions)[session]
    rank = np.minimum(random.zipf(1.2, n), items) - 1
    item = np.where(random.random(n) < 0.8, (rank % (items // clusters)) * clusters + cluster, rank)
    return Stream(f"own{short(n)}_s", (session.astype(np.uint64), item.astype(np.uint64), np.arange(n, dtype=float)))


class Generator:
    """gen.py, the yardstick's streams, in a directory of its own."""

    def __init__(self, directory: Path, into: Path) -> None:
        self.directory, self.into = directory, into

    def stream(self, n: int, unit: str) -> Stream:
        """``unit``: s for sessions, u for users."""
        prefix = self.into / f"syn{short(n)}"
        rows = prefix.with_name(f"{prefix.name}_{unit}.bin")
        if not rows.exists():
            generate = [sys.executable, str(self.directory / "gen.py"), str(n), str(prefix)]
            subprocess.run(generate, check=True, capture_output=True)
            for csv in self.into.glob("*.csv"):
                csv.unlink()
        read = np.fromfile(rows, "<u4").reshape(-1, 3)
        dense = read[:, 0].astype(np.uint64), read[:, 1].astype(np.uint64), read[:, 2].astype(np.float64)
        return Stream(rows.stem, dense, rows)


class Yardstick(Generator):
    """bound.c, the least work that exact lists take, beside its streams."""

    def __init__(self, directory: Path, into: Path) -> None:
        super().__init__(directory, into)
        build = ["gcc", "-O3", "-march=native", "-o", str(into / "bound"), str(directory / "bound.c"), "-lm"]
        subprocess.run(build, check=True, capture_output=True)

    def seconds(self, stream: Stream, first: int) -> float:
        """CPU seconds of learning the first events, with exact top-50 lists kept."""
        assert stream.rows
        rows = stream.rows
        if first < len(stream):
            rows = self.into / f"first_{first}.bin"
            if not rows.exists():
                np.fromfile(stream.rows, "<u4", 3 * first).tofile(rows)
        command = [str(self.into / "bound"), "rsq", str(rows), "50", "uniq", "topk"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = re.search(r"cpu ([\d.]+)", out)
        assert found, out
        return float(found.group(1))


def find_yardstick(given: Path | None, into: Path) -> tuple[Yardstick | None, str]:
    """The yardstick, or why there is none."""
    directory = given or Path(os.environ.get("SHOPGUIDE_PERF", BESIDE / "perf"))
    if not (directory / "bound.c").exists():
        return None, "no yardstick; --yardstick or SHOPGUIDE_PERF names its directory"
    try:
        return Yardstick(directory, into), ""
    except (OSError, subprocess.CalledProcessError) as error:
        return None, f"the yardstick does not build: {error}"


def sessions(n: int, into: Path) -> Stream:
    """The yardstick's stream of n events by sessions; our own where its generator is absent."""
    directory = Path(os.environ.get("SHOPGUIDE_PERF", BESIDE / "perf"))
    return Generator(directory, into).stream(n, "s") if (directory / "gen.py").exists() else own(n)


def yoochoose() -> tuple[Columns, Columns] | str:
    """Sessions of clicks to learn and to predict, in order of time; or why there are none."""
    directory = Path(os.environ.get("SHOPGUIDE_DATA", BESIDE / "data")) / "yoochoose_100k"
    if not directory.is_dir():
        return "no yoochoose_100k; SHOPGUIDE_DATA names the directory of the data sets"
    train, test = (clicks(directory / f"yoochoose-clicks-100k_{which}.txt.gz") for which in ("train_full", "test"))
    return train, test


def clicks(path: Path) -> Columns:
    with gzip.open(path, "rt") as file:
        rows = np.loadtxt(file, skiprows=1, delimiter="\t")
    rows = rows[np.argsort(rows[:, 2], kind="stable")]
    return rows[:, 0].astype(np.uint64), rows[:, 1].astype(np.uint64), rows[:, 2]
