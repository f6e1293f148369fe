"""A Kafka topic as a source: ``kafka://HOST:PORT/TOPIC[?group=G&recommendations=TOPIC&rejects=TOPIC&client=FILE]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from shopguide.errors import SettingError, SourceError
from shopguide.kafka.binding import Bound, bind
from shopguide.kafka.cluster import Cluster, cluster
from shopguide.keys import Secret
from shopguide.settings import Settings

if TYPE_CHECKING:
    from shopguide.kafka.follow import FollowedTopic
    from shopguide.kafka.log import KafkaLog
    from shopguide.kafka.publisher import Publisher

SCHEME = "kafka://"
FORM = "kafka://HOST:PORT/TOPIC[?group=G&recommendations=TOPIC&rejects=TOPIC&client=FILE]"

FOLLOW = "follow:kafka://"
FOLLOW_FORM = "follow:kafka://HOST:PORT/TOPIC[?mapping=FILE&client=FILE&group=G]"
LISTS_FORM = "kafka://HOST:PORT/TOPIC[?client=FILE]"
NO_CLIENT = "needs confluent-kafka: pip install 'shopguide[kafka]'"


@dataclass(frozen=True)
class Spec:
    """What a SPEC says. ``recommendations`` and ``rejects`` are the topics of what comes out; empty: none. ``client``
    is the file that says how to get in; empty: there is none."""

    servers: str
    topic: str
    group: str
    recommendations: str
    rejects: str
    client: str = ""

    def cluster(self) -> Cluster:
        """Raises SettingError where the file of properties is of no use."""
        return cluster(self.servers, self.client)


@dataclass(frozen=True)
class Topic:
    """A topic that exists, with ``partitions`` of them."""

    spec: Spec
    id: str
    partitions: int

    def check(self, settings: Settings) -> None:
        """Raises SettingError where they are not for a topic."""
        if settings.learn.retention_events is not None:
            raise SettingError("learn.retention_events counts the rows of an own log: with a topic, learn.retention")

    def open(self, state: Path, secret: Secret) -> KafkaLog:
        """The topic as the log of a state directory. Raises StateError where the directory belongs to another log."""
        from shopguide.kafka.log import KafkaLog  # noqa: PLC0415 - needs the extra

        bind(state, Bound(self.spec.topic, self.id, self.partitions))
        return KafkaLog(self.spec, self.partitions, secret)


def parse(text: str, form: str = FORM) -> Spec:
    """Raises SourceError where it is no SPEC of a topic; ``form`` is what it should be."""
    topics = {"recommendations": "{}.recommendations", "rejects": "{}.rejects"}
    servers, topic, options = _parts(text, SCHEME, form, {"group": "shopguide", **topics, "client": ""})
    if not options["group"]:
        raise SourceError(f"source {text!r}: group is empty")
    return Spec(servers, topic, **options)


def _parts(text: str, scheme: str, form: str, defaults: dict[str, str]) -> tuple[str, str, dict[str, str]]:
    """Servers, topic ("{}" in ``defaults``) and options of a SPEC. Raises SourceError where it is not of that form."""
    location, _, query = text.removeprefix(scheme).partition("?")
    servers, _, topic = location.partition("/")
    hosts = [server.rpartition(":") for server in servers.split(",")]
    if not topic or "/" in topic or not all(host and port.isdecimal() for host, _, port in hosts):
        raise SourceError(f"source {text!r}: should be {form}")
    options = {name: value.format(topic) for name, value in defaults.items()}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in options:
            raise SourceError(f"source {text!r}: no option {name}; there are {', '.join(options)}")
        options[name] = value
    return servers, topic, options


def open_followed(specs: Sequence[str]) -> list[FollowedTopic]:
    """The topics that are followed. Raises SourceError or SettingError, in one line, where one cannot be."""
    followed = dict.fromkeys(spec for spec in specs if spec.startswith(FOLLOW))
    defaults = {"mapping": "", "client": "", "group": "shopguide"}
    parts = [_parts(spec, FOLLOW, FOLLOW_FORM, defaults) for spec in followed]
    if not parts:
        return []
    try:
        from shopguide.kafka.follow import open_topic  # noqa: PLC0415 - needs the extra
    except ImportError:
        raise SourceError(f"source {next(iter(followed))!r} {NO_CLIENT}") from None
    return [open_topic(servers, topic, **options) for servers, topic, options in parts]


def open_lists(text: str) -> Publisher:
    """What sends lists to the topic that ``--lists`` names. Raises SourceError or SettingError, in one line, where it
    cannot."""
    spec = parse(text, LISTS_FORM) if text.startswith(SCHEME) else None
    if spec is None or "group=" in text or "recommendations=" in text or "rejects=" in text:
        raise SourceError(f"--lists {text!r}: should be {LISTS_FORM}")
    try:
        from shopguide.kafka.publisher import publisher_of  # noqa: PLC0415 - needs the extra
    except ImportError:
        raise SourceError(f"--lists {text!r} {NO_CLIENT}") from None
    return publisher_of(spec)


def find_topic(specs: Sequence[str]) -> Topic | None:
    """The topic among the sources of a run; None: there is none.

    Raises SourceError, in one line, where there are two, files beside it, no such topic, no broker, or no client.
    """
    kafka = [spec for spec in specs if spec.startswith(SCHEME)]
    if not kafka:
        return None
    if len(kafka) > 1:
        raise SourceError(f"{len(kafka)} Kafka sources: a state is made from one topic")
    if files := [spec for spec in specs if spec.startswith(("file:", "log:", "follow:"))]:
        raise SourceError(f"{files[0]!r} beside a Kafka source: the topic is the log; send its rows to the topic")
    spec = parse(kafka[0])
    try:
        from shopguide.kafka.admin import look_up  # noqa: PLC0415 - needs the extra
    except ImportError:
        raise SourceError(f"source {kafka[0]!r} {NO_CLIENT}") from None
    return look_up(spec)
