"""What the doctor looks at of a running deployment: the process, where it listens, and what it depends on."""

from __future__ import annotations

import json
import resource
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shopguide import __version__
from shopguide.cli.checkup import Checkup, Finding, fail, ok, warn
from shopguide.cli.control import ask
from shopguide.client import Subscriber
from shopguide.errors import ClusterError, ShopguideError, TokenError
from shopguide.kafka.binding import bound
from shopguide.storm.nimbus import find
from shopguide.tasks import Tasks

PATIENCE = 5.0  # seconds
SPARE = 200  # descriptors for the log, the desk and the like
SILENCE = 10.0  # seconds without a sign of the spout
MEND = {  # by the name of a check of /readyz
    "line": "look at its log, and start it again",
    "log": "see to the disk, and start it again",
    "push": "start it again",
    "disk": "make room on the disk of the state directory",
    "behind": "wait, or give it more processors: `--engine beside`, or a cluster",
    "tasks": "wait a few seconds; on a cluster `shopguide storm status` says how the topology fares",
    "models": "`pip install 'shopguide[networks]'`, or `shopguide activate` another version",
}


def process(what: Checkup) -> Finding | None:
    """Whether the process on the directory answers, and of which version it is."""
    if what.state is None:
        return None
    if not what.state.in_use():
        if what.state.announced():
            return warn("none runs, and the last one was killed", "start it: nothing that was answered is lost")
        return ok("none runs on the directory")
    pid = what.running.get("pid", "?")
    try:
        version = ask(what.state.path, "version", patience=PATIENCE)
    except ShopguideError as e:
        return fail(
            f"process {pid} does not answer commands: {e}", "wait where it imports or begins; else start it again"
        )
    if version != __version__:
        return warn(f"process {pid} is of {version}, this is {__version__}", "start it again to have the new version")
    return ok(f"{pid} answers")


def http(what: Checkup) -> Finding | None:
    """Whether the web server takes events and answers."""
    address = what.connect or what.running.get("http")
    if address is None:
        return None
    try:
        with urllib.request.urlopen(f"{str(address).rstrip('/')}/readyz", timeout=PATIENCE) as response:
            checks = json.load(response)["checks"]
    except urllib.error.HTTPError as e:
        checks = _checks(e)
        if checks is None:
            return fail(f"{address}/readyz answers {e.code}", "see whether this is shopguide, and of this version")
    except (OSError, ValueError, KeyError, TypeError) as e:
        return fail(f"{address} does not answer: {e}", "see whether it runs, and what is between")
    bad = {name: check["said"] for name, check in checks.items() if not check["ok"]}
    if bad:
        said = "; ".join(f"{name}: {words}" for name, words in bad.items())
        return fail(said, "; ".join(MEND.get(name, "see its log") for name in bad))
    return ok(f"{address} takes events and answers")


def push(what: Checkup) -> Finding | None:
    """Whether the push server answers: it refuses a token that is none."""
    endpoint, gap, key = (what.running.get(name) for name in ("push", "gap", "server_key"))
    if endpoint is None:
        return None
    try:
        with Subscriber("no-token", endpoint, gap, server_key=key) as subscriber:
            subscriber.receive(PATIENCE)
    except TokenError:
        return ok(f"{endpoint} answers{', encrypted' if key else ''}")
    return fail(f"{endpoint} does not answer", "see what is between, and whether it is let in; else start it again")


def doors(what: Checkup) -> Finding | None:
    """What is open to other machines."""
    if what.settings is None:
        return None
    http, push = what.settings.http, what.settings.push
    outside = [f"http.host = {http.host}"] if not _loopback(http.host) else []
    if push.endpoint.startswith("tcp:") and not _loopback(urlsplit(push.endpoint).hostname or ""):
        if not push.curve:
            return fail(f"push.endpoint = {push.endpoint} is open and not encrypted", "set push.curve = true")
        outside.append("push.endpoint, encrypted")
    if outside and http.metrics == "all":
        return warn("/metrics is open to everybody", 'set http.metrics = "local", or let the proxy answer it with 404')
    if not _loopback(http.host):
        return warn(f"{' and '.join(outside)}: HTTP goes in the clear", "let a proxy with TLS face the internet")
    return ok(f"open to other machines: {', '.join(outside) or 'nothing'}")


def descriptors(what: Checkup) -> Finding:
    """Each subscriber takes two, one while it asks for a gap."""
    limit, whose = resource.getrlimit(resource.RLIMIT_NOFILE)[0], "here"
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{what.running['pid']}/limits").read_text().splitlines() if "pid" in what.running else []
        words = next(line.split() for line in lines if line.startswith("Max open files"))
        limit, whose = int(words[3]), "in the process"
    needed = 2 * what.subscribers + SPARE
    said = f"{limit:,} open files are allowed {whose}; {what.subscribers:,} subscribers take up to {needed:,}"
    return ok(said) if limit >= needed else fail(said, f"ulimit -n {needed}, or LimitNOFILE={needed} in the unit")


def kafka(what: Checkup) -> Finding | None:
    """Whether a broker of the topic can be reached."""
    topic = bound(what.state.path) if what.state else None
    if topic is None:
        return None
    servers = str(what.running.get("kafka", ""))
    if not servers:
        return ok(f"the log is topic {topic.topic!r}, {topic.partitions} partitions; no process reads it now")
    for server in servers.split(","):
        host, _, port = server.rpartition(":")
        with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), PATIENCE):
            return ok(f"topic {topic.topic!r}, a broker listens at {server}")
    return fail(f"no broker of topic {topic.topic!r} can be reached at {servers}", "start it, or mend the way to it")


def storm(what: Checkup) -> Finding | None:
    """Whether stages that work elsewhere are up, their tasks have begun, and are of this version."""
    if what.state is None or "rows" not in what.running:
        return None
    tasks = Tasks(what.state.path)
    told = tasks.told()
    others = sorted({of.version for of in told.values()} - {__version__})
    if others:
        return fail(
            f"tasks of version {', '.join(others)} work here, this is {__version__}", "install one on all hosts"
        )
    worker = what.running.get("worker")
    if worker and tasks.silent() > SILENCE:
        return fail(f"nothing is heard of the stages in process {worker}", "look at the log, and start it again")
    if tasks.silent() > SILENCE:
        return fail(
            f"no topology reads {what.state.path}: {_topologies()}", "sparse submit -n NAME, with SHOPGUIDE_STATE"
        )
    began = tasks.beginnings()
    late = [task for task, beginning in began.items() if task in told and _unheard(tasks, task, beginning.life)]
    if late:
        return warn(f"the spout has not gone back for {', '.join(sorted(late))}", "wait a few seconds and look again")
    return ok(f"{len(told)} tasks work; {f'in process {worker}' if worker else _topologies()}")


def _unheard(tasks: Tasks, task: str, life: str) -> bool:
    progress = tasks.progress()
    return progress is None or progress.heard.get(task) != life


def _topologies() -> str:
    try:
        cluster = find().cluster()
    except ClusterError as e:
        return str(e)
    named = [f"{topology.name} {topology.status.lower()}" for topology in cluster.topologies]
    return f"topologies: {', '.join(named) or 'none'}"


def _checks(error: urllib.error.HTTPError) -> Any:
    """Those that an answer of 503 says; None: it says none."""
    with suppress(ValueError, KeyError, TypeError):
        return json.load(error)["checks"]
    return None


def _loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
