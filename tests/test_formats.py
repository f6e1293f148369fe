"""Formats and lines: small samples of each, the public data sets whole, and rubbish."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopguide.collect import lines as lines_module
from shopguide.collect.encode import Encoder
from shopguide.collect.files import open_source
from shopguide.collect.formats import FORMATS
from shopguide.collect.lines import MAX_LINE, Fields, Lines
from shopguide.errors import SourceError
from shopguide.keys import Secret, item_key
from shopguide.records import Events, Kind, Names

SECRET = Secret(b"a secret for the tests")


def read(spec: str) -> tuple[Events, Names, Counter[str], Counter[str]]:
    """All events and names of a source, its own rows by kind, and its malformed rows by reason."""
    encoder = Encoder(SECRET)
    encoded = [encoder.encode(chunk) for chunk in open_source(spec).chunks()]
    kinds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for part in encoded:
        kinds.update(Kind(k).name for k in part.events.kind[~part.derived].tolist())
        for row in np.flatnonzero(part.events.kind == Kind.MALFORMED).tolist():
            details = part.events.details(row)
            reasons[details["reason"]] += 1
            assert details["raw"] or details["reason"].startswith("file is")
    events = Events.join([part.events for part in encoded])
    return events, Names.join([part.names for part in encoded]), kinds, reasons


def write(path: Path, text: str | bytes, name: str = "sample.csv") -> str:
    data = text.encode() if isinstance(text, str) else text
    file = path / name
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return f"file:{file}"


def user(name: str) -> int:
    return SECRET.user_key(name)


def raws(events: Events) -> list[bytes]:
    return [events.details(r)["raw"] for r in np.flatnonzero(events.kind == Kind.MALFORMED).tolist()]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_events_table(tmp_path: Path, delimiter: str, name: str, end: str) -> None:
    rows = [["user_id", "Item", "timestamp", "type", "title", "odd"], ["u1", "i1", "5", "cart", "A", "?"]]
    text = end.join(delimiter.join(row) for row in [*rows, ["u2", "i2", "2020-01-01", "", "B", ""]]) + end
    events, names, kinds, _ = read(write(tmp_path, "\ufeff" + text if end == "\n" else text, name))
    assert kinds == {"CART": 1, "VIEW": 1}
    assert [int(u) for u in events.user[events.user > 0]] == [user("u1"), user("u2")]
    assert {bytes(t) for t in names.text} == {b"i1", b"i2"}


def test_a_column_called_event_is_the_kind_where_no_other_is(tmp_path: Path) -> None:
    _, _, kinds, _ = read(write(tmp_path, "timestamp,visitorid,event,itemid\n1433221332117,2,addtocart,3\n"))
    assert kinds == {"CART": 1}
    events, _, kinds, _ = read(write(tmp_path, "time,user,event,item,kind\n1433221332,2,e9,3,buy\n"))
    assert kinds == {"PURCHASE": 1} and events.event[0]


def test_events_jsonl(tmp_path: Path) -> None:
    lines = [
        b'{"kind": "item", "item": "i1", "title": "Lamp", "price": 3}',
        b'{"user": "u", "item": "i1", "time": 1700000000123, "kind": "view"}',
        b'{"user": "u", "item": ',
        b"[1, 2]",
        b'{"session": "s", "time": "2020-01-01", "kind": "search", "query": "red"}',
    ]
    events, _, kinds, reasons = read(write(tmp_path, b"\n".join(lines)))
    assert kinds == {"ITEM": 1, "VIEW": 1, "SEARCH": 1, "MALFORMED": 2} and reasons == {"no JSON object": 2}
    assert raws(events) == [lines[2], lines[3]]


def test_session_rec(tmp_path: Path) -> None:
    events, _, kinds, _ = read(write(tmp_path, "SessionId\tItemId\tTime\n3\t21\t1396437466.94\n4\t22\t1396437467\n"))
    assert kinds == {"VIEW": 2} and events.time[0] == 1396437466.94
    assert int(events.user[0]) == user("anonymous:3") and int(events.session[1]) == SECRET.session_key("4")


def test_online_retail(tmp_path: Path) -> None:
    text = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,"WHITE ""HEART"", HOLDER ",6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,85123A,WHITE HEART,2,2010-12-01 08:26:00,2.95,17850.0,United Kingdom
C536379,85123A,WHITE HEART,-1,2010-12-01 09:41:00,2.55,17850.0,United Kingdom
536370,22728,ALARM CLOCK,1,2010-12-01 08:45:00,3.75,,France
536371,POST,POSTAGE,1,2010-12-01 08:45:00,18.0,12583.0,France
536372,22728,damaged,-4,2010-12-01 08:45:00,0.0,,France
536373,22729,free,4,2010-12-01 08:45:00,0.0,,France
536374,22729,CLOCK,many,2010-12-01 08:45:00,1.0,,France
536375,22729,CLOCK,1,2010-12-01 08:45:00,4.25,,France
"""
    events, _, kinds, reasons = read(write(tmp_path, text))
    assert kinds == {"PURCHASE": 4, "REMOVE": 1, "MALFORMED": 4}
    assert reasons == {
        "not a product": 1,
        "quantity is not positive": 1,
        "price is not positive": 1,
        "quantity is not a finite number": 1,
    }
    own = events.take(events.kind == Kind.PURCHASE)
    assert [int(u) for u in own.user] == [user(u) for u in ("17850", "17850", "anonymous:536370", "anonymous:536375")]
    assert own.value.tolist() == pytest.approx([15.3, 5.9, 3.75, 4.25]) and own.time[0] == 1291191960
    assert int(events.user[events.kind == Kind.REMOVE][0]) == user("17850")
    items = [events.details(r) for r in np.flatnonzero(events.kind == Kind.ITEM).tolist()]
    assert items[0] == {"op": "mention", "title": 'WHITE "HEART", HOLDER', "price": 2.55}
    assert items[1] == {"op": "mention", "title": "WHITE HEART", "price": 2.55}
    assert items[-1] == {"op": "mention", "title": "CLOCK", "price": 4.25}  # not that of the rows that make no sense


