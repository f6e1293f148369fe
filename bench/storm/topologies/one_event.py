"""topologies/recommend.py with the bolts of src/text_bolts.py."""

import sys
from pathlib import Path

from streamparse import Grouping, Topology

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

import text_bolts as bolts

BY_PARTITION = Grouping.fields("partition")


class OneEvent(Topology):
    config = {"topology.tick.tuple.freq.secs": 1}

    log = bolts.LogSpout.spec()
    clean = bolts.CleanBolt.spec(inputs={log: BY_PARTITION})
    reject = bolts.RejectBolt.spec(inputs={clean["rejected"]: BY_PARTITION})
    featurize = bolts.FeaturizeBolt.spec(inputs={clean: BY_PARTITION})
    relay = bolts.RelayBolt.spec(inputs={featurize["relay"]: BY_PARTITION})
    score = bolts.ScoreBolt.spec(inputs={clean["catalogue"]: Grouping.ALL, featurize: Grouping.ALL})
    told = {clean["catalogue"]: Grouping.ALL, clean["names"]: Grouping.ALL}
    rank = bolts.RankBolt.spec(inputs={**told, score: BY_PARTITION})
    push = bolts.PushBolt.spec(inputs={rank: BY_PARTITION})
    publish = bolts.PublishBolt.spec(inputs={rank: BY_PARTITION, clean["rejected"]: BY_PARTITION})
