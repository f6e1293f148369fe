"""``shopguide run``: the whole line in one process, from sources to pushed lists."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from shopguide.cli.line import RunningLine
from shopguide.cli.options import examples, json_option, settings_options, state_option
from shopguide.cli.serve import ServedLine
from shopguide.cli.shoppers import SEED, open_shop
from shopguide.collect.files import Files, open_source
from shopguide.display import Server, create_app
from shopguide.errors import SettingError, SourceError
from shopguide.kafka.source import SCHEME, find_topic
from shopguide.records import Kind
from shopguide.settings import Settings, load
from shopguide.simulate import Shop
from shopguide.state import StateDir

AHEAD = 50_000  # rows that a source may be ahead of the line
SHOPPER_KINDS = [kind.name.lower() for kind in Kind if Kind.VIEW <= kind <= Kind.DISMISS]

Stopped = threading.Event


@click.command(
    epilog=examples(
        "shopguide run --source 'file:online_retail?speed=max' --state DIR",
        "shopguide run --source http: --state DIR --http 127.0.0.1:8080",
        "shopguide run --source 'file:events.jsonl?speed=60' --push tcp://127.0.0.1:7201",
        "shopguide run --source sim: --http 127.0.0.1:8080",
        "shopguide run --source 'kafka://127.0.0.1:9092/events?group=guide' --state DIR",
    )
)
@click.option(
    "--source",
    "specs",
    multiple=True,
    metavar="SPEC",
    help="file:PATH[?format=F&speed=1|60|max], http:, sim: or kafka://HOST:PORT/TOPIC[?group=G] (repeatable).",
)
@settings_options
@state_option
@click.option("--http", metavar="HOST:PORT", help="Serve the collector and the lists here.")
@click.option("--push", metavar="ENDPOINT", help="Push lists to ZeroMQ subscribers here.")
@json_option
def run(
    specs: tuple[str, ...],
    preset: str,
    config_path: Path | None,
    state_path: Path,
    http: str | None,
    push: str | None,
    as_json: bool,
) -> None:
    """Run the line. Ends by itself, with a summary, when all its sources are finite and done."""
    if not specs:
        raise SourceError("nothing to run: give at least one --source")
    topic = find_topic(specs)
    partitions = topic and topic.partitions
    settings = load(preset, config_path, {**_address(http), "push.endpoint": push, "log.partitions": partitions})
    serves = http is not None or "http:" in specs
    files = [open_source(spec) for spec in specs if spec not in ("http:", "sim:") and not spec.startswith(SCHEME)]
    pushes = serves or push is not None
    line = RunningLine(StateDir(state_path), settings, pushes, topic.open if topic else None)
    stopped = stop_on_signals()
    began, before = time.monotonic(), _counts(line)
    line.start()
    try:
        shoppers = open_shop(line, Shop(SEED, start=time.time()), stopped) if "sim:" in specs else None
        if serves:
            feeder = threading.Thread(target=_feed, args=(line, files, stopped), daemon=True)
            feeder.start()
            serve(line, settings, stopped, lambda address: click.echo(f"serving {address}", err=True))
            stopped.set()
            feeder.join()
        else:
            _feed(line, files, stopped)
        while topic is not None and not stopped.wait(0.1):
            line.raise_error()
        if shoppers is not None:
            shoppers.join()
        line.log.finish()
        if topic is None:
            line.catch_up()
    finally:
        line.stop()
    summary = _summary(line, before, time.monotonic() - began)
    click.echo(json.dumps(summary) if as_json else _in_words(summary))


def serve(
    line: RunningLine,
    settings: Settings,
    stopped: Stopped,
    ready: Callable[[str], None],
    served: ServedLine | None = None,
) -> None:
    """Serve HTTP until stopped; ``ready`` is told the address."""
    served = served or ServedLine(line)
    server = Server(create_app(served, settings), settings)
    assert line.push is not None

    address = f"http://{settings.http.host}:{server.port}"
    push = line.push
    line.state.announce(http=address, push=push.endpoint, gap=push.gap_endpoint, server_key=push.server_key)

    async def until_stopped() -> None:
        serving = asyncio.create_task(server.serve())
        ready(address)
        while not stopped.is_set() and not serving.done() and not line.failed():
            await asyncio.sleep(0.1)
        server.should_exit = True
        await serving
        await served.close()

    asyncio.run(until_stopped())


def stop_on_signals() -> Stopped:
    """An event that SIGINT and SIGTERM set."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _address(http: str | None) -> dict[str, Any]:
    if http is None:
        return {}
    host, _, port = http.rpartition(":")
    if not host or not port.isdigit():
        raise SettingError(f"--http {http!r}: should be HOST:PORT")
    return {"http.host": host.strip("[]"), "http.port": int(port)}


def _feed(line: RunningLine, sources: list[Files], stopped: Stopped) -> None:
    """Load every source in turn, never far ahead of the line, with a progress bar where a person looks."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[rows]:>9,} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        for source in sources:
            task = progress.add_task(f"{len(source.files)} files", total=source.total, rows=0)
            rows = 0
            for chunk in source.chunks(lambda file: _last_row(line, file), stopped.wait):
                line.collector.load(chunk)
                line.collector.commit()
                line.catch_up(AHEAD)
                rows += chunk.rows
                progress.update(task, completed=source.position, rows=rows)
                if stopped.is_set():
                    return


def _last_row(line: RunningLine, file: int) -> int:
    """The last row of a file that is in the log already."""
    return max(line.log.last_row(file, p) for p in range(line.log.partitions))


def _counts(line: RunningLine) -> dict[str, dict[str, int]]:
    return {
        "kept": {k: n for k, n in line.stage("featurize").counts.items() if k in SHOPPER_KINDS},
        "rejected": dict(line.stage("reject").counts),
        "notes": {k: n for k, n in line.stage("featurize").counts.items() if k not in SHOPPER_KINDS},
    }


def _summary(line: RunningLine, before: dict[str, dict[str, int]], seconds: float) -> dict[str, Any]:
    """Rows, kept, rejected by reason, of this run."""
    after = _counts(line)
    new = {
        part: {name: n - before[part].get(name, 0) for name, n in counts.items() if n != before[part].get(name, 0)}
        for part, counts in after.items()
    }
    kept, rejected = sum(new["kept"].values()), sum(new["rejected"].values())
    return {
        "rows": kept + rejected,
        "kept": kept,
        "kinds": dict(sorted(new["kept"].items(), key=lambda c: -c[1])),
        "rejected": rejected,
        "reasons": dict(sorted(new["rejected"].items(), key=lambda c: -c[1])),
        "notes": new["notes"],
        "seconds": round(seconds, 2),
        "checksum": line.stage("score").checksum(),
    }


def _in_words(summary: dict[str, Any]) -> str:
    rate = summary["rows"] / max(summary["seconds"], 1e-9)
    lines = [f"{summary['rows']:,} rows in {summary['seconds']:.1f} s ({rate:,.0f} a second)"]
    lines += [f"kept     {summary['kept']:>10,}"]
    lines += [f"         {count:>10,}  {kind}" for kind, count in summary["kinds"].items()]
    lines += [f"rejected {summary['rejected']:>10,}"]
    lines += [f"         {count:>10,}  {reason}" for reason, count in summary["reasons"].items()]
    lines += [f"also     {count:>10,}  {note}" for note, count in summary["notes"].items()]
    return "\n".join([*lines, f"model    {summary['checksum']}"])
