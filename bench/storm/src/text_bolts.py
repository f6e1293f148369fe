"""The stages as a streamparse user writes bolts without further thought: a tuple an event, JSON between processes.

JSON has no bytes, so what is bytes goes as base64, the cheapest text that it can be.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from shopguide.storm import bolts, spouts

MARK = "base64:"


def to_text(values: list[Any]) -> list[Any]:
    return [MARK + b64encode(value).decode() if isinstance(value, bytes) else value for value in values]


def from_text(values: list[Any]) -> list[Any]:
    return [
        b64decode(value[len(MARK) :]) if isinstance(value, str) and value.startswith(MARK) else value
        for value in values
    ]


class Text:
    """Mixed into a component: what it emits and reads is text."""

    def emit(self, tup: list[Any], *args: Any, **kwargs: Any) -> Any:
        return super().emit(to_text(tup), *args, **kwargs)  # type: ignore[misc]

    def read_tuple(self) -> Any:
        tup = super().read_tuple()  # type: ignore[misc]
        return tup._replace(values=from_text(tup.values))


class LogSpout(Text, spouts.LogSpout): ...


class CleanBolt(Text, bolts.CleanBolt): ...


class RejectBolt(Text, bolts.RejectBolt): ...


class FeaturizeBolt(Text, bolts.FeaturizeBolt): ...


class RelayBolt(Text, bolts.RelayBolt): ...


class ScoreBolt(Text, bolts.ScoreBolt): ...


class RankBolt(Text, bolts.RankBolt): ...


class PushBolt(Text, bolts.PushBolt): ...


class PublishBolt(Text, bolts.PublishBolt): ...