def test_rees46_with_its_end_cut_off(tmp_path: Path) -> None:
    text = """event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session
2019-10-01 00:00:00 UTC,view,44600062,2103,electronics.phone,shiseido,35.79,541312140,72d7
2019-10-01 00:00:01 UTC,remove_from_cart,44600062,2103,electronics.phone,shiseido,35.79,541312140,72d7
2019-10-01 00:00:02 UTC,view,446"""
    events, _, kinds, reasons = read(write(tmp_path, text))
    assert kinds == {"VIEW": 1, "REMOVE": 1, "MALFORMED": 1} and reasons == {"wrong number of fields": 1}
    assert raws(events) == [b"2019-10-01 00:00:02 UTC,view,446"]
    assert events.details(0) == {"op": "mention", "category": "electronics.phone", "brand": "shiseido", "price": 35.79}


def test_taobao_has_no_header(tmp_path: Path) -> None:
    events, _, kinds, _ = read(write(tmp_path, "1,2,3,pv,1511658000\n1,2,3,buy,1511658001\n"))
    assert kinds == {"VIEW": 1, "PURCHASE": 1} and int(events.item[0]) == item_key("2")
    assert events.details(0) == {"op": "mention", "category": "3"}


def test_otto(tmp_path: Path) -> None:
    line = '{"session":7,"events":[{"aid":1,"ts":1659304800025,"type":"clicks"},{"aid":2,"ts":1,"type":"orders"}]}'
    text = (
        f'{line}\n{{"session":8,"events":[3]}}\n{line[:30]}\n{{"session":9,"events":[{{"aid":1,"type":"clicks"}}]}}\n'
    )
    events, _, kinds, reasons = read(write(tmp_path, text))
    assert kinds == {"VIEW": 1, "PURCHASE": 1, "MALFORMED": 3}
    assert reasons == {"no session with events": 1, "no JSON object": 1, "no time": 1}
    assert int(events.user[0]) == user("anonymous:7") and events.time[0] == 1659304800.025
    assert b'{"session":9,"aid":1,"type":"clicks"}' in raws(events)


