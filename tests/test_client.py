"""The subscriber: whatever is lost, doubled or late, it ends with the newest list."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import msgpack
import orjson
import pytest
import zmq
from click.testing import CliRunner
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from why import POPULAR

from shopguide import client, lists, wire
from shopguide.cli.token import token as token_command
from shopguide.cli.watch import watch as watch_command
from shopguide.client import AsyncSubscriber, Inbox, Subscriber
from shopguide.errors import SettingError, TokenError
from shopguide.keys import Secret
from shopguide.push import Guard, Outbox, PushServer
from shopguide.push.curve import server_keys
from shopguide.settings import PushSettings
from shopguide.state import StateDir
from shopguide.tokens import KeyRing, mint, verify

KEY = b"the key of the client tests"
KEYS = KeyRing(KEY)
ANN, BOB = 5, 7


def recommendation(user: int, offset: int, names: str) -> dict:
    items = [{"item": n, "title": f"Title of {n}", "score": 1.0, "reasons": [], "why": POPULAR} for n in names]
    times = {"event": time.time(), "logged": 2.0, "scored": 3.0}
    about = {"slot": "home", "about": "", "intent": 0.5}
    return {"user": user, "partition": 0, "offset": offset, "items": items, "causes": [], "times": times, **about}


def names(update: client.Update) -> str:
    return "".join(item["item"] for item in update.items)


class Delivery(RuleBasedStateMachine):
    """An outbox and an inbox with a line between them that loses, doubles and delays; lists of a narrow alphabet, so
    that diffs are common."""

    def __init__(self):
        super().__init__()
        self.outbox = Outbox(epoch=1)
        self.inbox = Inbox(0.0)
        self.line: deque[list[bytes]] = deque()
        self.old: list[list[bytes]] = []
        self.sent: dict[wire.Seq, str] = {}
        self.now, self.offset = 0.0, 0

    def transmit(self, message: wire.Message) -> None:
        self.line.append([b"token", message if isinstance(message, bytes) else wire.dumps(message)])

    def newest(self) -> wire.Message:
        return self.outbox.snapshot(ANN) or wire.heartbeat(self.outbox.seq(ANN), 0.0)

    def hear(self, frames: list[bytes]) -> None:
        before = self.inbox.seq
        update = self.inbox.receive(wire.decode(frames)[1], self.now)
        if update is not None:
            assert before is None or update.seq > before, "seq fell"
            assert names(update) == self.sent[update.seq]
            assert wire.apply(None, [], update.snapshot()) == update.items

    @rule(letters=st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8))
    def recommend(self, letters):
        self.offset += 1
        given = recommendation(ANN, self.offset, "".join(letters))
        packed = lists.pack(given)
        message = self.outbox.recommend(msgpack.unpackb(packed), self.now, packed)
        self.sent[wire.seq_of(orjson.loads(message))] = "".join(letters)
        self.transmit(message)

    @rule()
    def beat(self):
        self.transmit(wire.heartbeat(self.outbox.seq(ANN), 0.0))

    @precondition(lambda self: self.line)
    @rule()
    def deliver(self):
        self.old.append(self.line.popleft())
        self.hear(self.old[-1])

    @precondition(lambda self: self.line)
    @rule(many=st.integers(1, 3))
    def lose(self, many):
        for _ in range(min(many, len(self.line))):
            self.line.popleft()

    @precondition(lambda self: self.old)
    @rule(data=st.data())
    def double(self, data):
        self.hear(data.draw(st.sampled_from(self.old)))

    @rule()
    def ask(self):
        self.now += client.ASK_AGAIN
        if self.inbox.asks(self.now):
            assert self.inbox.behind
            self.inbox.asked = self.now
            self.transmit(self.newest())
            assert not self.inbox.asks(self.now), "asked twice at once"

    @rule()
    def restart(self):
        self.line.clear()
        self.outbox = Outbox(self.outbox.epoch + 1)
        self.transmit(self.newest())

    @invariant()
    def holds_a_list_that_was_sent(self):
        held = "".join(item["item"] for item in self.inbox.items)
        assert held == (self.sent[self.inbox.seq] if self.inbox.seq else "")

    def teardown(self):
        self.beat()
        while self.line:
            self.deliver()
        self.ask()
        while self.line:
            self.deliver()
        assert not self.inbox.behind
        if self.outbox.snapshot(ANN):
            assert self.inbox.seq == self.outbox.seq(ANN)


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(stateful_step_count=30, deadline=None)


def test_who_was_answered_asks_at_once_when_there_is_another_gap_and_who_was_not_a_second_later() -> None:
    inbox, outbox = Inbox(0.0), Outbox(epoch=1)

    def missed(offset: int) -> bytes | None:
        packed = lists.pack(recommendation(ANN, offset, "ab"))
        outbox.recommend(msgpack.unpackb(packed), 0.0, packed)
        inbox.receive(wire.heartbeat(outbox.seq(ANN), 0.0), 0.0)
        return outbox.snapshot(ANN)

    first = missed(1)
    assert inbox.asks(0.0)
    inbox.asked = 0.0
    assert not inbox.asks(0.9)
    inbox.receive(orjson.loads(first or b""), 0.01)
    assert not inbox.behind
    missed(2)
    assert inbox.asks(0.02)
    inbox.asked = 0.02
    assert not inbox.asks(0.9) and inbox.asks(0.03 + client.ASK_AGAIN)


class Line:
    """A push server and the socket of a push bolt; ``restart`` makes the next server on the same endpoint."""

    def __init__(self, state: Path | None = None, heartbeat: float = 0.1) -> None:
        self.state, self.heartbeat = state, heartbeat
        self.unwatched: list[int] = []
        self.server = self.start("tcp://127.0.0.1:*")
        self.offset = 0

    def start(self, endpoint: str) -> PushServer:
        settings = PushSettings(endpoint=endpoint, heartbeat=self.heartbeat)
        server = PushServer(settings, Guard(KEY), self.state, lambda *_: None, self.unwatched.append)
        server.start()
        self.bolt = zmq.Context.instance().socket(zmq.PUSH)
        self.bolt.linger = 0
        self.bolt.connect(server.intake)
        return server

    def send(self, user: int, names: str) -> None:
        self.offset += 1
        self.bolt.send(lists.pack(recommendation(user, self.offset, names)))

    def stop(self) -> None:
        self.bolt.close()
        self.server.stop()

    def restart(self) -> None:
        self.stop()
        end = time.monotonic() + 5
        while time.monotonic() < end:  # libzmq lets go of a port in its own time
            with suppress(SettingError):
                self.server = self.start(self.server.endpoint)
                return
            time.sleep(0.02)
        raise AssertionError("the port stays taken")


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path)
    yield made
    made.stop()


def until(subscriber: Subscriber, wanted: str) -> list[client.Update]:
    """Updates up to the one with this list."""
    seen = []
    while not seen or names(seen[-1]) != wanted:
        update = subscriber.receive(5)
        assert update is not None, f"{wanted} did not come"
        seen.append(update)
    return seen


class TestSubscriber:
    def test_follows_a_users_list(self, line):
        with Subscriber(mint(KEYS, ANN, 60), line.server.endpoint, timeout=5) as lists:
            assert lists.receive(0.05) is None
            for wanted in ("abcdef", "fabcde", "xy", ""):
                line.send(ANN, wanted)
                update = next(iter(lists))
                assert names(update) == wanted
            assert update.seq[1] == 4 and lists.receive(0.15) is None, "heartbeats are no updates"
        with Subscriber(mint(KEYS, ANN, 60), line.server.endpoint, line.server.gap_endpoint, timeout=0.2) as lists:
            assert [names(u) for u in lists] == [""], "who comes late gets the list, once"

    def test_a_paused_reader_blocks_nobody_and_ends_with_the_newest(self, line):
        token, other = mint(KEYS, ANN, 60), mint(KEYS, BOB, 60)
        with Subscriber(token, line.server.endpoint) as paused, Subscriber(other, line.server.endpoint) as reader:
            line.send(ANN, "begin")
            until(paused, "begin")
            title = "x" * 100_000  # of this size, so that neither buffers nor the kernel hold them all
            for number in range(300):
                big = recommendation(ANN, line.offset + 1, "ab" if number % 2 else "ba")
                big["items"][0]["title"] = title + str(number)
                line.offset += 1
                line.bolt.send(lists.pack(big))
                line.send(BOB, f"{number % 10}")
                assert names(until(reader, f"{number % 10}")[-1]) == f"{number % 10}"
            line.send(ANN, "latesx")
            seen = until(paused, "latesx")
            assert len(seen) < 301, "nothing was dropped: the test does not test"
            assert all(before.seq < after.seq for before, after in pairwise(seen))
            assert wire.seq_of(orjson.loads(line.server.snapshot(ANN))) == seen[-1].seq
            line.send(ANN, "after")
            assert len(until(paused, "after")) == 1

    def test_reconnects_to_the_next_server(self, line):
        with Subscriber(mint(KEYS, ANN, 60), line.server.endpoint) as lists:
            line.send(ANN, "ab")
            line.send(ANN, "cd")
            before = until(lists, "cd")[-1].seq
            line.restart()
            line.send(ANN, "ef")
            after = until(lists, "ef")[-1].seq
            assert after[0] > before[0] and after[1] == 1

    def test_renews_its_token(self, line):
        with Subscriber(mint(KEYS, ANN, 0.5), line.server.endpoint) as lists:
            line.send(ANN, "ab")
            until(lists, "ab")
            lists.renew(mint(KEYS, ANN, 60))
            time.sleep(0.6)
            line.send(ANN, "cd")
            assert len(until(lists, "cd")) == 1 and line.unwatched == []

    @pytest.mark.parametrize(
        "token",
        ["", "x", mint(KEYS, ANN, 60)[:-1], mint(KEYS, ANN, -5), mint(KEYS, ANN, 60) * 2],
        ids=["none", "no token", "cut", "expired", "twice"],
    )
    def test_a_refused_token_is_said(self, line, token):
        with Subscriber(token, line.server.endpoint) as lists, pytest.raises(TokenError, match="the token"):
            lists.receive(5)

    def test_expiry_is_said_after_some_silence(self, line, monkeypatch):
        monkeypatch.setattr(client, "PATIENCE", 0.3)
        with Subscriber(mint(KEYS, ANN, 0.4), line.server.endpoint) as lists:
            line.send(ANN, "ab")
            until(lists, "ab")
            with pytest.raises(TokenError, match="expired"):
                lists.receive(5)

    def test_a_lost_subscription_is_sent_again(self, line, monkeypatch):
        monkeypatch.setattr(client, "PATIENCE", 0.3)
        token = mint(KEYS, ANN, 60)
        with Subscriber(token, line.server.endpoint) as lists:
            line.send(ANN, "ab")
            until(lists, "ab")
            line.server._soon(lambda: line.server._watchers.revoke(ANN))  # as if the server had never had it
            time.sleep(0.05)
            line.send(ANN, "cd")
            until(lists, "cd")

    def test_rubbish_is_passed_over(self):
        with zmq.Context() as context, context.socket(zmq.XPUB) as server, context.socket(zmq.ROUTER) as gap:
            server.linger = gap.linger = 0
            port = server.bind_to_random_port("tcp://127.0.0.1")
            gap_port = gap.bind_to_random_port("tcp://127.0.0.1")
            with Subscriber("T", f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{gap_port}") as lists:
                assert server.poll(5000) and server.recv() == b"\1T"
                good = wire.snapshot((1, 1), recommendation(ANN, 0, "ab"), 1.0)
                for frames in ([b"T"], [b"T", b"{"], [b"T", b"{}", b""], wire.encode(b"Tea", good), [b"T", b"\xff"]):
                    server.send_multipart(frames)
                server.send_multipart(wire.encode(b"T", {**good, "seq": [1, 2]}))
                assert [u.seq for u in (lists.receive(5), lists.receive(0.05)) if u] == [(1, 2)]

    @pytest.mark.parametrize("endpoint", ["", "127.0.0.1:5", "tcp://127.0.0.1"])
    def test_an_endpoint_of_no_use_is_one_line(self, endpoint):
        with pytest.raises(SettingError):
            Subscriber("T", endpoint)


class TestCurve:
    def test_an_open_endpoint_speaks_to_those_who_have_its_key(self):
        public, private = server_keys(Secret(b"a secret of the client tests"))
        settings = PushSettings(endpoint="tcp://0.0.0.0:*", curve=True)
        server = PushServer(settings, Guard(KEY), None, print, print, curve_key=private)
        server.start()
        try:
            with zmq.Context.instance().socket(zmq.PUSH) as bolt:
                bolt.connect(server.intake)
                bolt.send(lists.pack(recommendation(ANN, 0, "ab")))
                endpoint, token = server.endpoint.replace("0.0.0.0", "127.0.0.1"), mint(KEYS, ANN, 60)
                other = server_keys(Secret(b"another secret of them"))[0].decode()
                with (
                    Subscriber(token, endpoint, server_key=public.decode()) as ours,
                    Subscriber(token, endpoint) as plain,
                    Subscriber(token, endpoint, server_key=other) as mistaken,
                ):
                    until(ours, "ab")
                    assert plain.receive(0.2) is None and mistaken.receive(0.2) is None
        finally:
            server.stop()

    @pytest.mark.parametrize("key", ["", "x", "x" * 40 + "y", "\N{SNOWMAN}" * 40])
    def test_a_key_of_no_use_is_one_line(self, key):
        with pytest.raises(SettingError):
            Subscriber("T", server_key=key)


class TestAsyncSubscriber:
    async def test_holds_many_tokens(self, line):
        users = range(1, 101)
        tokens = {mint(KEYS, user, 60): user for user in users}
        async with AsyncSubscriber(line.server.endpoint) as lists:
            for token in tokens:
                lists.subscribe(token)
                lists.subscribe(token)
            while len(line.server._watchers.users()) < len(users):
                await asyncio.sleep(0.01)
            for round_number in range(5):
                for user in users:
                    line.send(user, f"{'abcde'[round_number]}{'xyz'[user % 3]}")
            newest: dict[str, str] = {}
            async with asyncio.timeout(10):
                async for token, update in lists:
                    newest[token] = names(update)
                    if newest == {t: f"e{'xyz'[u % 3]}" for t, u in tokens.items()}:
                        break

    async def test_what_a_burst_was_too_much_for_comes_soon(self):
        line, users = Line(heartbeat=60.0), range(1, 301)
        tokens = {mint(KEYS, user, 60): user for user in users}
        long = "".join(map(chr, range(0x4E00, 0x4E00 + 500)))
        async with AsyncSubscriber(line.server.endpoint, line.server.gap_endpoint, high_water_mark=16) as lists:
            for token in tokens:
                lists.subscribe(token)
            while len(line.server._watchers.users()) < len(users):
                await asyncio.sleep(0.01)
            for user in users:  # 17 MB, of which nobody reads
                await asyncio.to_thread(line.send, user, long)
            newest = set[str]()
            async with asyncio.timeout(20):
                while newest != tokens.keys():
                    token, update = await anext(lists)
                    newest.add(token)
                    assert names(update) == long
            assert line.server.counts["gaps"], "there was room for all"
        line.stop()

    async def test_leaves_and_is_refused_one_by_one(self, line):
        ann, bob, nobody = mint(KEYS, ANN, 60), mint(KEYS, BOB, 60), mint(KEYS, BOB, 60)[:-1]
        async with AsyncSubscriber(line.server.endpoint, line.server.gap_endpoint) as lists:
            lists.subscribe(ann)
            lists.subscribe(bob)
            line.send(ANN, "ab")
            line.send(BOB, "xy")
            got = {(await anext(lists))[0], (await anext(lists))[0]}
            assert got == {ann, bob}
            lists.unsubscribe(ann)
            lists.unsubscribe(ann)
            while line.unwatched != [ANN]:
                await asyncio.sleep(0.01)
            line.send(ANN, "cd")
            line.send(BOB, "yz")
            token, update = await anext(lists)
            assert (token, names(update)) == (bob, "yz")
            lists.subscribe(nobody)
            lists._connection.ask(nobody.encode())  # as after some silence
            async with asyncio.timeout(5):
                assert await anext(lists) == (nobody, None)


def test_needs_nothing_compiled_of_ours():
    code = (
        "import sys; sys.modules['shopguide._core'] = None\n"
        "import shopguide.client\n"
        "print([m for m in ('numpy', 'msgpack', 'xxhash', 'pydantic', 'streamparse') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "[]\n"


class TestCommands:
    @pytest.fixture
    def running(self, tmp_path, monkeypatch) -> Iterator[Line]:
        secret = Secret.load(tmp_path)
        monkeypatch.setattr(sys.modules[__name__], "KEY", secret.token)
        made = Line()
        state = StateDir(tmp_path)
        state.take()
        state.announce(push=made.server.endpoint, gap=made.server.gap_endpoint)
        self.ann = secret.user_key("ann")
        made.send(self.ann, "abcdefg")
        while made.server.snapshot(self.ann) is None:
            time.sleep(0.01)
        yield made
        made.stop()
        state.release()

    def test_watch_prints_a_line_a_list(self, running, tmp_path):
        done = CliRunner().invoke(watch_command, ["--user", "ann", "--state", str(tmp_path), "--count", "1"])
        assert done.exit_code == 0, done.output
        epoch = orjson.loads(running.server.snapshot(self.ann))["seq"][0]
        assert done.output.startswith(f"{epoch}-1  home  there already, ")
        assert " s old  Title of a · Title of b" in done.output
        assert done.output.endswith("… 7\n") and done.output.count("\n") == 1

    def test_watch_prints_json(self, running, tmp_path):
        token = CliRunner().invoke(token_command, ["--user", "ann", "--state", str(tmp_path)]).output.strip()
        arguments = ["--token", token, "--connect", running.server.endpoint, "--count", "1", "--json"]
        found = json.loads(CliRunner().invoke(watch_command, arguments).output)
        assert [item["item"] for item in found["items"]] == [*"abcdefg"] and found["seq"][1] == 1
        assert found["age_ms"] > 0 and "latency_ms" not in found and found["type"] == found["brought"] == "snapshot"

    def test_watch_tells_how_long_a_new_list_took_from_how_old_one_is(self, running, tmp_path):
        command = ["--user", "ann", "--state", str(tmp_path), "--count", "2", "--json"]
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(CliRunner().invoke, watch_command, command)
            while not running.server._watchers.places(self.ann):
                time.sleep(0.01)
            running.send(self.ann, "abc")
        first, second = map(json.loads, done.result().output.splitlines())
        assert (len(first["items"]), len(second["items"])) == (7, 3)
        assert first["age_ms"] > 0 and "latency_ms" not in first
        assert second["latency_ms"] > 0 and "age_ms" not in second

    def test_watch_says_what_is_wrong(self, running, tmp_path):
        done = CliRunner().invoke(watch_command, ["--token", "x", "--state", str(tmp_path)])
        assert isinstance(done.exception, TokenError)
        for arguments in ([], ["--user", "a", "--token", "b"]):
            done = CliRunner().invoke(watch_command, arguments)
            assert done.exit_code == 2 and "--user or --token" in done.output

    @pytest.mark.parametrize(("ttl", "seconds"), [("90s", 90), ("15m", 900), ("1.5h", 5400), ("7d", 604800)])
    def test_token_lives_as_long_as_it_says(self, tmp_path, ttl, seconds):
        arguments = ["--user", "ann", "--ttl", ttl, "--state", str(tmp_path), "--json"]
        found = json.loads(CliRunner().invoke(token_command, arguments).output)
        secret = Secret.load(tmp_path)
        token = verify(KeyRing.of(secret), found["token"])
        assert token.user == secret.user_key("ann") and abs(token.expires - token.issued - seconds) < 0.01
        assert abs(found["expires"] - token.expires) < 0.01

    @pytest.mark.parametrize("ttl", ["", "5", "0s", "-1h", "1w", "1h ", "٣s", "infd"])
    def test_token_refuses_other_durations(self, tmp_path, ttl):
        done = CliRunner().invoke(token_command, ["--user", "ann", "--ttl", ttl, "--state", str(tmp_path)])
        assert done.exit_code == 2 and "90s, 15m, 1h or 7d" in done.output
