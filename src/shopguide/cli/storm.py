"""``shopguide storm``: how a topology fares on a Storm cluster, and waiting until one has come up."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from shopguide.cli.options import examples, json_option
from shopguide.errors import ClusterError
from shopguide.storm.launch import Launch, Look, Verdict, cause, count, in_a_line, python_exception
from shopguide.storm.nimbus import Error, Nimbus, Topology, find

POLL = 1.0  # seconds between two looks
END = 100_000  # bytes of a worker.log in which the newest traceback is looked for

nimbus_option = click.option(
    "--nimbus",
    "address",
    metavar="HOST:PORT",
    help="Nimbus's Thrift address. Default: STREAMPARSE_NIMBUS, else that of ./config.json, else 127.0.0.1:16627.",
)
name_option = click.option("--name", default="recommend", show_default=True, help="The topology.")


@click.group(
    epilog=examples(
        "sparse submit -n recommend -j topology.jar && shopguide storm wait",
        "shopguide storm status --nimbus storm.example:6627",
        "shopguide storm rebalance --workers 2",
    )
)
def storm() -> None:
    """A topology on a Storm cluster: how it fares, whether it has come up, over how many workers."""


@storm.command(epilog=examples("shopguide storm status", "shopguide storm status --name recommend --json"))
@click.option("--name", help="Of this topology only.")
@nimbus_option
@json_option
def status(name: str | None, address: str | None, as_json: bool) -> None:
    """The cluster and what runs on it: components with counts and latencies, last errors, logs."""
    nimbus = find(address)
    cluster = nimbus.cluster()
    chosen = [t for t in cluster.topologies if name in (None, t.name)]
    if name and not chosen:
        raise ClusterError(f"no topology {name!r} on {nimbus}")
    found = [_report(nimbus, topology) for topology in chosen]
    if as_json:
        whole = {"nimbus": str(nimbus), "version": cluster.version, "supervisors": len(cluster.supervisors)}
        click.echo(json.dumps({**whole, "slots": cluster.slots, "used": cluster.used, "topologies": found}))
        return
    click.echo(
        f"cluster    Storm {cluster.version or '(no leader)'} at {nimbus}, "
        f"{count(len(cluster.supervisors), 'supervisor')}, {cluster.used} of {cluster.slots} slots in use"
    )
    for topology in found:
        click.echo("\n".join(_in_words(topology)))


@storm.command(epilog=examples("shopguide storm wait", "shopguide storm wait --name recommend --timeout 300"))
@name_option
@click.option("--timeout", type=float, default=90, show_default=True, help="Seconds until it is given up.")
@click.option("--steady", type=int, default=15, show_default=True, help="Seconds that its workers have to stay up.")
@nimbus_option
@json_option
@click.pass_context
def wait(context: click.Context, name: str, timeout: float, steady: int, address: str | None, as_json: bool) -> None:
    """Wait until a topology that was submitted has come up and stays up.

    Exit code 1 where it does not: its workers crash again and again, no slot is free, it is not there, or time is up.
    """
    nimbus = find(address)
    verdict, launch, look = _watch(nimbus, name, steady, timeout)
    report = {"name": name, "up": verdict.up, "state": verdict.words}
    if look is not None and not verdict.up:
        report |= _what_went_wrong(nimbus, launch, look)
    if as_json:
        click.echo(json.dumps(report))
    elif verdict.up:
        click.echo(f"{name} is up: {verdict.words}")
    else:
        error = f": {report['component']}: {report['error']}" if "error" in report else ""
        log = f"; see {report['log']}" if "log" in report else ""
        click.echo(f"shopguide: {name}: {verdict.words}{error}{log}", err=True)
    context.exit(0 if verdict.up else 1)


@storm.command(epilog=examples("shopguide storm rebalance --workers 2"))
@name_option
@click.option("--workers", type=click.IntRange(min=1), required=True, help="Over so many.")
@nimbus_option
def rebalance(name: str, workers: int, address: str | None) -> None:
    """Spread a topology over so many workers, as far as slots are free. They all start anew."""
    find(address).rebalance(name, workers)


def _watch(nimbus: Nimbus, name: str, steady: int, timeout: float) -> tuple[Verdict, Launch, Look | None]:
    """The last verdict, and what led to it; those before are lines on stderr."""
    launch, look, verdict = Launch(steady), None, Verdict("")
    deadline = time.monotonic() + timeout
    while True:
        before, said = look, verdict.words
        try:
            look = _look(nimbus, name)
            if look is None:
                return Verdict(f"no such topology on {nimbus}", failed=True), launch, None
            if before and before.topology.id != look.topology.id:
                launch = Launch(steady)
            verdict = launch.look(look)
        except ClusterError as e:
            if before is None:
                raise
            verdict = Verdict(str(e))
        if verdict.up or verdict.failed:
            return verdict, launch, look
        if time.monotonic() > deadline:
            return Verdict(f"not up after {timeout:g} s, {verdict.words}", failed=True), launch, look
        if verdict.words != said:
            click.echo(f"{name}: {verdict.words}", err=True)
        time.sleep(POLL)


def _look(nimbus: Nimbus, name: str) -> Look | None:
    cluster = nimbus.cluster()
    topology = cluster.named(name)
    if topology is None:
        return None
    return Look(time.monotonic(), cluster, topology, *nimbus.executors(topology))


def _what_went_wrong(nimbus: Nimbus, launch: Launch, look: Look) -> dict[str, str]:
    """The error behind it and the log to read, as far as there are any. A log on this machine may say more."""
    logs = nimbus.logs(look.topology, look.executors)
    found = cause(launch.errors)
    if found is None:
        return {"log": str(next(iter(logs.values())))} if logs else {}
    words, error = found
    log = logs.get(f"{error.host}:{error.port}")
    if log is None:
        return {"component": error.component, "error": words}
    if python_exception(error.text) is None and log.is_file():
        words = python_exception(_end(log)) or words
    return {"component": error.component, "error": words, "log": str(log)}


def _end(file: Path) -> str:
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - END))
        return log.read().decode(errors="replace")


def _report(nimbus: Nimbus, topology: Topology) -> dict[str, Any]:
    executors, errors = nimbus.executors(topology)
    return {
        **asdict(topology),
        "components": [asdict(component) for component in nimbus.components(topology)],
        "errors": [_error(error) for error in {error.component: error for error in errors}.values()],
        "logs": {worker: str(path) for worker, path in nimbus.logs(topology, executors).items()},
    }


def _error(error: Error) -> dict[str, Any]:
    return {"component": error.component, "age": int(time.time()) - error.time, "error": in_a_line(error.text)}


def _in_words(topology: dict[str, Any]) -> list[str]:
    return [
        f"topology   {topology['name']} ({topology['id']}), {topology['status'].lower()} for {topology['uptime']} s, "
        f"{count(topology['workers'], 'worker')}, {count(topology['executors'], 'executor')}, "
        f"{count(topology['tasks'], 'task')}",
        *(
            f"component  {c['name']:<12}{c['tasks']:>3} tasks{c['emitted']:>12,} emitted{c['acked']:>12,} acked"
            f"{c['failed']:>8,} failed{c['latency']:>10.2f} ms"
            for c in topology["components"]
        ),
        *(f"error      {e['component']}, {e['age']} s ago: {e['error']}" for e in topology["errors"]),
        *(f"log        {worker}  {path}" for worker, path in topology["logs"].items()),
    ]
