"""The push server in a process of its own: what a line asks of it, and what becomes of both when one of them dies."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
from why import POPULAR

from shopguide import lists, wire
from shopguide.client import Subscriber
from shopguide.errors import SettingError, TokenError
from shopguide.push import Guard, Intake, PushProcess, process
from shopguide.push.channel import Channel
from shopguide.push.process import COMMAND
from shopguide.settings import PushSettings
from shopguide.signing import KeyFile
from shopguide.tokens import mint

KEY, MARK = b"the key of the process tests", b"a mark of revoked users"
ANN, BOB = 2**64 - 1, 7


def recommendation(user: int, offset: int, names: str, slot: str = "home") -> dict[str, Any]:
    items = [{"item": n, "title": f"Title of {n}", "score": 1.0, "reasons": [], "why": POPULAR} for n in names]
    times = {"event": 1.0, "logged": time.time(), "scored": 3.0}
    where = {"user": user, "partition": 0, "offset": offset, "slot": slot, "about": "", "intent": 0.5}
    return {**where, "items": items, "causes": [], "times": times}


def names(found: Any) -> str:
    return "".join(item["item"] for item in found["items"]) if found else ""


def until(condition: Callable[[], Any], timeout: float = 10.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.005)


class Line:
    """What a line is to its push server: it makes a list for whom it is told to watch."""

    def __init__(self, state: Path, **settings: Any) -> None:
        self.state, self.offset, self.lists = state, 0, {ANN: "abc", BOB: "xyz"}
        self.watched: list[tuple[int, float]] = []
        self.unwatched: list[int] = []
        self.guard = Guard(KEY, MARK, state)
        told = PushSettings(endpoint="tcp://127.0.0.1:*", heartbeat=0.2, **settings)
        self.push = PushProcess(told, self.guard, state, self._watch, self.unwatched.append)
        self.push.start()
        self.intake, self._sending = Intake(self.push.intake), threading.Lock()

    def _watch(self, user: int, expires: float) -> None:
        self.watched.append((user, expires))
        self.send(user)

    def send(self, user: int, names: str | None = None, slot: str = "home") -> None:
        if names is not None and slot == "home":
            self.lists[user] = names
        shown = self.lists[user] if slot == "home" else names or ""
        with self._sending:
            self.offset += 1
            self.intake.send([lists.pack(recommendation(user, self.offset, shown, slot))])

    def subscriber(self, user: int, ttl: float = 60.0) -> Subscriber:
        return Subscriber(mint(self.guard.keys, user, ttl), self.push.endpoint, self.push.gap_endpoint, timeout=10)

    def kill(self) -> int:
        """The push server's process, as a machine would; its number."""
        process = self.push._process
        process.send_signal(signal.SIGKILL)
        return process.pid

    def stop(self) -> None:
        self.intake.close()
        self.push.stop()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path)
    yield made
    made.stop()


def follow(lists: Subscriber, wanted: str, seen: list[wire.Seq]) -> None:
    """Read until this is the list; seq never falls."""
    for update in lists:
        assert not seen or update.seq > seen[-1], "seq fell"
        seen.append(update.seq)
        if names(update.snapshot()) == wanted:
            return
    raise AssertionError(f"{wanted} did not come")


def test_one_that_hangs_is_begun_again(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "HUNG", 1.0)
    with line.subscriber(ANN) as lists:
        seen: list[wire.Seq] = []
        follow(lists, "abc", seen)
        hung = line.push._process
        hung.send_signal(signal.SIGSTOP)
        line.lists[ANN] = "cb"  # told when it is watched anew
        follow(lists, "cb", seen)
        assert hung.returncode == -signal.SIGKILL and line.push._process.pid != hung.pid


