"""The doors of the push server: who may come in by their key, and what happens when there is no room."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import zmq
from click.testing import CliRunner

from shopguide import lists
from shopguide.cli.keypair import keypair
from shopguide.client import Keys, Subscriber, read_keys
from shopguide.errors import SettingError
from shopguide.keys import Secret
from shopguide.push import Guard, PushServer, doors
from shopguide.push.beats import PAUSE, SOON, Beats
from shopguide.push.curve import own_keys, server_keys
from shopguide.settings import PushSettings
from shopguide.tokens import KeyRing, mint

KEY, SECRET = b"the key of the doors' tests", Secret(b"a secret of the doors' tests")
ANN = 5
TOKEN = mint(KeyRing(KEY), ANN, 36_000)
_offsets = count(1)


def made(path: Path) -> tuple[str, Keys]:
    """A pair in a file of the command's; the public key as it prints it."""
    done = CliRunner().invoke(keypair, [str(path)])
    assert done.exit_code == 0 and path.stat().st_mode & 0o777 == 0o600
    return done.output.strip(), read_keys(path)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[PushServer, Path]]:
    """A server with an empty list of clients."""
    clients = tmp_path / "clients"
    clients.write_text("# nobody\n")
    settings = PushSettings(endpoint="tcp://127.0.0.1:*", curve=True, clients=str(clients))
    private = server_keys(SECRET)[1]
    server = PushServer(settings, Guard(KEY), None, print, print, curve_key=private, own_key=own_keys(SECRET)[0])
    server.start()
    give(server)
    yield server, clients
    server.stop()


def give(server: PushServer) -> None:
    """A list of Ann's."""
    with zmq.Context.instance().socket(zmq.PUSH) as bolt:
        bolt.connect(server.intake)
        times = {"event": 1.0, "logged": 2.0, "scored": 3.0}
        about = {"user": ANN, "partition": 0, "offset": next(_offsets), "slot": "home", "about": "", "intent": 0.5}
        bolt.send(lists.pack({**about, "items": [], "causes": [], "times": times}))


@contextmanager
def connection(
    endpoint: str, keys: Keys | None = None, public: bytes = b"", kind: int = zmq.SUB
) -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context()
    made = context.socket(kind)
    if keys is not None:
        made.curve_publickey, made.curve_secretkey, made.curve_serverkey = *keys, public
    made.connect(endpoint)
    try:
        yield made
    finally:
        context.destroy(linger=0)  # with what hears of it


def hears(of: zmq.Socket[bytes], event: int) -> zmq.Socket[bytes]:
    """A socket that can be read once that has happened."""
    heard: zmq.Socket[bytes] = of.get_monitor_socket(event)
    return heard


def gets(server: PushServer, keys: Keys | None, timeout: float = 5.0) -> bool:
    public = server_keys(SECRET)[0].decode()
    with Subscriber(TOKEN, server.endpoint, server.gap_endpoint, server_key=public, client_keys=keys) as subscriber:
        return subscriber.receive(timeout) is not None


def test_only_those_in_the_list_come_in_and_it_may_change(locked: tuple[PushServer, Path], tmp_path: Path) -> None:
    server, clients = locked
    (till, till_keys), (other, other_keys) = made(tmp_path / "till"), made(tmp_path / "other")
    assert gets(server, own_keys(SECRET)), "the line's own web server is always welcome"
    assert not any(gets(server, keys, 0.3) for keys in (till_keys, other_keys, None))
    clients.write_text(f"# tills\n{till}  # the one by the door\n\n#{'x' * 39}\n")
    assert gets(server, till_keys) and not gets(server, other_keys, 0.3)
    clients.write_text("rubbish\n")
    assert gets(server, till_keys), "a broken list changes nothing"
    clients.write_text(other)
    assert gets(server, other_keys) and not gets(server, till_keys, 0.3)
    stolen = (till.encode(), other_keys[1])  # a public key without its secret
    assert not gets(server, stolen, 0.3)


def test_who_is_taken_from_the_list_is_put_out(locked: tuple[PushServer, Path], tmp_path: Path) -> None:
    server, clients = locked
    (till, till_keys), (other, other_keys) = made(tmp_path / "till"), made(tmp_path / "other")
    clients.write_text(f"{till}\n{other}\n")
    public = server_keys(SECRET)[0]
    of = (server.endpoint, till_keys, public), (server.endpoint, other_keys, public)
    with connection(*of[0]) as gone, connection(*of[1]) as stays:
        for subscriber in (gone, stays):
            subscriber.subscribe(TOKEN.encode())
            assert subscriber.poll(5000) and subscriber.recv_multipart()
        ended = {one: hears(one, zmq.EVENT_DISCONNECTED) for one in (gone, stays)}
        clients.write_text(other)
        deadline = time.monotonic() + 20
        while not ended[gone].poll(100):
            assert time.monotonic() < deadline, "the connection is still open"
            stays.unsubscribe(TOKEN.encode())  # the server wakes
            stays.subscribe(TOKEN.encode())
        assert not ended[stays].poll(200)


