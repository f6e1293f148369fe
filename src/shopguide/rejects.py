"""Where rejected rows go: ``DIR/rejects/p0003.jsonl``, a JSON object a row, raw bytes in base64 where they are no text.

A row is written once: rows at or below the last offset of the file are a replay.
"""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

import orjson


class RejectFiles:
    """Appends rejected rows and counts them by reason."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[int, BinaryIO] = {}
        self._last: dict[int, int] = {}
        self.counts: Counter[str] = Counter()
        path.mkdir(parents=True, exist_ok=True)
        for file in sorted(path.glob("p*.jsonl")):
            self._recover(file)

    def write(self, partition: int, offsets: list[int], reasons: list[str], raws: list[bytes]) -> None:
        """Append the rows that are new."""
        last = self._last.get(partition, -1)
        lines = []
        for offset, reason, raw in zip(offsets, reasons, raws, strict=True):
            if offset > last:
                lines.append(orjson.dumps({"offset": offset, "reason": reason, **readable(raw)}))
                self.counts[reason] += 1
                last = offset
        if not lines:
            return
        if partition not in self._files:
            self._files[partition] = (self._path / f"p{partition:04d}.jsonl").open("ab")
        self._files[partition].write(b"\n".join(lines) + b"\n")
        self._files[partition].flush()
        self._last[partition] = last

    def close(self) -> None:
        for file in self._files.values():
            file.close()

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
            self._last[partition] = row["offset"]


def readable(raw: bytes) -> dict[str, str]:
    """Raw bytes as a JSON member: ``raw`` where they are UTF-8, else ``raw_base64``."""
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}
