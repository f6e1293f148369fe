"""The relay: every row goes once, in order, to the partition of its user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import full_disk, read

from shopguide.errors import GapError, StateError
from shopguide.keys import partition_of
from shopguide.log import Log
from shopguide.records import Batch, Events, Names
from shopguide.relay import Relay

PARTITIONS = 3
USERS = [at << 32 | 5 for at in range(PARTITIONS)]  # one in each partition
FULL = {"no room for a segment": 0, "no room for all": 400}


def caused(rows: list[tuple[int, int]]) -> Events:
    """Rows (offset of their cause, user); their session numbers them."""
    return Events(
        offset=[offset for offset, _ in rows],
        user=np.array([USERS[at] for _, at in rows], np.uint64),
        session=np.arange(1, len(rows) + 1, dtype=np.uint64),
        kind=[15] * len(rows),
    )


def held(log: Log, want: Events) -> None:
    """Each partition holds its rows of these, once and in order."""
    target = partition_of(want.user, PARTITIONS)  # type: ignore[arg-type]
    for partition in range(PARTITIONS):
        found, mine = read(log, partition)[0], want.take(target == partition)
        assert found.session.tolist() == mine.session.tolist() and found.user.tolist() == mine.user.tolist()


def batch(partition: int, rows: Events) -> Batch:
    return Batch(partition, int(rows.offset[0]), int(rows.offset[-1]), rows, Names())


CAUSES = st.lists(st.lists(st.integers(0, PARTITIONS - 1), max_size=3), min_size=1, max_size=12)


@given(causes=CAUSES, cuts=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), max_size=8), reopen=st.booleans())
def test_rows_are_sent_once_however_often_they_come(
    tmp_path_factory: pytest.TempPathFactory, causes: list[list[int]], cuts: list[tuple[int, int]], reopen: bool
) -> None:
    path = tmp_path_factory.mktemp("log")
    log = Log(path, PARTITIONS)
    relay = Relay(log)
    rows = caused([(offset, at) for offset, users in enumerate(causes) for at in users])

    def send(first: int, last: int) -> None:
        part = rows.take((rows.offset >= first) & (rows.offset <= last))
        if len(part):
            relay.send(batch(1, part))

    reached = 0
    for back, count in cuts:  # from somewhere before what was sent
        first = max(0, reached - back)
        send(first, first + count - 1)
        reached = max(reached, first + count)
        if reopen:
            log.close()
            log = Log(path, PARTITIONS)
            relay = Relay(log)
    send(reached, len(causes))
    held(log, rows)
    send(0, len(causes))
    held(log, rows)
    log.close()


def test_partitions_are_told_of_apart(tmp_path: Path) -> None:
    log = Log(tmp_path, PARTITIONS)
    relay = Relay(log)
    for partition in (0, 1, 2, 1):
        relay.send(batch(partition, caused([(7, 0)])))
    assert log.end(0) == 3 and log.end(1) == log.end(2) == 0
    log.close()


@pytest.mark.parametrize("room", FULL.values(), ids=FULL)
def test_what_a_full_disk_refused_is_not_passed_over(tmp_path: Path, room: int) -> None:
    log = Log(tmp_path, PARTITIONS)
    relay = Relay(log)
    rows = caused([(1, 0), (1, 1), (2, 2), (4, 0), (4, 1), (6, 2)])
    one, two, three = (rows.take(np.isin(rows.offset, offsets)) for offsets in ([1, 2], [4], [6]))
    relay.send(batch(2, one))
    with full_disk(room), pytest.raises(StateError, match="takes no more"):
        relay.send(batch(2, two))
    with pytest.raises(GapError, match="partition 2: row 4 was refused"):
        relay.send(batch(2, three))
    relay.send(batch(2, one))
    relay.send(batch(2, two))
    relay.send(batch(2, three))
    held(log, rows)
    log.close()