BEGINNINGS = [
    ("events", "user_id,Item,timestamp,type"),
    ("events", "user\titem\ttime"),
    ("events", '{"user": "u", "item": "i1", "time": 1700000000}'),
    ("session-rec", "SessionId\tItemId\tTime"),
    ("online-retail", "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"),
    ("rees46", "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"),
    ("taobao", "1,2,3,pv,1511658000"),
    ("otto", '{"session":7,"events":[{"aid":1,"ts":1659304800025,"type":"clicks"}]}'),
    ("jd", "879089+5+753+180+180 877096+10+753+35+35"),
    ("jd", "879089+5+753+180+180"),
    ("pairs", "21553 20071 8762\t21566"),
    ("access-log", '203.0.113.9 - - [10/Oct/2023:13:55:36 -0700] "GET /p/1 HTTP/1.1" 200 2326 "-" "Mozilla/5.0"'),
    ("", "21553 20071 8762 21566"),  # sequences or s3rec: only their names tell them apart
    ("", "21553\t20071"),  # any table of two columns
    ("", "user item\ttime"),
    ("", "879089+5+753+180+180 877096"),
    ("", "879089+11+753+180+180"),
    ("", '203.0.113.9 - - [10/Oct/2023:13:55:36 -0700] "GET /p/1 HTTP/1.1" 200 2326'),
]


@pytest.mark.parametrize(("name", "first"), BEGINNINGS)
def test_a_first_line_is_of_one_format(name: str, first: str) -> None:
    """Or of events, too, the last that is asked."""
    found = [f.name for f in FORMATS if f.sniff(first)]
    assert found[:1] == ([name] if name else []) and set(found[1:]) <= {"events"}


def test_every_format_is_recognised_or_named() -> None:
    assert {f.name for f in FORMATS} == {name for name, _ in BEGINNINGS if name} | {"sequences", "s3rec"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,b,c\n1,2,3\n", "the header lacks user or session, item, time; it has a, b, c"),
        (b"user,item\nu,i\n", "the header lacks time; it has user, item"),
        (bytes(range(256)) * 9, "is no text"),
        (gzip.compress(b"x" * 99, mtime=0)[:12], "damaged from its beginning"),
        (b"x" * (2 << 20), "its first line does not end"),
    ],
)
@pytest.mark.parametrize("forced", ["", "?format=events"])
def test_a_file_in_no_format_is_one_clear_line(tmp_path: Path, content: bytes, says: str, forced: str) -> None:
    with pytest.raises(SourceError, match=says) as error:
        open_source(write(tmp_path, content) + forced)
    assert "\n" not in str(error.value) and "sample.csv" in str(error.value)


def test_a_forced_format_needs_its_header_but_not_good_rows(tmp_path: Path) -> None:
    spec = write(tmp_path, "InvoiceNo,StockCode\n1,2\n")
    with pytest.raises(SourceError, match="lacks Description, Quantity"):
        open_source(spec + "?format=online-retail")
    _, _, _, reasons = read(write(tmp_path, "rubbish\n1,2,3,pv,1511658000\n") + "?format=taobao")
    assert reasons == {"wrong number of fields": 1}


def test_bad_rows_each_with_its_reason(tmp_path: Path) -> None:
    text = b"user,item,time\nu1,i1,notatime\nu1,,5\n,i2,5\nu1,i1,1700000000\nu1,i2,nan\nu1,i2,1e400\nu1,i3,1700000001\n"
    _, _, kinds, reasons = read(write(tmp_path, text))
    assert kinds == {"VIEW": 2, "MALFORMED": 5}
    assert reasons == {"time cannot be read": 1, "no item": 1, "no user and no session": 1, "time is not finite": 2}


