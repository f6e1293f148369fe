"""Access logs: what is a view, a search, or nothing; whose it is; and that no whole address leaves the reader."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_formats import raws, read, user, write

from shopguide.collect.access_log import Combined
from shopguide.collect.addresses import network, without_addresses
from shopguide.collect.files import open_source
from shopguide.collect.json_log import JsonLog
from shopguide.keys import item_key
from shopguide.settings import RULES, CollectSettings

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
        parser, rows = Combined(""), []
        for piece in pieces:
            chunk = parser.parse(piece, False)
            columns = list(chunk.columns.values())
            rows += [(repr([c[r] for c in columns]), chunk.problems.get(r), chunk.raw(r)) for r in range(chunk.rows)]
        found.append(rows)
    assert found[0] == found[1]


def test_a_hostile_line_takes_no_time() -> None:
    """A mebibyte each of what a careless pattern would try again from every place in it."""
    parser = Combined("")
    for piece in ("/p/", "/p//", "[", ' ["', "1.", "a:", "::", r"\"", '" ', "aaaa", "%", "?q=&", "https://"):
        body = piece * ((1 << 20) // len(piece) - 400)
        lines = [body.encode(), record(f"GET {body} HTTP/1.1").encode(), record(f"GET /{body} HTTP/1.1").encode()]
        chunk = parser.parse(lines, True)
        for row in range(chunk.rows):
            chunk.raw(row)


def under(*rules: dict[str, str], **names: list[str]) -> CollectSettings:
    return CollectSettings.model_validate({"rules": list(rules) or RULES, **names})


def told(path: Path, settings: CollectSettings, *lines: str) -> list[tuple[str, str, str, float]]:
    """Kind, item, query and value of each event of a log."""
    events, found = [], open_source(log(path, *lines), settings)
    for chunk in found.chunks():
        rows = chunk.rows
        events += list(zip(*(chunk.columns[n] for n in ("kind", "item", "query", "value")), strict=True))[:rows]
    return events


SHOP = (
    {"kind": "view", "path": "/shop/.*-i(?P<item>[0-9]+)[.]html"},
    {"kind": "cart", "method": "POST", "path": "/cart/add", "item": "sku", "value": "price"},
    {"kind": "remove", "method": "DELETE", "path": "/cart/(?P<item>[^/]+)"},
    {"kind": "favourite", "method": "PUT", "path": "/me/likes/(?P<item>[^/]+)"},
    {"kind": "purchase", "path": "/thanks", "item": "item", "value": "total"},
    {"kind": "search", "path": "/find/(?P<query>[^/]+)"},
)


@pytest.mark.parametrize(
    ("request_", "status", "event"),
    [
        ("GET /shop/lamp-i77.html", 200, ("view", "77", "", "")),
        ("GET /product/77", 200, None),
        ("POST /cart/add?sku=a%20b&price=9.5", 303, ("cart", "a b", "", "9.5")),
        ("POST /cart/add?sku=7", 201, ("cart", "7", "", "")),
        ("POST /cart/add?sku=7", 302, ("cart", "7", "", "")),
        ("POST /cart/add?sku=7", 422, None),
        ("POST /cart/add", 303, None),
        ("GET /cart/add?sku=7", 200, None),
        ("DELETE /cart/7/", 204, ("remove", "7", "", "")),
        ("PUT /me/likes/7", 200, ("favourite", "7", "", "")),
        ("GET /thanks?item=7&total=12", 200, ("purchase", "7", "", "12")),
        ("GET /thanks?item=7&total=12", 303, None),
        ("GET /find/red%20lamp", 200, ("search", "", "red lamp", "")),
    ],
)
def test_rules_say_what_a_request_means(
    tmp_path: Path, request_: str, status: int, event: tuple[str, str, str, str] | None
) -> None:
    """The first line is a page, so that the file is known as a log."""
    lines = record("GET / HTTP/1.1"), record(f"{request_} HTTP/1.1", status=status)
    assert told(tmp_path, under(*SHOP), *lines) == ([event] if event else [])


def test_the_first_rule_that_says_all_counts(tmp_path: Path) -> None:
    rules = ({"kind": "view", "path": "/x", "item": "a"}, {"kind": "view", "path": "/x", "item": "b"})
    assert told(tmp_path, under(*rules), record("GET /x?b=2"), record("GET /x?a=1&b=2")) == [
        ("view", "2", "", ""),
        ("view", "1", "", ""),
    ]


def test_lines_keep_their_numbers_under_other_rules(tmp_path: Path) -> None:
    lines = [record("GET /"), record(), record("GET /thanks?item=7"), record()]
    for settings, numbers in ((under(), [1, 3]), (under(*SHOP), [2])):
        chunks = list(open_source(log(tmp_path, *lines), settings).chunks())
        assert [n for chunk in chunks for n in chunk.rows_numbered().tolist()] == numbers


NGINX = {
    "time_iso8601": "2023-10-10T13:55:36-07:00",
    "remote_addr": "203.0.113.195",
    "remote_user": "",
    "request": "GET /product/42?x=1 HTTP/1.1",
    "status": "200",
    "http_user_agent": FIREFOX,
}
CADDY = {
    "level": "info",
    "ts": 1696971336.0,
    "logger": "http.log.access",
    "request": {
        "remote_ip": "203.0.113.195",
        "client_ip": "203.0.113.195",
        "method": "GET",
        "uri": "/product/42?x=1",
        "headers": {"User-Agent": [FIREFOX]},
    },
    "user_id": "",
    "status": 200,
}
TRAEFIK = {
    "ClientHost": "203.0.113.195",
    "ClientUsername": "-",
    "RequestMethod": "GET",
    "RequestPath": "/product/42?x=1",
    "DownstreamStatus": 200,
    "StartUTC": "2023-10-10T20:55:36.000000000Z",
    "request_User-Agent": FIREFOX,
    "time": "2023-10-10T20:55:37Z",
}
OTHER = {"when": "10/Oct/2023:13:55:36 -0700", "ip": "203.0.113.195", "what": "GET /p/42", "code": 200, "ua": FIREFOX}
OTHERS = {"json_time": ["when"], "json_host": ["ip"], "json_request": ["what"], "json_status": ["code"]}


@pytest.mark.parametrize("said", [NGINX, CADDY, TRAEFIK, OTHER], ids=["nginx", "caddy", "traefik", "other"])
def test_json_logs_say_what_combined_ones_say(tmp_path: Path, said: dict[str, object]) -> None:
    settings = under(json_agent=["ua"], **OTHERS) if said is OTHER else under()
    (found,) = open_source(log(tmp_path, json.dumps(said)), settings).chunks()
    (same,) = open_source(log(tmp_path, record()), settings).chunks()
    assert {name: list(column) for name, column in found.columns.items()} == {
        name: list(column) for name, column in same.columns.items()
    }


def test_malformed_json_has_a_reason_and_no_address(tmp_path: Path) -> None:
    lines = [
        json.dumps(NGINX),
        json.dumps(NGINX)[:-9],
        "[]",
        json.dumps({**NGINX, "request": "?"}),
        json.dumps({**NGINX, "time_iso8601": "never"}),
        json.dumps({**NGINX, "time_iso8601": True}),
        json.dumps({**CADDY, "ts": None}),
        json.dumps({**NGINX, "status": 404}),
    ]
    events, _, kinds, reasons = read(log(tmp_path, *lines))
    assert kinds == {"VIEW": 1, "MALFORMED": 6} and reasons == {
        "no JSON object": 2,
        "no request and status in it": 1,
        "time cannot be read": 3,
    }
    assert not any(b"203.0.113.195" in raw for raw in raws(events))


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda v: st.dictionaries(st.text(), v)))
def test_no_json_raises(value: object) -> None:
    parser = JsonLog("")
    said = {name: value for name in (*NGINX, *CADDY, *TRAEFIK)}
    for line in (json.dumps(value), json.dumps(said), json.dumps({**NGINX, "request": value, "time_iso8601": value})):
        parser.parse([line.encode("utf-8", "surrogatepass")], True)


def test_programs_are_nobody(tmp_path: Path) -> None:
    lines = [record(agent=agent) for agent in (FIREFOX, "curl/8.5.0", "python-requests/2.32", "-")]
    assert read(log(tmp_path, *lines))[2] == {"VIEW": 2}
