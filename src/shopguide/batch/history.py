"""Learn a log up to a frontier in bulk.

Every row goes through ``clean`` and ``featurize`` as in the line, in large batches; what the model is told is not the
lessons on the way, added and taken back one by one, but what they come to at the end.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from shopguide.clean import clean
from shopguide.featurize import Featurizer
from shopguide.log import History, Log
from shopguide.rank import Ranker
from shopguide.records import Batch, Kind, Names
from shopguide.rejects import RejectFiles
from shopguide.relay import Relay
from shopguide.score import Scorer
from shopguide.settings import Settings
from shopguide.snapshot import Columns

READ = 65536  # most rows of a batch

_SHOPPERS = np.isin(np.arange(256), [kind for kind in Kind if Kind.VIEW <= kind <= Kind.DISMISS])


@dataclass
class Learned:
    """The stages after all rows of each partition below ``ends``; ``rejected`` counts why the others were not kept."""

    featurizer: Featurizer
    scorer: Scorer
    ranker: Ranker
    ends: list[int]
    rejected: Counter[str] = field(default_factory=Counter)

    def parts(self) -> dict[str, Columns]:
        """What :meth:`shopguide.state.StateDir.save` takes: the snapshot that the line would write here."""
        return {
            "position": {"position": np.array(self.ends, np.int64)},
            **{f"featurize-{partition}": self.featurizer.dump(partition) for partition in range(len(self.ends))},
            "score": self.scorer.dump(),
            "rank": self.ranker.dump(),
        }


def frontiers(log: Log, until: float = math.inf) -> list[int]:
    """Where each partition is to be learned up to: the offset of its first row that a shopper made later than
    ``until`` (epoch s), by event time; its end where there is none. Raises StateError where the log is corrupt."""
    if until == math.inf:
        return [log.end(partition) for partition in range(log.partitions)]
    return [_frontier(log, partition, until) for partition in range(log.partitions)]


def learn(
    log: Log,
    settings: Settings,
    rejects: RejectFiles,
    ends: Sequence[int],
    told: Callable[[int], object] = lambda rows: None,
) -> Learned:
    """The stages as they are after the rows of each partition below ``ends[partition]``, which are offsets.

    Rows that concern another partition are relayed, and learned too where all of that partition is. What is rejected
    goes to ``rejects``, where a row is written once. ``told`` hears how many rows are done. Raises
    StateError where the log is corrupt.
    """
    learned = Learned(Featurizer(settings), Scorer(settings), Ranker(settings), list(ends))
    relay, done = Relay(log), 0
    ahead = dict(enumerate(ends))
    whole = [partition for partition, end in ahead.items() if end == log.end(partition)]
    while ahead:
        for partition, end in ahead.items():
            for batch in batches(log, partition, learned.featurizer.reached(partition), end):
                relay.send(_learn(learned, rejects, batch))
                done += batch.last + 1 - batch.first
                told(done)
            learned.ends[partition] = end
        ahead = {partition: log.end(partition) for partition in whole if log.end(partition) > learned.ends[partition]}
    learned.scorer.bulk(learned.featurizer.lessons(), learned.featurizer.frontier)
    return learned


def _learn(learned: Learned, rejects: RejectFiles, batch: Batch) -> Batch:
    """Learn a batch but for the model; the rows that it causes in other partitions."""
    kept, bad = clean(batch)
    rejects.write(batch.partition, bad.offset.tolist(), bad.reason, bad.raw)
    learned.rejected.update(bad.reason)
    learned.scorer.learn_catalogue(kept)
    learned.ranker.learn(kept)
    return Batch(batch.partition, batch.first, batch.last, learned.featurizer.learn(kept), Names())


def _frontier(log: Log, partition: int, until: float) -> int:
    """As for :func:`frontiers`. A row that makes no sense has no event time, one of the catalogue no shopper."""
    for batch in batches(log, partition, 0, log.end(partition)):
        events = clean(batch)[0].events
        late = np.flatnonzero(_SHOPPERS[events.kind] & (events.time > until))
        if len(late):
            return int(events.offset[late[0]])
    return log.end(partition)


def batches(log: History, partition: int, at: int, end: int) -> Iterator[Batch]:
    """The rows of a partition from an offset on and below another, in order."""
    while at < end and (batch := log.read(partition, at, READ)) is not None:
        yield batch if batch.last < end else _below(batch, end)
        at = batch.last + 1


def _below(batch: Batch, end: int) -> Batch:
    """The batch up to an offset. It keeps all its names: who reads on from there is not told them again."""
    return Batch(batch.partition, batch.first, end - 1, batch.events.take(batch.events.offset < end), batch.names)
