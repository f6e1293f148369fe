"""Speed layer: events in, recommendations pushed. Wiring and nothing else; docs/design.md draws it."""

from streamparse import Grouping, Topology

from shopguide import __version__
from shopguide.storm import bolts
from shopguide.storm.spouts import LogSpout

BY_PARTITION = Grouping.fields("partition")


class Recommend(Topology):
    """collect → [log] → clean → featurize → score → rank → push."""

    config = {"topology.tick.tuple.freq.secs": 1, "shopguide.version": __version__}

    log = LogSpout.spec()
    clean = bolts.CleanBolt.spec(inputs={log: BY_PARTITION})
    reject = bolts.RejectBolt.spec(inputs={clean["rejected"]: BY_PARTITION})
    featurize = bolts.FeaturizeBolt.spec(inputs={clean: BY_PARTITION})
    relay = bolts.RelayBolt.spec(inputs={featurize["relay"]: BY_PARTITION})
    score = bolts.ScoreBolt.spec(inputs={clean["catalogue"]: Grouping.ALL, featurize: Grouping.ALL})
    told = {clean["catalogue"]: Grouping.ALL, clean["names"]: Grouping.ALL}
    rank = bolts.RankBolt.spec(inputs={**told, score: BY_PARTITION})
    push = bolts.PushBolt.spec(inputs={rank: BY_PARTITION, rank["gone"]: BY_PARTITION})
    publish = bolts.PublishBolt.spec(
        inputs={rank: BY_PARTITION, rank["everybody"]: BY_PARTITION, clean["rejected"]: BY_PARTITION}
    )
