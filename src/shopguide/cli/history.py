"""The log of a state directory, opened to be read: its own, or the topic that it was made from."""

from __future__ import annotations

from pathlib import Path

import click

from shopguide.errors import SettingError, StateError
from shopguide.kafka.binding import bound
from shopguide.kafka.source import SCHEME, find_topic
from shopguide.keys import Secret
from shopguide.log import History, Log
from shopguide.state import StateDir

topic_option = click.option(
    "--source",
    "source",
    metavar="SPEC",
    help="The topic that is the log of DIR, where one is: kafka://HOST:PORT/TOPIC.",
)


def open_history(state: Path, source: str | None) -> History:
    """Raises StateError where nothing was run on the directory, SettingError or SourceError where the source is not
    where its log is."""
    directory = StateDir(state)
    settings = directory.settings()
    topic = bound(state)
    if topic is None:
        if source is not None:
            raise SettingError(f"--source {source}: {state} has a log of its own")
        return Log(directory.log, Log.partitions_of(directory.log, settings.log.partitions), readonly=True)
    if source is None or not source.startswith(SCHEME):
        raise SettingError(
            f"{state}: its log is the topic {topic.topic!r}: --source should be kafka://HOST:PORT/{topic.topic}"
        )
    found = find_topic([source])
    assert found is not None
    if (found.spec.topic, found.id) != (topic.topic, topic.id):
        raise StateError(f"--source {source}: is not the topic {topic.topic!r} that {state} was made from")
    from shopguide.kafka.history import TopicHistory  # noqa: PLC0415 - needs the extra

    return TopicHistory(found.spec, topic.partitions, Secret.load(state))
