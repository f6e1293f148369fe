"""bench/bench_forging.py, small: nobody is given what is not theirs, the honest get theirs, a leak would be seen."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import msgpack
import pytest

BENCH = Path(__file__).parent.parent / "bench"
sys.path.insert(0, str(BENCH))
from bench_push import KEY, KEYS, Load, recommendation, token_of  # noqa: E402
from forger import Forgeries, is_leak  # noqa: E402
from push_server import push_server  # noqa: E402
from zmtp import connected, frame, tcp  # noqa: E402

from shopguide import wire  # noqa: E402
from shopguide.errors import TokenError  # noqa: E402
from shopguide.push import Outbox  # noqa: E402
from shopguide.tokens import verify  # noqa: E402


def test_no_forger_gets_a_list_and_every_honest_subscriber_does(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH / "bench_forging.py"), "--attempts", "6000", "--honest", "20"]
    command += ["--json", str(tmp_path / "found.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {row["what"]: row["median"] for row in json.loads((tmp_path / "found.json").read_text())["rows"]}
    assert found["messages to the wrong client"] == found["honest subscribers without their newest list"] == 0
    assert found["refused or answered with an error by the server"] > 3000


def test_every_forgery_is_one() -> None:
    now = time.time()
    forgeries = Forgeries(1, 5, now)
    for kind in forgeries.kinds:
        if kind.__name__ != "revoked":  # its signature is right; the server knows that it is void
            for _ in range(50):
                with pytest.raises(TokenError):
                    verify(KEYS, kind())
    assert verify(KEYS, forgeries.honest()) and verify(KEYS, forgeries.revoked()) and verify(KEYS, forgeries.own)


def test_a_leak_is_seen() -> None:
    own, other = b"own", token_of(3, time.time()).encode()
    packed = recommendation(3, 1, 1.0)
    theirs = Outbox(1).recommend(msgpack.unpackb(packed), 1.0, packed)
    assert theirs is not None
    assert is_leak([other, theirs], own) and is_leak([own, theirs], own)
    assert is_leak(wire.encode(other, wire.heartbeat((1, 0), 1.0)), own)
    assert not is_leak(wire.encode(own, wire.heartbeat((1, 0), 1.0)), own)
    assert not is_leak([b"", *wire.encode(other, wire.error("the token is forged"))], own)


def test_who_comes_after_one_that_left_is_not_given_its_place() -> None:
    """libzmq takes a connection for another that had its place in memory, where its subscription waited too long."""
    took = 0
    with push_server(KEY) as child, closing(Load(child, 0)) as load:
        for turn in range(4):
            noise = connected(child.push, b"SUB")
            noise.sendall(b"".join(frame(b"\1" + bytes([number % 16])) for number in range(40_000)))
            users = range(100 * turn, 100 * turn + 8)
            for user in users:
                with connected(child.push, b"SUB") as left:
                    left.sendall(frame(b"\1" + token_of(user, time.time()).encode()))
                    time.sleep(0.0005)
            time.sleep(0.02)
            later = [connected(child.push, b"SUB") for _ in users]
            for each in later:
                each.sendall(frame(b"\1x"))
            noise.close()
            while child.figures().get("refused", 0) < (turn + 1) * 40_000:
                time.sleep(0.1)
            for user in users:
                load.send(user, time.time())
            time.sleep(0.2)
            for each in later:
                each.setblocking(False)
                with suppress(BlockingIOError):
                    took += b'"type"' in each.recv(1 << 16)
                each.close()
    assert took == 0


def test_who_comes_in_the_place_of_one_that_left_is_heard_at_once() -> None:
    """Descriptors are used again; a hang-up in peace makes nobody wait."""
    with push_server(KEY) as child:
        for user in range(20):
            with connected(child.push, b"SUB"):
                pass  # says nothing and goes
            time.sleep(0.02)
            with connected(child.push, b"SUB") as comes:
                comes.sendall(frame(b"\1" + token_of(user, time.time()).encode()))
                comes.settimeout(5)
                heard = b""
                while b'"heartbeat"' not in heard:
                    heard += comes.recv(1 << 16) or pytest.fail("hung up")
            time.sleep(0.02)


def test_a_peer_before_zmtp_3_is_given_nothing_and_ends_nothing() -> None:
    """Of its frames nobody knows which connection they came by."""
    with push_server(KEY) as child:
        subscription = b"\1" + token_of(1, time.time()).encode()
        with closing(tcp(child.push)) as old:
            old.sendall(b"\1\0" + bytes([1 + len(subscription), 0]) + subscription)
            deadline = time.monotonic() + 10
            while not child.figures().get("refused") and time.monotonic() < deadline:
                time.sleep(0.05)
            assert child.figures()["refused"] and child.figures()["watched"] == 0
            with connected(child.push, b"SUB") as comes:
                comes.sendall(frame(b"\1" + token_of(2, time.time()).encode()))
                heard = b""
                while b'"heartbeat"' not in heard:
                    heard += comes.recv(1 << 16) or pytest.fail("hung up")