def test_what_a_line_asks_of_it(line: Line) -> None:
    with line.subscriber(ANN) as lists:
        follow(lists, "abc", [])
        assert line.watched[0][0] == ANN and line.push.latest(BOB) is None and line.push.snapshot(BOB) is None
        line.send(BOB, "xy")
        line.send(ANN, "ab")
        follow(lists, "ab", [])
        assert line.push.latest(ANN)["items"][0]["why"]["amount"] == bytes(8)  # type: ignore[index]
        found = line.push.latest_of([ANN, BOB, 3])
        assert {user: names(one) for user, one in found.items()} == {ANN: "ab", BOB: "xy"}
        assert names(line.push.snapshot(ANN)) == "ab" and "why" not in str(line.push.snapshot(ANN))
        until(lambda: line.push.watched() == 1 and line.push.counts["pushed"] >= 2 and len(line.push.delays) >= 2)
        line.watched.clear()
        line.push.watch_again()
        until(lambda: line.watched == [(ANN, 0.0)])
    until(lambda: line.unwatched == [ANN])
    until(lambda: line.push.watched() == 0)


async def test_the_next_one_can_be_awaited(line: Line) -> None:
    first, second = line.push.next(ANN, 5), line.push.next(ANN, 5)
    line.send(BOB, "xy")
    line.send(ANN, "ab")
    assert [names(r) for r in await asyncio.gather(first, second)] == ["ab", "ab"]
    assert await line.push.next(ANN, 0.02) is None
    abandoned = asyncio.create_task(line.push.next(ANN, 5))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    abandoned.cancel()
    answer = line.push.next(3, 5)
    line.send(3, "pq", slot="similar")
    assert names(await answer) == "pq" and line.push._waiters.users() == []


async def test_what_turns_out_to_be_no_list_ends_nothing(line: Line) -> None:
    broken = {**msgpack.unpackb(lists.pack(recommendation(3, 1, "ab", "similar"))), "why": None}
    answer, process = line.push.next(3, 5), line.push._process.pid
    line.intake.send([msgpack.packb(broken), msgpack.packb({**broken, "user": ANN, "slot": "home"})])
    assert await answer is None
    assert line.push.latest(ANN) is None
    line.send(3, "pq", slot="home")
    until(lambda: names(line.push.latest(3)) == "pq")
    assert line.push._process.pid == process


@pytest.mark.parametrize("endpoint", ["nowhere", "tcp://0.0.0.0:7201"])
def test_an_endpoint_of_no_use_is_the_same_one_line(tmp_path: Path, endpoint: str) -> None:
    push = PushProcess(PushSettings(endpoint=endpoint), Guard(KEY), tmp_path, print, print)
    with pytest.raises(SettingError, match=r"push\.endpoint = '"):
        push.start()
    push.stop()
    assert push._process.poll() is not None


def test_a_line_that_dies_with_words_unread_leaves_no_traceback(line: Line) -> None:
    ours, its = socket.socketpair()
    hello = {**line.push._hello(), "intake": f"ipc://{line.state}/another"}
    hello["settings"] |= {"endpoint": "tcp://127.0.0.1:*"}
    child = subprocess.Popen([*COMMAND, str(its.fileno())], pass_fds=(its.fileno(),), stderr=subprocess.PIPE)
    its.close()
    channel = Channel(ours)
    channel.say(hello)
    assert next(channel.heard())[0] == "bound"
    child.send_signal(signal.SIGSTOP)
    channel.say("count")
    ours.close()
    child.send_signal(signal.SIGCONT)
    assert child.communicate(timeout=20)[1] == b"" and child.returncode == 0


def test_killed_time_and_again_subscribers_end_with_the_newest_list(line: Line) -> None:
    seen: dict[int, list[wire.Seq]] = {ANN: [], BOB: []}
    with line.subscriber(ANN) as at_ann, line.subscriber(BOB) as at_bob:
        endpoint = line.push.endpoint
        for number in range(3):
            for made in range(20):
                line.send(ANN, f"{number}{made % 10}")
                line.send(BOB, f"b{number}{made % 10}")
            pid = line.kill()
            line.send(ANN, f"a{number}")  # in the midst of it
            follow(at_ann, f"a{number}", seen[ANN])
            follow(at_bob, f"b{number}9", seen[BOB])
            until(lambda pid=pid: line.push._process.pid != pid)  # type: ignore[misc]
        assert len({epoch for epoch, _ in seen[ANN]}) >= 3 and line.push.endpoint == endpoint
        line.send(ANN, "end")
        follow(at_ann, "end", seen[ANN])
    until(lambda: {ANN, BOB} <= set(line.unwatched))
    firsts = [expires for user, expires in line.watched if user == ANN]
    assert firsts[0] > 0 and set(firsts[1:]) == {0.0}, "the list is made again where it stands"


