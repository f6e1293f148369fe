"""Verdicts on a topology that comes up, from looks at it; what a stack trace says in a line."""

from __future__ import annotations

from shopguide.storm.launch import Launch, Look, cause, in_a_line
from shopguide.storm.nimbus import Cluster, Error, Executor, Supervisor, Topology

PYTHON = """\
java.lang.RuntimeException: org.apache.storm.multilang.NoOutputException: Pipe to subprocess seems to be broken!
Serializer Exception:
Traceback (most recent call last):
  File "run.py", line 8, in <module>
    sys.exit(main())
             ^^^^^^
ValueError: it cannot begin

\tat org.apache.storm.utils.ShellProcess.readShellMsg(ShellProcess.java:121)
"""
JAVA = """\
java.lang.RuntimeException: java.lang.RuntimeException: Error when launching multilang subprocess

\tat org.apache.storm.utils.Utils$1.run(Utils.java:397)
Caused by: java.lang.RuntimeException: Error when launching multilang subprocess

\t... 1 more
Caused by: java.io.IOException: Cannot run program "/venv/bin/streamparse_run" (in directory "/x"): error=2, No file
\t... 6 more
Caused by: java.io.IOException: error=2, No file
\t... 8 more
"""


def look(now: float, *uptimes: int, errors: tuple[Error, ...] = (), used: int = 1, status: str = "ACTIVE") -> Look:
    """Of a topology of two executors, each in a worker of its own."""
    executors = [Executor("c", (i, i), "h", 6700 + i, uptime) for i, uptime in enumerate(uptimes)]
    topology = Topology("t-1", "t", status, int(now), len(uptimes), 2, 2)
    return Look(now, Cluster("2.8.3", [Supervisor("h", 2, used, 9)], [topology]), topology, executors, list(errors))


def error(time: int, text: str = JAVA) -> Error:
    return Error("c", text, time, "h", 6700)


def test_up_when_all_workers_have_stayed_up_before_our_eyes() -> None:
    launch = Launch(steady=5)
    assert [launch.look(look(*seen)).up for seen in ((0,), (1, 0, 0), (4, 3, 3), (8, 6, 3), (9, 7, 6))] == [
        False,
        False,
        False,
        False,
        True,
    ]


def test_an_uptime_that_stands_still_is_that_of_a_dead_worker() -> None:
    launch = Launch(steady=5)
    assert not any(launch.look(look(now, 60, 60)).up for now in range(5))
    assert launch.look(look(6, 62, 62)).up


def test_one_crash_is_forgiven_and_two_are_not() -> None:
    launch = Launch(steady=5)
    first, same, second = error(100), error(102), error(112)
    assert not launch.look(look(0, 0, 0, errors=(first,))).failed
    assert not launch.look(look(1, 0, 0, errors=(first, same))).failed
    verdict = launch.look(look(9, 1, 1, errors=(same, second)))
    assert verdict.failed and "again and again" in verdict.words and launch.errors == {first, same, second}


def test_after_a_crash_it_has_to_stay_up_twice_as_long() -> None:
    launch, crash = Launch(steady=5), (error(100),)
    assert [launch.look(look(up, up, up, errors=crash)).up for up in (0, 6, 9, 10)] == [False, False, False, True]


def test_workers_that_are_restarted_without_a_word() -> None:
    launch = Launch(steady=5)
    assert [launch.look(look(now, up, 9)).failed for now, up in enumerate((2, 4, 0, 3, 1))] == [False] * 4 + [True]


def test_errors_that_a_topology_has_survived_do_not_count() -> None:
    launch, old = Launch(steady=5), (error(1), error(50))
    launch.look(look(0, 60, 60, errors=old))
    assert launch.look(look(2, 62, 62, errors=old)).up


def test_no_slot_is_waited_for_a_while() -> None:
    launch = Launch(steady=5)
    assert "0 of 2 executors" in launch.look(look(0, used=1)).words
    assert not launch.look(look(1, used=2)).failed and not launch.look(look(10, used=2)).failed
    verdict = launch.look(look(20, used=2))
    assert verdict.failed and verdict.words == "no slot is free, 2 of 2 are in use"


def test_a_killed_one_does_not_come_up() -> None:
    assert Launch(steady=5).look(look(0, 60, 60, status="KILLED")).failed


def test_a_trace_in_a_line() -> None:
    assert in_a_line(PYTHON) == "ValueError: it cannot begin"
    assert in_a_line(JAVA).startswith('IOException: Cannot run program "/venv/bin/streamparse_run"')
    pipe = "java.lang.RuntimeException: org.apache.storm.multilang.NoOutputException: No output read.\n\tat x"
    assert in_a_line(pipe) == "NoOutputException: No output read."
    assert in_a_line("") == ""


def test_what_python_raised_explains_more_than_what_followed() -> None:
    assert cause([error(1, PYTHON), error(2)]) == ("ValueError: it cannot begin", error(1, PYTHON))
    assert cause([]) is None
