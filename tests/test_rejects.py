"""Rejects: every row once, with its reason and its bytes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs import content, full_disk

from shopguide.errors import StateError
from shopguide.rejects import DAMAGED, RejectFiles, raw


def rows(path: Path, partition: int = 0) -> list[tuple[int, str, bytes]]:
    found = []
    for line in (path / f"p{partition:04d}.jsonl").read_text().splitlines():
        row = json.loads(line)
        found.append((row["offset"], row["reason"], raw(row)))
    return found


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6), st.integers(0, 5))
def test_a_replay_writes_nothing_twice_and_bytes_come_back(tmp_path_factory, raws: list[bytes], again: int) -> None:
    path = tmp_path_factory.mktemp("rejects")
    offsets, reasons = list(range(len(raws))), ["no item"] * len(raws)
    files = RejectFiles(path)
    files.write(0, offsets, reasons, raws)
    files.write(0, offsets[again:], reasons[again:], raws[again:])
    files = RejectFiles(path)
    files.write(0, [*offsets, 99], [*reasons, "no user"], [*raws, b"x"])
    assert rows(path) == [*zip(offsets, reasons, raws, strict=True), (99, "no user", b"x")]
    assert files.counts == {"no item": len(raws), "no user": 1}


def test_a_line_that_a_crash_left_unfinished_is_written_again(tmp_path: Path) -> None:
    files = RejectFiles(tmp_path)
    files.write(0, [1, 2], ["a", "b"], [b"one", b"two"])
    file = tmp_path / "p0000.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    files = RejectFiles(tmp_path)
    assert files.counts == {"a": 1}
    files.write(0, [1, 2], ["a", "b"], [b"one", b"two"])
    assert rows(tmp_path) == [(1, "a", b"one"), (2, "b", b"two")]


PARTS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3), st.sampled_from("ab")), min_size=1, max_size=12)


@given(PARTS, st.sets(st.integers(0, 30)), st.integers(0, 1), st.booleans())
def test_a_purge_takes_out_these_rows_and_no_others(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int, str]], gone: set[int], of: int, reopen: bool
) -> None:
    path = tmp_path_factory.mktemp("rejects")
    files, kept = RejectFiles(path), {0: [], 1: []}
    at = {0: 0, 1: 0}
    for partition, step, reason in parts:
        at[partition] += step
        files.write(partition, [at[partition]], [reason], [b"\xff%d" % at[partition]])
        kept[partition].append((at[partition], reason, b"\xff%d" % at[partition]))
    if reopen:
        files = RejectFiles(path)
    files.purge(lambda partition, row: partition == of and row["offset"] in gone)
    kept[of] = [row for row in kept[of] if row[0] not in gone]
    assert files.counts == Counter(reason for rows_ in kept.values() for _, reason, _ in rows_)
    for partition, last in at.items():
        files.write(partition, [last, last + 9], ["c", "c"], [b"double", b"new"])  # what was purged does not come back
    files.commit()
    for partition, last in at.items():
        assert rows(path, partition) == [*kept[partition], (last + 9, "c", b"new")] or not last
    assert sorted(f.name for f in path.iterdir()) == ["p0000.jsonl", "p0001.jsonl"]


def test_several_writers_and_a_purge_lose_and_double_nothing(tmp_path: Path) -> None:
    """Each process has read the file at another time."""
    one, other, reader = filled(tmp_path), RejectFiles(tmp_path), RejectFiles(tmp_path)
    assert reader.counts == {"a": 2, "b": 1}
    other.write(0, [2, 4], ["b", "b"], [b"two", b"four"])
    one.write(0, [4, 5], ["b", "a"], [b"four", b"five"])
    other.purge(lambda partition, row: row["offset"] in (1, 4))
    one.write(0, [5, 6], ["a", "c"], [b"five", b"six"])
    assert [offset for offset, _, _ in rows(tmp_path)] == [2, 3, 5, 6]
    assert reader.counts == one.counts == other.counts == {"a": 2, "b": 1, "c": 1}


def filled(path: Path) -> RejectFiles:
    files = RejectFiles(path)
    files.write(0, [1, 2, 3], ["a", "b", "a"], [b"one", b"two", b"three"])
    return files


def test_a_purge_that_a_full_disk_refuses_changes_nothing(tmp_path: Path) -> None:
    files = filled(tmp_path)
    before = content(tmp_path)
    with full_disk(50), pytest.raises(StateError, match=r"^the rejects in .* cannot be purged: File too large$"):
        files.purge(lambda _, row: row["offset"] == 1)
    assert content(tmp_path) == before and files.counts == {"a": 2, "b": 1}
    files.purge(lambda _, row: row["offset"] == 1)
    files.write(0, [4], ["c"], [b"four"])
    assert rows(tmp_path) == [(2, "b", b"two"), (3, "a", b"three"), (4, "c", b"four")]


@pytest.mark.parametrize("room", [0, 1, 30, 60])
def test_a_full_disk_leaves_nothing_half_written_and_it_goes_on_when_there_is_room(tmp_path: Path, room: int) -> None:
    files = filled(tmp_path)
    before = content(tmp_path)
    (size,) = map(len, before.values())
    for _ in range(2):
        with full_disk(size + room), pytest.raises(StateError, match="take no more"):
            files.write(0, [5, 6], ["a", "b"], [b"five", b"six"])
        assert content(tmp_path) == before
    files.write(0, [8], ["c"], [b"eight"])
    files.write(1, [8], ["c"], [b"eight"])
    files.write(0, [2, 3], ["b", "a"], [b"two", b"three"])
    files.write(0, [5, 6], ["a", "b"], [b"five", b"six"])
    files.write(0, [8], ["c"], [b"eight"])
    assert files.counts == {"a": 3, "b": 2, "c": 2}
    assert [offset for offset, _, _ in rows(tmp_path)] == [1, 2, 3, 8, 5, 6]


def test_what_is_settled_does_not_come_again(tmp_path: Path) -> None:
    files = filled(tmp_path)
    files.settle({0: 3})
    files.write(0, [0, 2, 3, 4], ["c"] * 4, [b"x"] * 4)
    assert [offset for offset, _, _ in rows(tmp_path)] == [1, 2, 3, 4]


def test_a_commit_that_fails_is_one_line(tmp_path: Path) -> None:
    files = filled(tmp_path)
    files.commit()
    (tmp_path / "p0001.jsonl").symlink_to("/dev/full")  # cannot be synced
    with pytest.raises(StateError, match=r"^the rejects in .* could not be made durable: "):
        files.commit()


@pytest.mark.parametrize("damage", [b"\x00", b"\n", b"\xff", b'"', b"}"])
def test_a_damaged_line_is_counted_and_passed_over(tmp_path: Path, damage: bytes) -> None:
    files = RejectFiles(tmp_path)
    files.write(0, [1, 2, 3], ["no item"] * 3, [b"one", b"two", b"three"])
    file = tmp_path / "p0000.jsonl"
    content, at = file.read_bytes(), file.read_bytes().index(b"reason", 50)
    file.write_bytes(content[:at] + damage + content[at + 1 :])
    files = RejectFiles(tmp_path)
    files.write(0, [3, 4], ["no item"] * 2, [b"three", b"four"])
    assert files.counts["no item"] == 3 and files.counts[DAMAGED] >= 1
    files.purge(lambda partition, row: row["offset"] == 4)
    assert rows(tmp_path) == [(1, "no item", b"one"), (3, "no item", b"three")]
