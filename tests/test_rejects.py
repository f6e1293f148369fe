"""Rejects: every row once, with its reason and its bytes."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shopguide.rejects import RejectFiles


def rows(path: Path, partition: int = 0) -> list[tuple[int, str, bytes]]:
    found = []
    for line in (path / f"p{partition:04d}.jsonl").read_text().splitlines():
        row = json.loads(line)
        raw = base64.b64decode(row["raw_base64"]) if "raw_base64" in row else row["raw"].encode()
        found.append((row["offset"], row["reason"], raw))
    return found


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6), st.integers(0, 5))
def test_a_replay_writes_nothing_twice_and_bytes_come_back(tmp_path_factory, raws: list[bytes], again: int) -> None:
    path = tmp_path_factory.mktemp("rejects")
    offsets, reasons = list(range(len(raws))), ["no item"] * len(raws)
    files = RejectFiles(path)
    files.write(0, offsets, reasons, raws)
    files.write(0, offsets[again:], reasons[again:], raws[again:])
    files.close()
    files = RejectFiles(path)
    files.write(0, [*offsets, 99], [*reasons, "no user"], [*raws, b"x"])
    files.close()
    assert rows(path) == [*zip(offsets, reasons, raws, strict=True), (99, "no user", b"x")]
    assert files.counts == {"no item": len(raws), "no user": 1}


def test_a_line_that_a_crash_left_unfinished_is_written_again(tmp_path: Path) -> None:
    files = RejectFiles(tmp_path)
    files.write(0, [1, 2], ["a", "b"], [b"one", b"two"])
    files.close()
    file = tmp_path / "p0000.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    files = RejectFiles(tmp_path)
    assert files.counts == {"a": 1}
    files.write(0, [1, 2], ["a", "b"], [b"one", b"two"])
    files.close()
    assert rows(tmp_path) == [(1, "a", b"one"), (2, "b", b"two")]