def test_a_gap_request_over_a_connection_that_was_in_the_list_is_not_answered(
    locked: tuple[PushServer, Path], tmp_path: Path
) -> None:
    server, clients = locked
    till, keys = made(tmp_path / "till")
    clients.write_text(till)
    with connection(server.gap_endpoint, keys, server_keys(SECRET)[0], zmq.DEALER) as asks:
        asks.send(TOKEN.encode())
        assert asks.poll(5000) and asks.recv_multipart()[0] == TOKEN.encode()
        clients.write_text("# nobody\n")
        asks.send(TOKEN.encode())
        assert not asks.poll(500)


def test_a_connection_that_asks_in_vain_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "REFUSALS", 50)
    server = PushServer(PushSettings(endpoint="tcp://127.0.0.1:*"), Guard(KEY), None, print, print)
    server.start()
    with connection(server.endpoint) as forger, connection(server.endpoint) as honest:
        for subscriber in (forger, honest):
            subscriber.subscribe(TOKEN.encode())
            assert subscriber.poll(5000) and subscriber.recv_multipart()
        ended = {one: hears(one, zmq.EVENT_DISCONNECTED) for one in (forger, honest)}
        for number in range(49):
            for subscriber in (forger, honest):
                subscriber.subscribe(b"of another %d" % number)
        forger.subscribe(b"one more")
        assert ended[forger].poll(5000)
        assert not ended[honest].poll(200), "a few refusals are nothing"
    server.stop()
    assert server.counts["refused"] >= 99


@contextmanager
def serving(unwatched: list[int]) -> Iterator[PushServer]:
    settings = PushSettings(endpoint="tcp://127.0.0.1:*")
    server = PushServer(settings, Guard(KEY), None, lambda *_: None, unwatched.append)
    server.start()
    yield server
    server.stop()


def test_connections_with_one_token_all_have_the_newest_list_until_the_last_one_leaves() -> None:
    """They are shared out among the lanes; a user is watched while one of them is there."""
    unwatched: list[int] = []
    with serving(unwatched) as server, ExitStack() as all_:
        crowd = [all_.enter_context(connection(server.endpoint)) for _ in range(60)]
        for each in crowd:
            each.subscribe(TOKEN.encode())
        assert all(each.poll(5000) and each.recv_multipart() for each in crowd)
        assert len(server._watchers) > doors.LANES // 2
        while any(each.poll(20) for each in crowd):  # those of a lane hear what the next one there is told
            for each in crowd:
                if each.poll(0):
                    each.recv_multipart()
        give(server)
        assert [len(each.recv_multipart()) for each in crowd if each.poll(5000)] == [2] * 60
        assert not any(each.poll(10) for each in crowd), "once each"
        last = crowd.pop()
        for each in crowd:
            each.close(linger=0)
        give(server)
        assert last.poll(5000) and last.recv_multipart()
        until(lambda: len(server._watchers) == 1)
        assert not unwatched
        last.close(linger=0)
        until(lambda: unwatched == [ANN])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.01)


@pytest.mark.parametrize("above", [0, 1])
def test_where_another_push_server_is_no_second_one_begins(above: int) -> None:
    """Of the same user, whose sockets may share a port: the kernel would give each of them half of the subscribers."""
    with serving([]) as server:
        host, _, port = server.endpoint.rpartition(":")
        second = PushServer(PushSettings(endpoint=f"{host}:{int(port) + above}"), Guard(KEY), None, print, print)
        with pytest.raises(SettingError, match=r"cannot bind it and the port above: Address already in use"):
            second.start()
        second.stop()


@pytest.mark.parametrize(("text", "curve", "why"), [("x", True, "is no key"), ("", False, "push.curve")])
def test_a_list_of_no_use_is_one_line(tmp_path: Path, text: str, curve: bool, why: str) -> None:
    clients = tmp_path / "clients"
    clients.write_text(text)
    settings: dict[str, Any] = {"endpoint": "tcp://127.0.0.1:*", "curve": curve, "clients": str(clients)}
    key = server_keys(SECRET)[1] if curve else None
    server = PushServer(PushSettings(**settings), Guard(KEY), None, print, print, curve_key=key)
    with pytest.raises(SettingError, match=f"push.clients = .*{why}"):
        server.start()
    server.stop()


