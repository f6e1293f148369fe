"""The wire format: round trips, and rubbish that raises PackingError and nothing else."""

from __future__ import annotations

import copy
import json
import re
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide import wire
from shopguide.client import Inbox
from shopguide.errors import GapError, PackingError, SettingError
from shopguide.tokens import KeyRing, mint, verify

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
REASONS = st.fixed_dictionaries({"text": st.text(max_size=5), "because": st.text(max_size=3), "share": NUMBERS})
NAMES = st.sampled_from("abcdef")


@st.composite
def items(draw, names=NAMES):
    """A list of distinct items."""
    return [
        {
            "item": name,
            "title": draw(st.sampled_from(["Tea", "Törtchen", "☃"])),
            "score": draw(st.sampled_from([0.5, 1.0, 2.25])),
            **draw(st.sampled_from([{}, {"price": 9.99, "brand": "Å"}])),
            "reasons": draw(st.lists(REASONS, max_size=2)),
            "why": {
                "pinned": False,
                "explored": False,
                "signal": b"\0",
                "because": bytes(8),
                "amount": bytes(8),
                "shared": bytes(4),
            },
        }
        for name in draw(st.lists(names, unique=True, max_size=6))
    ]


@st.composite
def recommendations(draw):
    return {
        "user": draw(st.integers(1, 2**64 - 1)),
        "partition": draw(st.integers(0, 7)),
        "offset": draw(st.integers(0, 2**40)),
        "slot": draw(st.sampled_from(["home", "cart"])),
        "about": "",
        "intent": draw(st.floats(0, 1)),
        "items": draw(items()),
        "times": {"event": draw(NUMBERS), "logged": draw(NUMBERS), "scored": draw(NUMBERS)},
    }


def a_snapshot() -> wire.Message:
    item = {"item": "a", "title": "Tea", "score": 1.0, "reasons": [{"text": "t", "because": "b", "share": 1.0}]}
    times = {"event": 1.0, "logged": 2.0, "scored": 3.0}
    given = {"partition": 0, "offset": 5, "slot": "home", "about": "", "intent": 0.5, "items": [item], "times": times}
    return wire.snapshot((3, 7), given, 4.0)


def diff(base: int, old: list[wire.Item], new: wire.Message) -> wire.Message:
    """As the server makes it, of the items' JSON."""
    head = {name: value for name, value in new.items() if name != "items"}
    items, had = ({item["item"]: wire.dumps(item) for item in found} for found in (new["items"], old))
    return wire.decode([b"T", wire.pack_diff(head, items, base, had)])[1]


def refused(body: object) -> str:
    with pytest.raises(PackingError) as error:
        wire.decode([b"token", json.dumps(body).encode()])
    return str(error.value)


@given(recommendations(), st.binary(max_size=70))
def test_a_snapshot_round_trips_without_its_why(recommendation, token):
    message = wire.snapshot((3, 7), recommendation, 4.0)
    assert wire.decode(wire.encode(token, message)) == (token, message)
    assert wire.seq_of(message) == (3, 7)
    assert "why" not in json.dumps(message) and message["times"]["pushed"] == 4.0
    assert [i["item"] for i in message["items"]] == [i["item"] for i in recommendation["items"]]


@given(recommendations(), recommendations())
def test_a_diff_brings_the_new_list(first, second):
    old, new = wire.snapshot((3, 7), first, 1.0), wire.snapshot((3, 9), second, 2.0)
    change = diff(7, old["items"], new)
    message = wire.decode(wire.encode(b"token", change))[1]
    assert message == change and set(change["put"]) <= set(change["order"])
    before = copy.deepcopy(old["items"])
    assert wire.apply((3, 7), old["items"], message) == new["items"]
    assert wire.apply(None, [], new) == new["items"]
    assert old["items"] == before
    for have in (None, (3, 6), (2, 7)):
        with pytest.raises(GapError):
            wire.apply(have, old["items"], message)


def test_a_diff_puts_only_what_changed():
    old = a_snapshot()
    more = {**old["items"][0], "item": "b"}
    new = {**old, "seq": [3, 8], "items": [more, old["items"][0]]}
    change = diff(7, old["items"], new)
    assert (change["base"], change["order"], change["put"]) == (7, ["b", "a"], {"b": more}) and "items" not in change


def test_a_diff_over_a_list_that_lacks_an_item_is_a_gap():
    change = {**diff(7, a_snapshot()["items"], {**a_snapshot(), "seq": [3, 8]})}
    with pytest.raises(GapError):
        wire.apply((3, 7), [], change)


def test_heartbeat_and_error_round_trip():
    for message in (wire.heartbeat((3, 0), 4.0), wire.error("the token has expired")):
        assert wire.decode(wire.encode(b"t", message)) == (b"t", message)


def test_unknown_members_are_kept():
    assert wire.decode(wire.encode(b"t", {**a_snapshot(), "new": [1]}))[1]["new"] == [1]


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_random_frames(frames):
    with pytest.raises(PackingError):
        wire.decode(frames)


@given(st.integers(0, 2000))
def test_a_truncated_message(cut):
    token, body = wire.encode(b"token", a_snapshot())
    if cut < len(body):
        with pytest.raises(PackingError):
            wire.decode([token, body[:cut]])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
