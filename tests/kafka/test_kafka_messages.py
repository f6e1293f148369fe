"""Messages become rows: whatever they hold, and the same whatever they are read together with. No broker is needed."""

from __future__ import annotations

from collections.abc import Sequence

import msgpack
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.collect.encode import Encoder
from shopguide.kafka import messages
from shopguide.kafka.messages import EVENTS, NO_VALUE, TOO_MANY, Message, Rows, pieces
from shopguide.keys import Secret
from shopguide.records import Batch, Candidates, Events, Kind, Looks, Names, Ragged, Slate, pack, unpack

SECRET = Secret(b"0123456789abcdef")


def rows(found: Sequence[Message]) -> Events:
    gathered = Rows(Encoder(SECRET))
    for message in found:
        gathered.add(message)
    return gathered.result()[0]


def one(value: bytes | None, key: bytes | None = None) -> Events:
    return rows([Message(5, 1_700_000_000.25, key, value)])


def reason(events: Events) -> str:
    assert len(events) == 1 and events.kind[0] == Kind.MALFORMED
    return str(msgpack.unpackb(events.data.bytes_at(0))["reason"])


NAMES = st.sampled_from(
    ["user", "User", "user_id", "item", "Item", "time", "ts", "kind", "value", "id", "title", "price", "stock", "op",
     "consent", "session", "user_key", "query", "category", "other"]
)  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=8), st.just([1]),
    st.sampled_from(["view", "item", "cart", "search", "1e15", "1700000000", "2024-01-01", "i1", "upsert", " "]),
)  # fmt: skip
EVENT = st.dictionaries(NAMES, VALUES, max_size=8)
ANY = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.builds(orjson.dumps, EVENT),
    st.builds(orjson.dumps, st.lists(st.one_of(EVENT, VALUES), max_size=4)),
)


@given(values=st.lists(st.tuples(ANY, st.none() | st.binary(max_size=4)), max_size=12), data=st.data())
def test_rows_are_a_function_of_their_message(values, data):
    found = [Message(10 * at, 1_700_000_000.0 + at, key, value) for at, (value, key) in enumerate(values)]
    together = rows(found)
    assert (np.diff(together.offset) > 0).all()
    assert together == Events.join([rows([message]) for message in found])
    cut = data.draw(st.integers(0, len(found)))
    assert together == Events.join([rows(found[:cut]), rows(found[cut:])])


@given(value=st.one_of(st.none(), st.binary(max_size=60)))
def test_what_is_no_json_is_one_malformed_row_with_its_bytes(value):
    events = one(value)
    if value is not None and value[:1] in (b"[", b"{"):
        return
    assert reason(events) and msgpack.unpackb(events.data.bytes_at(0))["raw"] == (value or b"")


def test_places_of_events_and_of_rows_that_they_make():
    value = orjson.dumps([{"item": "i1", "title": "t"}, {"item": "i1"}, {"item": "i1", "title": "t"}])
    events = one(value, b"u1")
    assert events.offset.tolist() == [(5 << 16) + place for place in (0, 1, 3, 4, 5)]
    assert (events.kind == Kind.ITEM).tolist() == [True, False, False, True, False]


def test_the_key_is_the_user_and_the_timestamp_the_time_of_rows_that_say_nothing():
    said = one(orjson.dumps({"item": "i", "user": "u1", "time": 1_600_000_000}), b"u2")
    silent = one(orjson.dumps({"item": "i", "user_key": 7}), b"u2")
    assert (said.user[0], said.time[0]) == (SECRET.user_key("u1"), 1_600_000_000)
    assert (silent.user[0], silent.time[0]) == (SECRET.user_key("u2"), 1_700_000_000.25)
    assert said.arrived[0] == silent.arrived[0] == 1_700_000_000.25
    assert reason(one(orjson.dumps({"item": "i"}), b"\xff")) == "no user and no session"


def test_addresses_are_not_kept():
    events = one(orjson.dumps({"ip": "192.0.2.1", "item": "i", "kind": "?"}))
    assert b"192.0.2.1" not in events.data.bytes_at(0)


def test_limits():
    assert reason(one(None)) == NO_VALUE
    assert reason(one(orjson.dumps([{}] * (EVENTS + 1)))) == TOO_MANY
    assert len(one(orjson.dumps([{"item": "i", "user": "u", "title": "t"}] * EVENTS))) == 2 * EVENTS


def test_what_is_packed_and_no_batch_is_malformed():
    names = Names(key=[1], text=Ragged.of_bytes([b"\xff"]))
    assert "corrupt" in reason(one(pack(Batch(0, 0, 0, Events(kind=[1]), Names()))[:-1]))
    assert "no batch" in reason(one(pack(Slate(0, 0, 0, Looks(), Candidates(), 0.0))))
    assert "no batch" in reason(one(pack(Batch(0, 0, 0, Events(kind=[1]), names))))


def test_batches_are_packed_in_as_many_messages_as_it_takes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(messages, "LONGEST", 4000)
    n = 300
    events = Events(kind=np.ones(n), item=np.arange(n) % 50 + 1, user=np.arange(n) + 1)
    names = Names(key=np.arange(1, 60), text=Ragged.of_bytes([b"item"] * 59))
    batch = Batch(2, 0, n - 1, events, names)
    packed = list(pieces(batch))
    assert len(packed) > 4 and max(map(len, packed)) <= 4000
    parts = [unpack(value) for value in packed]
    assert Events.join([p.events for p in parts]) == events
    assert set(np.concatenate([p.names.key for p in parts]).tolist()) == set(range(1, 60))
    read = rows([Message(at, 0.0, None, value) for at, value in enumerate(packed)])
    assert read.item.tolist() == events.item.tolist() and (np.diff(read.offset) > 0).all()
