"""Small spouts and bolts, which the tests here run as Storm does: each in a process of its own."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from pprint import pformat
from typing import Any

from streamparse import Bolt, Grouping, Spout, Topology

VALUES = [
    bytes(range(256)) * 400,
    b"",
    *(0, -1, 127, 2**31, -(2**63), 2**63 - 1, 2**63, 2**64 - 1),
    *(1.5, -0.0, 1e308, 5e-324, float("inf"), float("nan")),
    *(None, True, False),
    *("", "žluť\nkůň\r\n", "🐎\0", "x" * 70_000),
    *([], [1, [2.5, [None, b"\n"]]], [[]] * 1000),
    *({}, {"a": {"b": [1, {"c": None}]}, "": b"\xff"}),
]


def shown(values: Any) -> str:
    """Equal where the values and all types in them are equal; nan is like nan."""
    return pformat([sha256(v).hexdigest() if isinstance(v, bytes) and len(v) > 100 else v for v in values])


class ValuesSpout(Spout):
    """Emits the values, then where they went, then nothing more. Writes what is acked."""

    outputs = ["values"]

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.acked = Path(storm_conf["test.acked"])
        self.left = [[VALUES]]

    def next_tuple(self) -> None:
        if self.left:
            tasks = self.emit(self.left.pop(0), tup_id=f"{len(self.left)}", need_task_ids=True)
            if not self.acked.exists():
                self.left.append([tasks])

    def ack(self, tup_id: str) -> None:
        with self.acked.open("a") as file:
            file.write(f"{tup_id}\n")


class EchoBolt(Bolt):
    """Emits what comes; logs and measures it, too."""

    outputs = ["values"]

    def process(self, tup: Any) -> None:
        self.logger.warning("žluť\n%d", len(tup.values[0]))
        self.report_metric("values", len(tup.values[0]))
        self.emit(list(tup.values))


class ShowBolt(Bolt):
    """Writes how what comes looks."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.file = Path(storm_conf["test.file"])

    def process(self, tup: Any) -> None:
        with self.file.open("a") as file:
            file.write(f"{shown(tup.values[0])}\n")


class PrintBolt(Bolt):
    """Does what no component may."""

    def process(self, tup: Any) -> None:
        print("got a tuple", flush=True)


class NumbersSpout(Spout):
    """Emits as many numbers as the topology wants, each with some bytes."""

    outputs = ["number", "data"]

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.left = list(range(storm_conf["test.numbers"]))

    def next_tuple(self) -> None:
        if self.left:
            number = self.left.pop()
            self.emit([number, bytes(number)], tup_id=str(number))


class NumbersBolt(Bolt):
    """Writes each number that came with its bytes."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        self.file = Path(storm_conf["test.file"])

    def process(self, tup: Any) -> None:
        if tup.values.data == bytes(tup.values.number):
            with self.file.open("a") as file:
                file.write(f"{tup.values.number}\n")


class Numbers(Topology):
    config = {"topology.acker.executors": 1}

    numbers = NumbersSpout.spec()
    write = NumbersBolt.spec(inputs={numbers: Grouping.fields("number")})