DIFF = diff(6, [], a_snapshot())
PLACES = [
    (message, path)
    for message in (a_snapshot(), DIFF, wire.heartbeat((3, 7), 4.0), wire.error("no"))
    for path in [(n,) for n in message]
    + [("seq", 0), ("seq", 1)]
    + [("times", n) for n in message.get("times", ())]
    + [("at", n) for n in message.get("at", ())]
    + [("items", 0, n) for item in message.get("items", ())[:1] for n in item]
    + [("items", 0, "reasons", 0, n) for n in ("text", "because", "share")] * ("items" in message)
    + [("put", "a", n) for n in message.get("put", {}).get("a", ())]
    + [("order", 0)] * ("order" in message)
    if not (path[0] == "seq" and "seq" not in message)
]


@pytest.mark.parametrize(("message", "path"), PLACES, ids=lambda p: ".".join(map(str, p)) if type(p) is tuple else "")
@pytest.mark.parametrize("wrong", [None, "", True, -1, [], {}, [[]], [{}], {"a": 0}, 1.5, ["a", "a"]], ids=repr)
def test_a_member_of_another_type(message, path, wrong):
    changed = copy.deepcopy(message)
    *way, last = path
    place = changed
    for step in way:
        place = place[step]
    was = place[last]
    place[last] = wrong
    number = isinstance(wrong, float | int) and isinstance(was, float) and wrong is not True
    text = isinstance(wrong, str) and isinstance(was, str) and path not in [("type",), ("put", "a", "item")]
    empty = wrong in ([], {}) and type(wrong) is type(was)
    fine = number or text or (empty and path[-1] in ("items", "reasons", "order", "put"))
    if wrong == ["a", "a"] or not fine:
        assert refused(changed)
    else:
        wire.decode([b"t", json.dumps(changed).encode()])


@pytest.mark.parametrize(("message", "path"), PLACES, ids=lambda p: ".".join(map(str, p)) if type(p) is tuple else "")
def test_a_member_that_is_missing(message, path):
    changed = copy.deepcopy(message)
    *way, last = path
    place = changed
    for step in way:
        place = place[step]
    del place[last]
    if isinstance(place, dict) or path[0] == "seq":
        assert refused(changed)


@given(st.sampled_from(PLACES), JSON)
def test_any_member_may_be_anything(where, anything):
    message, path = where
    changed = copy.deepcopy(message)
    changed[path[0]] = anything
    try:
        wire.decode([b"t", json.dumps(changed).encode()])
    except PackingError as e:
        assert "\n" not in str(e)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JSON object"),
        (b"NaN", "no JSON"),
        (b'{"v": 2, "type": "snapshot"}', "version 2"),
        (b'{"v": 1, "type": ["snapshot"]}', "unknown type"),
        (b'{"v": 1, "type": "heartbeat", "seq": [1, 9007199254740993], "times": {"pushed": 1}}', "with seq"),
        (b'{"v": 1, "type": "heartbeat", "seq": [1, 2]}', "without times"),
        (b"\xff", "no JSON"),
    ],
)
def test_says_what_is_wrong(body, words):
    with pytest.raises(PackingError, match=words):
        wire.decode([b"t", body])


def test_gap_endpoints():
    assert wire.gap_endpoint("tcp://127.0.0.1:7201") == "tcp://127.0.0.1:7202"
    assert wire.gap_endpoint("tcp://[::1]:7201") == "tcp://[::1]:7202"
    assert wire.gap_endpoint("ipc:///run/push") == "ipc:///run/push-gap"


@pytest.mark.parametrize(
    "endpoint", ["", "tcp://", "tcp://h", "tcp://h:", "tcp://h:65535", "tcp://h:x", "ipc://", "h:5"]
)
def test_endpoints_that_are_none(endpoint):
    with pytest.raises(SettingError, match="endpoint"):
        wire.gap_endpoint(endpoint)


def test_the_documents_example_is_true():
    text = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text()
    blocks = re.findall(r"```(bytes|token|frame|json)\n(.*?)\n```", text, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["bytes", "token", "frame", "json", "json", "json", "json"]
    raw, token, frame, *bodies = (block for _, block in blocks)
    keys = KeyRing(b"the key of docs/protocol.md")
    assert mint(keys, 0x0123456789ABCDEF, 3600, 1_700_000_000.0) == token
    assert urlsafe_b64decode(token).hex() == raw and bytes.fromhex(frame) == b"\1" + token.encode()
    said = verify(keys, token, 1_700_000_000.0)
    assert (said.user, said.expires) == (0x0123456789ABCDEF, 1_700_003_600.0)
    messages = [wire.decode([token.encode(), body.encode()])[1] for body in bodies]
    assert [m["type"] for m in messages] == ["heartbeat", "snapshot", "diff", "heartbeat"]
    inbox = Inbox(0.0)
    lists = [[i["item"] for i in update.items] for m in messages if (update := inbox.receive(m, 0.0))]
    assert lists == [["A", "B"], ["B", "C"]] and inbox.asks(0.0)
    assert all(wire.encode(token.encode(), m)[1] == body.encode() for m, body in zip(messages, bodies, strict=True))


def test_the_document_names_every_member():
    text = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text()
    for message in (a_snapshot(), DIFF, wire.heartbeat((3, 7), 4.0), wire.error("no")):
        nested = [*message.get("at", ()), *(m for i in message.get("items", ()) for m in (*i, *i["reasons"][0]))]
        for member in (*message, *nested, *(f"times.{t}" for t in message.get("times", ()))):
            assert f"`{member}`" in text or member == "times", member
