"""The batch layer: the line's own stages over the log's history, and a snapshot that the stream goes on from.

batch(<= T) + speed(> T) = everything: the model is a function of the kept events, so it does not matter which of them
came in bulk.
"""

from shopguide.batch.history import Learned, frontiers, learn

__all__ = ["Learned", "frontiers", "learn"]
