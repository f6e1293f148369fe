"""Which log a state directory belongs to: its own, or the Kafka topic that ``DIR/kafka.json`` names.

A state is a function of its log, so what was learned from one log is never continued with another.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from shopguide.errors import StateError

FILE = "kafka.json"


@dataclass(frozen=True)
class Bound:
    """A topic by name, by ``id``, which a topic that was deleted and made again has not, and by ``partitions``."""

    topic: str
    id: str
    partitions: int


def bound(state: Path) -> Bound | None:
    """The topic that a state directory belongs to; None: its log is its own, or there is none yet.

    Raises StateError where the file that says so is broken.
    """
    try:
        return Bound(**json.loads((state / FILE).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as e:
        raise StateError(f"{state / FILE} cannot be read: {e}") from None


def bind(state: Path, topic: Bound) -> None:
    """Tie a new state directory to a topic. Raises StateError where it belongs to another log."""
    if (state / "log").exists():
        raise StateError(f"{state} has a log of its own: give topic {topic.topic!r} another state directory")
    found = bound(state)
    if found is None:
        (state / FILE).write_text(json.dumps(asdict(topic)))
    elif found.topic != topic.topic:
        raise StateError(f"{state} was made from topic {found.topic!r}, not {topic.topic!r}: use another directory")
    elif found.id != topic.id:
        raise StateError(f"topic {topic.topic!r} was deleted and made again since {state} was made from it")
    elif found != topic:
        had = found.partitions
        raise StateError(
            f"topic {topic.topic!r} has {topic.partitions} partitions, {state} was made when it had {had}: "
            "a new directory learns the topic anew"
        )


def refuse_bound(state: Path) -> None:
    """Raises StateError where the log of a state directory is a topic: it has to be run with that source."""
    found = bound(state)
    if found is not None:
        raise StateError(
            f"{state} was made from topic {found.topic!r}: run it with --source kafka://HOST:PORT/{found.topic}"
        )
