"""Access logs: what is a view, a search, or nothing; whose it is; and that no whole address leaves the reader."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_formats import raws, read, user, write

from shopguide.collect.access_log import AccessLog, network, without_addresses
from shopguide.keys import item_key

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"


def record(
    request: str = "GET /product/42 HTTP/1.1",
    host: str = "203.0.113.195",
    name: str = "-",
    moment: str = "10/Oct/2023:13:55:36 -0700",
    status: int = 200,
    agent: str = FIREFOX,
) -> str:
    return f'{host} - {name} [{moment}] "{request}" {status} 2326 "https://shop.example/" "{agent}"'


def log(path: Path, *lines: str | bytes) -> str:
    return write(path, b"\n".join(x.encode() if isinstance(x, str) else x for x in lines), "access.log")


@pytest.mark.parametrize(
    ("target", "item"),
    [
        ("/product/42", "42"),
        ("/item/42/", "42"),
        ("/p/garden/lamp-42?colour=red", "lamp-42"),
        ("/en/shop/p/a%20b%2Fc", "a b/c"),
        ("/p/%C3%A9", "é"),
        ("https://shop.example/product/42?x=1", "42"),
        ("/p/p/42", "42"),
    ],
)
def test_a_product_page_is_a_view_of_its_item(tmp_path: Path, target: str, item: str) -> None:
    events, _, kinds, _ = read(log(tmp_path, record(f"GET {target} HTTP/1.1"), record(f"GET {target} HTTP/2.0")))
    assert kinds == {"VIEW": 2} and events.item.tolist() == [item_key(item)] * 2
    assert events.time[0] == 1696971336


@pytest.mark.parametrize(
    "line",
    [
        record("GET / HTTP/1.1"),
        record("GET /product/ HTTP/1.1"),
        record("GET /products/42 HTTP/1.1"),
        record("GET /p/app.js?v=3 HTTP/1.1"),
        record("GET /product/42/photo.JPG HTTP/1.1"),
        record("GET /p/%20 HTTP/1.1"),
        record("POST /product/42 HTTP/1.1"),
        record("HEAD /product/42 HTTP/1.1"),
        record(status=404),
        record(status=301),
        record(agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        record(agent="Baiduspider"),
        record(agent="some CRAWLER"),
        record("-", status=408),
        record(r"\x16\x03\x01", status=400),
        record(r"GET /p/\"quoted\" HTTP/1.1", status=400),
        record("GET /search HTTP/1.1"),
        record("GET /search?q=+&page=2 HTTP/1.1"),
        record("GET /searching?q=lamp HTTP/1.1"),
        record("GET //[?q=1 HTTP/1.1"),
    ],
)
def test_other_requests_are_passed_over(tmp_path: Path, line: str) -> None:
    assert read(log(tmp_path, line, line))[2] == {}
    assert read(log(tmp_path, line, record(), line))[2] == {"VIEW": 1}


@pytest.mark.parametrize(
    "target", ["/search?q=red+lamp", "/en/search/?page=2&query=red%20lamp", "/search?q=&query=red%20lamp"]
)
def test_a_search_has_its_words(tmp_path: Path, target: str) -> None:
    events, _, kinds, _ = read(log(tmp_path, record(f"GET {target} HTTP/1.1")))
    assert kinds == {"SEARCH": 1} and events.details(0) == {"query": "red lamp"} and not events.item.any()


def test_a_page_from_the_browsers_cache_was_seen_too(tmp_path: Path) -> None:
    assert read(log(tmp_path, record(status=304)))[2] == {"VIEW": 1}


def test_a_visitor_is_a_network_and_a_browser_and_a_customer_their_name(tmp_path: Path) -> None:
    lines = [
        record(),
        record(host="203.0.113.7"),
        record(host="203.0.114.195"),
        record(agent="Opera"),
        record(name="ann"),
        record(name="ann", host="2001:db8::1", agent="Opera"),
        record(name="ann lee"),
        record(name='""'),
    ]
    events, _, kinds, _ = read(log(tmp_path, *lines))
    assert kinds == {"VIEW": 8}
    who = events.user.tolist()
    assert who[0] == who[1] == who[7] and len({who[0], who[2], who[3]}) == 3
    assert who[4] == who[5] == user("ann") and who[6] == user("ann lee")


def test_malformed_lines_have_a_reason_and_no_address(tmp_path: Path) -> None:
    lines = [
        record()[:-20],
        record(moment="31/Feb/2023:13:55:36 -0700"),
        record(moment="10/Okt/2023:13:55:36 -0700"),
        record().rsplit(' "', 2)[0],
        record() + ' "198.51.100.77"',
        record(host="2001:db8:1:2:3:4:5:6")[:-1],
        record().encode() + b"\xff",
        record("GET /p/" + "9" * 600 + " HTTP/1.1"),
    ]
    events, _, kinds, reasons = read(log(tmp_path, record(), *lines))
    assert kinds == {"VIEW": 1, "MALFORMED": 8}
    assert reasons == {
        "no record in Combined Log Format": 4,
        "time cannot be read": 2,
        "text is not UTF-8": 1,
        "item is no id": 1,
    }
    for raw in raws(events):
        assert raw.startswith((b"203.0.113.0 - - [", b"2001:db8:1:: - - [10/Oct/2023:13:55:36 -0700]"))
    assert raws(events)[4].endswith(b' "198.51.100.0"')


def test_the_item_of_a_path_can_be_said(tmp_path: Path) -> None:
    spec = log(tmp_path, record("GET /shop/lamp-i77.html HTTP/1.1"), record("GET /product/42 HTTP/1.1"))
    events, _, kinds, _ = read(spec + r"?format=access-log&item=-i(\d%2B)\.html$")
    assert kinds == {"VIEW": 1} and events.item.tolist() == [item_key("77")]
    assert read(spec)[2] == {"VIEW": 1}
    assert read(spec + "?format=access-log&item=(x)?/product/")[2] == {}


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("203.0.113.195", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:203.0.113.195", "203.0.113.0"),
        ("::1", "::"),
        ("host-203-0-113-195.dsl.isp.example", "isp.example"),
        ("ip-203-0-113-195.internal", "internal"),
        ("localhost", "localhost"),
        ("203.0.113.195:4711", "-"),
        ("113.195", "-"),
        ("", "-"),
        (None, "-"),
    ],
)
def test_what_is_kept_of_a_host(host: str | None, kept: str) -> None:
    assert network(host) == kept


BEFORE = st.sampled_from(["", " ", '"', "x ", "for=", "[", "(", ",", "a, ", "\xff", "ip:", "\t", '{"ip":"', "//"])
AFTER = st.sampled_from(
    ["", " - -", '"', ",", "]:443", ")", "\xff", "; x", "/p/1", "?", ' [10/Oct/2023:13:55:36 -0700] "']
)


@given(BEFORE, st.integers(1, 255), st.integers(0, 2**24 - 1), AFTER, st.booleans())
def test_no_line_keeps_an_ipv4_address(before: str, last: int, network_: int, after: str, mapped: bool) -> None:
    address = str(IPv4Address((network_ << 8) | last))
    line = f"{before}{'::ffff:' if mapped else ''}{address}{after}"
    assert address not in without_addresses(line.encode("latin-1")).decode("latin-1")


@given(BEFORE, st.lists(st.integers(0x3000, 0xFFFF), min_size=1, max_size=5), AFTER, st.booleans())
def test_no_line_keeps_an_ipv6_address(before: str, host: list[int], after: str, exploded: bool) -> None:
    groups = [f"{group:x}" for group in host]
    address = IPv6Address(":".join(["2001:db8:77", *["0"] * (5 - len(groups)), *groups]))
    text = address.exploded if exploded else str(address)
    kept = without_addresses(f"{before}{text}{after}".encode("latin-1")).decode("latin-1")
    assert text not in kept and not any(f":{group}" in kept for group in groups)


def test_a_torn_address_is_cut_too() -> None:
    assert without_addresses(b'- - - [10/Oct/2023:13:55:36 -0700] "2001:db8:77:1234') == (
        b'- - - [10/Oct/2023:13:55:36 -0700] "2001:db8:77::'
    )


def test_a_line_without_addresses_stays_as_it_is() -> None:
    for line in (b"rubbish", b'- - - [10/Oct/2023:13:55:36 -0700] "GET / HTTP/1.1" 200 1 "-" "x"', b'{"a": 1}', b""):
        assert without_addresses(line) == line


LINES = st.lists(
    st.sampled_from([record().encode(), record("GET / HTTP/1.1").encode(), record()[:50].encode(), b"\xff"])
    | st.binary(max_size=60).filter(lambda line: b"\n" not in line),
    max_size=12,
)


@given(LINES, st.lists(st.integers(0, 12), max_size=4))
def test_chunk_borders_change_nothing_and_no_line_raises(lines: list[bytes], at: list[int]) -> None:
    cuts = [0, *sorted(min(cut, len(lines)) for cut in at), len(lines)]
    found = []
    for pieces in ([lines], [lines[a:b] for a, b in pairwise(cuts)]):
        parser, rows = AccessLog(""), []
        for piece in pieces:
            chunk = parser.parse(piece, False)
            columns = list(chunk.columns.values())
            rows += [(repr([c[r] for c in columns]), chunk.problems.get(r), chunk.raw(r)) for r in range(chunk.rows)]
        found.append(rows)
    assert found[0] == found[1]


def test_a_hostile_line_takes_no_time() -> None:
    """A mebibyte each of what a careless pattern would try again from every place in it."""
    parser = AccessLog("")
    for piece in ("/p/", "/p//", "[", ' ["', "1.", "a:", "::", r"\"", '" ', "aaaa", "%", "?q=&", "https://"):
        body = piece * ((1 << 20) // len(piece) - 400)
        lines = [body.encode(), record(f"GET {body} HTTP/1.1").encode(), record(f"GET /{body} HTTP/1.1").encode()]
        chunk = parser.parse(lines, True)
        for row in range(chunk.rows):
            chunk.raw(row)
