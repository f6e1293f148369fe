"""Speed layer: events in, recommendations pushed. Wiring and nothing else; docs/design.md draws it."""

from streamparse import Grouping, Topology

from shopguide.storm.bolts import CleanBolt, FeaturizeBolt, PublishBolt, PushBolt, RankBolt, RejectBolt, ScoreBolt
from shopguide.storm.spouts import LogSpout

BY_PARTITION = Grouping.fields("partition")


class Recommend(Topology):
    """collect → [log] → clean → featurize → score → rank → push."""

    log = LogSpout.spec()
    clean = CleanBolt.spec(inputs={log: BY_PARTITION})
    reject = RejectBolt.spec(inputs={clean["rejected"]: BY_PARTITION})
    featurize = FeaturizeBolt.spec(inputs={clean: BY_PARTITION})
    score = ScoreBolt.spec(inputs={clean["catalogue"]: Grouping.ALL, featurize: Grouping.ALL})
    rank = RankBolt.spec(inputs={clean["catalogue"]: Grouping.ALL, score: BY_PARTITION})
    push = PushBolt.spec(inputs={rank: BY_PARTITION})
    publish = PublishBolt.spec(inputs={rank: BY_PARTITION, clean["rejected"]: BY_PARTITION})
