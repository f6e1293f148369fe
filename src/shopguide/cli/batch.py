"""``shopguide batch``: history into the log, the log into a snapshot, from which ``shopguide run`` goes on."""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path

import click

from shopguide.batch import Learned, frontiers, learn
from shopguide.cli.options import examples, json_option, settings_options, state_option
from shopguide.cli.sources import feed, progress
from shopguide.cli.summary import in_words, summary
from shopguide.collect.collector import Collector
from shopguide.collect.sources import Source, open_source
from shopguide.collect.values import epoch
from shopguide.errors import SettingError, StateError
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.rejects import RejectFiles
from shopguide.settings import Settings, load
from shopguide.state import StateDir, fits


@click.command(
    epilog=examples(
        "shopguide batch --source file:history.parquet --state DIR",
        "shopguide batch --source file:2023/ --source log:OTHER --until 2023-12-24T18:00:00 --state DIR",
        "shopguide batch --state DIR        (what is in its log already)",
        "shopguide run --source http: --state DIR        (goes on from there)",
    )
)
@click.option(
    "--source",
    "specs",
    multiple=True,
    metavar="SPEC",
    help="file:PATH[?format=F] or log:DIR, the log of another state directory (repeatable).",
)
@click.option(
    "--until",
    metavar="TIME",
    help="Learn each partition up to its first event later than this (ISO 8601 or epoch); the rest is left to `run`.",
)
@settings_options
@state_option
@json_option
def batch(
    specs: tuple[str, ...],
    until: str | None,
    preset: str | None,
    config_path: Path | None,
    state_path: Path,
    as_json: bool,
) -> None:
    """Learn history in bulk: sources into DIR's log, then its log into a snapshot. `shopguide run` goes on from it."""
    state = StateDir(state_path)
    settings = state.divided(load(preset, config_path))
    latest = _time(until)
    sources = [open_source(spec, state_path, settings.collect) for spec in specs]
    if not sources and not (state.log / "meta.json").exists():
        raise StateError(f"nothing to learn: {state_path} has no log, and no --source is given")
    began = time.monotonic()
    state.take()
    try:
        learned = _learn(state, settings, sources, latest)
    finally:
        state.release()
    report = summary(learned.featurizer.counts, learned.rejected, time.monotonic() - began, learned.scorer.checksum())
    click.echo(json.dumps(report) if as_json else in_words(report))


def _time(text: str | None) -> float:
    """Epoch seconds; infinite where no time is given."""
    if text is None:
        return math.inf
    time_ = epoch(text)
    if not math.isfinite(time_):
        raise SettingError(
            f"--until {text!r}: should be a time as 2023-12-24T18:00:00 (UTC, if no zone) or epoch seconds"
        )
    return time_


def _learn(state: StateDir, settings: Settings, sources: list[Source], until: float) -> Learned:
    """Fill the log of a held directory, learn it, write the snapshot."""
    secret = Secret.load(state.path, create=True)
    state.keep_settings(settings)
    log = Log(state.log, settings.log.partitions, settings.log.segment_bytes)
    rejects = RejectFiles(state.rejects)
    depends = fits(settings)
    try:
        feed(log, Collector(log, secret), sources, threading.Event())
        ends = frontiers(log, until)
        _refuse_what_is_covered(state, log, depends, ends)
        with progress() as bar:
            task = bar.add_task("learning", total=sum(ends), rows=0)
            learned = learn(log, settings, rejects, ends, lambda rows: bar.update(task, completed=rows, rows=rows))
        state.save(learned.parts(), depends, settings.state.keep)
    finally:
        log.close()
    return learned


def _refuse_what_is_covered(state: StateDir, log: Log, depends: str, ends: list[int]) -> None:
    """Raises StateError where the newest snapshot has learned a row that is to be left to the stream."""
    newest = state.newest(depends, log.holds)
    had = newest["position"]["position"].tolist() if newest else []
    for partition, (position, end) in enumerate(zip(had, ends, strict=False)):
        if position > end:
            raise StateError(
                f"{state.path} has learned more than that: its snapshot holds {position - end:,} rows of partition "
                f"{partition} from the first event after --until on"
            )
