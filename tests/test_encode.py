"""encode: every row is an event, a malformed row with its bytes, or refused; and users are keyed hashes."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shopguide.collect.chunk import SYNONYMS, Chunk, columns_of
from shopguide.collect.encode import Encoded, Encoder
from shopguide.collect.values import KINDS
from shopguide.keys import Secret, category_key, event_key, item_key
from shopguide.records import Kind

SECRET = Secret(b"a secret for the tests")
NOW = 1_700_000_000.0


def encode(rows: list[dict[str, Any]], encoder: Encoder | None = None, known: dict | None = None) -> Encoded:
    raw = [repr(row).encode("utf-8", "backslashreplace") for row in rows]
    chunk = Chunk(len(rows), columns_of(rows), raw.__getitem__, known={} if known is None else known)
    return (encoder or Encoder(SECRET, lambda: NOW)).encode(chunk)


def one(**row: Any) -> tuple[Encoded, dict[str, Any]]:
    """The last row of the encoded one, and its data."""
    found = encode([row])
    return found, found.events.details(len(found.events) - 1)


def reason(**row: Any) -> str:
    found, details = one(**{"user": "u", "item": "i", "time": 5.0, **row})
    assert found.events.kind.tolist() == [Kind.MALFORMED] and details["raw"]
    return str(details["reason"])


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(
        ["", " ", "u1", "i1", "view", "search", "item", "buy", "nan", "1e400", "2019-10-01", "stock", "no"]
    ),
    st.text(st.characters(), max_size=4),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
FIELDS = [
    "device",
    "region",
    "referrer",
    "campaign",
    "kind",
    "user",
    "session",
    "item",
    "time",
    "value",
    "event",
    "query",
    "consent",
    "op",
    "user_key",
    "id",
    "list",
]
ROWS = st.dictionaries(
    st.sampled_from([*FIELDS, "title", "category", "brand", "price", "image", "url", "stock", "odd"]), VALUES
)


YES = ("", "true", "t", "yes", "y", "1", "on", "granted", "given")


def consented(row: dict[str, Any]) -> bool:
    said = row.get("consent")
    return said.strip().lower() in YES if isinstance(said, str) else said in (None, True)


@settings(max_examples=400)
@example(rows=[{"consent": "1"}, {"consent": "n"}])
@given(rows=st.lists(ROWS, max_size=6))
def test_nothing_raises_and_nothing_is_lost(rows: list[dict[str, Any]]) -> None:
    found = encode(rows)
    events = found.events
    own = np.flatnonzero(~found.derived)
    assert len(own) + len(found.refused) == len(rows)
    kept = [row for row in rows if consented(row)]
    assert len(found.refused) == len(rows) - len(kept)
    for at, row in zip(own.tolist(), kept, strict=True):
        if events.kind[at] == Kind.MALFORMED:
            details = events.details(at)
            assert details["raw"] == repr(row).encode("utf-8", "backslashreplace") and details["reason"]
        else:
            assert math.isfinite(events.time[at]) and math.isfinite(events.value[at])
    named = {int(key) for key in found.names.key}
    assert set(events.item[events.item > 0].tolist()) <= named
    assert events.kind[found.derived].tolist() == [Kind.ITEM] * int(found.derived.sum())


@settings(max_examples=200)
@given(rows=st.lists(ROWS, max_size=6), cut=st.integers(0, 6))
def test_chunks_cut_anywhere_give_the_same_rows(rows: list[dict[str, Any]], cut: int) -> None:
    whole = encode(rows)
    encoder, known = Encoder(SECRET, lambda: NOW), {}
    parts = [encode(part, encoder, known) for part in (rows[:cut], rows[cut:])]
    for name in ("kind", "user", "session", "item", "time", "value", "event"):
        joined = np.concatenate([getattr(part.events, name) for part in parts])
        assert np.array_equal(getattr(whole.events, name), joined)
    assert [d.tobytes() for d in whole.events.data] == [d.tobytes() for part in parts for d in part.events.data]


def test_a_row_in_full() -> None:
    found, details = one(user="u1", session="s", item="i1", time=NOW, kind="buy", value="3.5", event="e")
    events = found.events
    assert details == {} and events.kind[0] == Kind.PURCHASE
    assert int(events.user[0]) == SECRET.user_key("u1") and int(events.session[0]) == SECRET.session_key("s")
    assert int(events.item[0]) == item_key("i1") and int(events.event[0]) == event_key("e")
    assert (events.time[0], events.value[0], events.arrived[0]) == (NOW, 3.5, NOW)
    assert found.names.key.tolist() == [item_key("i1")] and found.names.text.bytes_at(0) == b"i1"


def test_no_user_id_is_in_what_is_stored() -> None:
    found, _ = one(user="alice@example.org", item="i", time=1.0, session="alice's", event="by alice", title="t")
    columns = {**found.events.columns(), **found.names.columns()}.values()
    stored = b"".join((c.values if hasattr(c, "values") else c).tobytes() for c in columns)
    assert b"alice" not in stored


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (1569888000, 1569888000.0),
        (1569888000123, 1569888000.123),
        ("1569888000.5", 1569888000.5),
        ("1569888000500", 1569888000.5),
        ("2019-10-01 00:00:00 UTC", 1569888000.0),
        ("2019-10-01 00:00:00", 1569888000.0),
        ("2019-10-01", 1569888000.0),
        ("2019-10-01T02:00:00+02:00", 1569888000.0),
        ("2019-10-01T00:00:00.250Z", 1569888000.25),
    ],
)
def test_times_of_many_forms(given: Any, seconds: float) -> None:
    assert one(user="u", item="i", time=given)[0].events.time[0] == seconds
    mixed = encode([{"user": "u", "item": "i", "time": t} for t in (given, 7, "2019-10-01", "8")])
    assert mixed.events.time.tolist() == [seconds, 7, 1569888000, 8]


def test_a_time_without_a_zone_is_utc_wherever_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as here:
        here.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        found = one(user="u", item="i", time="2019-10-01 00:00:00")[0].events.time[0]
    time.tzset()
    assert found == 1569888000


@pytest.mark.parametrize(
    ("kind", "want"),
    [
        ("pv", Kind.VIEW),
        ("Page View", Kind.VIEW),
        (None, Kind.VIEW),
        ("click", Kind.CLICK),
        ("add_to_cart", Kind.CART),
        ("fav", Kind.FAVOURITE),
        ("ORDER", Kind.PURCHASE),
        ("transaction", Kind.PURCHASE),
        ("returned", Kind.REMOVE),
        ("dismiss", Kind.DISMISS),
    ],
)
def test_kinds_by_name(kind: str | None, want: Kind) -> None:
    assert one(user="u", item="i", time=1, kind=kind)[0].events.kind[0] == want


def test_reasons() -> None:
    assert reason(user="", session=" ") == "no user and no session"
    assert reason(user=[1]) == reason(user="x" * 513) == reason(user="\ud800") == "user is no id"
    assert reason(item=None) == "no item" and reason(item=True) == "item is no id"
    assert reason(time="notatime") == reason(time=[1]) == "time cannot be read"
    assert reason(time="nan") == reason(time=math.inf) == reason(time=10**400) == "time is not finite"
    assert reason(time="") == "no time"
    assert reason(value="NaN") == reason(value="dear") == reason(value=True) == "value is not a finite number"
    assert reason(price=math.nan) == "price is not a finite number" and reason(title={}) == "title is no text"
    assert reason(kind="explode") == reason(kind=3) == reason(kind="watch") == "unknown kind"
    assert reason(kind="search") == "no query"
    assert reason(kind="item", op="burn") == "unknown op" and reason(kind="item", op="stock") == "no stock"


def test_a_malformed_row_keeps_its_user_so_that_it_can_be_forgotten() -> None:
    found, _ = one(user="u", item="", time=1)
    assert int(found.events.user[0]) == SECRET.user_key("u") and found.events.item[0] == 0


def test_a_row_without_a_user_is_its_sessions_guest() -> None:
    events = encode([{"session": s, "item": "i", "time": 1, "user": ""} for s in ("s1", "s2", "s1")]).events
    assert [int(u) for u in events.user] == [SECRET.user_key(f"anonymous:{s}") for s in ("s1", "s2", "s1")]


def test_a_key_from_a_token_is_the_user() -> None:
    events = encode([{"user_key": 2**64 - 1, "item": "i", "time": 1}, {"user": "u", "item": "i", "time": 1}]).events
    assert [int(u) for u in events.user] == [2**64 - 1, SECRET.user_key("u")]


def test_ids_are_the_same_as_text_and_as_numbers() -> None:
    rows = [{"user": u, "item": u, "time": 1} for u in (17850, "17850", 17850.0, " 17850 ")]
    events = encode(rows).events
    assert len(set(events.user.tolist())) == len(set(events.item.tolist())) == 1


@pytest.mark.parametrize("consent", [False, 0, "false", "no", "denied", "perhaps", [1], 2])
def test_rows_without_consent_are_counted_and_gone(consent: Any) -> None:
    found = encode([{"user": "u", "item": "secret", "time": 1, "title": "secret", "consent": consent}])
    assert len(found.refused) == 1 and not len(found.events) and not len(found.names)


def test_new_attributes_become_an_item_row_before_their_event() -> None:
    first = {"user": "u", "item": "i", "time": NOW, "title": " Lamp ", "category": "Lights", "price": "9.5"}
    rows = [first, first, {**first, "price": "8"}, first, {"user": "u", "item": "i", "time": NOW, "title": ""}]
    found = encode(rows)
    assert found.events.kind.tolist() == [Kind.ITEM, 1, 1, Kind.ITEM, 1, Kind.ITEM, 1, 1]
    assert found.events.details(0) == {"op": "mention", "title": "Lamp", "category": "Lights", "price": 9.5}
    assert [found.events.details(r)["price"] for r in (3, 5)] == [8.0, 9.5]
    names = dict(zip(found.names.key.tolist(), map(bytes, found.names.text), strict=True))
    assert names == {item_key("i"): b"i", category_key("Lights"): b"Lights"}


def test_attributes_of_a_malformed_row_are_not_taken() -> None:
    row = {"user": "u", "item": "i", "time": "never", "title": "Lamp"}
    assert encode([row, {**row, "time": NOW}]).events.kind.tolist() == [Kind.MALFORMED, Kind.ITEM, Kind.VIEW]


@pytest.mark.parametrize("time", [10.0, NOW + 1e6])
def test_nor_are_those_of_a_row_whose_time_makes_no_sense(time: float) -> None:
    title = {"user": "u", "item": "i", "title": "A lamp"}
    found = encode([{**title, "time": time}, {**title, "time": NOW}])
    assert found.events.kind.tolist() == [Kind.VIEW, Kind.ITEM, Kind.VIEW] and found.events.time[1] == NOW


def test_catalogue_rows_need_no_user_and_no_time() -> None:
    rows = [{"kind": "item", "item": "i", "title": "Lamp"}, {"kind": "item", "item": "i", "op": "stock", "stock": 0}]
    found = encode(rows)
    assert found.events.kind.tolist() == [Kind.ITEM] * 2 and not found.derived.any()
    assert found.events.user.tolist() == [0, 0] and found.events.time.tolist() == [NOW, NOW]
    assert found.events.details(1) == {"op": "stock", "stock": 0.0}


@pytest.mark.parametrize(
    ("until", "want"),
    [
        (NOW + 60, NOW + 60),
        (f"{(NOW + 60) * 1000:.0f}", NOW + 60),
        ("2026-11-30T13:00:00+01:00", 1_796_040_000.0),
        (0, 0.0),
        ("", None),
        (None, None),
    ],
)
def test_when_an_item_ends_may_be_said_as_any_time_is(until: Any, want: float | None) -> None:
    rows = [{"kind": "item", "item": "i", "title": "Lamp", "until": until}, {"kind": "item", "item": "j"}]
    assert encode(rows).events.details(0) == {
        "op": "upsert",
        "title": "Lamp",
        **({} if want is None else {"until": want}),
    }


def test_an_end_that_is_no_time_is_a_reason() -> None:
    assert reason(kind="item", until="tonight") == reason(kind="view", until="tonight") == "until is no time"


def test_a_search_carries_its_query() -> None:
    assert one(user="u", time=1, kind="search", query=" red lamp ")[1] == {"query": "red lamp"}


def test_what_came_of_a_list_carries_which() -> None:
    for kind in ("impression", "click", "favourite", "dismiss"):
        assert one(user="u", item="i", time=5, kind=kind, list="17-3")[1] == {"list": "17-3"}
    assert one(user="u", item="i", time=5, kind="view", list="17-3")[1] == {}
    assert one(user="u", item="i", time=5, kind="click", list=" ")[1] == {}
    assert reason(kind="click", list="x" * 513) == "list is no id"


def test_any_event_carries_the_context_of_its_visit() -> None:
    said = {"device": "Mobile", "region": "en-GB", "referrer": "https://www.google.com/?q=tea", "campaign": "Spring"}
    kept = {"device": "phone", "region": "GB", "referrer": "search", "campaign": "spring"}
    for kind, more in (("view", {}), ("search", {"query": "tea"}), ("click", {"list": "1-2"})):
        assert one(kind=kind, user="u", item="i", time=1e9, **said, **more)[1] == {**kept, **more}
    assert one(user="u", item="i", time=1e9, region="Bavaria", device=None, campaign=" ")[1] == {}
    assert reason(user="u", item="i", time=1e9, device=["phone"]) == "device makes no sense"
    assert reason(user="u", item="i", time=1e9, campaign="x" * 65) == "campaign makes no sense"
    assert one(kind="item", item="i", title="T", device="phone")[1] == {"op": "upsert", "title": "T"}


def test_row_numbers_and_problems_of_a_chunk() -> None:
    columns = columns_of([{"user": "u", "item": "i", "time": NOW, "title": "t"}] * 3)
    raw = [b"a", b"b\xff", b"c"]
    found = Encoder(SECRET).encode(Chunk(3, columns, raw.__getitem__, {1: "torn"}, source=9, first=40))
    assert found.row.tolist() == [40, 40, 41, 42] and found.derived.tolist() == [True, False, False, False]
    assert msgpack.unpackb(found.events.data.bytes_at(2)) == {"reason": "torn", "raw": b"b\xff"}


def test_many_distinct_ids_do_not_pile_up() -> None:
    encoder = Encoder(SECRET)
    encoder.memory.users._limit = 10
    rows = [{"user": f"u{n}", "item": "i", "time": 1} for n in range(100)]
    events = encode(rows, encoder).events
    assert [int(u) for u in events.user] == [SECRET.user_key(f"u{n}") for n in range(100)]
    assert len(encoder.memory.users) <= 10


def test_synonyms_name_the_same_columns() -> None:
    (row,) = orjson.loads(b'[{"visitor_id": "u", "SKU": "i", "ts": 1700000000000, "type": "buy", "id": "e"}]')
    events = encode([row]).events
    assert Counter(events.kind.tolist()) == {Kind.PURCHASE: 1} and int(events.event[0]) == event_key("e")
    assert events.time[0] == 1_700_000_000


def test_the_names_that_are_known_are_in_the_documents() -> None:
    said = (Path(__file__).parent.parent / "docs" / "operations.md").read_text()
    section = said.partition("### Columns\n")[2].partition("\n### ")[0]
    ours = {"account", "target", "op", "user_key"}  # of rows that control, and of tokens
    names = {name for column, names in SYNONYMS.items() if column not in ours for name in names}
    assert {*names, *KINDS} <= {*re.findall(r"`([^`]+)`", section)}
