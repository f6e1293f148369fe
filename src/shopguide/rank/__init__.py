"""rank: candidates become a list to show: policy, picks, titles, and the reasons in words."""

from shopguide.rank.ranker import Ranker
from shopguide.rank.reasons import explain, parts_of, strongest_of

__all__ = ["Ranker", "explain", "parts_of", "strongest_of"]
