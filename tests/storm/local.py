"""A topology in Storm's one-JVM cluster: all of Storm's handling of tuples and processes, without daemons to start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from streamparse import Topology
from thriftpy2.protocol import TBinaryProtocol
from thriftpy2.transport import TMemoryBuffer

ROOT = Path(__file__).parent.parent.parent
LOCAL = ROOT / "jvm" / "local"
JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.apache.logging.log4j.level=INFO")
RUN = Path(sys.executable).with_name("streamparse_run")
PATIENCE = 60.0  # seconds


@contextmanager
def local_cluster(topology: type[Topology], conf: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Runs it while the block runs; no process of it is left then. Gives the log of all."""
    conf = {**topology.config, **conf, "topology.multilang.serializer": "shopguide.MsgpackSerializer"}
    (folder / "conf.json").write_text(json.dumps(conf))
    (folder / "topology").write_bytes(thrift_bytes(topology))
    log, path = folder / "storm.log", f"{make_jar()}:{fetch_jars()}/*"
    with log.open("wb") as out:
        storm = subprocess.Popen(
            ["java", *JVM, "-cp", path, LOCAL / "LocalTopology.java", topology.__name__, "conf.json", "topology"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        wait_until(lambda: storm.poll() is not None or "running\n" in log.read_text())
        assert storm.poll() is None, log.read_text()
        yield log
        storm.communicate(timeout=PATIENCE)
        assert storm.returncode == 0, log.read_text()
    finally:
        end_group(storm)


def thrift_bytes(topology: type[Topology]) -> bytes:
    """What `sparse submit` makes of the class, which stays as it is. Its own function for the serializer is in a module
    that loads an SSH client, and that warns."""
    thrift = deepcopy(topology.thrift_topology)
    spouts = [spout.spout_object.shell for spout in thrift.spouts.values()]
    bolts = [bolt.bolt_object.shell for bolt in thrift.bolts.values()]
    for shell in spouts + bolts:
        shell.execution_command = str(RUN)
        shell.script = f"-s msgpack {shell.script}"
    transport = TMemoryBuffer()
    thrift.write(TBinaryProtocol(transport))
    return transport.getvalue()


def make_jar(**environment: str) -> Path:
    command = [sys.executable, str(ROOT / "deploy" / "jar.py")]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def fetch_jars() -> Path:
    """Those of the daemons, as `make storm-up` fetches them: the one-JVM cluster needs the same."""
    fetch = "import storm; storm.fetch('storm', storm.JARS, 'daemon', 'worker'); print(storm.JARS)"
    command = [sys.executable, "-c", fetch]
    done = subprocess.run(command, cwd=ROOT / "deploy", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip()) / "daemon"


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain"
        time.sleep(0.1)


def end_group(leader: subprocess.Popen[bytes]) -> None:
    """The process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()
