"""Parquet files of events: any type of column, what is broken is one clear line or row, the rest is read."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopguide.collect.encode import Encoded, Encoder
from shopguide.collect.files import Files, open_source
from shopguide.errors import SourceError
from shopguide.keys import Secret
from shopguide.records import Events, Kind

TIMES = [datetime.datetime(2023, 11, 14, 22, 13, second, 250_000, datetime.UTC) for second in range(6)]
SECONDS = [time.timestamp() for time in TIMES]


def write(path: Path, columns: dict[str, Any], group: int = 2) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=group, write_page_checksum=True)
    return path


def plain(**more: Any) -> dict[str, Any]:
    users, items = [f"u{u}" for u in range(6)], ["a", "b", "c", "a", "b", "c"]
    return {"user": users, "item": items, "time": pa.array(TIMES, pa.timestamp("us", "UTC")), **more}


def encoded(path: Path) -> list[Encoded]:
    encoder = Encoder(Secret(b"0123456789abcdef"), lambda: SECONDS[-1])
    return [encoder.encode(chunk) for chunk in open_source(f"file:{path}").chunks()]


def events(path: Path) -> Events:
    return Events.join([part.events for part in encoded(path)])


def broken(path: Path, group: int) -> Path:
    """Bytes of the group's first data page turned over."""
    at = pq.ParquetFile(path).metadata.row_group(group).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[at + 25 : at + 35] = bytes(b ^ 0xFF for b in data[at + 25 : at + 35])
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        (pa.array(TIMES, pa.timestamp("ms")), 1),
        (pa.array(TIMES, pa.timestamp("us", "UTC")), 1),
        (pa.array(TIMES, pa.timestamp("ns", "America/New_York")), 1),
        (pa.array([t.isoformat() for t in TIMES]), 1),
        (pa.array([t.isoformat() for t in TIMES]).dictionary_encode(), 1),
        (pa.array(SECONDS), 1),
        (pa.array([int(s) for s in SECONDS]), 0),
        (pa.array([int(s * 1000) for s in SECONDS]), 1),
        (pa.array(TIMES, pa.timestamp("s"), safe=False), 0),
        (pa.array([t.date() for t in TIMES], pa.date32()), -1),
        (pa.array([t.date() for t in TIMES], pa.date64()), -1),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_times_of_any_type(tmp_path: Path, column: pa.Array, unit: int) -> None:
    """``unit`` 1: exact; 0: whole seconds; -1: days."""
    found = events(write(tmp_path / "a.parquet", plain(time=column)))
    want = [s if unit == 1 else s // 1 if unit == 0 else s // 86400 * 86400 for s in SECONDS]
    assert found.time.tolist() == want and (found.kind == Kind.VIEW).all()


def test_rows_are_numbered_through_the_groups(tmp_path: Path) -> None:
    parts = encoded(write(tmp_path / "a.parquet", plain(), group=4))
    assert [part.row.tolist() for part in parts] == [[0, 1, 2, 3], [4, 5]]
    source = open_source(f"file:{tmp_path / 'a.parquet'}")
    assert [source.position for _ in source.chunks()][-1] == source.total == source.position


def test_ids_numbers_and_what_is_missing(tmp_path: Path) -> None:
    columns = {
        "USER_ID": pa.array([1, 2, None, 4, 5, 6]),
        "session": pa.array(["a", "b", "c", "d", "e", "f"]).dictionary_encode(),
        "item": pa.array([b"x", b"\xff", b"x", None, b"x", b"x"]),
        "timestamp": pa.array([*TIMES[:5], None], pa.timestamp("ns")),
        "price": pa.array([1, 1, 1, 1, None, 2]).cast(pa.decimal128(22, 2)),
        "value": [1.5, 0.0, None, 1.0, float("nan"), 1.0],
        "stay": pa.array([1] * 6, pa.duration("ns")),
        "tags": [["a"]] * 6,
    }
    found = events(write(tmp_path / "a.parquet", columns))
    said = [found.details(row) for row in range(len(found))]
    assert [s["reason"] for s in said if "reason" in s] == [
        "item is no id", "no item", "value is not a finite number", "no time",
    ]  # fmt: skip
    assert found.value[found.kind == Kind.VIEW].tolist() == [1.5, 0.0] and {"op": "mention", "price": 1.0} in said
    (raw,) = (s["raw"] for s in said if s.get("reason") == "no time")
    assert b'"timestamp":null,"price":2.0' in raw and b'"tags":["a"]' in raw


def test_a_broken_group_is_one_row_and_the_others_are_read(tmp_path: Path) -> None:
    found = encoded(broken(write(tmp_path / "a.parquet", plain()), 1))
    assert [part.row.tolist() for part in found] == [[0, 1], [2], [4, 5]]
    said = found[1].events.details(0)
    assert (said["reason"], said["raw"]) == ("file is corrupt", b'{"row_group":1,"rows":[2,3]}')


def refused(path: Path) -> str:
    with pytest.raises(SourceError) as error:
        open_source(f"file:{path}")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_file_of_events_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write(tmp_path / "a.parquet", plain()).read_bytes()
    for cut in (4, 40, len(whole) - 3):
        (tmp_path / "b.parquet").write_bytes(whole[:cut])
        assert "b.parquet is no whole Parquet file" in refused(tmp_path / "b.parquet")
    assert "lacks user or session, time; it has item, colour" in refused(
        write(tmp_path / "c.parquet", {"item": ["a"], "colour": ["red"]})
    )
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install 'shopguide[parquet]'" in refused(tmp_path / "a.parquet")


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    for name in ("2", "1"):
        write(tmp_path / f"{name}.parquet", plain())
    (tmp_path / "_SUCCESS").touch()
    source = open_source(f"file:{tmp_path}")
    assert isinstance(source, Files) and [f.path.name for f in source.files] == ["1.parquet", "2.parquet"]
    assert sum(chunk.rows for chunk in source.chunks()) == 12 and [p.name for p in source.passed_over] == ["_SUCCESS"]
    (tmp_path / "3.csv").write_text("user,item,time\n")
    assert "several formats (events, parquet)" in refused(tmp_path)
