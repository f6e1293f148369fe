"""lists: what is packed comes back, and what is no list is refused."""

from __future__ import annotations

import struct
from typing import Any

import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide import lists
from shopguide.errors import PackingError

PART = st.tuples(st.integers(0, 255), st.integers(0, 2**64 - 1), st.floats(allow_nan=False), st.integers(0, 2**32 - 1))
TEXT = st.text(max_size=6)


@st.composite
def whys(draw: st.DrawFn) -> dict[str, Any]:
    parts = draw(st.lists(PART, max_size=3))
    columns = list(zip(*parts, strict=True)) or [(), (), (), ()]
    signal, because, amount, shared = (
        struct.pack(f"<{len(parts)}{letter}", *column) for letter, column in zip("BQdI", columns, strict=True)
    )
    return {
        "pinned": draw(st.booleans()),
        "explored": draw(st.booleans()),
        **{"signal": signal, "because": because, "amount": amount, "shared": shared},
    }


@st.composite
def recommendations(draw: st.DrawFn) -> dict[str, Any]:
    reason = st.fixed_dictionaries({"text": TEXT, "because": TEXT, "share": st.floats(0, 1)})
    item = st.fixed_dictionaries(
        {"item": TEXT, "title": TEXT, "score": st.floats(allow_nan=False, allow_infinity=False)},
        optional={"price": st.integers(0, 2**53) | st.floats(0, 1e9), "explored": st.just(True)},
    )
    items = draw(st.lists(item, max_size=4))
    return {
        **{"user": draw(st.integers(0, 2**64 - 1)), "partition": 1, "offset": draw(st.integers(0, 2**40))},
        **{"slot": draw(TEXT), "about": draw(TEXT), "intent": draw(st.floats(0, 1))},
        "items": [{**one, "reasons": draw(st.lists(reason, max_size=3)), "why": draw(whys())} for one in items],
        "causes": draw(st.lists(st.tuples(st.integers(0, 2**64 - 1), TEXT, TEXT, st.integers(0, 20)).map(list))),
        "times": {"event": 1.5, "logged": 2.5, "scored": 3.5},
    }


@given(recommendations())
def test_what_is_packed_comes_back_in_the_same_order(recommendation: dict[str, Any]) -> None:
    packed = lists.pack(recommendation)
    assert msgpack.packb(lists.unpack(packed)) == msgpack.packb(recommendation)


@given(recommendations())
def test_items_are_json_without_their_sums(recommendation: dict[str, Any]) -> None:
    said = msgpack.unpackb(lists.pack(recommendation))
    assert said["items"] == [item["item"] for item in recommendation["items"]]
    plain = [{name: item[name] for name in item if name != "why"} for item in recommendation["items"]]
    assert said["json"] == list(map(orjson.dumps, plain))


LIST: dict[str, Any] = {
    **{"user": 1, "partition": 0, "offset": 2, "slot": "home", "about": "", "intent": 0.5, "causes": []},
    "items": [
        {
            **{"item": "a", "title": "Tea", "score": 1.0, "reasons": []},
            "why": {
                **{"pinned": True, "explored": False},
                **{"signal": b"\1", "because": bytes(8), "amount": bytes(8), "shared": bytes(4)},
            },
        }
    ],
    "times": {"event": 1.0, "logged": 1.0, "scored": 1.0},
}
RIGHT = msgpack.unpackb(lists.pack(LIST))
WHY = RIGHT["why"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"json": []},
        {"json": [b"{"]},
        {"json": [b"1"]},
        {"json": 5},
        {"causes": b""},
        {"why": WHY[:5]},
        {"why": [*WHY[:2], b"", *WHY[3:]]},
        {"why": [WHY[0], b"\1\0", *WHY[2:]]},
        {"why": [WHY[0] * 2, *WHY[1:]]},
        {"why": [WHY[0], b"\2\0\0\0", *WHY[2:]]},
        {"why": None},
    ],
    ids=repr,
)
def test_what_is_none_is_refused(wrong: dict[str, Any]) -> None:
    assert lists.unpack(msgpack.packb(RIGHT)) == LIST
    with pytest.raises(PackingError):
        lists.unpack(msgpack.packb({**RIGHT, **wrong}))


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_a_member_that_is_missing(name: str) -> None:
    with pytest.raises(PackingError):
        lists.unpack(msgpack.packb({key: value for key, value in RIGHT.items() if key != name}))


@given(st.binary(max_size=60))
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(PackingError):
        lists.unpack(data)
