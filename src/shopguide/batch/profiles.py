"""Profiles of a log: what its rows come to for each user, and up to which row of each partition."""

from __future__ import annotations

from shopguide.batch.history import batches
from shopguide.clean import clean
from shopguide.featurize import Featurizer
from shopguide.log import History
from shopguide.recommenders.content import Content
from shopguide.settings import Settings
from shopguide.tastes import Tastes, build


def profiles(log: History, settings: Settings) -> Tastes:
    """In the order of the log, as the line learns it: what is taken back in it is that which the line took back.

    Raises StateError where the log is corrupt.
    """
    featurizer, content = Featurizer(settings), Content(settings.score)
    for partition in range(log.partitions):
        for batch in batches(log, partition, 0, log.end(partition)):
            kept = clean(batch)[0]
            content.learn_catalogue(kept)
            featurizer.learn(kept)
    read = {partition: featurizer.reached(partition) for partition in range(log.partitions)}
    return build(featurizer.lessons(), content.described(), settings.score.profile_half_life, read)