def test_bytes_that_are_no_text_cost_their_own_line(tmp_path: Path) -> None:
    rows = [b"u,caf\xe9,5", b"u,i\0,5", b'u,"i,5', b"u,i\rx,5", b"u,i,5"]
    events, _, kinds, reasons = read(write(tmp_path, b"user,item,time\n" + b"\n".join(rows)))
    assert kinds == {"VIEW": 2, "MALFORMED": 3}
    assert reasons == {"text is not UTF-8": 1, "row cannot be split into fields": 2}
    assert raws(events) == [rows[0], rows[2], rows[3]]


def test_a_line_over_a_mebibyte_is_one_malformed_row(tmp_path: Path) -> None:
    long = b"u" * (3 << 20)
    text = b"user,item,time\na,i,5\n" + long + b",i,5\nb,i,5\n" + long
    for name in ("long.csv", "long.csv.gz"):
        events, _, kinds, reasons = read(write(tmp_path, text, name))
        assert kinds == {"VIEW": 2, "MALFORMED": 2} and reasons == {"line longer than 1 MiB": 2}
        assert raws(events) == [long[: MAX_LINE + 1]] * 2


def test_quoted_fields_may_span_lines(tmp_path: Path) -> None:
    text = 'user,item,time,title\nu,i,1e9,"two\nlines, ""quoted"""\nu,j,5,"open\nu,k,5,x\nu,l,5,"a\nb"\n'
    events, _, kinds, _ = read(write(tmp_path, text))
    assert kinds == {"VIEW": 3, "MALFORMED": 1} and raws(events) == [b'u,j,5,"open']
    assert events.details(0)["title"] == 'two\nlines, "quoted"'


def test_torn_rows_do_not_swallow_the_rows_between(tmp_path: Path) -> None:
    rows = [b'u,i%d,5,"%s' % (n, b"" if n in (10, 40) else b'"') for n in range(60)]
    events, _, kinds, _ = read(write(tmp_path, b"user,item,time,title\n" + b"\n".join(rows)))
    assert kinds == {"VIEW": 58, "MALFORMED": 2} and raws(events) == [rows[10], rows[40]]


CELLS = st.text(st.sampled_from('ab";\n é'), max_size=5)


