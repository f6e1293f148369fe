"""Looking topics up before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from shopguide.errors import SettingError, SourceError
from shopguide.kafka.client import NOT_LET_IN, Outage, base
from shopguide.kafka.cluster import Cluster
from shopguide.kafka.source import Spec, Topic

PATIENCE = 8.0  # seconds for a broker to answer at the start


def look_up(spec: Spec) -> Topic:
    """The topic that a SPEC names. Raises SourceError where no broker answers, or a topic that it names is missing."""
    admin, there = connect(spec.cluster())
    if spec.topic not in there:
        raise SourceError(f"there is no topic {spec.topic!r} at {spec.servers}")
    for option, topic in (("recommendations", spec.recommendations), ("rejects", spec.rejects)):
        if topic and topic not in there:
            raise SourceError(f"there is no topic {topic!r} at {spec.servers} for {option}: make it, or say {option}=")
    return Topic(spec, *described(admin, spec.topic, spec.servers))


def connect(cluster: Cluster) -> tuple[AdminClient, Mapping[str, Any]]:
    """A client, and the topics that there are by name. Raises SourceError where no broker answers or lets us in,
    SettingError where the properties are of no use."""
    refusals: list[str] = []

    def heard(error: KafkaError) -> None:
        if error.code() in NOT_LET_IN:
            refusals.append(error.str())

    try:
        configuration: dict[str, Any] = {**base(cluster, Outage(cluster.servers)), "error_cb": heard}
        admin = AdminClient(configuration)
    except KafkaException as e:
        raise SettingError(f"Kafka client: {e.args[0].str()}") from None
    try:
        return admin, admin.list_topics(timeout=PATIENCE).topics
    except KafkaException as e:
        admin.poll(0)
        why = refusals[0] if refusals else e.args[0].str()
        raise SourceError(f"no Kafka broker answers at {cluster.servers}: {why}") from None


def described(admin: AdminClient, topic: str, servers: str) -> tuple[str, int]:
    """A topic's id, which one that was deleted and made again does not have, and how many partitions it has."""
    try:
        found = admin.describe_topics(TopicCollection([topic]), request_timeout=PATIENCE)[topic].result()
    except KafkaException as e:
        raise SourceError(f"topic {topic!r} at {servers}: {e.args[0].str()}") from None
    return str(found.topic_id), len(found.partitions)
