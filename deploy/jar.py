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
CLASSES, LIBRARIES = MODULE / "target" / "classes", MODULE / "target" / "lib"
JAR = Path(os.environ.get("SHOPGUIDE_STORM_JAR", ROOT / ".cluster" / "recommend.jar")).resolve()
MANIFEST = b"Manifest-Version: 1.0\r\n\r\n"
README = b"""\
Storm runs the components here. Nothing of them comes with the jar: a worker starts streamparse_run of the environment
that the package shopguide is installed in.
"""


def is_current() -> bool:
    sources = [Path(__file__), MODULE / "pom.xml", *(MODULE / "src" / "main").rglob("*.java")]
    return JAR.exists() and JAR.stat().st_mtime >= max(source.stat().st_mtime for source in sources)


def compile_module() -> None:
    for command in ("javac", "mvn"):
        if shutil.which(command) is None:
            sys.exit(f"storm-jar: {command} is missing; the jar needs a JDK (11 or newer) and Maven")
    for folder in (CLASSES, LIBRARIES):  # what came of a source or version that is gone may not stay
        shutil.rmtree(folder, ignore_errors=True)
    goals = ["compile", "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={LIBRARIES}"]
    command = ["mvn", "-B", "-q", "-f", str(MODULE / "pom.xml"), *goals]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        sys.exit(f"storm-jar: the serializer does not compile:\n{end}")


def entries() -> dict[str, bytes]:
    """Name to content. META-INF of a library is about another jar."""
    found = {"resources/README": README}
    for library in LIBRARIES.glob("*.jar"):
        with ZipFile(library) as jar:
            names = [name for name in jar.namelist() if not name.endswith("/") and not name.startswith("META-INF/")]
            found |= {name: jar.read(name) for name in names}
    return found | {str(file.relative_to(CLASSES)): file.read_bytes() for file in CLASSES.rglob("*.class")}


def write(content: dict[str, bytes]) -> None:
    """Appears whole. A jar's manifest stands first; the date of an entry is the oldest that a zip can say."""
    JAR.parent.mkdir(parents=True, exist_ok=True)
    part = JAR.with_name(f".{JAR.name}.{os.getpid()}")
    with ZipFile(part, "w", ZIP_DEFLATED) as jar:
        for name, data in [("META-INF/MANIFEST.MF", MANIFEST), *sorted(content.items())]:
            jar.writestr(ZipInfo(name), data, ZIP_DEFLATED)
    part.replace(JAR)


if __name__ == "__main__":
    if not is_current():
        compile_module()
        write(entries())
    print(JAR)
