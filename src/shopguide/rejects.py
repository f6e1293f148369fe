"""Where rejected rows go: ``DIR/rejects/p0003.jsonl``, a JSON object a row, raw bytes in base64 where they are no text.

A row is written once, in whatever order rows come: those that the file has are a replay, and so are all below the
offsets that :meth:`RejectFiles.settle` names.
"""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from shopguide import durable
from shopguide.errors import StateError


class RejectFiles:
    """Appends rejected rows and counts them by reason. Raises StateError where the disk refuses: then they have to come
    again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[int, BinaryIO] = {}
        self._settled: dict[int, int] = {}
        self._written: dict[int, set[int]] = {}  # offsets from there on
        self.counts: Counter[str] = Counter()
        path.mkdir(parents=True, exist_ok=True)
        for file in sorted(path.glob("p*.jsonl")):
            self._recover(file)

    def write(self, partition: int, offsets: list[int], reasons: list[str], raws: list[bytes]) -> None:
        """Append the rows that are new."""
        settled, written = self._settled.get(partition, 0), self._written.setdefault(partition, set())
        rows = zip(offsets, reasons, raws, strict=True)
        new = [row for row in rows if row[0] >= settled and row[0] not in written]
        if not new:
            return
        lines = [orjson.dumps({"offset": o, "reason": why, **readable(raw)}) + b"\n" for o, why, raw in new]
        self._append(partition, b"".join(lines))
        self.counts.update(why for _, why, _ in new)
        written.update(offset for offset, _, _ in new)

    def settle(self, offsets: dict[int, int]) -> None:
        """Rows of a partition below its offset come no more, or again."""
        for partition, settled in offsets.items():
            self._settled[partition] = settled
            self._written[partition] = {at for at in self._written.get(partition, ()) if at >= settled}

    def commit(self) -> None:
        """Make everything written durable."""
        try:
            for file in list(self._files.values()):
                os.fdatasync(file.fileno())
            durable.sync(self._path)
        except OSError as e:
            raise StateError(f"the rejects in {self._path} could not be made durable: {e.strerror}") from None

    def purge(self, goes: Callable[[int, dict[str, Any]], bool]) -> None:
        """Take out the rows of which ``goes(partition, row)`` holds."""
        for file in sorted(self._path.glob("p*.jsonl")):
            partition = int(file.stem[1:])
            rows = [(line, orjson.loads(line)) for line in file.read_bytes().splitlines(keepends=True)]
            gone = [row for _, row in rows if goes(partition, row)]
            if not gone:
                continue
            try:
                durable.replace(file, b"".join(line for line, row in rows if not goes(partition, row)))
            except OSError as e:
                raise StateError(f"the rejects in {self._path} cannot be purged: {e.strerror}") from None
            self.counts -= Counter(row["reason"] for row in gone)
            if partition in self._files:
                self._files.pop(partition).close()

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _append(self, partition: int, data: bytes) -> None:
        try:
            if partition not in self._files:
                self._files[partition] = (self._path / f"p{partition:04d}.jsonl").open("ab", buffering=0)
            file = self._files[partition]
            before = os.fstat(file.fileno()).st_size
            if file.write(data) < len(data):
                os.truncate(file.fileno(), before)
                raise OSError(0, "no space left")
        except OSError as e:
            raise StateError(f"the rejects in {self._path} take no more: {e.strerror}") from None

    def _recover(self, file: Path) -> None:
        """Take in what a file holds, and cut off a line that a crash left unfinished."""
        partition = int(file.stem[1:])
        data = file.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with file.open("r+b") as f:
                f.truncate(whole)
        for line in data[:whole].splitlines():
            row: dict[str, Any] = orjson.loads(line)
            self.counts[row["reason"]] += 1
            self._written.setdefault(partition, set()).add(row["offset"])


def readable(raw: bytes) -> dict[str, str]:
    """Raw bytes as a JSON member: ``raw`` where they are UTF-8, else ``raw_base64``."""
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}


def raw(row: dict[str, Any]) -> bytes:
    """The raw bytes of a row in the file."""
    return base64.b64decode(row["raw_base64"]) if "raw_base64" in row else bytes(row["raw"], "utf-8")
