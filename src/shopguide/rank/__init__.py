"""rank: candidates become a list to show: policy, picks, titles, and the reasons in words."""

from shopguide.rank.ranker import Ranker

__all__ = ["Ranker"]
