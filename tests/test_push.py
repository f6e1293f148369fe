"""The push channel against its contract: outbox and watchers as properties, the server through real sockets."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgpack
import orjson
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from why import POPULAR

from shopguide import lists, wire
from shopguide.client import Subscriber
from shopguide.errors import PackingError, SettingError, TokenError
from shopguide.keys import Secret
from shopguide.push import Guard, Intake, Outbox, PushServer, Watchers, doors, next_epoch
from shopguide.push import intake as intake_module
from shopguide.push.curve import server_keys
from shopguide.push.lane import Lane
from shopguide.settings import PushSettings
from shopguide.tokens import LONGEST, KeyRing, Token, mint

KEY = b"the key of the push tests"
KEYS, GUARD = KeyRing(KEY), Guard(KEY)
ANN, BOB = 2**64 - 1, 7


def recommendation(user: int, offset: int, names: str, slot: str = "home") -> dict[str, Any]:
    items = [
        {
            "item": name,
            "title": f"Title of {name}",
            "score": 1.0,
            "reasons": [{"text": "popular now", "because": "", "share": 1.0}],
            "why": POPULAR,
        }
        for name in names
    ]
    times = {"event": 1.0, "logged": 2.0, "scored": 3.0}
    return {
        "user": user,
        "partition": 0,
        "offset": offset,
        "slot": slot,
        "about": "",
        "intent": 0.5,
        "items": items,
        "causes": [],
        "times": times,
    }


def names(message: wire.Message) -> str:
    return "".join(item["item"] for item in message["items"])


def said(outbox: Outbox, given: Any) -> wire.Message | None:
    packed = lists.pack(given)
    body = outbox.recommend(msgpack.unpackb(packed), 4.0, packed)
    return body and wire.decode([b"T", body])[1]


class TestOutbox:
    def test_first_a_snapshot_then_a_diff_where_it_is_shorter(self):
        outbox = Outbox(epoch=5)
        first = said(outbox, recommendation(ANN, 0, "abcdef"))
        second = said(outbox, recommendation(ANN, 1, "fabcdz"))
        third = said(outbox, recommendation(ANN, 2, "uvwxyk"))
        assert [m["type"] for m in (first, second, third)] == ["snapshot", "diff", "snapshot"]
        assert [m["seq"] for m in (first, second, third)] == [[5, 1], [5, 2], [5, 3]]
        assert (second["base"], list(second["put"])) == (1, ["z"])
        assert orjson.loads(outbox.snapshot(ANN)) == third and outbox.seq(ANN) == (5, 3)
        assert lists.unpack(outbox.latest(ANN)) == recommendation(ANN, 2, "uvwxyk")

    def test_a_replay_changes_nothing(self):
        outbox = Outbox(epoch=5)
        said(outbox, recommendation(ANN, 8, "abc"))
        assert said(outbox, recommendation(ANN, 8, "abc")) is None
        assert said(outbox, recommendation(ANN, 3, "x")) is None
        assert names(orjson.loads(outbox.snapshot(ANN))) == "abc" and outbox.seq(ANN) == (5, 1)
        assert said(outbox, recommendation(BOB, 3, "x"))["seq"] == [5, 1]

    def test_a_list_has_changed_where_it_has_other_items_or_another_order(self):
        outbox = Outbox(epoch=5)
        changed = []
        for offset, (user, shown) in enumerate(((ANN, "ab"), (ANN, "ab"), (ANN, "ba"), (BOB, "ba"), (ANN, "b"))):
            said(outbox, recommendation(user, offset, shown))
            changed.append(outbox.counts["changed"])
        said(outbox, recommendation(ANN, 0, "replayed"))
        assert changed == [1, 1, 2, 3, 4] and outbox.counts["changed"] == 4

    @given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40), st.integers(1, 4))
    def test_seq_grows_over_forgetting_and_over_lists_that_had_to_go(self, steps, kept):
        outbox = Outbox(epoch=5, kept=kept)
        highest: dict[int, int] = {}
        for offset, (user, forget) in enumerate(steps):
            if forget:
                outbox.forget(user)
                assert outbox.snapshot(user) is None and outbox.latest(user) is None and outbox.seq(user) == (5, 0)
                continue
            message = said(outbox, recommendation(user, offset, "ab"))
            assert message["seq"][1] > highest.get(user, 0)
            highest[user] = message["seq"][1]
            assert len(outbox) <= kept and names(orjson.loads(outbox.snapshot(user))) == "ab"

    @pytest.mark.parametrize(
        "wrong",
        [
            *(None, 5, [], {}, {"user": []}, {"offset": "x"}, {"times": {}}, {"slot": b"x"}),
            *({"items": 5}, {"items": [{}]}, {"items": ["x", "y"]}, {"json": None}, {"json": [b""]}, {"json": ["{}"]}),
            {"items": ["x", "x"], "json": [b'{"item":"x"}'] * 2},
        ],
        ids=repr,
    )
    def test_what_is_no_recommendation_changes_nothing(self, wrong):
        outbox = Outbox(epoch=5)
        said(outbox, recommendation(ANN, 0, "abc"))
        right = msgpack.unpackb(lists.pack(recommendation(ANN, 1, "x")))
        given = {**right, **wrong} if isinstance(wrong, dict) and wrong else wrong
        with pytest.raises((KeyError, TypeError, PackingError)):
            outbox.recommend(given, 4.0, msgpack.packb(given))
        assert outbox.seq(ANN) == (5, 1) and len(outbox) == 1


class TestGuard:
    def test_the_revoked_stay_so_over_restarts_and_no_longer_than_a_token_lives(self, tmp_path, monkeypatch):
        now = [time.time()]
        monkeypatch.setattr("shopguide.push.guard.time.time", lambda: now[0])
        guard = Guard(KEY, b"a mark", tmp_path)
        old, other = mint(guard.keys, ANN, LONGEST, now[0] - 1), mint(guard.keys, BOB, 60, now[0])
        guard.revoke(ANN)
        for found in (guard, Guard(KEY, b"a mark", tmp_path)):
            assert found.verify(other).user == BOB and found.verify(mint(KEYS, ANN, 60, now[0] + 1)).user == ANN
            with pytest.raises(TokenError, match="revoked"):
                found.verify(old)
        now[0] += LONGEST + 1
        with pytest.raises(TokenError, match="expired"):
            guard.verify(old)
        guard.revoke(BOB)
        assert len(orjson.loads((tmp_path / "revoked").read_bytes())) == 1, "what no token needs is not kept"

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "x"}'])
    def test_a_broken_file_is_one_line(self, tmp_path, text):
        (tmp_path / "revoked").write_text(text)
        (tmp_path / "revoked").chmod(0o600)
        with pytest.raises(SettingError, match="revoked is broken"):
            Guard(KEY, b"", tmp_path)

    def test_keys_that_become_rubbish_stay_as_they_were(self, tmp_path):
        guard = Guard(KEY, b"", tmp_path)
        (tmp_path / "token-keys").write_text("rubbish")
        with pytest.raises(TokenError, match="forged"):
            guard.verify(mint(KEYS, ANN, 60)[:-4] + "AAAA")
        assert guard.verify(mint(KEYS, ANN, 60)).user == ANN


class TestEpoch:
    def test_grows_whatever_the_clock_says(self, tmp_path):
        assert next_epoch(tmp_path, now=1000.5) == 1000
        assert next_epoch(tmp_path, now=1000.5) == 1001
        assert next_epoch(tmp_path, now=5.0) == 1002
        assert next_epoch(tmp_path, now=2000.0) == 2000
        assert [p.name for p in tmp_path.iterdir()] == ["push-epoch"]

    def test_a_torn_file_is_as_none(self, tmp_path):
        (tmp_path / "push-epoch").write_bytes(b"\xff1")
        assert next_epoch(tmp_path, now=1000.0) == 1000
        assert next_epoch(None, now=7.9) == 7


class WatchersMachine(RuleBasedStateMachine):
    """Against a plain list of connections; 3 users with 2 tokens each, so that they meet."""

    def __init__(self):
        super().__init__()
        self.real = Watchers()
        self.connections: list[bytes] = []
        self.now = 0.0
        self.told: dict[int, float] = {}

    @staticmethod
    def token(number: int) -> tuple[bytes, Token]:
        return b"%d" % number, Token(number // 2, 10.0 * (number + 1), 0, 0.0)

    def watched(self) -> dict[int, float]:
        """User to the latest end of a token that a connection holds."""
        ends: dict[int, float] = {}
        for topic in self.connections:
            token = self.token(int(topic))[1]
            ends[token.user] = max(ends.get(token.user, 0.0), token.expires)
        return ends

    @rule(number=st.integers(0, 5))
    def subscribe(self, number):
        topic, token = self.token(number)
        if token.expires > self.now:
            longer = token.expires > self.told.get(token.user, 0.0)
            assert self.real.subscribe(topic, token) == longer
            self.connections.append(topic)
            if longer:
                self.told[token.user] = token.expires

    @rule(number=st.integers(0, 5))
    def unsubscribe(self, number):
        topic, token = self.token(number)
        before = token.user in self.watched()
        if topic in self.connections:
            self.connections.remove(topic)
        gone = before and token.user not in self.watched()
        assert self.real.unsubscribe(topic) == (token.user if gone else None)

    @rule(seconds=st.sampled_from([1.0, 10.0, 25.0]))
    def expire(self, seconds):
        self.now += seconds
        before = set(self.watched())
        self.connections = [t for t in self.connections if self.token(int(t))[1].expires > self.now]
        assert sorted(self.real.expire(self.now)) == sorted(before - set(self.watched()))

    @rule(user=st.integers(0, 2))
    def revoke(self, user):
        assert self.real.revoke(user) == (user in self.watched())
        self.connections = [t for t in self.connections if int(t) // 2 != user]

    @invariant()
    def same(self):
        assert sorted(self.real.users()) == sorted(self.watched())
        for user in range(3):
            held = {t for t in self.connections if int(t) // 2 == user}
            assert sorted(self.real.places(user)) == sorted(held)
        assert len(self.real) == len(set(self.connections))
        ends = [self.token(int(t))[1].expires for t in self.connections]
        assert self.now < self.real.next_end <= min(ends, default=math.inf)
        self.told = {user: end for user, end in self.told.items() if user in self.watched()}


TestWatchers = WatchersMachine.TestCase


class Line:
    """A push server on free ports, what it told us, and the socket of a push bolt."""

    def __init__(self, heartbeat: float = 30.0, endpoint: str = "tcp://127.0.0.1:*", state: Any = None) -> None:
        self.watched: list[tuple[int, float]] = []
        self.unwatched: list[int] = []
        self.wanted: list[tuple[int, bytes]] = []
        self.gate = threading.Event()  # closed: the server stands still in on_watch
        self.gate.set()
        settings = PushSettings(endpoint=endpoint, heartbeat=heartbeat)
        self.guard = Guard(KEY)
        self.server = PushServer(
            settings, self.guard, state, self._watch, self.unwatched.append, on_wanted=self._wanted
        )
        self.server.start()
        self.sockets: list[zmq.Socket] = []
        self.bolt = self.socket(zmq.PUSH, self.server.intake)
        self.offset = 0

    def _wanted(self, user: int, packed: bytes) -> None:
        self.wanted.append((user, packed))

    def _watch(self, user: int, expires: float) -> None:
        self.watched.append((user, expires))
        self.gate.wait(5)

    def socket(self, kind: int, endpoint: str | None = None) -> zmq.Socket:
        made = zmq.Context.instance().socket(kind)
        made.linger = 0
        made.connect(endpoint or self.server.endpoint)
        self.sockets.append(made)
        return made

    def subscriber(self, *topics: str | bytes) -> zmq.Socket:
        made = self.socket(zmq.SUB)
        for topic in topics:
            made.subscribe(topic)
        return made

    def send(self, user: int, names: str, slot: str = "home") -> None:
        self.offset += 1
        self.bolt.send(lists.pack(recommendation(user, self.offset, names, slot)))

    def snapshot(self, user: int) -> Any:
        return orjson.loads(self.server.snapshot(user) or b"null")

    def stop(self) -> None:
        self.gate.set()
        for made in self.sockets:
            made.close()
        self.server.stop()


@pytest.fixture
def one_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """All subscriptions wait in one queue."""
    monkeypatch.setattr(doors, "LANES", 1)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.stop()


def read(source: zmq.Socket, timeout: float = 5.0) -> tuple[bytes, wire.Message]:
    assert source.poll(int(timeout * 1000)), "nothing came"
    return wire.decode(source.recv_multipart())


def drained(source: zmq.Socket) -> list[wire.Message]:
    """What is waiting, with some time for what is under way."""
    found = []
    while source.poll(60):
        found.append(read(source)[1])
    return found


def until(condition: Any) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.005)


def test_lists_of_all_who_watch_are_made_again(line):
    for user in (ANN, BOB):
        line.subscriber(mint(KEYS, user, 60))
    until(lambda: len(line.watched) == 2)
    line.watched.clear()
    line.server.watch_again()
    until(lambda: len(line.watched) == 2)
    assert sorted(line.watched) == [(BOB, 0.0), (ANN, 0.0)]


def test_what_is_gone_has_the_lists_made_again_that_show_it(line):
    at_ann, _ = (line.subscriber(mint(KEYS, user, 60)) for user in (ANN, BOB))
    until(lambda: len(line.watched) == 2)
    line.watched.clear()
    line.send(ANN, "abc")
    line.send(BOB, "bcd")
    line.send(9, "abc")  # nobody looks
    for gone in (["x"], ["a", "y"], ["a"]):
        line.bolt.send(msgpack.packb({"gone": gone}))
    line.send(ANN, "bcd")
    for gone in (["a"], ["c"], 7):
        line.bolt.send(msgpack.packb({"gone": gone}))
    until(lambda: line.server.counts["rejected"] == 1)
    assert line.watched[:2] == [(ANN, 0.0)] * 2 and sorted(line.watched[2:]) == [(BOB, 0.0), (ANN, 0.0)]
    assert len(drained(at_ann)) > 0


def test_the_delay_of_a_list_counts_where_somebody_got_it(line):
    subscriber = line.subscriber(mint(KEYS, ANN, 60))
    until(lambda: len(line.server._watchers.users()) == 1)
    line.send(BOB, "ab")
    line.send(ANN, "ab")
    until(lambda: line.server.delays)
    assert len(line.server.delays) == 1 and line.server.delays[0][1] > 0 and drained(subscriber)


class TestSubscribing:
    def test_a_token_gets_its_users_lists_and_no_others(self, line):
        ann, bob = mint(KEYS, ANN, 60), mint(KEYS, BOB, 60)
        at_ann, at_bob = line.subscriber(ann), line.subscriber(bob)
        assert read(at_ann)[1]["type"] == read(at_bob)[1]["type"] == "heartbeat"  # subscribed, and no list yet
        line.send(BOB, "xy")
        line.send(ANN, "abcd")
        line.send(ANN, "bacd")
        token, first = read(at_ann)
        assert (token, first["type"], names(first)) == (ann.encode(), "snapshot", "abcd")
        assert first["seq"][1] == 1 and first["at"] == {"partition": 0, "offset": 2} and "why" not in str(first)
        assert read(at_ann)[1]["type"] == "diff"
        assert names(read(at_bob)[1]) == "xy"
        assert drained(at_ann) == drained(at_bob) == []

    def test_callbacks_say_who_is_watched_and_until_when(self, line):
        short, long = mint(KEYS, ANN, 60), mint(KEYS, ANN, 600)
        first = line.subscriber(short)
        until(lambda: len(line.watched) == 1)
        second = line.subscriber(long)
        until(lambda: len(line.watched) == 2)
        assert [user for user, _ in line.watched] == [ANN, ANN]
        assert 500 < line.watched[1][1] - line.watched[0][1] < 600 and len(line.server._watchers.users()) == 1
        second.close()
        first.close()
        until(lambda: line.unwatched == [ANN])
        assert len(line.server._watchers.users()) == 0 and len(line.watched) == 2

    def test_two_clients_with_one_token_and_one_leaves(self, line):
        token = mint(KEYS, ANN, 60)
        stays, leaves, hangs_up = (line.subscriber(token) for _ in range(3))
        for each in (stays, leaves, hangs_up):
            read(each)
        line.send(ANN, "ab")
        for each in (stays, leaves, hangs_up):
            assert names(drained(each)[-1]) == "ab"
        leaves.unsubscribe(token)
        hangs_up.close()
        time.sleep(0.1)
        line.send(ANN, "xy")
        assert names(read(stays)[1]) == "xy"
        assert drained(leaves) == [] and line.unwatched == []
        stays.close()
        until(lambda: line.unwatched == [ANN])

    def test_who_comes_late_gets_the_list_at_once(self, line):
        line.send(ANN, "abc")
        until(lambda: line.server.latest(ANN))
        assert names(read(line.subscriber(mint(KEYS, ANN, 60)))[1]) == "abc"
        assert lists.unpack(line.server.latest(ANN))["items"][0]["why"] and names(line.snapshot(ANN)) == "abc"

    def test_renewal_overlaps(self, line):
        old, new = mint(KEYS, ANN, 60), mint(KEYS, ANN, 120)
        both = line.subscriber(old, new)
        assert {read(both)[0], read(both)[0]} == {old.encode(), new.encode()}
        line.send(ANN, "ab")
        assert {read(both)[0], read(both)[0]} == {old.encode(), new.encode()}
        both.unsubscribe(old)
        time.sleep(0.05)
        line.send(ANN, "cd")
        assert read(both)[0] == new.encode() and drained(both) == [] and line.unwatched == []

    def test_heartbeats_carry_the_latest_seq(self):
        line = Line(heartbeat=0.05)
        try:
            at_ann = line.subscriber(mint(KEYS, ANN, 60))
            assert read(at_ann)[1]["seq"][1] == 0
            line.send(ANN, "ab")
            until(lambda: read(at_ann)[1]["type"] == "snapshot")
            until(lambda: (m := read(at_ann)[1])["type"] == "heartbeat" and m["seq"][1] == 1)
        finally:
            line.stop()


def wrong_topics() -> dict[str, bytes]:
    token = mint(KEYS, ANN, 60).encode()
    return {
        "empty prefix": b"",
        "shorter prefix": token[:-1],
        "one letter": token[:1],
        "longer": token + b"A",
        "forged": token[:-4] + b"AAAA",
        "of another key": mint(KeyRing(b"someone else's"), ANN, 60).encode(),
        "expired": mint(KEYS, ANN, -1).encode(),
        "of another user": mint(KEYS, BOB, 60).encode(),
        "no text": b"\xff" * 64,
    }


class TestStrangers:
    @pytest.mark.parametrize("what", wrong_topics())
    def test_get_nothing(self, line, what):
        good = line.subscriber(mint(KEYS, ANN, 60))
        read(good)
        thief, raw = line.subscriber(wrong_topics()[what]), line.socket(zmq.XSUB)
        raw.send(b"\1" + wrong_topics()[what])
        time.sleep(0.05)
        line.send(ANN, "ab")
        assert names(read(good)[1]) == "ab"
        assert all(m["type"] == "heartbeat" and m["seq"][1] == 0 for m in drained(thief) + drained(raw))
        assert what == "of another user" or line.server.counts["refused"] == 2

    def test_raw_frames_harm_nobody(self, line):
        good = line.subscriber(mint(KEYS, ANN, 60))
        read(good)
        raw = line.socket(zmq.XSUB)
        for frame in (b"\2junk", b"", b"\0", b"\1", b"\0nobody's", b"\0" + mint(KEYS, ANN, 60).encode(), b"\1\1"):
            raw.send(frame)
        raw.send_multipart([b"\2a", b"\1b", b"", b"\1"])
        raw.send(b"\2" + b"x" * (1 << 20))  # too long: the connection ends, and comes again
        other = line.socket(zmq.XSUB)
        for number in range(500):
            other.send(b"\1%d" % number)
        until(lambda: line.server.counts["refused"] > 500)
        line.send(ANN, "ab")
        assert names(read(good)[1]) == "ab" and drained(raw) == [] and line.unwatched == []

    def test_a_frame_that_is_no_subscription_lends_nobody_a_topic(self, one_lane, line):
        """libzmq 4.3.5 pairs subscriptions with the wrong connection after such a frame; see push/lane.py."""
        line.gate.clear()
        line.subscriber(mint(KEYS, BOB, 60))
        until(lambda: line.watched)  # the server stands; what follows waits in one queue, in this order
        token = mint(KEYS, ANN, 60)
        line.socket(zmq.XSUB).send(b"\2junk")
        time.sleep(0.1)
        victim = line.subscriber(token)
        time.sleep(0.1)
        thief = line.socket(zmq.XSUB)
        thief.send(b"\1anything")
        time.sleep(0.1)
        line.gate.set()
        until(lambda: line.server.counts["refused"] == 3)
        line.send(ANN, "ab")
        assert drained(thief) == []
        victim.unsubscribe(token)
        victim.subscribe(token)
        assert names(read(victim)[1]) == "ab" and drained(thief) == []

    def test_a_subscription_that_comes_while_a_list_leaves_is_taken_at_once(self, one_lane, line, monkeypatch):
        """Sending looks at what has come to the socket, and nothing tells of it any more."""
        line.subscriber(mint(KEYS, ANN, 60))
        late = line.subscriber("a stranger's")
        until(lambda: line.watched and line.server.counts["refused"] == 1)
        leaving, gate, send = threading.Event(), threading.Event(), Lane.send

        def slowly(lane: Lane, topic: bytes, body: bytes) -> bool:
            sent = send(lane, topic, body)
            leaving.set()
            gate.wait(5)
            lane.xpub.get(zmq.EVENTS)  # as libzmq does, once a millisecond
            return sent

        monkeypatch.setattr(Lane, "send", slowly)
        line.send(ANN, "ab")
        assert leaving.wait(5)
        late.subscribe(mint(KEYS, BOB, 60))
        time.sleep(0.2)
        gate.set()
        until(lambda: BOB in dict(line.watched))


class TestEnding:
    def test_expiry_while_connected(self, line):
        at_ann = line.subscriber(mint(KEYS, ANN, 0.3))
        read(at_ann)
        line.send(ANN, "ab")
        assert names(read(at_ann)[1]) == "ab"
        until(lambda: line.unwatched == [ANN])
        line.send(ANN, "cd")
        until(lambda: names(line.snapshot(ANN)) == "cd")
        assert drained(at_ann) == []

    def test_revoked_tokens_are_void_and_later_ones_are_not(self, line):
        old = mint(KEYS, ANN, 60)
        at_ann, gap = line.subscriber(old), line.socket(zmq.DEALER, line.server.gap_endpoint)
        line.send(ANN, "ab")
        until(lambda: names(m) == "ab" if (m := read(at_ann)[1])["type"] == "snapshot" else False)
        line.guard.revoke(ANN)
        line.server.forget(ANN)
        until(lambda: line.unwatched == [ANN])
        assert line.server.latest(ANN) is None
        with pytest.raises(TokenError, match="revoked"):
            line.guard.verify(old)
        again = line.subscriber(old)
        gap.send(old.encode())
        assert read(gap)[1] == wire.error("the token is revoked")
        time.sleep(0.002)
        anew = line.subscriber(mint(KEYS, ANN, 60))
        read(anew)
        line.send(ANN, "cd")
        assert read(anew)[1]["seq"][1] == 2
        assert drained(at_ann) == drained(again) == []

    def test_stopping_twice_or_unstarted_is_fine(self, line):
        unstarted = PushServer(PushSettings(), GUARD, None, line._watch, line.unwatched.append)
        unstarted.stop()
        line.stop()
        line.server.stop()


class TestGaps:
    def test_are_answered_with_the_newest_list(self, line):
        token = mint(KEYS, ANN, 60).encode()
        gap = line.socket(zmq.DEALER, line.server.gap_endpoint)
        gap.send(token)
        found, message = read(gap)
        assert (found, message["type"], message["seq"][1]) == (token, "heartbeat", 0)  # there is none yet
        line.send(ANN, "ab")
        line.send(ANN, "cd")
        until(lambda: line.server.latest(ANN) and names(line.snapshot(ANN)) == "cd")
        gap.send(token)
        found, message = read(gap)
        assert (found, message["type"], names(message), message["seq"][1]) == (token, "snapshot", "cd", 2)

    @pytest.mark.parametrize("what", [w for w in wrong_topics() if w != "of another user"])
    def test_of_strangers_are_refused(self, line, what):
        line.send(ANN, "ab")
        until(lambda: line.server.latest(ANN))
        gap = line.socket(zmq.DEALER, line.server.gap_endpoint)
        gap.send(wrong_topics()[what])
        assert read(gap)[1]["type"] == "error"

    def test_rubbish_and_who_never_reads_block_nothing(self, line):
        line.send(ANN, "ab")
        token = mint(KEYS, ANN, 60).encode()
        lazy = line.socket(zmq.DEALER, line.server.gap_endpoint)
        lazy.rcvhwm = 1
        lazy.send_multipart([b"a", b"b", b"c", b"", token])
        for _ in range(3000):
            try:
                lazy.send(token, zmq.DONTWAIT)
            except zmq.Again:
                break
        eager = line.socket(zmq.DEALER, line.server.gap_endpoint)
        eager.send(token)
        assert names(read(eager)[1]) == "ab"


class TestIntake:
    def test_rubbish_is_counted(self, line):
        at_ann = line.subscriber(mint(KEYS, ANN, 60))
        read(at_ann)
        rubbish = (b"", b"\xc1", b"abc", msgpack.packb(None), msgpack.packb({"user": ANN}), msgpack.packb([1]))
        for each in (
            *rubbish,
            msgpack.packb({**msgpack.unpackb(lists.pack(recommendation(ANN, 5, "ab"))), "items": {"a": 1}}),
        ):
            line.bolt.send(each)
        line.send(ANN, "ab")
        assert names(read(at_ann)[1]) == "ab" and read_seq(line) == 1
        assert line.server.counts["rejected"] == len(rubbish) + 1

    def test_the_next_list_of_who_is_wanted_is_told_once(self, line):
        line.server.want(ANN)
        line.server.want(3)
        line.send(BOB, "xy")
        line.send(ANN, "ab")
        line.send(ANN, "cd")
        line.send(3, "pq", slot="similar")
        until(lambda: len(line.wanted) == 2)
        assert [(user, names(lists.unpack(packed))) for user, packed in line.wanted] == [(ANN, "ab"), (3, "pq")]
        assert line.server.latest(3) is None, "an answer to a question is no list of a user"

    def test_of_another_process(self, tmp_path):
        server = PushServer(
            PushSettings(endpoint=f"ipc://{tmp_path}/push"), GUARD, None, print, print, "tcp://127.0.0.1:*"
        )
        server.start()
        try:
            assert server.intake.startswith("tcp://127.0.0.1:") and server.gap_endpoint == f"ipc://{tmp_path}/push-gap"
            with zmq.Context() as context, context.socket(zmq.PUSH) as bolt:
                bolt.connect(server.intake)
                bolt.send(lists.pack(recommendation(ANN, 0, "ab")))
                until(lambda: server.latest(ANN))
        finally:
            server.stop()


def read_seq(line: Line) -> int:
    return line.snapshot(ANN)["seq"][1]


class TestBinding:
    def start(self, endpoint: str) -> str:
        server = PushServer(PushSettings(endpoint=endpoint), GUARD, None, print, print)
        try:
            server.start()
            return server.endpoint
        finally:
            server.stop()

    @pytest.mark.parametrize("host", ["127.0.0.1:*", "127.0.0.1:0", "localhost:*"])
    def test_any_free_port_has_the_gap_above(self, host):
        endpoint = self.start(f"tcp://{host}")
        assert int(endpoint.rpartition(":")[2]) > 0

    def test_a_given_port_is_that_port(self):
        endpoint = self.start("tcp://127.0.0.1:*")
        again: list[str] = []
        until(lambda: self.restarts(endpoint, again))  # libzmq lets go of a port in its own time
        assert again == [endpoint]

    def restarts(self, endpoint: str, started: list[str]) -> bool:
        with suppress(SettingError):
            started.append(self.start(endpoint))
        return bool(started)

    @pytest.mark.parametrize("host", ["*", "0.0.0.0", "[::]", "192.168.0.1", "shop.example", "10.0.0.1"])
    def test_open_to_the_world_is_refused_without_curve(self, host):
        for port in ("*", "7201"):
            with pytest.raises(SettingError, match="CURVE"):
                self.start(f"tcp://{host}:{port}")

    @pytest.mark.parametrize("endpoint", ["", "tcp://", "127.0.0.1:5", "udp://127.0.0.1:5", "tcp://127.0.0.1:65535"])
    def test_rubbish_is_refused(self, endpoint):
        with pytest.raises(SettingError, match="endpoint"):
            self.start(endpoint)

    def test_an_intake_of_no_use_is_refused(self):
        server = PushServer(PushSettings(endpoint="tcp://127.0.0.1:*"), GUARD, None, print, print, "nowhere")
        with pytest.raises(SettingError, match="intake 'nowhere'"):
            server.start()
        server.stop()

    def test_a_port_in_use_is_one_line(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(SettingError, match="cannot bind"):
                self.start(endpoint)


def test_all_addresses_of_version_6_are_those_of_version_4_too() -> None:
    public, private = server_keys(Secret(bytes(32)))
    settings = PushSettings(endpoint="tcp://[::]:*", curve=True)
    server = PushServer(settings, GUARD, None, lambda *_: None, print, curve_key=private)
    server.start()
    endpoint = server.endpoint.replace("[::]", "127.0.0.1")
    with Subscriber(mint(KEYS, ANN, 60), endpoint, server_key=public.decode()) as subscriber:
        with zmq.Context.instance().socket(zmq.PUSH) as bolt:
            bolt.connect(server.intake)
            bolt.send(lists.pack(recommendation(ANN, 1, "ab")))
        update = subscriber.receive(5)
        assert update is not None and len(update.items) == 2
    server.stop()


def test_the_intake_waits_a_moment_at_most_and_what_a_burst_is_too_much_for_comes_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake_module, "LATE", 6000)
    nobody = Intake(None)
    assert nobody.send([b"one"]) == 0
    nobody.close()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    with context.socket(zmq.PULL) as server:
        server.set(zmq.RCVHWM, 5)
        server.bind("inproc://an-intake")
        intake = Intake("inproc://an-intake")
        assert intake.send([b"one", b"another"]) == 0
        assert (server.recv(), server.recv()) == (b"one", b"another")
        assert intake.send(b"%d" % n for n in range(5000)) == 0
        came: list[bytes] = []
        while len(came) < 5000:
            intake.send()
            with suppress(zmq.Again):
                while True:
                    came.append(server.recv(zmq.DONTWAIT))
        assert came == [b"%d" % n for n in range(5000)]
        dropped = intake.send(b"%d" % n for n in range(9000))
        assert 0 < dropped < 3000, "the oldest of those that had to wait"
        intake.close()
