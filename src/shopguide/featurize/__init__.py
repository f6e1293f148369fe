"""featurize: an event becomes what the model learns from it, and what an answer to its user needs.

Holds, for the users of its partitions, every kept event in order (sessions cut by inactivity), who watches, and the
event ids seen. Taking back is worked out here: the lessons with sign -1 name exactly what was learned.
"""

from shopguide.featurize.featurizer import Featurizer
from shopguide.featurize.impressions import OF_NEW
from shopguide.featurize.looks import intent
from shopguide.featurize.part import REMEMBERED, remembered
from shopguide.featurize.shoppers import KEPT
from shopguide.records import LEARNED

__all__ = ["KEPT", "LEARNED", "OF_NEW", "REMEMBERED", "Featurizer", "intent", "remembered"]
