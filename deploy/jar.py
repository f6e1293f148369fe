"""The topology's jar, for `sparse submit -j`: the serializer that Storm's workers and our components speak, no Python.

    jar.py          make it where it is missing or older than its sources; the last line printed is its path

The environment says where:

    SHOPGUIDE_STORM_JAR                  the jar   .cluster/recommend.jar

The same sources give the same bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

ROOT = Path(__file__).resolve().parent.parent
MODULE = ROOT / "jvm" / "multilang"
CLASSES = MODULE / "target" / "classes"
JAR = Path(os.environ.get("SHOPGUIDE_STORM_JAR", ROOT / ".cluster" / "recommend.jar")).resolve()
MANIFEST = b"Manifest-Version: 1.0\r\n\r\n"


def is_current() -> bool:
    sources = [Path(__file__), MODULE / "pom.xml", *(MODULE / "src" / "main").rglob("*")]
    return JAR.exists() and JAR.stat().st_mtime >= max(source.stat().st_mtime for source in sources)


def compile_module() -> None:
    for command in ("javac", "mvn"):
        if shutil.which(command) is None:
            sys.exit(f"storm-jar: {command} is missing; the jar needs a JDK (11 or newer) and Maven")
    shutil.rmtree(CLASSES, ignore_errors=True)  # what came of a source or version that is gone may not stay
    command = ["mvn", "-B", "-q", "-f", str(MODULE / "pom.xml"), "process-classes"]
    environment = {"MAVEN_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1", **os.environ}  # half the time
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        sys.exit(f"storm-jar: the serializer does not compile:\n{end}")


def write() -> None:
    """Appears whole. A jar's manifest stands first; every date is the oldest that a zip can say."""
    files = sorted(file for file in CLASSES.rglob("*") if file.is_file())
    JAR.parent.mkdir(parents=True, exist_ok=True)
    part = JAR.with_name(f".{JAR.name}.{os.getpid()}")
    with ZipFile(part, "w") as jar:
        jar.writestr(ZipInfo("META-INF/MANIFEST.MF"), MANIFEST)
        for file in files:
            jar.writestr(ZipInfo(file.relative_to(CLASSES).as_posix()), file.read_bytes(), ZIP_DEFLATED)
    part.replace(JAR)


if __name__ == "__main__":
    if not is_current():
        compile_module()
        write()
    print(JAR)
