"""What tests of the log share: rows, reading them all back, and a disk that is full."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shopguide.log import Log
from shopguide.records import Events, Names, Ragged


def rows(items: Sequence[int]) -> Events:
    return Events(kind=[1] * len(items), user=[7] * len(items), item=list(items))


def names(items: Sequence[int]) -> Names:
    return Names(key=list(items), text=Ragged.of_bytes([b"i%d" % i for i in items]))


def fill(log: Log, frames: Sequence[Sequence[int]], partition: int = 0) -> None:
    for frame in frames:
        log.append(partition, rows(frame), names(frame))


def everything(log: Log, partition: int = 0, limit: int = 3) -> list[int]:
    """The items of a log that nothing was taken out of; all of them are named by the time they come."""
    found, named = read(log, partition, limit)
    assert found.offset.tolist() == list(range(log.end(partition)))
    assert set(found.item.tolist()) <= named.keys()
    return found.item.tolist()


def read(log: Log, partition: int = 0, limit: int = 3, offset: int = 0) -> tuple[Events, dict[int, str]]:
    """All rows from an offset on, and the names that came with them. Batches follow each other without gaps."""
    tables: list[Events] = []
    named: dict[int, str] = {}
    while (batch := log.read(partition, offset, limit)) is not None:
        assert batch.first == offset <= batch.last and len(batch.events) <= limit
        assert all(batch.first <= at <= batch.last for at in batch.events.offset.tolist())
        named |= {k: t.tobytes().decode() for k, t in zip(batch.names.key.tolist(), batch.names.text, strict=True)}
        tables.append(batch.events)
        offset = batch.last + 1
    assert offset == log.end(partition)
    return Events.join(tables), named


def content(path: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