def test_a_key_file_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    made(tmp_path / "till")
    again = CliRunner().invoke(keypair, [str(tmp_path / "till")])
    assert isinstance(again.exception, SettingError) and "is there already" in str(again.exception)
    (tmp_path / "till").chmod(0o644)
    with pytest.raises(SettingError, match="others can read"):
        read_keys(tmp_path / "till")
    for rubbish in ("", 'curve\n    public-key = "x"\n', "\x00"):
        (tmp_path / "till").write_text(rubbish)
        (tmp_path / "till").chmod(0o600)
        with pytest.raises(SettingError, match="holds no"):
            read_keys(tmp_path / "till")


FULL = """
import logging, resource, sys, time
from pathlib import Path
from shopguide.push import Guard, PushServer, doors
from shopguide.settings import PushSettings
logging.basicConfig(stream=sys.stdout, format="%(message)s")
settings = PushSettings(endpoint="tcp://127.0.0.1:*", heartbeat=0.2)
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
doors.LANES = 2
server = PushServer(settings, Guard(sys.argv[1].encode()), None, lambda *_: None, lambda *_: None)
server.start()
print(server.endpoint, flush=True)
for line in sys.stdin:
    print("cpu", time.process_time(), flush=True)
"""


def test_without_descriptors_who_is_inside_stays_and_others_come_when_there_is_room() -> None:
    arguments = [sys.executable, "-c", FULL, KEY.decode()]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdin and process.stdout
    endpoint = process.stdout.readline().strip()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    crowd = []
    try:
        first = context.socket(zmq.SUB)
        crowd.append(first)
        first.connect(endpoint)
        first.subscribe(TOKEN)
        assert first.poll(5000)
        for _ in range(110):
            crowd.append(context.socket(zmq.SUB))
            crowd[-1].set(zmq.LINGER, 0)
            crowd[-1].connect(endpoint)
            crowd[-1].subscribe(TOKEN)
        warned = process.stdout.readline()
        assert "no room for more subscribers" in warned
        before = cpu(process)
        time.sleep(2.0)
        assert cpu(process) - before < 1.0, "it spins"
        while first.poll(0):
            first.recv_multipart()
        assert first.poll(2000), "who is inside goes on"
        inside = [each for each in crowd if each.poll(0)]
        assert 20 < len(inside) < len(crowd)
        outside = [each for each in crowd if each not in inside]
        for each in inside:
            each.close()
        assert outside[0].poll(15_000), "who was outside comes in"
    finally:
        process.kill()
        process.communicate()
        for each in crowd:
            each.close(linger=0)


def cpu(process: subprocess.Popen[str]) -> float:
    assert process.stdin and process.stdout
    process.stdin.write("\n")
    word, seconds = process.stdout.readline().split()
    assert word == "cpu", "it warns time and again"
    return float(seconds)


def test_each_user_has_their_turn_and_few_at_a_time() -> None:
    beats = Beats(every=5.0, at_once=8)
    for user in range(100):
        beats.begin(user, now=user / 100)
        beats.begin(user, now=50.0)  # they have begun
    assert beats.next() == 5.0 and list(beats.take(4.99)) == []
    assert list(beats.take(5.5)) == list(range(8))
    assert beats.next() == 5.5 + PAUSE and list(beats.take(5.5)) == [], "a connection has room again after a moment"
    beats.begin(3, now=5.5)
    now, taken = 99.0, list[int]()
    while beats.next() < math.inf:
        assert beats.next() <= now
        taken += beats.take(now)
        now += PAUSE
    assert taken == [*range(8, 100), 3]


def test_who_has_missed_something_hears_of_it_soon_and_who_never_reads_ever_later() -> None:
    beats = Beats(every=5.0, at_once=8)
    beats.begin(7, now=0.0)
    beats.begin(8, now=1.0)
    assert beats.hasten(7, now=0.0) and beats.next() == SOON
    assert beats.hasten(7, now=0.0) and beats.next() == SOON, "no later than it was"
    now, waits = 0.0, list[float]()
    while beats.hasten(7, now):
        waits.append(beats.next() - now)
        now = beats.next()
        assert list(beats.take(now)) == [7]
        now += PAUSE
        beats.begin(7, now)
    assert waits == pytest.approx([SOON, *(SOON * 2**n for n in range(3, 8))], abs=PAUSE)
    assert sorted(beats.take(99.0)) == [7, 8]
    beats.arrived(7)
    assert beats.hasten(7, now=99.0) and beats.next() == 99.0 + SOON
