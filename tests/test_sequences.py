"""Formats with a session or a user a line: their rows, made times, broken lines, chunk borders, the data sets whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_formats import SECRET, raws, read, user, write

from shopguide.collect.files import open_source
from shopguide.collect.lines import MAX_LINE
from shopguide.collect.sequences import BETWEEN, CLOCK, DAY, YEAR, Jd, Pairs, S3Rec, Sequences, Steps
from shopguide.keys import item_key
from shopguide.records import Kind

PLAIN = list[tuple[object, ...]]


def rows(parser: Steps, pieces: list[list[bytes]]) -> PLAIN:
    """A parser's rows from the pieces of a file: columns, what is wrong, raw bytes."""
    found: PLAIN = []
    for at, piece in enumerate(pieces):
        chunk = parser.parse(piece, at == len(pieces) - 1)
        columns = [chunk.columns[name] for name in parser.columns] if chunk.rows else []
        assert all(len(column) == chunk.rows for column in columns)
        found += [
            (*(repr(c[r]) for c in columns), chunk.problems.get(r), chunk.raw(r)) for r in range(chunk.rows)
        ]  # repr: NaN equals itself
    return found


def pairs_of(session: list[str]) -> list[bytes]:
    """The lines of a session's prefixes, the longest first."""
    return [f"{' '.join(session[:n])}\t{session[n]}".encode() for n in range(len(session) - 1, 0, -1)]


def test_sequences(tmp_path: Path) -> None:
    events, names, kinds, _ = read(write(tmp_path, "7 8 7\n\n9\n 7  8 \n", "a.txt") + "?format=sequences")
    assert kinds == {"VIEW": 6} and {bytes(t) for t in names.text} == {b"7", b"8", b"9"}
    assert events.session.tolist() == [SECRET.session_key(s) for s in ("s0", "s0", "s0", "s1", "s2", "s2")]
    assert events.item.tolist() == [item_key(i) for i in "787978"]
    begins = [CLOCK, CLOCK + BETWEEN, CLOCK + 2 * BETWEEN]
    assert events.time.tolist() == [
        begins[0], begins[0] + 0.001, begins[0] + 0.002, begins[1], begins[2], begins[2] + 0.001,
    ]  # fmt: skip


def test_pairs_are_sessions_whose_beginnings_repeat(tmp_path: Path) -> None:
    sessions = [["1", "2", "3", "4"], ["1", "2"], ["1", "2"], ["5", "5", "5"], ["5", "5"]]
    text = b"\n".join(line for session in sessions for line in pairs_of(session))
    events, _, kinds, _ = read(write(tmp_path, text, "a.txt.gz"))
    assert kinds == {"VIEW": 13}
    assert events.item.tolist() == [item_key(i) for session in sessions for i in session]
    names = [f"t{n}" for n, session in enumerate(sessions) for _ in session]
    assert events.session.tolist() == [SECRET.session_key(n) for n in names]
    assert events.time[0] == CLOCK + YEAR and events.time[4] == CLOCK + YEAR + BETWEEN


def test_a_broken_line_within_a_session_of_pairs_costs_nothing_else(tmp_path: Path) -> None:
    lines = pairs_of(["1", "2", "3", "4", "5"]) + pairs_of(["6", "7"])
    for broken in (b"1 2 3", b"\xff\t4", b"1 2 3\t4 5", b"1 2\t3\t4", b"\t4", b"1 2 3\t"):
        lines[1] = broken
        events, _, kinds, reasons = read(write(tmp_path, b"\n".join(lines), "a.txt"))
        assert kinds == {"VIEW": 7, "MALFORMED": 1} and raws(events) == [broken]
        assert set(reasons) <= {"wrong number of fields", "text is not UTF-8"}


def test_s3rec_has_a_user_a_line(tmp_path: Path) -> None:
    events, _, kinds, reasons = read(write(tmp_path, "u1 7 8 9\nu2 8\nu3\n", "a.txt") + "?format=s3rec")
    assert kinds == {"VIEW": 4, "MALFORMED": 1} and reasons == {"line without an item": 1}
    good = events.take(events.kind == Kind.VIEW)
    assert [int(u) for u in good.user] == [user("u1")] * 3 + [user("u2")] and not good.session.any()
    assert good.time.tolist() == [CLOCK, CLOCK + DAY, CLOCK + 2 * DAY, CLOCK + 0.001]


def test_an_s3rec_user_with_a_tab_is_of_another_format(tmp_path: Path) -> None:
    _, _, _, reasons = read(write(tmp_path, "u1\t7 8\n", "a.txt") + "?format=s3rec")
    assert reasons == {"row cannot be split into fields": 1}


def test_jd(tmp_path: Path) -> None:
    text = "11+1+753+14+9 11+5+753+0+9 12+8+9+30+1 rubbish 12+9+9+5+1 13+11+9+5+1 12+10+9+7+1\n14+4++1+1\n"
    events, _, kinds, reasons = read(write(tmp_path, text, "a.txt") + "?format=jd")
    assert kinds == {"VIEW": 4, "CART": 1, "PURCHASE": 1, "MALFORMED": 2}
    assert reasons == {"step is not sku+type+category+interval+dwell": 2}
    assert raws(events) == [b"rubbish", b"13+11+9+5+1"]
    good = events.take((events.kind >= Kind.VIEW) & (events.kind < Kind.ITEM))
    assert good.time.tolist() == [CLOCK + t for t in (0, 14, 14, 44, 49, BETWEEN)]
    assert len(set(good.session.tolist())) == 2
    assert events.details(0) == {"op": "mention", "category": "753"}


