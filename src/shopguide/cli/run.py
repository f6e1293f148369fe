"""``shopguide run``: the whole line in one process, from sources to pushed lists."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import uvloop

from shopguide import journal
from shopguide.cli import dry
from shopguide.cli.beside import BesideLine
from shopguide.cli.cluster import ClusterLine
from shopguide.cli.door import Line
from shopguide.cli.dry import MOST, tried_source
from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.cli.options import examples, journal_options, json_option, settings_options, state_option
from shopguide.cli.serve import ServedLine
from shopguide.cli.shoppers import SEED, open_shop
from shopguide.cli.sources import feed
from shopguide.cli.summary import in_words, summary
from shopguide.collect.sources import open_sources
from shopguide.display import Server, create_app
from shopguide.errors import SettingError, SourceError
from shopguide.kafka.source import FOLLOW, SCHEME, Topic, find_topic, open_followed, open_lists
from shopguide.settings import Settings, load
from shopguide.simulate import Shop
from shopguide.state import StateDir

AHEAD = 50_000  # rows that a source may be ahead of the line

Stopped = threading.Event

logger = logging.getLogger(__name__)


@click.command(
    epilog=examples(
        "shopguide run --source file:events.csv --dry-run        (ten rows as they would be kept, and the counts)",
        "shopguide run --source 'file:online_retail?speed=max' --state DIR",
        "shopguide run --source http: --state DIR --http 127.0.0.1:8080",
        "shopguide run --source follow:/var/log/nginx/access.log --config shop.toml --state DIR",
        "shopguide run --source 'file:events.jsonl?speed=60' --push tcp://127.0.0.1:7201",
        "shopguide run --source sim: --http 127.0.0.1:8080",
        "shopguide run --source http: --engine beside --state DIR       (its stages on another core)",
        "shopguide run --source http: --engine storm --state DIR        (its stages: sparse submit -n recommend)",
        "shopguide run --source 'kafka://127.0.0.1:9092/events?group=guide' --state DIR",
    )
)
@click.option(
    "--source",
    "specs",
    multiple=True,
    metavar="SPEC",
    help="file:PATH[?format=F&speed=1|60|max], log:DIR, follow:PATH, http:, sim: or kafka://HOST:PORT/TOPIC[?group=G] "
    "(repeatable).",
)
@settings_options
@state_option
@click.option("--http", metavar="HOST:PORT", help="Serve the collector and the lists here.")
@click.option("--push", metavar="ENDPOINT", help="Push lists to ZeroMQ subscribers here.")
@click.option(
    "--lists",
    metavar="SPEC",
    help="Send everybody's lists, new after each event of theirs, to kafka://HOST:PORT/TOPIC[?client=FILE].",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "beside", "storm"]),
    default="local",
    show_default=True,
    help="Where the stages work: in this process, in one of their own beside it, or in a topology on a Storm cluster.",
)
@click.option("--dry-run", is_flag=True, help=f"Show what would become of sources' first {MOST:,} rows; keep nothing.")
@journal_options
@json_option
def run(
    specs: tuple[str, ...],
    preset: str | None,
    config_path: Path | None,
    state_path: Path,
    http: str | None,
    push: str | None,
    lists: str | None,
    engine: str,
    dry_run: bool,
    logs: str | None,
    log_level: str | None,
    as_json: bool,
) -> None:
    """Run the line. Ends by itself, with a summary, when all its sources are finite and done."""
    if not specs:
        raise SourceError("nothing to run: give at least one --source")
    if dry_run:
        _try(specs, state_path, load(preset, config_path), as_json)
        return
    topic = find_topic(specs)
    told = {"run.logs": logs, "run.level": log_level}
    pushed = {"push.endpoint": push, "push.everybody": True if lists else None}
    flags = {**_address(http), **pushed, "log.partitions": topic and topic.partitions, **told}
    state = StateDir(state_path)
    settings = state.divided(load(preset, config_path, flags))
    journal.begin(settings.run.logs, settings.run.level)
    if topic is not None:
        topic.check(settings)
    serves = http is not None or "http:" in specs
    files = [spec for spec in specs if spec not in ("http:", "sim:") and not spec.startswith((SCHEME, FOLLOW))]
    topics = open_followed(specs)
    sources = open_sources(files, state_path, settings.collect, topics)
    stopped = stop_on_signals()
    line = _line(engine, state, settings, serves or push is not None, topic, lists)
    line.followed = topics
    began, before = time.monotonic(), _counts(line)

    def load_sources() -> None:
        feed(line.log, line.collector, sources, stopped, lambda: line.catch_up(AHEAD, stopped))

    if topic is not None:
        line.state.announce(kafka=topic.spec.servers)
    with operated(line):
        shoppers = open_shop(line, Shop(SEED, start=time.time()), stopped) if "sim:" in specs else None
        if serves:
            with ThreadPoolExecutor(1) as pool:
                feeding = pool.submit(load_sources)
                feeding.add_done_callback(lambda done: stopped.set() if done.exception() else None)
                try:
                    serve(line, settings, stopped, _ready)
                finally:
                    stopped.set()
            feeding.result()
        else:
            load_sources()
        while topic is not None and not stopped.wait(0.1):
            line.raise_error()
        if shoppers is not None:
            shoppers.join()
        line.log.finish()
        if topic is None:
            line.catch_up(stopped=stopped)
    counts, rejected = (after - earlier for after, earlier in zip(_counts(line), before, strict=True))
    report = summary(counts, rejected, time.monotonic() - began, line.stage("score").checksum())
    click.echo(json.dumps(report) if as_json else in_words(report))


def _try(specs: tuple[str, ...], state_path: Path, settings: Settings, as_json: bool) -> None:
    """A dry run of the sources, one after the other."""
    reports = [tried_source(spec, state_path, settings) for spec in specs]
    if as_json:
        click.echo(json.dumps({"sources": reports}))
        return
    for report in reports:
        click.echo(report["source"])
        dry.show(report["shown"])
        click.echo(dry.in_words(report))


def serve(
    line: Line,
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
        timing = asyncio.create_task(served.desk.keep_time())
        ready(address)
        while not stopped.is_set() and not serving.done() and not line.failed():
            await asyncio.sleep(0.1)
        timing.cancel()
        server.should_exit = True
        await serving
        await served.close()

    uvloop.run(until_stopped())


def _ready(address: str) -> None:
    if journal.in_json():
        logger.info("serving %s", address)
    else:
        click.echo(f"serving {address}", err=True)


def stop_on_signals() -> Stopped:
    """An event that SIGINT and SIGTERM set."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def _line(
    engine: str, state: StateDir, settings: Settings, pushes: bool, topic: Topic | None, lists: str | None
) -> Line:
    if lists and (topic is not None or engine != "local"):
        other = "a Kafka source has recommendations=TOPIC" if topic else f"not with --engine {engine}"
        raise SettingError(f"--lists {lists}: {other}")
    if engine == "local":
        publisher = open_lists(lists) if lists else None
        return RunningLine(state, settings, pushes, topic.open if topic else None, publisher)
    if topic is not None:
        raise SettingError(f"--engine {engine}: a Kafka topic is read by --engine local only")
    return ClusterLine(state, settings, pushes) if engine == "storm" else BesideLine(state, settings, pushes)


def _address(http: str | None) -> dict[str, Any]:
    if http is None:
        return {}
    host, _, port = http.rpartition(":")
    if not host or not port.isdigit():
        raise SettingError(f"--http {http!r}: should be HOST:PORT")
    return {"http.host": host.strip("[]"), "http.port": int(port)}


def _counts(line: Line) -> tuple[Counter[str], Counter[str]]:
    """What was kept and noted, and what rejected, up to now."""
    return Counter(line.stage("featurize").counts), Counter(line.stage("reject").counts)
