"""The whole topology on a Storm cluster: events a second in columnar batches over MessagePack, against one event a
tuple over JSON. How long an event takes to the client: bench_end_to_end.py --of storm.

    python bench/bench_storm.py [--events N] [--few N] [--json FILE]

Brings up a cluster of its own (deploy/storm.py: Java 17, Maven) and ends it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from table import Base, Table, machine

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "storm"))

from cluster import Cluster, build_jar  # noqa: E402 - the tests' own
from guide import Holder, said  # noqa: E402
from local import make_jar  # noqa: E402

from shopguide.tasks import Tasks  # noqa: E402

os.environ.setdefault("SHOPGUIDE_SECRET", "a secret for the bench only")

ONE_EVENT = ROOT / "bench" / "storm"  # the baseline's project
WARM = 0.2  # of a history is passed over: the JVM compiles its code


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000, help="of a history in batches")
    parser.add_argument("--few", type=int, default=6_000, help="of one that goes one by one, and in batches too")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@contextmanager
def topology(cluster: Cluster, state: Path, project: Path, name: str, jar: Path, **options: object) -> Iterator[None]:
    """Up and idle: its directory is not there yet."""
    cluster.submit(project, name, {"shopguide.state": str(state), **options}, jar=jar)
    try:
        waited = cluster.wait(name)
        assert waited.returncode == 0, waited.stderr
        yield
    finally:
        cluster.kill(name)


def learn(history: Path, state: Path, size: int) -> tuple[float, str]:
    """Events a second in which the topology learns a history, and the checksum of what it has learned."""
    settings = {"SHOPGUIDE_LOG_BATCH": str(size), "SHOPGUIDE_STATE_EVERY": "3600"}
    with tempfile.TemporaryDirectory(dir=state.parent) as folder:
        filled = Path(folder) / "state"
        said("batch", "--source", f"file:{history}?speed=max", "--state", str(filled), **settings)
        shutil.rmtree(filled / "snapshots")
        shutil.rmtree(filled / "rejects", ignore_errors=True)
        filled.rename(state)
    rows = sum(json.loads(said("state", "info", str(state), "--json"))["log"]["rows"])
    seen: list[tuple[float, int]] = []
    while not seen or seen[-1][1] < rows:
        progress = Tasks(state).progress()
        if progress is not None:
            seen.append((time.monotonic(), sum(progress.acked)))
        time.sleep(0.01)
    begin = next((at for at in reversed(seen) if at[1] <= WARM * rows), seen[0])
    Holder(state, **settings).stop()  # a snapshot of what the tasks hold
    assert list((state / "snapshots").iterdir())
    seconds = max(seen[-1][0] - begin[0], 0.01)
    return (rows - begin[1]) / seconds, said("state", "checksum", str(state))


def run(cluster: Cluster, folder: Path, given: argparse.Namespace) -> Table:
    table, jar = Table(judged=True), make_jar()
    few, many = folder / "few.jsonl", folder / "many.jsonl"
    for path, events in ((few, given.few), (many, given.events)):
        said("simulate", "--events", str(events), "--seed", "1", "--out", str(path))
    sums = {}
    rates = {}
    state = folder / "one by one"
    text = {"topology.max.spout.pending": 500}
    with topology(cluster, state, ONE_EVENT, "one_event", build_jar(ONE_EVENT, folder / "one.jar"), **text):
        rates["one"], sums["one"] = learn(few, state, 1)
    for name, history in (("few", few), ("many", many)):
        state = folder / name
        with topology(cluster, state, ROOT, "recommend", jar):
            rates[name], sums[name] = learn(history, state, 1024)
    assert sums["one"] == sums["few"], sums
    one = Base("one", table.line("Storm", f"one event a tuple, JSON: {given.few:,} events", [rates["one"]], "events/s"))
    table.line(
        "Storm",
        f"batches, MessagePack: {given.events:,} (of the few: the same model)",
        [rates["many"]],
        "events/s",
        one,
    )
    return table


@contextmanager
def one_worker(folder: Path, state: Path) -> Iterator[None]:
    """A cluster of its own, and on it the topology that works on a state directory."""
    cluster = Cluster(folder / "storm")
    cluster.up()
    try:
        with topology(cluster, state, ROOT, "recommend", make_jar()):
            yield
    finally:
        cluster.down()


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "storm")
        cluster.up()
        try:
            table = run(cluster, Path(folder), given)
        finally:
            cluster.down()
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "rows": table.rows}, indent=1))


if __name__ == "__main__":
    main()
