"""kafka: a topic as the log. Every process learns every row of it; a consumer group divides who answers.

Needs the extra ``kafka`` (confluent-kafka); nothing outside imports more than :mod:`shopguide.kafka.source` and
:mod:`shopguide.kafka.binding`, which work without it.
"""
