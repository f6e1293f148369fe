"""The control socket: whoever asks gets an answer or a reason, and nobody keeps the others from asking."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from shopguide.cli import control as control_module
from shopguide.cli.control import NAME, Control, ask
from shopguide.errors import ShopguideError, SourceError, StateError


class Asked:
    """Verbs that write down what they were asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def double(self, text: str, times: int = 2) -> dict[str, str]:
        self.calls.append(text)
        return {"text": text * times}

    def count(self, to: int) -> Generator[Any, None, str]:
        for at in range(to):
            self.calls.append(str(at))
            yield {"under_way": {"rows": at}}
        return "counted"

    def fall(self) -> Generator[Any, None, None]:
        yield {"under_way": {"rows": 1}}
        self.refuse()

    def refuse(self) -> None:
        raise SourceError("no, and\nthat is why")

    def disk(self) -> None:
        raise OSError(28, "No space left on device")

    def bug(self) -> None:
        raise ZeroDivisionError("planted")

    def verbs(self) -> control_module.Verbs:
        return {name: getattr(self, name) for name in ("double", "count", "fall", "refuse", "disk", "bug")}


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def place(tmp_path: Path, asked: Asked) -> Iterator[Path]:
    with Control(tmp_path, asked.verbs()):
        yield tmp_path
        assert ask(tmp_path, "double", text="alive") == {"text": "alivealive"}  # whatever a test did
    assert not (tmp_path / NAME).exists()


def connected(place: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(str(place / NAME))
    connection.settimeout(20)
    return connection


def sent(place: Path, data: bytes) -> Any:
    with connected(place) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return json.loads(connection.makefile("rb").readline())


def test_asking_is_calling(place: Path) -> None:
    assert ask(place, "double", text="é\ud800\n", times=3) == {"text": "é\ud800\n" * 3}
    assert sent(place, b'{"do": "double", "text": "x"}') == {"text": "xx"}  # also without a line's end


def test_only_the_owner_can_ask(place: Path) -> None:
    mode = (place / NAME).stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


GARBAGE = {
    "nothing": b"",
    "blank": b"\n",
    "binary": b"\x00\xff\xfe\n",
    "no object": b'["double"]\n',
    "text": b'"double"\n',
    "null": b"null\n",
    "no verb": b"{}\n",
    "unknown verb": b'{"do": "treble"}\n',
    "odd verb": b'{"do": ["double"]}\n',
    "private": b'{"do": "__init__"}\n',
    "missing": b'{"do": "double"}\n',
    "too much": b'{"do": "double", "text": "x", "more": 1}\n',
    "self": b'{"do": "double", "text": "x", "self": 1}\n',
    "deep": b"[" * 100_000 + b"\n",
    "long": b'{"do": "double", "text": "' + b"x" * (1 << 20),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_told_so_and_calls_nothing(place: Path, asked: Asked, name: str) -> None:
    assert sent(place, GARBAGE[name])["error"].startswith("no such request: ")
    assert not asked.calls


def test_a_refusal_comes_in_words(place: Path) -> None:
    with pytest.raises(ShopguideError, match=r"^no, and\nthat is why$"):
        ask(place, "refuse")


def test_what_takes_long_says_how_far_it_is(place: Path) -> None:
    said: list[int] = []

    def note(rows: int) -> None:
        said.append(rows)

    assert ask(place, "count", to=3, under_way=note) == "counted" and said == [0, 1, 2]
    assert ask(place, "count", to=3) == "counted"
    with pytest.raises(ShopguideError, match="that is why"):
        ask(place, "fall", under_way=note)
    assert said == [0, 1, 2, 1]


def test_what_takes_long_ends_where_nobody_reads_on(place: Path, asked: Asked) -> None:
    with connected(place) as connection:
        connection.sendall(b'{"do": "count", "to": 100000000}\n')
        assert connection.recv(1)
    assert ask(place, "double", text="x") == {"text": "xx"}


@pytest.mark.parametrize(("verb", "words"), [("disk", "No space left"), ("bug", "ZeroDivisionError: planted")])
def test_what_goes_wrong_is_told_and_the_next_is_served(place: Path, verb: str, words: str) -> None:
    with pytest.raises(ShopguideError, match=words):
        ask(place, verb)


@pytest.mark.parametrize("data", [b"", b'{"do": "dou', b'{"do": "double", "text": "x"}\n'])
@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_hangs_up_harms_nobody(place: Path, data: bytes, reset: bool) -> None:
    for _ in range(20):
        connection = connected(place)
        connection.sendall(data)
        if reset:
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


def test_a_client_that_says_nothing_keeps_the_others_waiting_for_a_while_only(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "PATIENCE", 0.2)
    with connected(place) as silent, connected(place) as slow:
        slow.sendall(b'{"do": ')
        assert ask(place, "double", text="x") == {"text": "xx"}
        assert silent.recv(1) == b"" == slow.recv(1)


def test_many_at_once_are_served_one_after_the_other(place: Path, asked: Asked) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda at=at: answers.append(ask(place, "double", text=at))) for at in "abcdefgh"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(a["text"] for a in answers) == [c * 2 for c in "abcdefgh"] and sorted(asked.calls) == list("abcdefgh")


def test_a_directory_may_lie_deeper_than_a_socket_address_is_long(tmp_path: Path, asked: Asked) -> None:
    deep = tmp_path.joinpath(*["d" * 60] * 5)
    deep.mkdir(parents=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Control(deep, asked.verbs()):
        assert ask(deep, "double", text="x") == {"text": "xx"}
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_where_nobody_serves_asking_is_one_clear_line(tmp_path: Path, asked: Asked) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(ShopguideError, match="cannot reach the process that runs on"):
            ask(place, "double", text="x")
    with pytest.raises(StateError, match=r"no commands can reach .*none: No such file"), Control(tmp_path / "none", {}):
        pass


def test_the_socket_of_a_killed_process_is_in_nobodys_way(tmp_path: Path, asked: Asked) -> None:
    serve = (
        "import sys, pathlib, time; from shopguide.cli.control import Control\n"
        "with Control(pathlib.Path(sys.argv[1]), {}):\n    print('ready', flush=True)\n    time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", serve, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    with pytest.raises(ShopguideError, match="no such request"):
        ask(tmp_path, "double", text="x")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (tmp_path / NAME).exists()
    with pytest.raises(ShopguideError, match=r"cannot reach the process .* refused"):
        ask(tmp_path, "double", text="x")
    with Control(tmp_path, asked.verbs()):
        assert ask(tmp_path, "double", text="x") == {"text": "xx"}


def test_what_is_under_way_is_answered_before_it_stops(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> str:
        begun.set()
        assert go_on.wait(20)
        return "done"

    answers: list[Any] = []
    with Control(tmp_path, {"wait": wait}):
        thread = threading.Thread(target=lambda: answers.append(ask(tmp_path, "wait")))
        thread.start()
        assert begun.wait(20)
        threading.Timer(0.1, go_on.set).start()
    thread.join()
    assert answers == ["done"]
