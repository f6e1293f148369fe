"""Files as a source: what a SPEC names, folders, row numbers, pacing."""

from __future__ import annotations

from pathlib import Path

import pytest

from shopguide.collect import files as files_module
from shopguide.collect.chunk import Chunk
from shopguide.collect.files import Files, Pace, open_source
from shopguide.errors import SourceError

HEADER = "user,item,time\n"
T = 1_700_000_000.0


def write(path: Path, times: list[object]) -> Path:
    path.write_text(HEADER + "".join(f"u,i{n},{t}\n" for n, t in enumerate(times)))
    return path


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("kafka://x", "should be file:PATH"),
        ("file:", "should be file:PATH"),
        ("file:/nowhere/at-all.csv", "cannot read /nowhere/at-all.csv: No such file"),
        ("file:x?colour=red", "no option colour"),
        ("file:x?item=/(.*)", "item goes with format=access-log only"),
        ("file:x?format=access-log&item=(", "'\\(' is no regular expression"),
        ("file:x?format=access-log&item=/p/", "'/p/' should have one group"),
        ("file:/dev/null", "/dev/null is no regular file"),
        ("file:x?format=excel", "'excel' is none of access-log, events, jd, online-retail"),
    ],
)
def test_a_wrong_spec_is_one_clear_line(spec: str, says: str) -> None:
    with pytest.raises(SourceError, match=says) as error:
        open_source(spec)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("speed", ["fast", "0", "-1", "nan", "inf", ""])
def test_speed_is_a_factor_or_max(tmp_path: Path, speed: str) -> None:
    path = write(tmp_path / "a.csv", [1])
    with pytest.raises(SourceError, match="speed"):
        open_source(f"file:{path}?speed={speed}")
    assert open_source(f"file:{path}?speed=60").speed == 60 and open_source(f"file:{path}").speed == "max"


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path / f"{name}.csv", [1, 2])
    (tmp_path / "README.txt").write_text("words about the data\n")
    (tmp_path / ".hidden.csv").write_text("not even looked at")
    source = open_source(f"file:{tmp_path}")
    assert [found.path.name for found in source.files] == ["a.csv", "b.csv", "c.csv"]
    assert [path.name for path in source.passed_over] == ["README.txt"]
    chunks = list(source.chunks())
    assert [(c.first, c.rows) for c in chunks] == [(0, 2)] * 3 and len({c.source for c in chunks}) == 3
    assert source.position == source.total == sum(f.stat().st_size for f in tmp_path.glob("?.csv"))


def test_what_is_passed_over_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("user,item,time,product_name,Price\nu,i,1000000000,Lamp,5\n")
    (tmp_path / "notes.txt").write_text("words about the data\n")
    list(open_source(f"file:{tmp_path}").chunks())
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: files passed over: notes.txt",
        "a.csv: columns that nothing is made of: product_name",
    ]


def test_a_folder_without_files_we_know_or_with_several_formats(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none of its 0 files"):
        open_source(f"file:{tmp_path}")
    write(tmp_path / "a.csv", [1])
    (tmp_path / "b.csv").write_text("SessionId\tItemId\tTime\n1\t2\t3\n")
    with pytest.raises(SourceError, match=r"several formats \(events, session-rec\)"):
        open_source(f"file:{tmp_path}")


def test_row_numbers_run_on_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "CHUNK", 7)
    path = write(tmp_path / "a.csv", list(range(50)))
    chunks = list(open_source(f"file:{path}").chunks())
    assert [c.first for c in chunks] == list(range(0, 50, 7)) and sum(c.rows for c in chunks) == 50
    assert len(chunks) > 1 and {id(c.known) for c in chunks} == {id(chunks[0].known)}
    assert [c.raw(0) for c in chunks] == [b"u,i%d,%d" % (c.first, c.first) for c in chunks]


def test_the_source_of_a_file_is_its_real_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.csv", [1])
    (tmp_path / "link.csv").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    specs = [f"file:{path}", "file:a.csv", "file:link.csv"]
    assert len({next(open_source(spec).chunks()).source for spec in specs}) == 1


def test_a_slice_of_a_chunk_is_the_rows_it_says() -> None:
    chunk = Chunk(5, {"item": list("abcde")}, lambda row: b"%d" % row, {1: "x", 3: "y"}, source=1, first=10)
    part = chunk.slice(2, 9).slice(1, 3)
    assert (part.rows, part.columns["item"], part.problems, part.first) == (2, ["d", "e"], {0: "y"}, 13)
    assert [part.raw(0), part.raw(1)] == [b"3", b"4"]


class Clock:
    """Time that passes by waiting only."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return False


def paced(times: list[object], speed: float, sent: int = -1) -> tuple[list[tuple[float, list[str]]], Clock]:
    """When each piece went, and what was in it."""
    clock = Clock()
    times = [T + t if isinstance(t, (int, float)) else t for t in times]
    chunk = Chunk(len(times), {"time": times, "item": [f"i{n}" for n in range(len(times))]}, bytes, first=0)
    pace = Pace(speed, clock.wait, clock)
    return [(round(clock.now - 100, 6), list(p.columns["item"])) for p in pace.pieces(chunk, sent)], clock


def test_rows_go_when_they_are_due() -> None:
    pieces, clock = paced([0, 0, 60, 59, "never", 120.6], 60)
    assert pieces == [(0, ["i0", "i1"]), (1.0, ["i2", "i3", "i4"]), (2.01, ["i5"])]
    assert max(clock.waits) <= files_module.NAP


def test_rows_that_were_sent_before_are_not_paced() -> None:
    pieces, _ = paced([0, 1000, 2000, 2001], 1, sent=1)
    assert pieces == [(0, ["i0", "i1"]), (0, ["i2"]), (1.0, ["i3"])]


def test_rows_whose_time_makes_no_sense_hold_up_nothing() -> None:
    pieces, _ = paced(["", "never", "1", 0, "9999-01-01", 60], 60)
    assert pieces == [(0, ["i0", "i1", "i2"]), (0, ["i3", "i4"]), (1.0, ["i5"])]


def test_a_paced_source_can_be_stopped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [T, T + 10_000, T + 20_000])
    source = open_source(f"file:{path}?speed=1")
    assert [chunk.rows for chunk in source.chunks(wait=lambda seconds: True)] == [1]


def test_position_moves_with_the_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", list(range(150_000)))
    source: Files = open_source(f"file:{path}")
    positions = [source.position for _ in source.chunks()]
    assert positions == sorted(positions) and 0 < positions[0] < source.total
