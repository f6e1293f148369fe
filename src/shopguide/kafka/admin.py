"""Looking a topic up before anything starts."""

from __future__ import annotations

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from shopguide.errors import SourceError
from shopguide.kafka.client import SILENT
from shopguide.kafka.source import Spec, Topic

PATIENCE = 8.0  # seconds for a broker to answer at the start


def look_up(spec: Spec) -> Topic:
    """The topic that a SPEC names. Raises SourceError where no broker answers, or a topic that it names is missing."""
    admin = AdminClient({"bootstrap.servers": spec.servers, "log_level": SILENT})
    try:
        there = admin.list_topics(timeout=PATIENCE).topics
    except KafkaException as e:
        raise SourceError(f"no Kafka broker answers at {spec.servers}: {e.args[0].str()}") from None
    if spec.topic not in there:
        raise SourceError(f"there is no topic {spec.topic!r} at {spec.servers}")
    for option, topic in (("recommendations", spec.recommendations), ("rejects", spec.rejects)):
        if topic and topic not in there:
            raise SourceError(f"there is no topic {topic!r} at {spec.servers} for {option}: make it, or say {option}=")
    try:
        described = admin.describe_topics(TopicCollection([spec.topic]), request_timeout=PATIENCE)[spec.topic].result()
    except KafkaException as e:
        raise SourceError(f"topic {spec.topic!r} at {spec.servers}: {e.args[0].str()}") from None
    return Topic(spec, str(described.topic_id), len(described.partitions))
