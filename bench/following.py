"""An access log of a million lines, written by another process, rotated twice (renamed and compressed; copied and
truncated) and followed by `shopguide run`, which is killed and started again: are the counts exact, and how fast is it?

    python bench/following.py [LINES]
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WRITER = """
import sys, time
path, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open(path, "a") as log:
    for at in range(first, last):
        moment = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(1_790_000_000 + at // 50))
        target = ("/product/p%d", "/search?q=word+%d", "/static/%d.css")[0 if at % 10 < 7 else 1 if at % 10 < 9 else 2]
        log.write('203.0.%d.%d - - [%s] "GET %s HTTP/1.1" 200 99 "-" "Mozilla/5.0 (X11) Firefox/120.0"\\n'
                  % (at % 251, at % 250, moment, target % (at % 5000)))
"""
RUN = [sys.executable, "-c", "from shopguide.cli import main; main()", "run", "--json", "--source"]
TAKEN = {"view": 7, "search": 2}  # of ten lines


def written(path: Path, first: int, last: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(first), str(last)])


def started(path: Path, state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([*RUN, f"follow:{path}", "--state", str(state)], stdout=subprocess.PIPE, text=True)


def rows(state: Path) -> int:
    """Rows in the log of the state directory, as far as they are there yet."""
    from shopguide.errors import StateError  # noqa: PLC0415
    from shopguide.log import Log  # noqa: PLC0415

    try:
        partitions = Log.partitions_of(state / "log", 0)
        log = Log(state / "log", partitions, readonly=True)
    except (StateError, OSError):
        return 0
    found = sum(map(log.end, range(partitions)))
    log.close()
    return found


def until(state: Path, wanted: int, process: subprocess.Popen[str]) -> None:
    while rows(state) < wanted:
        if process.poll() is not None:
            raise SystemExit(f"the run ended with {process.returncode}")
        time.sleep(0.2)


def follow(folder: Path, lines: int) -> dict[str, float]:
    """Seconds from the first line to the last row, rows in the log at the end, and what the last run says. ``lines``: a
    multiple of 30."""
    path, state, third = folder / "access.log", folder / "state", lines // 3
    began = time.monotonic()
    line = started(path, state)
    written(path, 0, third).wait()
    path.rename(path.with_name("access.log.1"))
    writer = written(path, third, 2 * third)
    packed = path.with_name("access.log.1.gz")
    with path.with_name("access.log.1").open("rb") as plain, gzip.open(packed, "wb", 1) as out:
        shutil.copyfileobj(plain, out)
    path.with_name("access.log.1").unlink()
    until(state, third // 4, line)
    line.kill()
    line.communicate()
    writer.wait()
    line = started(path, state)
    until(state, third, line)
    shutil.copyfile(path, path.with_name("access.log.2"))
    os.truncate(path, 0)
    written(path, 2 * third, lines).wait()
    until(state, lines // 10 * sum(TAKEN.values()), line)
    taken = time.monotonic() - began
    line.terminate()
    said = json.loads(line.communicate()[0])
    return {"seconds": taken, "rows": rows(state), **said}


def main() -> None:
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_020
    with tempfile.TemporaryDirectory() as folder:
        found = follow(Path(folder), lines)
    print(json.dumps(found))
    print(f"{lines:,} lines in {found['seconds']:.0f} s: {lines / found['seconds']:,.0f} a second")


if __name__ == "__main__":
    main()