def test_who_does_not_come_back_is_watched_no_more(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MISSED", 1.0)
    with line.subscriber(ANN) as stays:
        with line.subscriber(BOB) as leaves:
            follow(stays, "abc", [])
            follow(leaves, "xyz", [])
            line.push._process.send_signal(signal.SIGSTOP)  # so that it does not see who leaves
        line.kill()
        until(lambda: BOB in line.unwatched)
        line.send(ANN, "end")
        follow(stays, "end", [])
        until(lambda: line.push.watched() == 1)


def test_what_waits_while_it_dies_is_answered(line: Line) -> None:
    line.send(ANN, "ab")
    until(lambda: line.push.latest(ANN))
    line.push._process.send_signal(signal.SIGSTOP)
    line.kill()
    assert line.push.latest(ANN) is None
    until(lambda: line.push._up and line.push._say("want", 5))
    line.send(ANN, "cd")
    until(lambda: names(line.push.latest(ANN)) == "cd")


def test_the_revoked_are_told_to_the_next_one(line: Line) -> None:
    old = mint(line.guard.keys, ANN, 60)
    with line.subscriber(ANN) as lists:
        follow(lists, "abc", [])
        line.push.revoke(ANN, line.guard.revoke(ANN))
        until(lambda: ANN in line.unwatched)
        assert line.push.latest(ANN) is None
    for _ in range(2):
        with Subscriber(old, line.push.endpoint, timeout=5) as lists, pytest.raises(TokenError, match="revoked"):
            lists.receive(5)
        pid = line.kill()
        until(lambda pid=pid: line.push._process.pid != pid and line.push._up)  # type: ignore[misc]
    with pytest.raises(TokenError, match="revoked"):
        Guard(KEY, MARK, line.state).verify(old)
    time.sleep(0.002)
    with line.subscriber(ANN) as lists:
        follow(lists, "abc", [])
    said = (line.state / "revoked").read_text()
    assert str(ANN) not in said and f"{ANN:x}" not in said and (line.state / "revoked").stat().st_mode & 0o777 == 0o600


def test_a_rotation_reaches_it_while_it_runs(line: Line) -> None:
    file = KeyFile(KEY, line.state)
    with line.subscriber(ANN) as lists:
        follow(lists, "abc", [])
        old = mint(line.guard.keys, BOB, 60)
        file.rotate()
        new = mint(file.ring(), BOB, 60)
        for token in (new, old):
            assert line.guard.verify(token).user == BOB
            with Subscriber(token, line.push.endpoint, line.push.gap_endpoint, timeout=5) as others:
                follow(others, "xyz", [])
        file.retire()
        until(lambda: ANN in line.unwatched)  # the token that it watches with is of a key that has gone
        with Subscriber(old, line.push.endpoint) as others, pytest.raises(TokenError, match="unknown key"):
            others.receive(5)
        with Subscriber(new, line.push.endpoint, line.push.gap_endpoint, timeout=5) as others:
            follow(others, "xyz", [])


ALONE = """
import sys, time
from pathlib import Path
from shopguide.push import Guard, PushProcess
from shopguide.settings import PushSettings
settings = PushSettings(endpoint="tcp://127.0.0.1:*")
push = PushProcess(settings, Guard(b"a key that nobody should see"), Path(sys.argv[1]), print, print)
push.start()
print(push._process.pid, flush=True)
time.sleep(60)
"""


def gone(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    return True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_its_line(tmp_path: Path, how: int) -> None:
    parent = subprocess.Popen([sys.executable, "-c", ALONE, tmp_path], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert "nobody" not in Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    os.kill(pid, signal.SIGTERM)  # as a service manager tells all processes of a service
    time.sleep(0.2)
    assert not gone(pid)
    parent.send_signal(how)
    parent.communicate(timeout=10)
    until(lambda: gone(pid), timeout=5)


def test_stopping_twice_or_unstarted_is_fine(tmp_path: Path) -> None:
    PushProcess(PushSettings(), Guard(KEY), tmp_path, print, print).stop()
    made = Line(tmp_path)
    made.stop()
    made.stop()
    assert made.push._process.returncode is not None