def test_sessions_of_two_jd_files_are_not_one(tmp_path: Path) -> None:
    write(tmp_path, "11+1+753+14+9\n", "a.txt")
    write(tmp_path, "12+1+753+14+9\n", "b.txt")
    events, *_ = read(f"file:{tmp_path}")
    assert len(np.unique(events.session[events.kind == Kind.VIEW])) == 2


@pytest.mark.parametrize("name", ["sequences", "s3rec", "jd"])
def test_lines_that_cannot_be_read_keep_their_bytes(tmp_path: Path, name: str) -> None:
    lines = [b"1 2\xff 3", b"1 2\t3", b"  ", b"9 " * (MAX_LINE // 2 + 1)]
    text = b"\n".join([b"1+5+2+3+4 2+5+2+3+4", *lines])
    events, _, kinds, reasons = read(write(tmp_path, text, "a.txt") + f"?format={name}")
    assert kinds == {"VIEW": 1 if name == "s3rec" else 2, "MALFORMED": 4}
    assert reasons == {
        "text is not UTF-8": 1,
        "row cannot be split into fields": 1,
        "line without an item": 1,
        "line longer than 1 MiB": 1,
    }
    assert raws(events) == [line[: MAX_LINE + 1] for line in lines]


def test_an_item_that_is_no_id_is_rejected_alone(tmp_path: Path) -> None:
    long = "9" * 600
    events, _, kinds, reasons = read(write(tmp_path, f"1 {long} 3\n", "a.txt") + "?format=sequences")
    assert kinds == {"VIEW": 2, "MALFORMED": 1} and reasons == {"item is no id": 1} and raws(events) == [long.encode()]


SESSIONS = st.lists(st.lists(st.sampled_from(["1", "2", "33"]), min_size=2, max_size=6), max_size=12)
BROKEN = st.sampled_from([b"1 2", b"\xff", b" ", b"1\t2\t3", b"1+1+1+1+1 x", b"1+5+2+3+4 2+9+2+3+4", b"u 1 2"])


@given(st.data())
@pytest.mark.parametrize("format_", [Sequences, Pairs, S3Rec, Jd])
def test_chunk_borders_change_nothing(format_: type[Steps], data: st.DataObject) -> None:
    lines = [line for session in data.draw(SESSIONS) for line in pairs_of(session)]
    for line in data.draw(st.lists(BROKEN, max_size=4)):
        lines.insert(data.draw(st.integers(0, len(lines))), line)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=5)))
    pieces = [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    assert rows(format_(""), pieces) == rows(format_(""), [lines])


@given(SESSIONS)
def test_pairs_give_back_the_sessions_they_were_made_of(sessions: list[list[str]]) -> None:
    found = rows(Pairs(""), [[line] for session in sessions for line in pairs_of(session)])
    assert [item for _, item, *_ in found] == [repr(item) for session in sessions for item in session]
    assert len({session for session, *_ in found}) == len(sessions)


@given(st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line), max_size=6))
@pytest.mark.parametrize("format_", [Sequences, Pairs, S3Rec, Jd])
def test_no_line_raises(format_: type[Steps], lines: list[bytes]) -> None:
    rows(format_(""), [lines])


@pytest.mark.data
def test_diginetica_whole(data: Path) -> None:
    train, test = data / "diginetica_gcegnn/train_sequences.txt.gz", data / "diginetica_gcegnn/test_pairs.txt.gz"
    sessions: list[set[str]] = []
    items: set[str] = set()
    times: list[float] = []
    rows = []
    for spec in (f"file:{train}?format=sequences", f"file:{test}"):
        chunks = list(open_source(spec).chunks())
        assert not any(chunk.problems for chunk in chunks)
        rows.append(sum(chunk.rows for chunk in chunks))
        sessions.append(set().union(*(chunk.columns["session"] for chunk in chunks)))
        items.update(*(chunk.columns["item"] for chunk in chunks))
        times += [time for chunk in chunks for time in chunk.columns["time"]]
    assert rows == [906_140, 76_821] and [len(s) for s in sessions] == [186_670, 15_963]
    assert len(items) == 43_097 and not sessions[0] & sessions[1] and times == sorted(times)


@pytest.mark.data
def test_amazon_beauty_whole(data: Path) -> None:
    events, names, kinds, _ = read(f"file:{data}/amazon_beauty/Beauty.txt.gz?format=s3rec")
    assert kinds == {"VIEW": 198_502} and len(np.unique(events.user)) == 22_363
    assert len(np.unique(names.key)) == 12_101


@pytest.mark.data
def test_jd_whole(data: Path) -> None:
    events, _, kinds, reasons = read(f"file:{data}/jd_appliances")
    assert kinds == {"VIEW": 79_695, "CART": 5_436, "PURCHASE": 309} and not reasons
    assert kinds.total() == 85_440 and len(np.unique(events.session[events.session > 0])) == 2_000