@settings(max_examples=200)
@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=30), at=st.lists(st.integers(0, 60)))
def test_fields_read_back_what_csv_wrote(rows: list[list[str]], at: list[int]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    lines = text.getvalue().encode().split(b"\n")[:-1]
    cuts = sorted({0, *(min(a, len(lines)) for a in at), len(lines)})
    fields = Fields(",", 3)
    found = []
    for start, stop in zip(cuts, [*cuts[1:], len(lines)], strict=True):
        got, raw, problems = fields.split(lines[start:stop], stop == len(lines))
        assert not problems and len(got) == len(raw)
        found += got
    assert found == rows


@pytest.mark.parametrize("block", [7, 64, 1 << 19])
@pytest.mark.parametrize("packed", [False, True])
def test_lines_come_back_whatever_the_block(tmp_path: Path, monkeypatch, block: int, packed: bool) -> None:
    monkeypatch.setattr(lines_module, "BLOCK", block)
    monkeypatch.setattr(lines_module, "READ", max(block // 2, 2))
    text = b"".join(b"line %d %s\r\n\n" % (n, b"x" * (n % 13)) for n in range(300))
    file = tmp_path / "f"
    middle = len(text) // 2  # two members, as concatenated gzip files have
    file.write_bytes(gzip.compress(text[:middle]) + gzip.compress(text[middle:]) if packed else text)
    lines = Lines(file)
    assert [line for b in lines.blocks() for line in b] == [line for line in text.split(b"\r\n\n") if line]
    assert lines.position == lines.total and lines.damage is None


@settings(max_examples=30)
@given(keep=st.floats(0.02, 0.999), flip=st.booleans())
def test_a_damaged_gzip_keeps_the_rows_before(tmp_path_factory, keep: float, flip: bool) -> None:
    path = tmp_path_factory.mktemp("gz")
    rng = np.random.default_rng(5)
    lines = [b"u%d,i%d,%d" % (n, rng.integers(1 << 40), 1_700_000_000 + n) for n in range(3000)]
    packed = bytearray(gzip.compress(b"user,item,time\n" + b"\n".join(lines)))
    at = max(int(len(packed) * keep), 200)
    if flip:
        packed[at] ^= 0xFF
    (path / "t.csv.gz").write_bytes(packed if flip else packed[:at])
    try:
        events, _, kinds, reasons = read(f"file:{path}/t.csv.gz")
    except SourceError as e:
        assert "damaged" in str(e)
        return
    assert kinds["MALFORMED"] >= 1 and set(reasons) & {"file is truncated", "file is corrupt"}
    if not flip:
        assert kinds["VIEW"] + kinds["MALFORMED"] <= len(lines) + 1 and kinds["MALFORMED"] == 1
        whole = kinds["VIEW"]
        assert events.time[:whole].tolist() == [1_700_000_000.0 + n for n in range(whole)]


@settings(max_examples=150)
@given(data=st.binary(max_size=1000), head=st.sampled_from([b"", b"user,item,time\n", b"SessionId\tItemId\tTime\n"]))
def test_random_bytes_are_rows_or_one_clear_line(tmp_path_factory, data: bytes, head: bytes) -> None:
    path = tmp_path_factory.mktemp("random")
    try:
        _, _, kinds, reasons = read(write(path, head + data))
    except SourceError as e:
        assert "\n" not in str(e)
    else:
        assert kinds["MALFORMED"] == reasons.total()


@pytest.mark.data
def test_online_retail_whole(data: Path) -> None:
    events, _, kinds, reasons = read(f"file:{data}/online_retail")
    assert kinds == {"PURCHASE": 527_725, "REMOVE": 8_704, "MALFORMED": 5_480} and kinds.total() == 541_909
    assert reasons == {"not a product": 2_995, "quantity is not positive": 1_324, "price is not positive": 1_161}
    bought = events.take(events.kind == Kind.PURCHASE)
    assert user("17850") in set(bought.user.tolist()) and bought.value.min() > 0
    assert bought.time.min() == 1291191960 and len(np.unique(bought.item)) > 3_800


@pytest.mark.data
def test_yoochoose_whole(data: Path) -> None:
    source = open_source(f"file:{data}/yoochoose_100k")
    assert ["train_full" in source.files[0].path.name, "test" in source.files[1].path.name] == [True, True]
    assert len(source.files) == 2 and len(source.passed_over) == 6
    _, names, kinds, _ = read(f"file:{data}/yoochoose_100k")
    assert kinds == {"VIEW": 70_278 + 13_568} and len(set(names.key.tolist())) == 2_933


@pytest.mark.data
def test_rees46_whole(data: Path) -> None:
    _, _, kinds, reasons = read(f"file:{data}/rees46_2019oct_3h")
    assert kinds == {"VIEW": 17_055, "CART": 165, "PURCHASE": 214, "MALFORMED": 1}
    assert reasons == {"wrong number of fields": 1}


@pytest.mark.data
def test_taobao_whole(data: Path) -> None:
    events, _, kinds, reasons = read(f"file:{data}/taobao_userbehavior_2h")
    assert kinds == {"VIEW": 98_361, "CART": 6_063, "FAVOURITE": 3_383, "PURCHASE": 2_493} and not reasons
    assert len(np.unique(events.user[events.user > 0])) == 66_454
    assert int((events.kind == Kind.ITEM).sum()) == 84_793


@pytest.mark.data
def test_otto_and_serenade(data: Path) -> None:
    assert read(f"file:{data}/otto_sample")[2].total() == 862
    source = open_source(f"file:{data}/serenade_example")
    assert [found.path.name for found in source.files] == ["train.txt.gz", "test.txt.gz"]


@pytest.mark.data
def test_folders_of_other_formats_say_so(data: Path) -> None:
    for name in ("amazon_beauty", "open_bandit", "diginetica_views_sample", "."):
        with pytest.raises(SourceError):
            open_source(f"file:{data}/{name}")
