"""clean: rows that make sense pass unchanged, the others come with a reason and what they said; nothing raises."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shopguide import clean as clean_module
from shopguide.clean import clean
from shopguide.columns import pack_table
from shopguide.records import AHEAD, EARLIEST, Batch, Events, Kind, Moved, Names, Ragged

NOW = 1_700_000_000.0
GOOD: dict[str, Any] = {"arrived": NOW, "kind": Kind.VIEW, "user": 1, "item": 2, "time": NOW, "data": b""}
DTYPES = {"user": np.uint64, "item": np.uint64, "session": np.uint64, "event": np.uint64, "kind": np.uint8}


def batch(*rows: dict[str, Any]) -> Batch:
    full = [{**GOOD, **row} for row in rows]
    names = ("arrived", "kind", "user", "session", "item", "time", "value", "event")
    columns = {name: np.array([row.get(name, 0) for row in full], DTYPES.get(name, np.float64)) for name in names}
    events = Events(offset=np.arange(100, 100 + len(full)), **columns, data=Ragged.of_bytes([r["data"] for r in full]))
    return Batch(3, 90, 100 + len(full) + 5, events, Names(key=[2], text=Ragged.of_bytes([b"lamp"])))


def reason(data: Any = None, **row: Any) -> str:
    packed = data if isinstance(data, bytes) else msgpack.packb(data) if data is not None else b""
    kept, rejects = clean(batch({**row, "data": packed}))
    assert len(kept.events) + len(rejects.reason) == 1
    return rejects.reason[0] if rejects.reason else ""


def test_good_rows_pass_as_they_are() -> None:
    given = batch({}, {"kind": Kind.PURCHASE, "value": 5.0}, {"kind": Kind.REMOVE, "value": -5.0})
    kept, rejects = clean(given)
    assert kept == given and not rejects.reason and len(rejects.offset) == 0 and rejects.partition == 3


def test_the_batch_keeps_standing_for_its_whole_range() -> None:
    given = batch({}, {"item": 0}, {"user": 0}, {})
    kept, rejects = clean(given)
    assert (kept.partition, kept.first, kept.last) == (given.partition, given.first, given.last)
    assert kept.events.offset.tolist() == [100, 103] and kept.names == given.names
    assert rejects.offset.tolist() == [101, 102] and rejects.reason == ["no item", "no user"]
    assert rejects.offset.dtype == np.int64


def test_a_malformed_row_gives_back_its_reason_and_bytes() -> None:
    data = msgpack.packb({"reason": "no time", "raw": b"u,i\xff,"})
    _, rejects = clean(batch({"kind": Kind.MALFORMED, "data": data, "user": 0, "item": 0}))
    assert (rejects.reason, rejects.raw) == (["no time"], [b"u,i\xff,"])
    assert clean(batch({"kind": Kind.MALFORMED}))[1].reason == ["malformed"]
    assert clean(batch({"kind": Kind.MALFORMED, "data": b"\xc1"}))[1].reason == ["malformed"]


def test_what_a_typed_row_said() -> None:
    _, rejects = clean(batch({"time": math.inf, "value": math.nan, "data": msgpack.packb({"q": b"\xff"})}))
    said = orjson.loads(rejects.raw[0])
    assert said["kind"] == "view" and said["item"] == "lamp" and said["user"] == f"{1:016x}"
    assert (said["time"], said["value"], said["data"]) == ("inf", "nan", {"q": "b'\\xff'"})
    deep: Any = {}
    for _ in range(300):
        deep = {"d": deep}
    for data in (b"\xc1", msgpack.packb({b"k": 1}), msgpack.packb(deep)):
        _, rejects = clean(batch({"item": 0, "data": data}))
        assert orjson.loads(rejects.raw[0])["data"] == data.hex()


@pytest.mark.parametrize(
    ("time", "why"),
    [
        (NOW + AHEAD, ""),
        (NOW + AHEAD + 1, "time is in the future"),
        (EARLIEST, ""),
        (EARLIEST - 1, "time is too long ago"),
        (math.nan, "time is not finite"),
        (-math.inf, "time is not finite"),
    ],
)
def test_times(time: float, why: str) -> None:
    assert reason(time=time) == why


def test_what_is_ahead_of_its_arrival_is_of_then() -> None:
    times = [NOW + 60, NOW - 60, NOW + AHEAD, NOW + 2 * AHEAD]
    kept, rejects = clean(batch(*({"time": time} for time in times)))
    assert kept.events.time.tolist() == [NOW, NOW - 60, NOW]
    assert orjson.loads(rejects.raw[0])["time"] == NOW + 2 * AHEAD
    assert clean(batch({"time": NOW + 1}))[0].events.time.tolist() == [NOW]


def test_kinds_need_what_they_need() -> None:
    for kind in Kind:
        data = {"query": "q", "action": "pin", "target": 1, "account": 2, "path": [3], "events": pack_table(Moved())}
        data |= {"version": "9f", "models": ["rnn"]} if kind == Kind.ACTIVATE else {}
        data |= {"by": "Ada", "why": "a call"} if kind == Kind.LOOKUP else {}
        data |= {"attributes": {"age": "30-39"}, "interests": ["tea"]} if kind == Kind.PROFILE else {}
        assert reason(data, kind=kind) == ("malformed" if kind == Kind.MALFORMED else "")
        shopper = Kind.VIEW <= kind <= Kind.DISMISS
        if shopper or kind in (Kind.ITEM, Kind.PICK):
            assert reason(data, kind=kind, item=0) == ("" if kind == Kind.SEARCH else "no item")
        if shopper or kind in (
            Kind.UNWATCH,
            Kind.FORGET,
            Kind.RETRACT,
            Kind.WATCH,
            Kind.ALIAS,
            Kind.ADOPT,
            Kind.LOOKUP,
            Kind.PROFILE,
        ):
            assert reason(data, kind=kind, user=0) == "no user"
    assert reason(kind=22) == reason(kind=255) == "unknown kind"
    assert reason(value=math.inf) == "value is not a finite number"
    assert reason([1], kind=Kind.VIEW) == reason(b"\xff\xff", kind=Kind.VIEW) == "data is no map"


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        (Kind.SEARCH, {}, "no query"),
        (Kind.SEARCH, {"query": 5}, "query makes no sense"),
        (Kind.ITEM, {"op": "upsert", "title": "T", "price": 3, "stock": 0.0, "odd": [1]}, ""),
        (Kind.ITEM, {"op": "burn"}, "op makes no sense"),
        (Kind.ITEM, {"price": math.nan}, "price makes no sense"),
        (Kind.ITEM, {"price": True}, "price makes no sense"),
        (Kind.ITEM, {"title": ["T"]}, "title makes no sense"),
        (Kind.ITEM, {"title": "T" * 10_000, "image": "i" * 100_000}, ""),
        (Kind.ITEM, {"title": "T" * 10_001}, "title makes no sense"),
        (Kind.ITEM, {"image": "i" * 100_001}, "image makes no sense"),
        (Kind.VIEW, {"device": "phone", "region": "DE", "referrer": "search", "campaign": "spring"}, ""),
        (Kind.VIEW, {"device": "fridge"}, "device makes no sense"),
        (Kind.CLICK, {"region": "de"}, "region makes no sense"),
        (Kind.WATCH, {"referrer": "https://search.example"}, "referrer makes no sense"),
        (Kind.SEARCH, {"query": "tea", "campaign": ""}, "campaign makes no sense"),
        (Kind.WATCH, {"expires": NOW, "slot": "home", "n": 20, "category": 2**64 - 1}, ""),
        (Kind.WATCH, {"expires": math.inf}, "expires makes no sense"),
        (Kind.WATCH, {"n": 0}, "n makes no sense"),
        (Kind.WATCH, {"n": 101}, "n makes no sense"),
        (Kind.WATCH, {"n": True}, "n makes no sense"),
        (Kind.WATCH, {"slot": None}, "slot makes no sense"),
        (Kind.WATCH, {"category": -1}, "category makes no sense"),
        (Kind.PICK, {"action": "love"}, "action makes no sense"),
        (Kind.PICK, {"action": ["pin"]}, "action makes no sense"),
        (Kind.PICK, {"action": "pin", "until": "tomorrow"}, "until makes no sense"),
        (Kind.PICK, {"action": "bury", "id": "", "category": "x"}, "id makes no sense"),
        (Kind.PICK, {"action": "pin", "id": "a", "position": 0}, "position makes no sense"),
        (Kind.PICK, {"action": "pin", "id": "a", "segment": "everybody"}, "segment makes no sense"),
        (Kind.PICK, {"action": "boost", "id": "a", "segment": "buyers", "from": 1.5, "until": 2, "position": 1}, ""),
        (Kind.PICK, {"action": "undo", "id": "a"}, "undo of what"),
        (Kind.PICK, {"action": "pin", "id": "a", "category": "x"}, "a pin is of an item"),
        (Kind.PICK, {"action": "undo", "id": "b", "undoes": "a"}, ""),
        (Kind.LOOKUP, {"by": "Ada"}, "no why"),
        (Kind.LOOKUP, {"by": "", "why": "a call"}, "by makes no sense"),
        (Kind.PROFILE, {"attributes": {"a": "b"}, "interests": [], "beneath": True}, ""),
        (Kind.PROFILE, {"attributes": {"a": 1}, "interests": []}, "attributes makes no sense"),
        (Kind.PROFILE, {"attributes": {}, "interests": "tea"}, "interests makes no sense"),
        (Kind.PROFILE, {"attributes": {}}, "no interests"),
        (Kind.PROFILE, {"attributes": {}, "interests": [], "beneath": 1}, "beneath makes no sense"),
        (Kind.RETRACT, {"target": 0}, "target makes no sense"),
        (Kind.RETRACT, {}, "no target"),
        (Kind.ALIAS, {"account": 5}, ""),
        (Kind.ALIAS, {}, "no account"),
        (Kind.FORGET, {"by": -1}, "by makes no sense"),
        (Kind.CLICK, {"list": "17-3"}, ""),
        (Kind.IMPRESSION, {"list": 17}, "list makes no sense"),
        (Kind.ADOPT, {"path": [1], "events": pack_table(Moved(item=[1], time=[NOW], kind=[Kind.VIEW]))}, ""),
        (Kind.ADOPT, {"path": [], "events": pack_table(Moved())}, "path makes no sense"),
        (Kind.ADOPT, {"path": [1], "events": {"rows": 1}}, "events makes no sense"),
        (Kind.ADOPT, {"path": [1], "events": [1]}, "events makes no sense"),
        (Kind.ADOPT, {"path": [1], "events": pack_table(Moved(time=[math.nan], kind=[1]))}, "events makes no sense"),
        (
            Kind.ADOPT,
            {"path": [1], "events": pack_table(Moved(time=[NOW], kind=[Kind.FORGET]))},
            "events makes no sense",
        ),
        (Kind.ADOPT, {"path": [1], "events": pack_table(Moved()), "queries": ["tea"]}, ""),
        (Kind.ADOPT, {"path": [1], "events": pack_table(Moved()), "queries": [1]}, "queries makes no sense"),
        (Kind.ADOPT, {"path": [1], "events": pack_table(Moved()), "queries": "tea"}, "queries makes no sense"),
        (Kind.ACTIVATE, {"models": ["blend"]}, "no version"),
        (Kind.ACTIVATE, {"models": "blend", "version": "1"}, "models makes no sense"),
    ],
)
def test_data_of_kinds(kind: Kind, data: dict[str, Any], why: str) -> None:
    assert reason(data, kind=kind) == why


def test_questions_without_a_user() -> None:
    for slot in ("similar", "trending"):
        assert reason({"slot": slot}, kind=Kind.WATCH, user=0) == ""
    assert reason({"slot": "similar"}, kind=Kind.WATCH, item=0) == "no item"


DATA = st.one_of(
    st.just(b""),
    st.binary(max_size=12),
    st.dictionaries(
        st.sampled_from(["query", "op", "title", "price", "slot", "n", "expires", "action", "target", "raw", "reason"]),
        st.one_of(st.integers(-1, 200), st.floats(), st.text(max_size=3), st.binary(max_size=3), st.none()),
        max_size=3,
    ).map(msgpack.packb),
)
ROW = st.fixed_dictionaries(
    {
        "kind": st.integers(0, 20),
        "user": st.sampled_from([0, 1]),
        "item": st.sampled_from([0, 2, 3]),
        "time": st.sampled_from([NOW, math.nan, math.inf, 0.0, NOW + 2 * AHEAD]),
        "value": st.sampled_from([0.0, 1.0, math.nan, -math.inf]),
        "arrived": st.sampled_from([NOW, math.nan]),
        "data": DATA,
    }
)


MUTE = {"kind": Kind.MALFORMED, "user": 0, "item": 0, "data": msgpack.packb({"reason": ""})}


@settings(max_examples=300)
@given(rows=st.lists(ROW, max_size=5))
@example(rows=[MUTE])
def test_never_raises_and_every_row_is_kept_or_rejected(rows: list[dict[str, Any]]) -> None:
    given_batch = batch(*rows)
    kept, rejects = clean(given_batch)
    assert sorted([*kept.events.offset.tolist(), *rejects.offset.tolist()]) == given_batch.events.offset.tolist()
    assert len(rejects.offset) == len(rejects.reason) == len(rejects.raw)
    assert all(rejects.reason) and all(isinstance(raw, bytes) for raw in rejects.raw)
    again, nothing = clean(kept)
    assert again == kept and not nothing.reason
    for row in range(len(kept.events)):
        kept.events.details(row)


def test_rows_that_the_judging_stumbles_over_are_rejected_and_the_others_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = clean_module._judge

    def stumbles(events: Events, row: int) -> str:
        if events.item[row] in (30, 277, 511):
            raise ZeroDivisionError("planted")
        return judge(events, row)

    monkeypatch.setattr(clean_module, "_judge", stumbles)
    pin = {"kind": Kind.PICK, "data": msgpack.packb({"action": "pin", "slot": "x"})}
    given = batch(*({**pin, "item": at} for at in range(1, 513)))
    kept, rejects = clean(given)
    assert len(kept.events) == 509 and (kept.first, kept.last) == (given.first, given.last)
    assert kept.events.offset.tolist() == [100 + at for at in range(512) if at not in (29, 276, 510)]
    assert rejects.offset.tolist() == [129, 376, 610]
    assert rejects.reason == ["cannot be judged: ZeroDivisionError"] * 3
    assert [msgpack.unpackb(raw) for raw in rejects.raw] == [{"action": "pin", "slot": "x"}] * 3
