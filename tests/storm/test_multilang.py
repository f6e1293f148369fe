"""Storm's side of the multilang protocol in MessagePack: alone, against pystorm, in the jar, in a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from components import VALUES, Numbers, shown
from local import ROOT, RUN, fetch_jars, local_cluster, make_jar, wait_until

MODULE = ROOT / "jvm" / "multilang"
HERE = Path(__file__).parent

pytestmark = pytest.mark.storm


@pytest.fixture(autouse=True)
def _components_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)


@pytest.fixture(scope="module")
def module() -> subprocess.CompletedProcess[str]:
    """The Java module, compiled and tested."""
    command = ["mvn", "-B", "-q", "-f", str(MODULE / "pom.xml"), "test"]
    environment = {"MAVEN_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1", **os.environ}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


class Chain:
    """Runs components one after the other with the module's Chain, a Storm in miniature."""

    def __init__(self, folder: Path) -> None:
        self.shown, self.acked, self.conf = folder / "shown", folder / "acked", folder / "conf.json"
        self.conf.write_text(json.dumps({"test.file": str(self.shown), "test.acked": str(self.acked)}))
        self.folder = folder

    def run(self, *components: str) -> subprocess.CompletedProcess[str]:
        path = f"{MODULE}/target/test-classes:{make_jar()}:{fetch_jars()}/*"
        names = [f"components.{name}" for name in components]
        command = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-cp", path, "shopguide.Chain", self.folder, self.conf, RUN]
        return subprocess.run([*command, *names], capture_output=True, text=True, check=False)


@pytest.fixture
def chain(module: object, tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def test_the_java_module(module: subprocess.CompletedProcess[str]) -> None:
    assert module.returncode == 0, module.stdout + module.stderr


def test_all_values_go_through_pystorm_and_back(chain: Chain) -> None:
    done = chain.run("ValuesSpout", "EchoBolt", "EchoBolt", "ShowBolt")
    assert done.returncode == 0, done.stderr
    assert chain.shown.read_text() == f"{shown(VALUES)}\n{shown([7, 8])}\n"
    assert chain.acked.read_text() == "0\n0\n"
    assert f"components.EchoBolt values = {len(VALUES)}\n" in done.stdout
    assert "components.EchoBolt WARN " in done.stdout
    assert f"žluť\n{len(VALUES)}\n" in done.stdout


def test_a_component_that_prints_dies_and_is_told_why(chain: Chain) -> None:
    done = chain.run("ValuesSpout", "PrintBolt")
    assert done.returncode == 1
    assert "wrote b'got a tuple" in done.stderr
    assert "where a message should begin: does it print to stdout?" in done.stderr


def test_the_jar_has_the_serializer_and_no_python() -> None:
    with ZipFile(make_jar()) as jar:
        names = jar.namelist()
    assert names[:1] == ["META-INF/MANIFEST.MF"]
    assert {"shopguide/MsgpackSerializer.class", "org/msgpack/core/MessagePacker.class"} <= set(names)
    assert [name for name in names if name.startswith("resources/")] == ["resources/README"]
    assert len(names) == len(set(names))
    assert not [name for name in names if name.startswith("org/apache/storm") or name.endswith("Test.class")]


def test_the_same_sources_make_the_same_jar(tmp_path: Path) -> None:
    assert make_jar(SHOPGUIDE_STORM_JAR=str(tmp_path / "a.jar")).read_bytes() == make_jar().read_bytes()


def test_without_maven_the_jar_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "deploy" / "jar.py")]
    environment = {"PATH": str(tmp_path), "SHOPGUIDE_STORM_JAR": str(tmp_path / "a.jar")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "storm-jar: javac is missing; the jar needs a JDK (11 or newer) and Maven\n"


def test_a_topology_in_a_local_cluster(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"
    conf = {"test.file": str(numbers), "test.numbers": 200}
    with local_cluster(Numbers, conf, tmp_path):
        wait_until(lambda: numbers.exists() and len(numbers.read_text().split()) >= 200)
    assert sorted(map(int, numbers.read_text().split())) == list(range(200))
